"""What the tabs' jobs do alike: a folder of their own, steps in Slicer, a command in the worker, and its end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol

import slicer

from .slots import sentence
from .steps import Steps
from .translation import _
from .worker import Outcome, Worker

FOLDER_PREFIX = "dual-sampling-"


class View(Protocol):
    """Who shows how a job goes; one of `onDone`, `onCancelled` and `onFailed` ends it."""

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done, in [0, 1]."""

    def onLine(self, text: str) -> None:
        """Show a line of the worker."""

    def onDone(self, value: Any) -> None:
        """Show what came out."""

    def onCancelled(self) -> None:
        """Show that a person stopped it."""

    def onFailed(self, sentence: str) -> None:
        """Show what went wrong."""

    def tell(self, sentence: str) -> None:
        """Show what went wrong beside the job, which goes on."""


class Job:
    """Runs one piece of work at a time, and is what its worker tells; whatever ends it, its folder goes.

    Args:
        view: who is told.
        makeProcess: makes a `QProcess`.
        program: the interpreter; PythonSlicer where None.
    """

    def __init__(self, view: View, makeProcess: Callable[[], Any], program: str | None = None) -> None:
        self._view = view
        self._steps = Steps()
        self._worker = Worker(self, makeProcess, program)
        self._afterWorker: Callable[[], None] = lambda: None
        self._folder: Path | None = None

    @property
    def isRunning(self) -> bool:
        """Whether there is work to cancel."""
        return self._folder is not None

    def cancel(self) -> None:
        """Stop wherever the work stands; the view is told when it has ended."""
        if self._worker.isRunning:
            self._worker.cancel()
        elif self.isRunning:
            self._steps.stop()
            self._end()
            self._view.onCancelled()

    def abandon(self) -> None:
        """Stop at once and tell nobody: the scene, the module or Slicer closes."""
        self._steps.stop()
        self._worker.abandon()
        self._end()

    def onProgress(self, stage: str, fraction: float) -> None:
        """Pass the worker's progress on."""
        self._view.onProgress(stage, fraction)

    def onLine(self, text: str) -> None:
        """Pass a worker's line on."""
        self._view.onLine(text)

    def onEnd(self, outcome: Outcome) -> None:
        """Go on with what the worker wrote, or tell why there is nothing."""
        if outcome.isDone:
            self._afterWorker()
            return
        said = self._said(outcome)
        self._end()
        if outcome.isCancelled:
            self._view.onCancelled()
        else:
            self._view.onFailed(said)

    def onProblem(self, said: str) -> None:
        """Tell that what the worker said or left could not be taken in."""
        if self._worker.isRunning:
            self._view.tell(said)
        else:
            self._end()
            self._view.onFailed(said)

    def _said(self, outcome: Outcome) -> str:
        """Return the worker's last words as a person at the panel understands them."""
        return outcome.sentence()

    def _begin(self) -> Path | None:
        """Make the job's folder and return it; None where that fails, which the view is told."""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=slicer.app.temporaryPath or None))
        except OSError as error:
            self._view.onFailed(_("No folder for temporary files could be made: {reason}").format(reason=error))
        return self._folder

    def _run(self, steps: Generator[str, None, Any], onDone: Callable[[Any], None]) -> None:
        """Take steps in Slicer; `onDone` is given their value."""
        self._steps.run(steps, lambda stage: self._view.onProgress(stage, 0.0), onDone, self._failed)

    def _work(self, folder: Path, arguments: list[str], onDone: Callable[[], None]) -> None:
        """Run a command in the worker; `onDone` is called when it has written everything."""
        self._afterWorker = onDone
        self._worker.start(arguments, folder)

    def _done(self, value: Any) -> None:
        self._end()
        self._view.onDone(value)

    def _failed(self, error: Exception) -> None:
        self._end()
        self._view.onFailed(sentence(error))

    def _end(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
