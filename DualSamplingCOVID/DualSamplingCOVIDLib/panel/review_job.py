"""One case of a run into the scene: maps from beside the run, or from the worker where nobody has seen the case yet."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ct import CT, read_ct
from ..diagnosis import Diagnosis
from ..errors import InputError
from ..evaluation.cases import JudgedCase
from ..review_folder import case_folder
from ..run_folder import ATTENTION_SS, ATTENTION_US
from ..scene.result import Result
from ..scene.review import addingCase, removeCases
from . import files
from .job import FOLDER_PREFIX, View
from .slots import sentence
from .steps import Steps
from .translation import _
from .worker import Outcome, Worker

_SAME = 1e-5


@dataclass(frozen=True)
class Shown:
    """A case that stands in the scene; `note` says what could not be done beside that, else empty."""

    case_id: str
    result: Result
    note: str = ""


@dataclass(frozen=True)
class Request:
    """Which case is wanted; `prepare` is asked before a worker starts and raises where none can."""

    scene: Any
    run: Path
    judged: JudgedCase
    device: str
    prepare: Callable[[], None]

    @property
    def case_id(self) -> str:
        """The case's name in the run."""
        return self.judged.case.case_id


class ReviewJob:
    """Loads one case at a time; the one that was asked for last wins.

    Args:
        view: who is told, for the last case that was asked for alone.
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
        self._request: Request | None = None
        self._next: Request | None = None
        self._ct: CT | None = None

    @property
    def isRunning(self) -> bool:
        """Whether there is work to cancel."""
        return self._folder is not None

    def load(self, request: Request) -> None:
        """Bring a case into the scene in place of the one before; what is still being loaded is given up."""
        self._next = request
        if self._worker.isRunning:
            self._worker.cancel()  # `onEnd` goes on
            return
        self._steps.stop()
        self._end()
        self._startNext()

    def cancel(self) -> None:
        """Stop wherever the work stands; the case before stays in the scene."""
        self._next = None
        if self._worker.isRunning:
            self._worker.cancel()
        elif self.isRunning:
            self._steps.stop()
            self._end()
            self._view.onCancelled()

    def abandon(self) -> None:
        """Stop at once and tell nobody: the scene, the module or Slicer closes."""
        self._next = None
        self._steps.stop()
        self._worker.abandon()
        self._end()

    def onProgress(self, stage: str, fraction: float) -> None:
        """Pass a worker's progress on."""
        if self._next is None:
            self._view.onProgress(stage, fraction)

    def onLine(self, text: str) -> None:
        """Pass a worker's line on."""
        self._view.onLine(text)

    def onEnd(self, outcome: Outcome) -> None:
        """Go on with what the worker wrote, or tell why there is nothing."""
        if self._next is not None:
            self._end()
            self._startNext()
        elif outcome.isDone:
            self._run(self._fromWorker(), self._done)
        else:
            self._end()
            if outcome.isCancelled:
                self._view.onCancelled()
            else:
                self._view.onFailed(outcome.sentence())

    def onProblem(self, said: str) -> None:
        """Tell that what the worker said or left could not be taken in."""
        if self._worker.isRunning:
            self._view.tell(said)
        else:
            self._end()
            self._view.onFailed(said)

    def _startNext(self) -> None:
        self._request, self._next = self._next, None
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=self._temporary))
        except OSError as error:
            self._view.onFailed(_("No folder for temporary files could be made: {reason}").format(reason=error))
            return
        self._run(self._fromCache(), self._onCache)

    def _onCache(self, shown: Shown | None) -> None:
        if shown is not None:
            self._done(shown)
            return
        request, folder = self._request, self._folder
        assert request is not None and folder is not None
        request.prepare()
        arguments = ["review", str(request.run), "--case", request.case_id, "--output", str(folder / files.OUTPUT)]
        self._worker.start([*arguments, "--device", request.device], folder)

    def _fromCache(self) -> Generator[str, None, Shown | None]:
        """Read the CT, and show the case where its maps are kept; None where they are not, or are of something else."""
        request = self._request
        assert request is not None
        kept = case_folder(request.run, request.case_id)
        yield _("reading the CT")
        self._ct = read_ct(request.judged.case.image)
        if not kept.is_dir():
            return None
        try:
            diagnosis = yield from files.loading(kept, ())
        except InputError:
            return None  # damaged: it is made anew
        if not _isOf(diagnosis, request.judged, self._ct):
            return None
        return (yield from self._showing(request, self._ct, diagnosis, ""))

    def _fromWorker(self) -> Generator[str, None, Shown]:
        request, ct, folder = self._request, self._ct, self._folder
        assert request is not None and ct is not None and folder is not None
        diagnosis = yield from files.loading(folder / files.OUTPUT, ())
        yield _("keeping the maps")
        note = _keep(folder / files.OUTPUT, case_folder(request.run, request.case_id))
        return (yield from self._showing(request, ct, diagnosis, note))

    def _showing(self, request: Request, ct: CT, diagnosis: Diagnosis, note: str) -> Generator[str, None, Shown]:
        result = yield from addingCase(request.scene, request.case_id, ct.image, diagnosis)
        removeCases(request.scene, kept=result)
        return Shown(request.case_id, result, note)

    def _run(self, steps: Generator[str, None, Any], onDone: Callable[[Any], None]) -> None:
        self._steps.run(steps, lambda stage: self._view.onProgress(stage, 0.0), onDone, self._failed)

    def _done(self, shown: Shown) -> None:
        self._end()
        self._view.onDone(shown)

    def _failed(self, error: Exception) -> None:
        self._end()
        self._view.onFailed(sentence(error))

    def _end(self) -> None:
        folder, self._folder, self._ct = self._folder, None, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _isOf(diagnosis: Diagnosis, judged: JudgedCase, ct: CT) -> bool:
    """Whether kept maps are of this CT and of the networks whose predictions the run holds."""
    decision = diagnosis.decision
    stored = (judged.probabilities[ATTENTION_US], judged.probabilities[ATTENTION_SS], judged.probability)
    pairs = zip(stored, (decision.p_us, decision.p_ss, decision.probability), strict=True)
    return diagnosis.ct_sha256 == ct.sha256 and all(math.isclose(a, b, abs_tol=_SAME) for a, b in pairs)


def _keep(made: Path, kept: Path) -> str:
    """Keep maps beside the run, whole or not at all; return a sentence where that cannot be done."""
    aside = kept.with_name(f".{kept.name}-part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(made, aside)
        if kept.exists():
            shutil.rmtree(kept)
        aside.rename(kept)
    except OSError as error:
        reason = error.strerror or error
        return _("{folder}: the maps could not be kept there ({reason}); next time they are computed again").format(
            folder=kept, reason=reason
        )
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ""
