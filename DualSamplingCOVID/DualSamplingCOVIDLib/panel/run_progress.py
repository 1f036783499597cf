"""A run of cross-validate while it grows: read bit by bit, so that the window never waits for it.

The one place of the panel that knows the files of an unfinished run.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..run_folder import MODELS
from .translation import _

CONFIG, EVALUATION, BUNDLE = "config.toml", "evaluation", "bundle"
"""Names in a run folder: its settings, and where the panel lets `evaluate` and `bundle export` write."""
_COUNTS = ("folds", "epochs")


@dataclass(frozen=True)
class Plan:
    """How much a run is: the settings that the panel needs to know; the defaults are the paper's."""

    folds: int = 5
    models: tuple[str, ...] = MODELS
    epochs: int = 20
    augmentation: str = "none"

    @property
    def jobs(self) -> tuple[tuple[int, str], ...]:
        """Fold and model of everything that is trained, in that order."""
        return tuple((fold, model) for fold in range(self.folds) for model in self.models)


def readPlan(path: Path | None) -> Plan:
    """Read a TOML file of settings; None stands for the paper's. What else is wrong with it, the worker tells.

    Raises:
        InputError: it cannot be read, or a number in it is none.
    """
    if path is None:
        return Plan()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(_("{path}: cannot be read ({reason})").format(path=path, reason=error.strerror)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(_("{path}: not a TOML file ({reason})").format(path=path, reason=error)) from None
    counts = {name: given.get(name, getattr(Plan, name)) for name in _COUNTS}
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InputError(_("{path}: {name} must be a whole number above 0").format(path=path, name=name))
    models = given.get("models", MODELS)
    if not isinstance(models, list | tuple) or not models or not all(isinstance(name, str) for name in models):
        raise InputError(_("{path}: models must be a list of names").format(path=path))
    return Plan(models=tuple(models), augmentation=str(given.get("augmentation", Plan.augmentation)), **counts)


@dataclass
class ModelProgress:
    """How far one model is.

    Attributes:
        steps: (cross-entropy, attention loss) of each optimiser step.
        stepsAnEpoch: optimiser steps an epoch, 0 before the first.
        epochs: (validation loss, validation AUC) of each whole epoch.
        best: (epoch, validation AUC) of the best epoch, counted from 0; None before the first.
    """

    fold: int
    model: str
    isFinished: bool = False
    steps: list[tuple[float, float]] = field(default_factory=list)
    stepsAnEpoch: int = 0
    epochs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def best(self) -> tuple[int, float] | None:
        """The highest AUC, and of equal ones that with the lowest loss; an AUC that is no number is the lowest."""
        if not self.epochs:
            return None

        def quality(epoch: int) -> tuple[float, float]:
            loss, auc = self.epochs[epoch]
            return (-math.inf if math.isnan(auc) else auc, -loss)

        index = max(range(len(self.epochs)), key=quality)
        return index, self.epochs[index][1]


class RunProgress:
    """A run folder, begun or not.

    Args:
        folder: the run folder; it need not exist.

    Raises:
        InputError: its settings cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = Plan()
        self._readers: dict[tuple[int, str], _ModelReader] = {}
        self.read()

    @property
    def isBegun(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / CONFIG).is_file()

    @property
    def models(self) -> list[ModelProgress]:
        """Every model of every fold; none before the run has begun."""
        return [reader.progress for reader in self._readers.values()]

    @property
    def finished(self) -> int:
        """How many models are finished."""
        return sum(model.isFinished for model in self.models)

    @property
    def isFinished(self) -> bool:
        """Whether every model of every fold is."""
        return bool(self._readers) and self.finished == len(self._readers)

    @property
    def wholeFolds(self) -> tuple[int, ...]:
        """The folds of which every model is finished."""
        unfinished = {model.fold for model in self.models if not model.isFinished}
        return tuple(fold for fold in sorted({model.fold for model in self.models}) if fold not in unfinished)

    @property
    def report(self) -> Path | None:
        """The page that `evaluate` wrote, None where there is none."""
        page = self.folder / EVALUATION / "report.html"
        return page if page.is_file() else None

    def read(self) -> bool:
        """Read what was written since the last time; return whether there was anything.

        Raises:
            InputError: the settings of a run that has begun cannot be read.
        """
        begins = not self._readers and self.isBegun
        if begins:
            self.plan = readPlan(self.folder / CONFIG)
            self._readers = {job: _ModelReader(self.folder, *job) for job in self.plan.jobs}
        return any([reader.read() for reader in self._readers.values()]) or begins

    def tableII(self) -> dict[str, Any] | None:
        """Return evaluation.json as `evaluate` wrote it, None where there is none or it is not whole."""
        try:
            text = (self.folder / EVALUATION / "evaluation.json").read_text(encoding="utf-8")
            record = json.loads(text)
            return record if isinstance(record["tables"], list) and isinstance(record["methods"], dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


class _ModelReader:
    """Follows steps.jsonl, epochs.jsonl and result.json of one model."""

    def __init__(self, folder: Path, fold: int, model: str) -> None:
        self._folder = folder / "folds" / str(fold) / model
        self._steps = _GrowingLines(self._folder / "steps.jsonl")
        self._epochs = _GrowingLines(self._folder / "epochs.jsonl")
        self.progress = ModelProgress(fold, model)

    def read(self) -> bool:
        """Read what is new; return whether anything was."""
        progress = self.progress
        before = (len(progress.steps), len(progress.epochs), progress.isFinished)
        anew, lines = self._steps.read()
        if anew:
            progress.steps, progress.stepsAnEpoch = [], 0
        for crossEntropy, attention, step in _numbers(lines, "bce", "attention", "step"):
            progress.steps.append((crossEntropy, attention))
            progress.stepsAnEpoch = max(progress.stepsAnEpoch, int(step) + 1)
        anew, lines = self._epochs.read()
        if anew:
            progress.epochs = []
        progress.epochs += [(loss, auc) for loss, auc in _numbers(lines, "validation_loss", "validation_auc")]
        progress.isFinished = (self._folder / "result.json").is_file()
        return before != (len(progress.steps), len(progress.epochs), progress.isFinished)


class _GrowingLines:
    """A file of JSON lines that grows at its end; after a resume it is another file, with fewer lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset, self._file = 0, 0

    def read(self) -> tuple[bool, list[bytes]]:
        """Return whether all lines are to be taken anew, and the whole lines that were not returned yet."""
        try:
            with self._path.open("rb") as stream:
                status = self._path.stat()
                anew = status.st_ino != self._file or status.st_size < self._offset
                self._file, self._offset = status.st_ino, 0 if anew else self._offset
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return False, []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return anew, whole.splitlines()


def _numbers(lines: list[bytes], *names: str) -> Iterator[tuple[float, ...]]:
    """Yield the named numbers of each line; a line that lacks one is left out."""
    for line in lines:
        try:
            values = json.loads(line)
            yield tuple(float(values[name]) for name in names)
        except (ValueError, KeyError, TypeError):
            continue
