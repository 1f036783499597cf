"""A run that learns: its settings, its cases as the trainer takes them, its files written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cohort import Case, path_cell
from ..diagnosis import CutOffs
from ..errors import InputError
from ..run_folder import CASE_COLUMNS, CASES, CONFIG, BegunRun, RunCase, read_begun
from ..storage import write_text
from .config import Config, read_config
from .folds import fold_problem
from .prepared import PreparedCase


@dataclass(frozen=True)
class TrainingRun(BegunRun):
    """A run that has begun, with its settings."""

    config: Config

    def split(self, fold: int) -> tuple[list[PreparedCase], list[PreparedCase], list[PreparedCase]]:
        """Return the cases that a fold learns from, is validated on, and the independent test set."""
        return (
            [as_prepared(case) for case in self.validation if case.fold != fold],
            [as_prepared(case) for case in self.validation if case.fold == fold],
            [as_prepared(case) for case in self.test],
        )


def load_run(folder: Path) -> TrainingRun:
    """Read a run that has begun.

    Raises:
        InputError: the folder holds none, or its files do not fit each other.
    """
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder}: no run of cross-validate (no {CONFIG})")
    begun, config = read_begun(folder), read_config(folder / CONFIG)
    if (config.folds, config.models) != (begun.folds, begun.model_names):
        raise InputError(f"{folder / CONFIG}: its folds and models are not those that the run was begun with")
    inside = begun.validation
    problem = fold_problem(
        [case.patient_id for case in inside],
        [case.label for case in inside],
        [case.own_fold for case in inside],
        begun.folds,
    )
    if problem is not None:
        raise InputError(f"{folder / CASES}: {problem}")
    return TrainingRun(**vars(begun), config=config)


def as_prepared(case: RunCase) -> PreparedCase:
    """Return a case as the trainer takes it; InputError where it has no prepared volume."""
    return PreparedCase(case.case_id, case.patient_id, case.label, case.split, case.ratio, case.volume)


def as_run_case(case: Case, ready: PreparedCase, fold: int | None, cut_offs: CutOffs) -> RunCase:
    """Return a cohort's case, prepared, as a run has it; `fold` is None in the test set."""
    return RunCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        label=case.label,
        site=case.site,
        age="" if case.age is None else f"{case.age:g}",
        sex=case.sex,
        split=case.split,
        fold=fold,
        ratio=ready.ratio,
        stratum=cut_offs.stratum(ready.ratio),
        image=case.image,
        lungs=case.lungs,
        infection=case.infection,
        prepared=ready.file,
    )


def write_cases(folder: Path, cases: Iterable[RunCase]) -> None:
    """Write cases.csv; paths inside the run folder are relative to it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CASE_COLUMNS)
    for case in cases:
        writer.writerow(_cell(getattr(case, column), folder) for column in CASE_COLUMNS)
    write_text(folder / CASES, text.getvalue())


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def _cell(value: object, folder: Path) -> str:
    if value is None:
        return ""
    if isinstance(value, Path):
        return path_cell(value, folder)
    return repr(value) if isinstance(value, float) else str(value)
