"""One case of a run into the scene: maps from beside the run, or from the worker where nobody has seen the case yet."""

from __future__ import annotations

import math
import shutil
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
from .job import Job
from .translation import _
from .worker import Outcome

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


class ReviewJob(Job):
    """Loads one case at a time; the one that was asked for last wins, and the view is told of no other."""

    _request: Request | None = None
    _next: Request | None = None
    _ct: CT | None = None

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
        super().cancel()

    def abandon(self) -> None:
        """Stop at once and tell nobody: the scene, the module or Slicer closes."""
        self._next = None
        super().abandon()

    def onProgress(self, stage: str, fraction: float) -> None:
        """Pass a worker's progress on, unless another case was asked for."""
        if self._next is None:
            super().onProgress(stage, fraction)

    def onEnd(self, outcome: Outcome) -> None:
        """Go on with what the worker wrote or with the next case, or tell why there is nothing."""
        if self._next is None:
            super().onEnd(outcome)
        else:
            self._end()
            self._startNext()

    def _startNext(self) -> None:
        self._request, self._next = self._next, None
        if self._begin() is not None:
            self._run(self._fromCache(), self._onCache)

    def _onCache(self, shown: Shown | None) -> None:
        if shown is not None:
            self._done(shown)
            return
        request, folder = self._request, self._folder
        assert request is not None and folder is not None
        request.prepare()
        options = ["--output", str(folder / files.OUTPUT), "--device", request.device]
        command = ["review", str(request.run), "--case", request.case_id, *options]
        self._work(folder, command, lambda: self._run(self._fromWorker(), self._done))

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

    def _end(self) -> None:
        super()._end()
        self._ct = None


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
