"""The commands of the Trainer tab, one at a time in the worker process; what they wrote stays, whatever ends them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..run_folder import BUNDLE, EVALUATION
from .job import Job
from .translation import _
from .worker import Outcome

TRAIN, EVALUATE, EXPORT = "cross-validate", "evaluate", "export"


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


@dataclass(frozen=True)
class Evaluation:
    """What a finished run is asked for: tables and figures, and where its networks look if the attention is measured.

    `device` is where the attention is measured.
    """

    run: Path
    measuresAttention: bool
    device: str

    def arguments(self) -> list[str]:
        """Return the command line."""
        attention = ["--attention", "--device", self.device] if self.measuresAttention else []
        return [EVALUATE, str(self.run), "--output", str(self.run / EVALUATION), "--overwrite", *attention]


class TrainingJob(Job):
    """Trains, evaluates or exports; ends with the command that has written everything."""

    command = ""
    """Which one is at work, or was last."""

    def train(self, training: Training) -> None:
        """Begin a run, or go on with it."""
        self._start(TRAIN, training.arguments())

    def evaluate(self, evaluation: Evaluation) -> None:
        """Write the tables and figures of a finished run into its folder `EVALUATION`."""
        self._start(EVALUATE, evaluation.arguments())

    def export(self, run: Path) -> None:
        """Make a bundle of the finished folds in the run's folder `BUNDLE`, with what `evaluate` found."""
        arguments = ["bundle", "export", str(run), "--output", str(run / BUNDLE), "--name", run.name, "--overwrite"]
        record = run / EVALUATION / "evaluation.json"
        self._start(EXPORT, [*arguments, *(["--evaluation", str(record)] if record.is_file() else [])])

    def _said(self, outcome: Outcome) -> str:
        return outcome.sentence().replace("--resume", _("Resume"))

    def _start(self, command: str, arguments: list[str]) -> None:
        self.command = command
        folder = self._begin()
        if folder is not None:
            self._work(folder, arguments, lambda: self._done(command))
