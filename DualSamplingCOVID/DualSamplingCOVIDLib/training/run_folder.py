"""The run folder: what a cross-validation writes, file by file, each whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..diagnosis import CutOffs, SegmenterCard
from ..errors import InputError
from .config import Config
from .folds import fold_problem
from .prepared import PreparedCase, write_whole

SCHEMA = 1
TEST = "test"
"""The split that no fold ever learns from."""


@dataclass(frozen=True)
class RunCase:
    """One row of cases.csv; `fold` is None for the independent test set. Paths are absolute here."""

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
    prepared: Path

    def as_prepared(self) -> PreparedCase:
        """Return the case as the trainer takes it."""
        return PreparedCase(self.case_id, self.patient_id, self.label, self.split, self.ratio, self.prepared)


COLUMNS = tuple(field.name for field in fields(RunCase))
_PATHS = ("image", "lungs", "infection", "prepared")


@dataclass(frozen=True)
class Run:
    """A run that has begun: its folder, settings, cases with their folds, and the segmenter with refitted cut-offs."""

    folder: Path
    config: Config
    cases: tuple[RunCase, ...]
    segmenter: SegmenterCard

    def model_folder(self, fold: int, model: str) -> Path:
        """Return where a model of a fold lies."""
        return model_folder(self.folder, fold, model)

    def split(self, fold: int) -> tuple[list[PreparedCase], list[PreparedCase], list[PreparedCase]]:
        """Return the cases that a fold learns from, is validated on, and the independent test set."""
        inside = [case for case in self.cases if case.fold is not None]
        return (
            [case.as_prepared() for case in inside if case.fold != fold],
            [case.as_prepared() for case in inside if case.fold == fold],
            [case.as_prepared() for case in self.cases if case.fold is None],
        )

    def is_finished(self, fold: int, model: str) -> bool:
        """Whether a model of a fold is trained: its result.json appears last."""
        return (self.model_folder(fold, model) / "result.json").exists()


def model_folder(folder: Path, fold: int, model: str) -> Path:
    """Return where a model of a fold lies in a run folder."""
    return folder / "folds" / str(fold) / model


def write_cases(folder: Path, cases: Iterable[RunCase]) -> None:
    """Write cases.csv; paths inside the run folder are relative to it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in cases:
        writer.writerow(_cell(getattr(case, column), folder) for column in COLUMNS)
    write_text(folder / "cases.csv", text.getvalue())


def read_cases(folder: Path, folds: int) -> tuple[RunCase, ...]:
    """Read cases.csv and check its folds for overlap.

    Raises:
        InputError: it cannot be read, is not what was written, or a patient is in two folds or in a fold and the test.
    """
    path = folder / "cases.csv"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            cases = tuple(_case(row, folder) for row in csv.DictReader(stream, strict=True))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not the cases of a run ({type(error).__name__}: {error})") from None
    inside = [case for case in cases if case.fold is not None]
    test_patients = {case.patient_id for case in cases if case.fold is None}
    problem = fold_problem(
        [case.patient_id for case in inside],
        [case.label for case in inside],
        [case.fold for case in inside if case.fold is not None],
        folds,
    )
    shared = sorted(test_patients & {case.patient_id for case in inside})
    if problem is None and shared:
        problem = f"patient {shared[0]!r} is in a fold and in the test set"
    if problem is not None:
        raise InputError(f"{path}: {problem}")
    return cases


def read_run_json(folder: Path) -> tuple[dict[str, Any], SegmenterCard]:
    """Read run.json, and the segmenter's card in it.

    Raises:
        InputError: it is missing, or not what was written.
    """
    path = folder / "run.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}, this version reads {SCHEMA}")
        card = data["segmenter"]
        return data, SegmenterCard(**{**card, "cut_offs": CutOffs(**card["cut_offs"])})
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not valid ({type(error).__name__}: {error})") from None


def read_result(folder: Path) -> dict[str, Any]:
    """Read a finished model's result.json.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / "result.json"
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def _case(row: dict[str, str], folder: Path) -> RunCase:
    values: dict[str, Any] = {column: row[column] for column in COLUMNS}
    for name in _PATHS:
        values[name] = Path(os.path.abspath(folder / row[name])) if row[name] else None
    values["fold"] = int(row["fold"]) if row["fold"] else None
    values["ratio"] = float(row["ratio"])
    if (values["fold"] is None) != (row["split"] == TEST):
        raise ValueError(f"case {row['case_id']!r} of split {row['split']!r} has the fold {row['fold']!r}")
    return RunCase(**values)


def _cell(value: object, folder: Path) -> str:
    if value is None:
        return ""
    if isinstance(value, Path):
        absolute, root = Path(os.path.abspath(value)), Path(os.path.abspath(folder))
        return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()
    return repr(value) if isinstance(value, float) else str(value)
