"""One click of Analyze: export, worker process, import. Whatever stops it, the scene stays whole."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..scene import nodes
from ..scene.export import isMoved, placeInWorld
from ..scene.result import Result
from . import files
from .job import Job
from .translation import _
from .worker import Outcome


@dataclass(frozen=True)
class Analysis:
    """What Analyze was asked to do; `replaced` are results that go when the new one is there."""

    ct: Any
    bundle: str
    device: str
    given: files.GivenSegments | None = None
    replaced: tuple[Result, ...] = ()


class AnalysisJob(Job):
    """Runs one analysis, which ends with a `Result`, or writes one report, which ends with its folder."""

    def analyze(self, analysis: Analysis) -> None:
        """Analyse a CT of the scene and add the result to it."""
        folder = self._begin()
        if folder is None:
            return

        place = placeInWorld(analysis.ct)

        def start(exported: Any) -> None:
            arguments, findings = exported
            output = folder / files.OUTPUT
            options = ["--output", str(output), "--bundle", analysis.bundle, "--device", analysis.device]
            self._work(
                folder,
                ["analyze", *arguments, *options, "--write", "masks,maps"],
                lambda: self._run(self._importing(output, findings, place, analysis), self._done),
            )

        self._run(files.exporting(folder, analysis.ct, analysis.given), start)

    def saveReport(self, result: Result, output: Path) -> None:
        """Write the folder that the command line writes, of a result in the scene; it appears whole or not at all."""
        folder = self._begin()
        if folder is None:
            return

        def start(arguments: Any) -> None:
            made = folder / files.OUTPUT
            command = ["report", *arguments, "--output", str(made)]
            self._work(folder, command, lambda: self._run(files.moving(made, output), self._done))

        self._run(files.exportingResult(folder, result), start)

    def _said(self, outcome: Outcome) -> str:
        return outcome.sentence().replace(f"{self._folder}/{files.CT}", _("the CT"))

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
