"""A run folder read and checked as one: its cases, its folds, and what the finished models predicted."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import weights
from ..diagnosis import CAP, COVID, CutOffs, SegmenterCard
from ..errors import BundleError, InputError
from .layout import (
    CASE_COLUMNS,
    CASES,
    CONFIG,
    MODELS,
    PREDICTION_COLUMNS,
    PREDICTIONS,
    RESULT,
    RUN,
    SCHEMA,
    TEST,
    WEIGHTS,
    BegunRun,
    FoldModel,
    Run,
    RunCase,
    is_finished,
    read_json,
)

if TYPE_CHECKING:
    from torch import Tensor

_CLOSE = 1e-6
_SHOWN = 12


def read_begun(folder: Path) -> BegunRun:
    """Read and check what a run is from its begin on, whichever of its models are finished.

    Raises:
        InputError: one line that names the folder and every problem with its file (and line).
    """
    card = _card(folder)
    cases, problems = _cases(folder, card["folds"], card["segmenter"].cut_offs)
    _refuse(folder, problems)
    return BegunRun(folder=folder, cases=tuple(cases), **card)


def read_weights(run: BegunRun, fold: int, model: str) -> dict[str, Tensor]:
    """Read the weights of a finished model.

    Raises:
        InputError: its result.json cannot be read.
        BundleError: the weights are not those that result.json speaks of.
    """
    place = run.model_folder(fold, model)
    try:
        weights.check_hash(place / WEIGHTS, str(read_json(place / RESULT).get("sha256")))
    except BundleError:
        raise BundleError(f"{place / WEIGHTS}: missing, or not the weights that {RESULT} speaks of") from None
    return weights.read(place / WEIGHTS)


def read_run(folder: Path) -> Run:
    """Read and check a run with its predictions; models that are not finished are named in `unfinished`, not an error.

    Raises:
        InputError: one line that names the folder and every problem with its file (and line); or the run was never to
            train all of `MODELS`.
    """
    card = _card(folder)
    if not set(MODELS) <= set(card["model_names"]):
        raise InputError(f"{folder / RUN}: models are {', '.join(card['model_names'])}, needed: {', '.join(MODELS)}")
    cases, problems = _cases(folder, card["folds"], card["segmenter"].cut_offs)
    models, unfinished = [], []
    for fold in range(card["folds"]):
        for name in MODELS:
            place = f"folds/{fold}/{name}"
            if not is_finished(folder, fold, name):
                unfinished.append(place)
                continue
            logits, wrong = _predictions(folder, place, [c for c in cases if c.set == TEST or c.fold == fold])
            problems += wrong
            models.append(FoldModel(fold, name, logits))
    _refuse(folder, problems)
    return Run(folder=folder, cases=tuple(cases), models=tuple(models), unfinished=tuple(unfinished), **card)


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise InputError(f"{folder}: " + "; ".join([*problems[:_SHOWN], *more]))


def _card(folder: Path) -> dict[str, Any]:
    """Return what run.json says, as the arguments of `BegunRun`."""
    path = folder / RUN
    if not path.exists() and (folder / CONFIG).exists():
        raise InputError(f"{folder}: a run whose cases are not all prepared; go on with cross-validate --resume")
    if not path.exists():
        raise InputError(f"{folder}: not a folder of cross-validate: {RUN} cannot be read (there is none)")
    record = read_json(path)
    problems: list[str] = []
    try:
        if record["schema"] != SCHEMA:
            problems.append(f"schema {record['schema']!r} is not the {SCHEMA} that is known here")
        names = tuple(record["models"])
        if not names or not set(names) <= set(MODELS):
            problems.append(f"models are {', '.join(map(str, names))}, known: {', '.join(MODELS)}")
        if not isinstance(record["folds"], int) or record["folds"] < 2:
            problems.append(f"folds must be a whole number of at least 2, got {record['folds']!r}")
        segmenter = dict(record["segmenter"])
        cut_offs = segmenter.pop("cut_offs")
        card = SegmenterCard(cut_offs=CutOffs(**cut_offs), **segmenter)
        k, j, i = (int(n) for n in record["grid"]["shape_kji"])
        x, y, z = (float(s) for s in record["grid"]["spacing_xyz"])
        found = {
            "cohort_sha256": str(record["cohort_sha256"]),
            "software": tuple(sorted((str(name), str(version)) for name, version in record["software"].items())),
            "grid_shape_kji": (k, j, i),
            "grid_spacing_xyz": (x, y, z),
            "segmenter": card,
            "folds": record["folds"],
            "model_names": names,
            "notes": tuple(str(note) for note in record["notes"]),
        }
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]!r} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: {error}") from None
    _refuse(path, problems)
    return found


def _cases(folder: Path, folds: int, cut_offs: CutOffs) -> tuple[list[RunCase], list[str]]:
    cases: list[RunCase] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    homes: dict[str, tuple[int | None, int]] = {}
    for line, row in _rows(folder / CASES, CASE_COLUMNS):
        case, wrong = _case(row, folder, folds, cut_offs)
        if case.case_id in lines:
            wrong.append(f"case_id {case.case_id!r} is already on line {lines[case.case_id]}")
        lines.setdefault(case.case_id, line)
        home, first = homes.setdefault(case.patient_id, (case.fold, line))
        if home != case.fold:
            wrong.append(f"patient {case.patient_id!r} is in {_home(case.fold)}, but in {_home(home)} on line {first}")
        problems += [f"{CASES} line {line}: {text}" for text in wrong]
        cases.append(case)
    if not cases:
        problems.append(f"{CASES}: no cases")
    elif not problems:
        empty = sorted(set(range(folds)) - {case.fold for case in cases})
        problems += [f"{CASES}: fold {fold} has no cases" for fold in empty]
    return cases, problems


def _home(fold: int | None) -> str:
    return "the test set" if fold is None else f"fold {fold}"


def _case(row: dict[str, str], folder: Path, folds: int, cut_offs: CutOffs) -> tuple[RunCase, list[str]]:
    """Return one row as a case, and what is wrong with it."""
    problems = [f"{column} is empty" for column in ("case_id", "patient_id", "image") if not row[column]]
    if row["label"] not in (COVID, CAP):
        problems.append(f"label {row['label']!r} is neither {COVID} nor {CAP}")
    ratio, fold = _number(row["ratio"]), None
    if not 0 <= ratio <= 1:
        problems.append(f"ratio {row['ratio']!r} is not in [0, 1]")
    elif row["stratum"] != cut_offs.stratum(ratio):
        problems.append(f"stratum {row['stratum']!r} is not that of ratio {row['ratio']} ({cut_offs.stratum(ratio)})")
    if row["split"] == TEST and row["fold"]:
        problems.append(f"a case of the test set has no fold, got {row['fold']!r}")
    elif row["split"] != TEST:
        fold = int(row["fold"]) if row["fold"].isdecimal() else -1
        if not 0 <= fold < folds:
            problems.append(f"fold {row['fold']!r} is none of 0 to {folds - 1}")
    image, lungs, infection, prepared = (
        folder / row[column] if row[column] else None for column in ("image", "lungs", "infection", "prepared")
    )
    case = RunCase(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        label=row["label"],
        site=row["site"],
        age=row["age"],
        sex=row["sex"],
        split=row["split"],
        fold=fold,
        ratio=ratio,
        stratum=row["stratum"],
        image=image or folder,
        lungs=lungs,
        infection=infection,
        prepared=prepared,
    )
    return case, problems


def _predictions(folder: Path, place: str, expected: list[RunCase]) -> tuple[dict[str, float], list[str]]:
    """Return a model's logits by case, and what is wrong with its predictions.csv."""
    name, sets = f"{place}/{PREDICTIONS}", {case.case_id: case.set for case in expected}
    logits: dict[str, float] = {}
    problems: list[str] = []
    try:
        rows = list(_rows(folder / name, PREDICTION_COLUMNS))
    except InputError as error:
        return {}, [str(error).removeprefix(f"{folder}/")]
    for line, row in rows:
        case, logit, probability = row["case_id"], _number(row["logit"]), _number(row["probability"])
        if case in logits:
            problems.append(f"{name} line {line}: case {case!r} twice")
        elif case not in sets:
            problems.append(f"{name} line {line}: {case!r} is no case of this fold or the test set")
        elif row["set"] != sets[case]:
            problems.append(f"{name} line {line}: set {row['set']!r}, but {case!r} is in the {sets[case]} set")
        elif not math.isfinite(logit):
            problems.append(f"{name} line {line}: logit {row['logit']!r} is not a number")
        elif not abs(sigmoid(logit) - probability) <= _CLOSE:
            problems.append(f"{name} line {line}: probability {row['probability']} is not that of logit {row['logit']}")
        logits[case] = logit
    missing = [case for case in sets if case not in logits]
    if missing:
        problems.append(f"{name}: no prediction of {len(missing)} cases, the first is {missing[0]!r}")
    return logits, problems


def sigmoid(logit: float) -> float:
    """Return the probability of a logit, without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with its line number; other columns are left alone."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: line 1: no column {', '.join(missing)}")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}: line {reader.line_num}: not as many fields as the header")
                yield reader.line_num, {name: row[name].strip() for name in columns}
    except OSError as error:
        raise InputError(f"{path}: {_why(error)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from None


def _why(error: OSError) -> str:
    return f"cannot be read ({error.strerror})"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
