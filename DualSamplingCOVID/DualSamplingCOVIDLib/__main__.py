"""`python -m DualSamplingCOVIDLib ...`: the command line, and what the panel's worker runs."""

import argparse
import gc
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from . import __version__
from .errors import ResourceError, UserError, is_full
from .memory import keep_freed_memory

CANCELLED = 130
_OUT_OF_MEMORY = ("allocate memory", "Cannot allocate", "failed to map segment", "out of memory", "_ALLOC_FAILED")
"""What libraries say of it; the third is the system's loader, which found no room for a package, the last CUDA's."""
CANCELLED_LINE = "cancelled: nothing was written"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status (0 done, 2 wrong usage, 3 input, 4 bundle, 5 resources, 130).

    What goes wrong is one line on standard error. `python -X dev` shows where a failure of status 1 came from.
    """
    options = None
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        signal.default_int_handler(number, frame)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)
        options = _parser().parse_args(arguments)
        options.run(options)
        return 0
    except KeyboardInterrupt:
        return _end(options, CANCELLED, getattr(options, "cancelled", CANCELLED_LINE))
    except Exception as error:
        if interrupted:  # an import that is interrupted says that it failed
            return _end(options, CANCELLED, getattr(options, "cancelled", CANCELLED_LINE))
        failure = _for_a_person(error)
        if failure.status == UserError.status and sys.flags.dev_mode:
            raise
        return _end(options, failure.status, f"error: {failure}")


def _parser() -> argparse.ArgumentParser:
    # Importing takes long enough to be interrupted.
    from .commands import (
        analyze,
        bundle,
        cross_validate,
        evaluate,
        fit,
        phantom,
        report,
        review,
        segment,
        train_segmenter,
    )

    parser = argparse.ArgumentParser(
        prog="dualsampling-covid",
        description="COVID-19 against community acquired pneumonia on chest CT. Research use only.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (analyze, report, segment, phantom, train_segmenter, fit, cross_validate, evaluate, review, bundle):
        command.register(subparsers)
    return parser


def _for_a_person(error: Exception) -> UserError:
    """What to tell a person of a failure; one that no part of the program expected has status 1."""
    from concurrent.futures import BrokenExecutor

    text = str(error)
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and is_full(error):
        return ResourceError(f"{error.filename or 'the disk'}: cannot be written: the disk is full ({error.strerror})")
    if isinstance(error, MemoryError | BrokenExecutor) or any(sign in text for sign in _OUT_OF_MEMORY):
        return ResourceError("memory ran out: close other programs and try again")
    return UserError(f"unexpected {type(error).__name__}: {text}")


def _end(options: argparse.Namespace | None, status: int, line: str) -> int:
    """Say how it ended, on a line of its own, and return the status."""
    from .commands import reporter

    if options is not None and hasattr(options, "progress"):
        reporter.close(options.progress)
    print(reporter.printable(line), file=sys.stderr)
    return status


def command() -> int:
    """Run one subcommand as a process of its own: it keeps its memory, and ends without taking every object apart."""
    keep_freed_memory()
    status = main()
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(command())
