"""How far a run is, at any time from its begin on; read bit by bit, so that a window that shows it never waits."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .claim import is_elsewhere
from .layout import CONFIG, EPOCHS, EVALUATION, MODELS, STEPS, Epoch, is_finished, model_folder, network_hashes

_COUNTS = ("folds", "epochs", "width")


@dataclass(frozen=True)
class Plan:
    """How much a run is: the settings that say so; the defaults are the paper's."""

    folds: int = 5
    models: tuple[str, ...] = MODELS
    epochs: int = 20
    augmentation: str = "none"
    width: int = 64

    @property
    def jobs(self) -> tuple[tuple[int, str], ...]:
        """Fold and model of everything that is trained, in that order."""
        return tuple((fold, model) for fold in range(self.folds) for model in self.models)


def read_plan(path: Path | None) -> Plan:
    """Read a TOML file of settings; None stands for the paper's. What else is wrong with it, `cross-validate` tells.

    Raises:
        InputError: it cannot be read, or a number in it is none.
    """
    if path is None:
        return Plan()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    counts = {name: given.get(name, getattr(Plan, name)) for name in _COUNTS}
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InputError(f"{path}: {name} must be a whole number above 0")
    models = given.get("models", MODELS)
    if not isinstance(models, list | tuple) or not models or not all(isinstance(name, str) for name in models):
        raise InputError(f"{path}: models must be a list of names")
    return Plan(models=tuple(models), augmentation=str(given.get("augmentation", Plan.augmentation)), **counts)


@dataclass
class ModelProgress:
    """How far one model is.

    Attributes:
        steps: (cross-entropy, attention loss) of each optimiser step.
        steps_an_epoch: optimiser steps an epoch, 0 before the first.
        epochs: the whole epochs.
        is_elsewhere: whether another computer has claimed it; nobody here knows whether it still works.
    """

    fold: int
    model: str
    is_finished: bool = False
    is_elsewhere: bool = False
    steps: list[tuple[float, float]] = field(default_factory=list)
    steps_an_epoch: int = 0
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are kept: the highest validation AUC, then the lowest loss; None before the first."""
        return max(self.epochs, key=lambda epoch: epoch.quality, default=None)


class RunProgress:
    """A run folder, begun or not.

    A folder cannot tell whether a process still works on it: of an interrupted model it says what one at work would.

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
    def is_begun(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / CONFIG).is_file()

    @property
    def models(self) -> list[ModelProgress]:
        """Every model of every fold; none before the run has begun."""
        return [reader.progress for reader in self._readers.values()]

    @property
    def finished(self) -> int:
        """How many models are finished."""
        return sum(model.is_finished for model in self.models)

    @property
    def is_finished(self) -> bool:
        """Whether every model of every fold is."""
        return bool(self._readers) and self.finished == len(self._readers)

    @property
    def whole_folds(self) -> tuple[int, ...]:
        """The folds of which every model is finished."""
        unfinished = {model.fold for model in self.models if not model.is_finished}
        return tuple(fold for fold in sorted({model.fold for model in self.models}) if fold not in unfinished)

    @property
    def report(self) -> Path | None:
        """The page that `evaluate` wrote into the run folder, None where there is none."""
        page = self.folder / EVALUATION / "report.html"
        return page if page.is_file() else None

    def read(self) -> bool:
        """Read what was written since the last time; return whether there was anything.

        Raises:
            InputError: the settings of a run that has begun cannot be read.
        """
        begins = not self._readers and self.is_begun
        if begins:
            self.plan = read_plan(self.folder / CONFIG)
            self._readers = {job: _ModelReader(self.folder, *job) for job in self.plan.jobs}
        return any([reader.read() for reader in self._readers.values()]) or begins

    def tables(self) -> dict[str, Any] | None:
        """Return evaluation.json as `evaluate` wrote it; None where there is none of the networks as they are now."""
        try:
            text = (self.folder / EVALUATION / "evaluation.json").read_text(encoding="utf-8")
            record = json.loads(text)
            if record["run"]["weights"] != network_hashes(self.folder, self.plan.jobs):
                return None
            return record if isinstance(record["tables"], list) and isinstance(record["methods"], dict) else None
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None


class _ModelReader:
    """Follows steps.jsonl, epochs.jsonl and result.json of one model."""

    def __init__(self, run: Path, fold: int, model: str) -> None:
        place = model_folder(run, fold, model)
        self._run = run
        self._steps, self._epochs = _GrowingLines(place / STEPS), _GrowingLines(place / EPOCHS)
        self.progress = ModelProgress(fold, model)

    def read(self) -> bool:
        """Read what is new; return whether anything was."""
        progress = self.progress
        before = self._state()
        anew, lines = self._steps.read()
        if anew:
            progress.steps, progress.steps_an_epoch = [], 0
        for cross_entropy, attention, step in _numbers(lines, "bce", "attention", "step"):
            progress.steps.append((cross_entropy, attention))
            progress.steps_an_epoch = max(progress.steps_an_epoch, int(step) + 1)
        anew, lines = self._epochs.read()
        if anew:
            progress.epochs = []
        progress.epochs += [Epoch(int(epoch), *parts) for epoch, *parts in _numbers(lines, *Epoch._fields)]
        progress.is_finished = is_finished(self._run, progress.fold, progress.model)
        place = model_folder(self._run, progress.fold, progress.model)
        progress.is_elsewhere = not progress.is_finished and is_elsewhere(place)
        return before != self._state()

    def _state(self) -> tuple[int, int, bool, bool]:
        """What a change is known by."""
        progress = self.progress
        return len(progress.steps), len(progress.epochs), progress.is_finished, progress.is_elsewhere


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
