"""One click's work: export, worker process, import. Whatever stops it, its folder goes and the scene stays whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import UserError
from ..scene import nodes
from ..scene.export import isMoved, placeInWorld
from ..scene.result import Result
from . import files
from .slots import sentence
from .steps import Steps
from .translation import _
from .worker import Outcome, Worker

FOLDER_PREFIX = "dual-sampling-"


class View(Protocol):
    """Who shows how a job goes; one of the last three ends it."""

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done, in [0, 1]."""

    def onLine(self, text: str) -> None:
        """Show a line of the worker."""

    def onDone(self, value: Any) -> None:
        """Show what came out: a `Result`, or the folder that was written."""

    def onCancelled(self) -> None:
        """Show that nothing was changed."""

    def onFailed(self, sentence: str) -> None:
        """Show what went wrong."""

    def tell(self, sentence: str) -> None:
        """Show what went wrong beside the job, which goes on."""


@dataclass(frozen=True)
class Analysis:
    """What Analyze was asked to do; `replaced` are results that go when the new one is there."""

    ct: Any
    bundle: str
    device: str
    given: files.GivenSegments | None = None
    replaced: tuple[Result, ...] = ()


class Job:
    """Runs one analysis, or writes one report, at a time.

    Args:
        view: who is told.
        makeProcess: makes a `QProcess`.
        program: the interpreter; PythonSlicer where None.
        temporary: where the job's folder is made.
    """

    def __init__(
        self, view: View, makeProcess: Callable[[], Any], program: str | None = None, temporary: str | None = None
    ) -> None:
        self._view = view
        self._temporary = temporary
        self._steps = Steps()
        self._worker = Worker(self, makeProcess, program)
        self._folder: Path | None = None
        self._afterWorker: Callable[[], None] = lambda: None

    @property
    def isRunning(self) -> bool:
        """Whether there is work to cancel."""
        return self._folder is not None

    def analyze(self, analysis: Analysis) -> None:
        """Analyse a CT of the scene and add the result to it."""
        folder = self._begin()
        if folder is None:
            return

        place = placeInWorld(analysis.ct)

        def start(exported: Any) -> None:
            arguments, findings = exported
            output = folder / files.OUTPUT
            self._afterWorker = lambda: self._run(self._importing(output, findings, place, analysis), self._done)
            options = ["--output", str(output), "--bundle", analysis.bundle, "--device", analysis.device]
            self._worker.start(["analyze", *arguments, *options, "--write", "masks,maps"], folder)

        self._run(files.exporting(folder, analysis.ct, analysis.given), start)

    def saveReport(self, result: Result, output: Path) -> None:
        """Write the folder that the command line writes, of a result in the scene; it appears whole or not at all."""
        folder = self._begin()
        if folder is None:
            return

        def start(arguments: Any) -> None:
            made = folder / files.OUTPUT
            self._afterWorker = lambda: self._run(files.moving(made, output), self._done)
            self._worker.start(["report", *arguments, "--output", str(made)], folder)

        self._run(files.exportingResult(folder, result), start)

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
        """Pass a worker's progress on."""
        self._view.onProgress(stage, fraction)

    def onLine(self, text: str) -> None:
        """Pass a worker's line on."""
        self._view.onLine(text)

    def onEnd(self, outcome: Outcome) -> None:
        """Go on with what the worker wrote, or tell why there is nothing."""
        if outcome.isDone:
            self._afterWorker()
            return
        folder = self._folder
        self._end()
        if outcome.isCancelled:
            self._view.onCancelled()
        else:
            self._view.onFailed(outcome.sentence().replace(f"{folder}/{files.CT}", _("the CT")))

    def onProblem(self, said: str) -> None:
        """Tell that what the worker said or left could not be taken in."""
        if self._worker.isRunning:
            self._view.tell(said)
        else:
            self._end()
            self._view.onFailed(said)

    def _importing(
        self, output: Path, findings: Any, place: tuple[float, ...], analysis: Analysis
    ) -> Generator[str, None, Result]:
        diagnosis = yield from files.loading(output, findings)
        scene = analysis.ct.GetScene()
        if scene is None:
            raise UserError(_("The CT was deleted from the scene while it was analysed."))
        if isMoved(analysis.ct, place):
            raise UserError(_("The CT was moved while it was analysed: analyse it again."))
        result = yield from nodes.addingDiagnosis(scene, analysis.ct, diagnosis)
        for old in analysis.replaced:
            old.remove()
        return result

    def _begin(self) -> Path | None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=self._temporary))
        except OSError as error:
            self._view.onFailed(_("No folder for temporary files could be made: {reason}").format(reason=error))
        return self._folder

    def _run(self, steps: Generator[str, None, Any], onDone: Callable[[Any], None]) -> None:
        self._steps.run(steps, lambda stage: self._view.onProgress(stage, 0.0), onDone, self._failed)

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
