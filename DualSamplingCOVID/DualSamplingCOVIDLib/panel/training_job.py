"""The commands of the Trainer tab, one at a time in the worker process; what they wrote stays, whatever ends them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..run_folder import BUNDLE, EVALUATION
from .job import FOLDER_PREFIX
from .translation import _
from .worker import Outcome, Worker

TRAIN, EVALUATE, EXPORT = "cross-validate", "evaluate", "export"


class View(Protocol):
    """Who shows how a command goes; one of the last three ends it."""

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done, in [0, 1]."""

    def onLine(self, text: str) -> None:
        """Show a line of the worker."""

    def onDone(self, command: str) -> None:
        """Go on: the command has written everything."""

    def onStopped(self, command: str) -> None:
        """Show that a person stopped it."""

    def onFailed(self, command: str, sentence: str) -> None:
        """Show what went wrong."""

    def tell(self, sentence: str) -> None:
        """Show what went wrong beside the command, which goes on."""


@dataclass(frozen=True)
class Training:
    """What Start was asked to do; `config` is None for the paper's settings, `fold` for all folds."""

    cohort: Path
    run: Path
    config: Path | None
    fold: int | None
    device: str
    isResumed: bool

    def arguments(self) -> list[str]:
        """Return the command line."""
        options = ["--output", str(self.run), "--device", self.device]
        options += ["--config", str(self.config)] if self.config is not None else []
        options += ["--fold", str(self.fold)] if self.fold is not None else []
        options += ["--resume"] if self.isResumed else []
        return [TRAIN, str(self.cohort), *options]


class TrainingJob:
    """Trains, evaluates or exports.

    Args:
        view: who is told.
        makeProcess: makes a `QProcess`.
        program: the interpreter; PythonSlicer where None.
        temporary: where the folder of the worker's lease is made.
    """

    def __init__(self, view: View, makeProcess: Callable[[], Any], program: str | None, temporary: str) -> None:
        self._view = view
        self._temporary = temporary
        self._worker = Worker(self, makeProcess, program)
        self._folder: Path | None = None
        self._command = ""

    @property
    def command(self) -> str:
        """Which command is at work, empty where none is."""
        return self._command if self._folder is not None else ""

    def train(self, training: Training) -> None:
        """Begin a run, or go on with it."""
        self._start(TRAIN, training.arguments())

    def evaluate(self, run: Path) -> None:
        """Write the tables and figures of a finished run into its folder `EVALUATION`."""
        self._start(EVALUATE, ["evaluate", str(run), "--output", str(run / EVALUATION), "--overwrite"])

    def export(self, run: Path) -> None:
        """Make a bundle of the finished folds in the run's folder `BUNDLE`, with what `evaluate` found."""
        arguments = ["bundle", "export", str(run), "--output", str(run / BUNDLE), "--name", run.name, "--overwrite"]
        record = run / EVALUATION / "evaluation.json"
        self._start(EXPORT, [*arguments, *(["--evaluation", str(record)] if record.is_file() else [])])

    def stop(self) -> None:
        """End the command, with all that it started; the view is told when that is done."""
        self._worker.cancel()

    def abandon(self) -> None:
        """End it at once and tell nobody: the scene, the module or Slicer closes."""
        self._worker.abandon()
        self._end()

    def onProgress(self, stage: str, fraction: float) -> None:
        """Pass the worker's progress on."""
        self._view.onProgress(stage, fraction)

    def onLine(self, text: str) -> None:
        """Pass a worker's line on."""
        self._view.onLine(text)

    def onEnd(self, outcome: Outcome) -> None:
        """Tell how it ended."""
        command = self._command
        self._end()
        if outcome.isDone:
            self._view.onDone(command)
        elif outcome.isCancelled:
            self._view.onStopped(command)
        else:
            self._view.onFailed(command, outcome.sentence().replace("--resume", _("Resume")))

    def onProblem(self, said: str) -> None:
        """Tell that what the worker said or left could not be taken in."""
        if self._worker.isRunning:
            self._view.tell(said)
        else:
            self._end()
            self._view.onFailed(self._command, said)

    def _start(self, command: str, arguments: list[str]) -> None:
        self._command = command
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=self._temporary))
        except OSError as error:
            reason = _("No folder for temporary files could be made: {reason}").format(reason=error)
            self._view.onFailed(command, reason)
            return
        self._worker.start(arguments, self._folder)

    def _end(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
