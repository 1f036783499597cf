"""``evaluation.json``: written of an evaluation, and read back for the run that it is of."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..diagnosis import THRESHOLD
from ..errors import InputError
from ..run_folder import BegunRun, network_hashes, read_json
from ..storage import without_nan
from .bootstrap import LEVEL
from .evaluate import Evaluation, IndependentTest
from .methods import DECISION, TITLES
from .tables import ALL, METRICS

SCHEMA = 3
_SAME_RUN = {
    "cohort_sha256": "cohort",
    "grid": "network grid",
    "segmenter": "segmenter",
    "folds": "number of folds",
    "weights": "networks",
}


@dataclass(frozen=True)
class Figure:
    """A number of the decision with its 95 % interval and the cases that it rests on; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class DetectionFigures:
    """What `detection.Detection` says of one class of one set."""

    set: str
    label: str
    n: int
    patients: int
    below: int
    named: Figure
    found: Figure


@dataclass(frozen=True)
class Record:
    """An ``evaluation.json`` that was held against its run: all of it, and what its decision comes to.

    `figures` has the decision's five figures of each set by (set, metric), `answered` those of what a bundle of all
    folds answers in the test set (empty where there is none); `independent_test` is None where the test
    cases, if any, are the run's own.
    """

    data: dict[str, Any]
    decision: str
    figures: dict[tuple[str, str], Figure]
    detection: tuple[DetectionFigures, ...]
    answered: dict[str, Figure]
    independent_test: IndependentTest | None


def as_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return all numbers as what ``evaluation.json`` holds; what is not defined is null."""
    independent = evaluation.independent_test
    record = {
        "schema": SCHEMA,
        "notice": "Research use only",
        "run": {"software": dict(evaluation.run.software), **_about(evaluation.run)},
        "independent_test": None if independent is None else dataclasses.asdict(independent),
        "settings": {
            "resamples": evaluation.resamples,
            "permutations": evaluation.permutations,
            "seed": evaluation.seed,
            "interval_level": LEVEL,
            "threshold": THRESHOLD,
            "positive": "COVID-19",
        },
        "methods": {name: title for name, title in TITLES.items() if name in evaluation.sets[0].probabilities},
        "decision": DECISION,
        "tables": [dataclasses.asdict(row) for row in evaluation.rows],
        "detection": [dataclasses.asdict(one) for one in evaluation.detection],
        "comparisons": [dataclasses.asdict(one) for one in evaluation.comparisons],
        "calibration": [dataclasses.asdict(one) for one in evaluation.calibration],
        "uncertainty": dataclasses.asdict(evaluation.uncertainty) if evaluation.uncertainty else None,
        "notes": evaluation.notes,
    }
    if evaluation.attention_quality:
        record["attention_quality"] = [dataclasses.asdict(table) for table in evaluation.attention_quality]
    cleaned: dict[str, Any] = without_nan(record)
    return cleaned


def read_record(path: Path, run: BegunRun) -> Record:
    """Read ``evaluation.json`` of a run.

    Raises:
        InputError: the file cannot be read, `evaluate` of this version did not write it, or it is of another run than
            this one: of another cohort, network grid, segmenter or number of folds, or of other networks.
    """
    data = read_json(path)
    if data.get("schema") != SCHEMA:
        known = f"(schema {data.get('schema')!r}, not {SCHEMA})"
        raise InputError(f"{path}: not what evaluate writes now {known}; evaluate the run again")
    try:
        own = without_nan(_about(run))
        others = [name for key, name in _SAME_RUN.items() if data["run"][key] != own[key]]
        record = _read(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); evaluate the run again") from None
    if others:
        raise InputError(f"{path}: of another run than {run.folder}: not the same {', '.join(others)}")
    return record


def _about(run: BegunRun) -> dict[str, Any]:
    """Return what tells one run from another."""
    return {
        "cohort_sha256": run.cohort_sha256,
        "segmenter": dataclasses.asdict(run.segmenter),
        "grid": {"shape_kji": run.grid_shape_kji, "spacing_xyz": run.grid_spacing_xyz},
        "folds": run.folds,
        "weights": network_hashes(run.folder, itertools.product(range(run.folds), run.model_names)),
    }


def _read(data: dict[str, Any]) -> Record:
    decision = data["decision"]
    figures = {
        (row["set"], metric): _figure(row[metric])
        for row in data["tables"]
        if (row["method"], row["group"]) == (decision, ALL)
        for metric in METRICS
    }
    detection = tuple(
        DetectionFigures(
            one["set"],
            one["label"],
            one["n"],
            one["patients"],
            one["below"],
            _figure(one["named"]),
            _figure(one["found"]),
        )
        for one in data["detection"]
    )
    independent = data.get("independent_test")
    return Record(
        data,
        data["methods"][decision],
        figures,
        detection,
        {metric: _figure(one) for metric, one in ((data["uncertainty"] or {}).get("answered") or {}).items()},
        None if independent is None else IndependentTest(**independent),
    )


def _figure(estimate: dict[str, Any]) -> Figure:
    value, low, high = (None if estimate[n] is None else float(estimate[n]) for n in ("value", "low", "high"))
    return Figure(value, low, high, int(estimate["n"]))
