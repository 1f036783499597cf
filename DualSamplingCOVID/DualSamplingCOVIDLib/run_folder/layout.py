"""Where everything lies in a run folder, the columns of its tables, and what was read of it.

RUN/config.toml has the settings, RUN/run.json and RUN/cases.csv appear when all cases are prepared, and
RUN/folds/<k>/<model>/ holds one model: steps.jsonl and epochs.jsonl while it learns, then weights.safetensors and
predictions.csv, and result.json last. RUN/segmenter/ is a copy of the VB-Net that found the masks, if one did.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from ..diagnosis import COVID, CutOffs, SegmenterCard
from ..errors import InputError

SCHEMA = 1
BASELINE_US, ATTENTION_US, ATTENTION_SS = "baseline-us", "attention-us", "attention-ss"
MODELS = (BASELINE_US, ATTENTION_US, ATTENTION_SS)
SAMPLING_AND_KIND = {
    BASELINE_US: ("US", "baseline"),
    ATTENTION_US: ("US", "attention"),
    ATTENTION_SS: ("SS", "attention"),
}
"""Of each model: the baseline RN34 + US, Attention RN34 + US and Attention RN34 + SS."""

VALIDATION, TEST = "validation", "test"

CONFIG, RUN, CASES = "config.toml", "run.json", "cases.csv"
STEPS, EPOCHS = "steps.jsonl", "epochs.jsonl"
WEIGHTS, PREDICTIONS, RESULT = "weights.safetensors", "predictions.csv", "result.json"
SEGMENTER = "segmenter"
"""Where a run keeps the VB-Net that finds its masks."""
EVALUATION, BUNDLE = "evaluation", "bundle"
"""Where the Trainer tab lets `evaluate` and `bundle export` write."""

PREDICTION_COLUMNS = ("case_id", "set", "logit", "probability")


def model_folder(folder: Path, fold: int, model: str) -> Path:
    """Return where a model of a fold lies in a run folder."""
    return folder / "folds" / str(fold) / model


def is_finished(folder: Path, fold: int, model: str) -> bool:
    """Whether a model of a fold is trained: its result.json, which appears last, is whole, and so are predictions."""
    place = model_folder(folder, fold, model)
    try:
        json.loads((place / RESULT).read_text(encoding="utf-8"))
        return (place / PREDICTIONS).stat().st_size > 0
    except (OSError, ValueError):
        return False


def network_hashes(folder: Path, jobs: Iterable[tuple[int, str]]) -> dict[str, str | None]:
    """Return the SHA-256 of the weights of those models (fold, name) that are finished, by ``"fold/name"``.

    Raises:
        InputError: a result.json cannot be read, or is none.
    """
    results = {job: model_folder(folder, *job) / RESULT for job in jobs if is_finished(folder, *job)}
    return {f"{fold}/{name}": read_json(path).get("sha256") for (fold, name), path in results.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, such as a finished model's result.json or what `evaluate` found.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON in UTF-8 ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: no JSON object")
    return record


class Epoch(NamedTuple):
    """A line of epochs.jsonl: an epoch (from 0), its mean training loss parts, and validation loss and AUC."""

    epoch: int
    bce: float
    attention: float
    active_fraction: float
    validation_loss: float
    validation_auc: float

    @property
    def quality(self) -> tuple[float, float]:
        """By which the best epoch is chosen, the larger the better: AUC (lowest where it is no number), then loss."""
        return -math.inf if math.isnan(self.validation_auc) else self.validation_auc, -self.validation_loss


@dataclass(frozen=True)
class RunCase:
    """One row of cases.csv: a CT of the run. `fold` is None in the test set; paths are as they lie on this machine.

    `split` is what the cohort said; only ``"test"`` means something here.
    """

    case_id: str
    patient_id: str
    label: str
    site: str
    age: str
    sex: str
    split: str
    fold: int | None
    ratio: float
    stratum: str
    image: Path
    lungs: Path | None
    infection: Path | None
    prepared: Path | None

    @property
    def is_covid(self) -> bool:
        """Whether the case is positive (COVID-19)."""
        return self.label == COVID

    @property
    def set(self) -> str:
        """``"test"``, or ``"validation"``: the case is that of exactly one fold."""
        return TEST if self.fold is None else VALIDATION

    @property
    def own_fold(self) -> int:
        """The fold whose models did not learn from the case; ValueError in the test set."""
        if self.fold is None:
            raise ValueError(f"case {self.case_id!r} is of the test set and has no fold")
        return self.fold

    @property
    def volume(self) -> Path:
        """The prepared volume; InputError where the run names none."""
        if self.prepared is None:
            raise InputError(f"the run names no prepared volume of case {self.case_id!r}")
        return self.prepared


CASE_COLUMNS = tuple(field.name for field in fields(RunCase))


@dataclass(frozen=True)
class FoldModel:
    """One finished model: `logits` of COVID-19 by case_id, of its fold's validation cases and of all test cases."""

    fold: int
    name: str
    logits: dict[str, float]


@dataclass(frozen=True)
class BegunRun:
    """What a run is from its begin on: run.json and cases.csv. `model_names` are those that each fold trains; `notes`
    say what of the cohort's masks and CTs may let figures look better than they are."""

    folder: Path
    cohort_sha256: str
    software: tuple[tuple[str, str], ...]
    grid_shape_kji: tuple[int, int, int]
    grid_spacing_xyz: tuple[float, float, float]
    segmenter: SegmenterCard
    folds: int
    model_names: tuple[str, ...]
    notes: tuple[str, ...]
    cases: tuple[RunCase, ...]

    @property
    def cut_offs(self) -> CutOffs:
        """The segmenter's, refitted on the run's cases (Eq. 5's w and the strata)."""
        return self.segmenter.cut_offs

    @property
    def validation(self) -> tuple[RunCase, ...]:
        """The cases of the folds, in the order of ``cases.csv``."""
        return tuple(case for case in self.cases if case.set == VALIDATION)

    @property
    def test(self) -> tuple[RunCase, ...]:
        """The independent test cases, in the order of ``cases.csv``; may be empty."""
        return tuple(case for case in self.cases if case.set == TEST)

    def model_folder(self, fold: int, model: str) -> Path:
        """Return where a model of a fold lies."""
        return model_folder(self.folder, fold, model)

    def is_finished(self, fold: int, model: str) -> bool:
        """Whether a model of a fold is trained by now."""
        return is_finished(self.folder, fold, model)

    def weights(self, fold: int) -> dict[str, Path]:
        """Return the weights of a fold's finished models by name."""
        finished = [name for name in self.model_names if self.is_finished(fold, name)]
        return {name: self.model_folder(fold, name) / WEIGHTS for name in finished}


@dataclass(frozen=True)
class Run(BegunRun):
    """A run with its predictions. `unfinished` names the models ("folds/2/attention-ss") that have no result yet.

    `test_cohort_sha256` is that of the cohort.csv that came after the run and stands in for its test set; empty where
    the test cases, if any, are the run's own.
    """

    models: tuple[FoldModel, ...]
    unfinished: tuple[str, ...]
    test_cohort_sha256: str = ""

    def model(self, fold: int, name: str) -> FoldModel:
        """Return one finished model; KeyError where it has no result."""
        for model in self.models:
            if (model.fold, model.name) == (fold, name):
                return model
        raise KeyError(f"folds/{fold}/{name}")

    def check_finished(self) -> None:
        """Refuse, with an InputError that names them, models that have no result yet."""
        if self.unfinished:
            raise InputError(
                f"{self.folder}: not finished: {', '.join(self.unfinished)}; cross-validate --resume goes on"
            )
