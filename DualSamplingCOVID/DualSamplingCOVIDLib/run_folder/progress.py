"""How far a run is, at any time from its begin on: what a person who waits wants to see."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .layout import CONFIG, EPOCHS, RUN, Epoch, is_finished, model_folder

WAITING, RUNNING, FINISHED = "waiting", "running", "finished"


@dataclass(frozen=True)
class ModelState:
    """One model of a fold: `state` is waiting, running (begun and not finished) or finished.

    A folder cannot tell whether a process still works on it: an interrupted model is ``"running"`` too.
    """

    fold: int
    model: str
    state: str
    epochs: int
    history: tuple[Epoch, ...]

    @property
    def epochs_done(self) -> int:
        """How many of `epochs` are done."""
        return len(self.history)

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are kept: the highest validation AUC, then the lowest loss; None before the first."""
        return max(self.history, key=lambda epoch: epoch.quality, default=None)


@dataclass(frozen=True)
class RunState:
    """A run folder now: `prepared` once its cases are on the network's grid and have folds; a state for each model."""

    folder: Path
    prepared: bool
    models: tuple[ModelState, ...]

    @property
    def finished(self) -> bool:
        """Whether every model of every fold is trained."""
        return all(model.state == FINISHED for model in self.models)


def read_state(folder: Path) -> RunState:
    """Read how far a run is; a line that is being written is not counted yet.

    Raises:
        InputError: the folder holds no run, or its config.toml or an epochs.jsonl cannot be read.
    """
    path = folder / CONFIG
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
        folds, epochs, names = int(config["folds"]), int(config["epochs"]), [str(name) for name in config["models"]]
    except OSError as error:
        why = f"{CONFIG} cannot be read ({error.strerror})"
        raise InputError(f"{folder}: not a folder of cross-validate: {why}") from None
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]!r} is missing") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not the settings of a run ({error})") from None
    models = [_model(folder, fold, name, epochs) for fold in range(folds) for name in names]
    return RunState(folder, (folder / RUN).is_file(), tuple(models))


def read_epochs(folder: Path) -> tuple[Epoch, ...]:
    """Read the epochs that a model's folder tells of; none where it is not begun.

    Raises:
        InputError: epochs.jsonl is there and cannot be read.
    """
    path = folder / EPOCHS
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return tuple(_epoch(path, number, line) for number, line in enumerate(lines, 1) if line.endswith("\n"))


def _model(folder: Path, fold: int, name: str, epochs: int) -> ModelState:
    place = model_folder(folder, fold, name)
    state = RUNNING if place.is_dir() else WAITING
    if is_finished(folder, fold, name):
        state = FINISHED
    return ModelState(fold, name, state, epochs, read_epochs(place))


def _epoch(path: Path, number: int, line: str) -> Epoch:
    try:
        record = json.loads(line)
        return Epoch(int(record["epoch"]), *(float(record[name]) for name in Epoch._fields[1:]))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} line {number}: not an epoch") from None
