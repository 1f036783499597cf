"""`python -m DualSamplingCOVIDLib ...`: the command line, and what the panel's worker runs."""

import argparse
import errno
import signal
import sys
from collections.abc import Sequence

from . import __version__
from .commands import analyze, bundle, fit, phantom, segment
from .errors import ResourceError, UserError

CANCELLED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status (0 done, 2 wrong usage, 3 input, 4 bundle, 5 resources, 130)."""
    parser = argparse.ArgumentParser(
        prog="dualsampling-covid",
        description="COVID-19 against community acquired pneumonia on chest CT. Research use only.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (analyze, segment, phantom, fit, bundle):
        command.register(subparsers)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("cancelled: nothing was written", file=sys.stderr)
        return CANCELLED
    except UserError as error:
        return _fail(error)
    except MemoryError:
        return _fail(ResourceError("memory ran out: close other programs and try again"))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _fail(ResourceError(f"{error.filename or 'the output disk'}: no space is left"))
    return 0


def _fail(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.status


if __name__ == "__main__":
    sys.exit(main())
