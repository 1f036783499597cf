"""The process that does the work, so that Slicer stays usable and the GPU's memory is free again when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import BundleError, InputError, ResourceError
from .slots import connect, guarded
from .translation import _

LEASE = "lease"
CANCELLED = 130
NOT_STARTED = 127
FORCE_MILLISECONDS = 8000
_KEPT_LINES = 200
_ERROR = "error: "
"""What the command line's one line for a person begins with; libraries may say more after it."""


class Listener(Protocol):
    """Who is told how the work goes; every call comes from Slicer's event loop."""

    def onProgress(self, stage: str, fraction: float) -> None:
        """Tell the stage at work and how much of it is done, in [0, 1]."""

    def onLine(self, text: str) -> None:
        """Tell a line that the worker wrote."""

    def onEnd(self, outcome: Outcome) -> None:
        """Tell how it ended; the last call, unless it raises."""

    def onProblem(self, said: str) -> None:
        """Tell that one of the others raised; where that was not `onEnd`, the work goes on."""


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: its exit status (None: it was killed or never started) and its last lines."""

    status: int | None
    lines: tuple[str, ...]

    @property
    def isDone(self) -> bool:
        """Whether everything was written."""
        return self.status == 0

    @property
    def isCancelled(self) -> bool:
        """Whether a person stopped it."""
        return self.status == CANCELLED

    def sentence(self) -> str:
        """Say what went wrong and what to do, as one paragraph for a person."""
        errors = [line for line in self.lines if line.startswith(_ERROR)]
        said = (errors or list(self.lines) or [""])[-1].removeprefix(_ERROR)
        if self.status in (InputError.status, BundleError.status, ResourceError.status, NOT_STARTED):
            return said
        if self.status is None:
            return _(
                "The worker process ended unexpectedly, perhaps because memory ran out: close other programs, or choose"
                " the device CPU. Its last words: {words}"
            ).format(words=said or _("none"))
        return _("The worker failed with status {status}: {words}. The log below tells more.").format(
            status=self.status, words=said or _("it said nothing")
        )


class Worker:
    """Runs the command line in PythonSlicer; one command at a time, which ends when `cancel` is called.

    Args:
        listener: who is told.
        makeProcess: makes a `QProcess`; tests give another.
        program: the interpreter; PythonSlicer where None.
    """

    def __init__(self, listener: Listener, makeProcess: Callable[[], Any], program: str | None = None) -> None:
        self._listener = listener
        self._makeProcess = makeProcess
        self._program = program
        self._process: Any = None
        self._lease: Path | None = None
        self._pid = 0
        self._partial = {"out": b"", "err": b""}
        self._lines: list[str] = []
        self._cancelled = False

    @property
    def isRunning(self) -> bool:
        """Whether a command is at work."""
        return self._process is not None

    def start(self, arguments: list[str], folder: Path) -> None:
        """Start a command.

        Args:
            arguments: the command line, progress left out.
            folder: the job's own folder; the lease that keeps the worker alive lies in it.
        """
        self._lines, self._cancelled, self._partial = [], False, {"out": b"", "err": b""}
        self._lease = folder / LEASE
        self._lease.write_text(str(os.getpid()), encoding="ascii")
        process = self._process = self._makeProcess()
        process.setProcessEnvironment(_environment())
        process.setWorkingDirectory(str(folder))  # Python looks for modules where it is started
        for signalName, slot in (
            ("readyReadStandardOutput()", self._onOutput),
            ("readyReadStandardError()", self._onError),
            ("finished(int,QProcess::ExitStatus)", self._onFinished),
            ("errorOccurred(QProcess::ProcessError)", self._onProcessError),
        ):
            connect(process, signalName, slot, self._listener.onProblem)
        supervised = ["-m", f"{__package__.partition('.')[0]}.supervised", str(self._lease)]
        process.start(self._program or _pythonSlicer(), [*supervised, *arguments, "--progress", "json"])

    def cancel(self) -> None:
        """End the command and all that it started; `Listener.onEnd` is told when that is done."""
        import qt

        if self._process is None or self._cancelled:
            return
        self._cancelled = True
        self._endLease()
        process = self._process
        qt.QTimer.singleShot(FORCE_MILLISECONDS, guarded(lambda: self._force(process), self._listener.onProblem))

    def abandon(self) -> None:
        """End the command at once and tell nobody: Slicer or the module closes."""
        process, self._process = self._process, None
        if process is None:
            return
        self._endLease()
        self._killTree()
        self._pid = 0
        process.kill()
        process.waitForFinished(3000)

    def _force(self, process: Any) -> None:
        if process is self._process:
            self._killTree()
            process.kill()

    def _killTree(self) -> None:
        """Kill the worker and its children; the process that Qt knows may be the launcher alone."""
        if not self._pid:
            return
        try:
            if os.name == "posix":
                os.killpg(self._pid, signal.SIGKILL)
            else:
                noWindow = getattr(subprocess, "CREATE_NO_WINDOW", 0)
                command = ["taskkill", "/T", "/F", "/PID", str(self._pid)]
                subprocess.run(command, capture_output=True, check=False, creationflags=noWindow)
        except OSError:
            pass  # it has ended by itself

    def _endLease(self) -> None:
        if self._lease is not None:
            self._lease.unlink(missing_ok=True)

    def _onOutput(self) -> None:
        if self._process is not None:
            self._take("out", self._process.readAllStandardOutput().data())

    def _onError(self) -> None:
        if self._process is not None:
            self._take("err", self._process.readAllStandardError().data())

    def _take(self, channel: str, data: bytes) -> None:
        *whole, self._partial[channel] = (self._partial[channel] + bytes(data)).split(b"\n")
        for line in whole:
            guarded(self._tell, self._listener.onProblem)(line.decode("utf-8", errors="replace").rstrip("\r"))

    def _tell(self, line: str) -> None:
        if line.startswith("{"):
            try:
                step = json.loads(line)
                if "pid" in step:
                    self._pid = int(step["pid"])
                else:
                    self._listener.onProgress(str(step["stage"]), float(step["fraction"]))
                return
            except (ValueError, KeyError, TypeError):
                pass  # a line that only looks like progress
        self._lines = [*self._lines, line][-_KEPT_LINES:]
        self._listener.onLine(line)

    def _onFinished(self, status: int, exitStatus: Any = 0) -> None:
        self._end(status if int(exitStatus) == 0 else None)

    def _onProcessError(self, error: Any = None) -> None:
        import qt

        if self._process is not None and error == qt.QProcess.FailedToStart:
            program = self._program or _pythonSlicer()
            self._tell(_ERROR + _("{program} could not be started: is Slicer installed whole?").format(program=program))
            self._end(NOT_STARTED)

    def _end(self, status: int | None) -> None:
        process = self._process
        if process is None:
            return
        self._take("out", process.readAllStandardOutput().data() + b"\n")
        self._take("err", process.readAllStandardError().data() + b"\n")
        self._process = None
        self._endLease()
        if self._cancelled:
            self._killTree()
            status = CANCELLED
        self._pid = 0
        process.deleteLater()
        self._listener.onEnd(Outcome(status, tuple(line for line in self._lines if line)))


def _environment() -> Any:
    """The worker's environment: the library on its path, text in UTF-8, and no packages of the user's own Python."""
    import qt

    environment = qt.QProcessEnvironment.systemEnvironment()
    library = str(Path(__file__).resolve().parents[2])
    paths = [library, *filter(None, [environment.value("PYTHONPATH")])]
    environment.insert("PYTHONPATH", os.pathsep.join(paths))
    environment.insert("PYTHONIOENCODING", "utf-8")
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONNOUSERSITE", "1")
    return environment


def _pythonSlicer() -> str:
    return shutil.which("PythonSlicer") or sys.executable
