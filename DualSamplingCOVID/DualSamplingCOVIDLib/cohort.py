"""A cohort: which CTs, of which patients, with which diagnosis; read from ``cohort.csv``, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .ct import header_problems
from .diagnosis import CAP, COVID
from .errors import InputError
from .progress import Progress, silent
from .storage import write_text

NORMAL = "normal"
LABELS = (COVID, CAP, NORMAL)
COLUMNS = (
    "case_id", "patient_id", "image", "label", "lungs", "infection", "site", "age", "sex", "split",
)  # fmt: skip
REQUIRED = COLUMNS[:4]
SPLITS = ("train", "validation", "test")
"""What a split may be, or empty; "test" alone is held out by `cross-validate`."""
PHANTOMS = "phantoms.json"
"""A file of this name beside cohort.csv says that its cases are computer-made."""
PHANTOM_NOTE = "All cases of the run are computer-made phantoms, of no patient."


@dataclass(frozen=True)
class Case:
    """One CT of one patient.

    `image` is a file or a DICOM folder; `lungs` and `infection` are mask files on its grid, None where the segmenter
    has to find them. `age` is in years; `split` is one of `SPLITS`; `site`, `sex` and `split` are empty where unknown.
    `line` is the case's line in the table that it was read from, None where there is none.
    """

    case_id: str
    patient_id: str
    image: Path
    label: str
    lungs: Path | None = None
    infection: Path | None = None
    site: str = ""
    age: float | None = None
    sex: str = ""
    split: str = ""
    line: int | None = field(default=None, compare=False)

    @property
    def is_covid(self) -> bool:
        """Whether the case is positive (COVID-19)."""
        return self.label == COVID


def read_cohort(path: Path) -> tuple[Case, ...]:
    """Read and check a cohort file; paths in it are relative to it.

    Required columns: case_id, patient_id, image, label (COVID-19, CAP or normal). Optional: lungs, infection, site,
    age, sex, split (train, validation or test). Other columns are left alone, but one that is a known column's name in
    other letters is refused: it would be left alone as well. All cases of a patient must be in one split, and no two
    may have one image.

    Raises:
        InputError: one line that names the file and every problem with its line number.
    """
    cases, problems = _read(path)
    return _whole(path, cases, problems)


def check_cohort(path: Path, progress: Progress = silent) -> tuple[Case, ...]:
    """Read a cohort that something long is to be done with: also one label a patient, and every file's header.

    Args:
        path: the cohort file.
        progress: told how many cases are checked; DICOM folders take longest, as each of their files has a header.

    Raises:
        InputError: as `read_cohort`; CTs and masks that cannot be read or do not fit each other are named as well.
    """
    cases, problems = _read(path)
    labels: dict[str, tuple[str, int]] = {}
    for number, (line, case) in enumerate(cases):
        progress("checking the cohort", number / len(cases))
        label, first = labels.setdefault(case.patient_id, (case.label, line))
        if case.patient_id and label != case.label:
            text = f"patient {case.patient_id!r} is labelled {case.label}, but {label} on line {first}"
            problems.append((line, text))
        masks = {"lungs": case.lungs, "infection": case.infection}
        present = {name: mask for name, mask in masks.items() if mask is not None and mask.is_file()}
        if case.image.exists():
            problems += [(line, text) for text in header_problems(case.image, present)]
    return _whole(path, cases, problems)


def cases_said(problems: Iterable[tuple[Case, str]]) -> str:
    """Return problems of cases as `read_cohort` lists those of a table: by their lines, where these are known."""
    ordered = sorted(problems, key=lambda problem: problem[0].line or 0)
    return "; ".join(f"{'' if case.line is None else f'line {case.line}: '}{text}" for case, text in ordered)


def _read(path: Path) -> tuple[list[tuple[int, Case]], list[tuple[int, str]]]:
    """Return the cases and the problems of a cohort file, both with their lines."""
    try:
        rows, problems = _rows(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    cases: list[tuple[int, Case]] = []
    lines: dict[str, int] = {}
    images: dict[str, int] = {}
    splits: dict[str, tuple[str, int]] = {}
    for line, row in rows:
        case, wrong = _case(row, path.parent)
        if case.case_id in lines:
            wrong.append(f"case_id {case.case_id!r} is already on line {lines[case.case_id]}")
        if case.case_id:
            lines.setdefault(case.case_id, line)
        place = os.path.normcase(os.path.realpath(case.image))
        if row["image"] and images.setdefault(place, line) != line:
            wrong.append(f"image {row['image']} is already on line {images[place]}")
        split, first = splits.setdefault(case.patient_id, (case.split, line))
        if case.patient_id and split != case.split:
            wrong.append(f"patient {case.patient_id!r} is in split {case.split!r}, but in {split!r} on line {first}")
        problems += [(line, text) for text in wrong]
        cases.append((line, replace(case, line=line)))
    return cases, problems


def _whole(path: Path, cases: list[tuple[int, Case]], problems: list[tuple[int, str]]) -> tuple[Case, ...]:
    """Return the cases where nothing is wrong."""
    if problems:
        raise InputError(f"{path}: " + "; ".join(f"line {line}: {text}" for line, text in sorted(problems)))
    if not cases:
        raise InputError(f"{path}: no cases")
    return tuple(case for _, case in cases)


def write_cohort_csv(path: Path, cases: Iterable[Case]) -> None:
    """Write cases so that `read_cohort` gives them back; paths inside the file's folder are written relative to it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in cases:
        writer.writerow(_cell(getattr(case, column), path.parent) for column in COLUMNS)
    write_text(path, text.getvalue())


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[tuple[int, str]]]:
    """Return the numbered rows that can be read as cases, and the problems of those that cannot."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        header = [name.strip() for name in next(reader, [])]
        wrong = _header_problems(header)
        if wrong:
            return [], [(1, problem) for problem in wrong]
        rows: list[tuple[int, dict[str, str]]] = []
        problems = []
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                problems.append((reader.line_num, f"{len(fields)} fields, the header has {len(header)}"))
                continue
            values = dict(zip(header, (field.strip() for field in fields), strict=True))
            rows.append((reader.line_num, values))
    return rows, problems


def _header_problems(header: list[str]) -> list[str]:
    """Say what is wrong with the names of the columns."""
    problems = [
        f"column {name!r} would not be read: write {name.lower()}"
        for name in header
        if name not in COLUMNS and name.lower() in COLUMNS
    ]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        problems.append(f"no column {', '.join(missing)}")
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        problems.append(f"column {', '.join(twice)} more than once")
    return problems


def _case(row: dict[str, str], folder: Path) -> tuple[Case, list[str]]:
    """Return one row as a case, and what is wrong with it."""
    problems: list[str] = []
    for column in REQUIRED:
        if not row[column]:
            problems.append(f"{column} is empty")
    case_id, label, age, split = row["case_id"], row["label"], row.get("age", ""), row.get("split", "")
    if case_id.startswith(".") or any(character in case_id for character in '/\\:*?"<>|'):
        problems.append(f"case_id {case_id!r} cannot name a file")
    if label and label not in LABELS:
        problems.append(f"label {label!r} is none of {', '.join(LABELS)}")
    if split and split not in SPLITS:
        problems.append(f"split {split!r} is none of {', '.join(SPLITS)}")
    if row["image"] and not (folder / row["image"]).exists():
        problems.append(f"image {row['image']} does not exist")
    years = _years(age)
    if age and years is None:
        problems.append(f"age {age!r} is not a number of years")
    case = Case(
        case_id=case_id,
        patient_id=row["patient_id"],
        image=folder / row["image"],
        label=label,
        lungs=_mask(row, "lungs", folder, problems.append),
        infection=_mask(row, "infection", folder, problems.append),
        site=row.get("site", ""),
        age=years,
        sex=row.get("sex", ""),
        split=split,
    )
    return case, problems


def _mask(row: dict[str, str], column: str, folder: Path, report: Callable[[str], None]) -> Path | None:
    name = row.get(column, "")
    if not name:
        return None
    if not (folder / name).is_file():
        report(f"{column} {name} is not a file")
    return folder / name


def _years(text: str) -> float | None:
    try:
        years = float(text)
    except ValueError:
        return None
    return years if 0 <= years <= 130 else None


def path_cell(path: Path, folder: Path) -> str:
    """Return how a table in `folder` names a file: relative where it lies inside, else absolute."""
    absolute, root = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()


def _cell(value: object, folder: Path) -> str:
    if value is None:
        return ""
    if isinstance(value, Path):
        return path_cell(value, folder)
    return f"{value:g}" if isinstance(value, float) else str(value)
