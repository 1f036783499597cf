"""The command line under watch: `python -m DualSamplingCOVIDLib.supervised LEASE analyze ...`.

LEASE is a file that names the process id of whoever wants the work done. The command ends when that file is taken
away (to cancel) or that process has died: first as Ctrl-C would, so that nothing half-written stays, and after a grace
period by force, with every process that it started. A file rather than a pipe or a signal, because Slicer's Python is
started through a launcher that stands between the two; for the same reason the first line of its standard output tells
the process id, as JSON.
"""

import _thread
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
CANCELLED = 130


def main(lease: Path, arguments: list[str]) -> int:
    """Run the command line in a process group of its own until it is done or the lease ends; return its status."""
    if hasattr(os, "setsid"):
        os.setsid()
    try:
        print(json.dumps({"pid": os.getpid()}), flush=True)
        threading.Thread(target=_watch, args=(lease,), name="watch", daemon=True).start()
        from .__main__ import main as command_line

        return command_line(arguments)
    except KeyboardInterrupt:  # before the command line could take it, or when it had ended
        return CANCELLED


def _watch(lease: Path) -> None:
    while _holds(lease):
        time.sleep(POLL_SECONDS)
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)  # it also ends a call that waits
    else:
        _thread.interrupt_main()  # os.kill would end the process without its clean-up there
    time.sleep(GRACE_SECONDS)
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(CANCELLED)


def _holds(lease: Path) -> bool:
    """Whether the lease is there and its holder lives; where the system cannot tell (Windows), the file decides."""
    try:
        holder = int(lease.read_text(encoding="ascii"))
        if os.name == "posix":
            os.kill(holder, 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
