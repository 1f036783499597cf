"""A run's evaluation as a folder: tables, figures, ``evaluation.json``, ``cases.csv`` and one self-contained page."""

from __future__ import annotations

import base64
import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import resources
from ..diagnosis import RESEARCH_USE_ONLY
from ..evaluation.cases import LOW_CONFIDENCE, JudgedCase, write_cases
from ..evaluation.cases import failures as failed
from ..evaluation.evaluate import Evaluation
from ..evaluation.methods import DECISION, TITLES
from ..evaluation.record import as_record
from ..progress import Progress, silent
from . import charts, failures, tables

_TEMPLATE = "Report/evaluation.html.j2"
_UNBROKEN = re.compile(
    r"(?:\([^()]*\)|\[[^\[\]]*\])(?:, n =? ?\d+)?|[\d.]+ ± [\d.]+|\bn =? ?\d+"
    r"|RN34 \+ \w\w|[\d.]+ – [\d.]+|&[lg]t; [\d.]+"
)
"""What a line is not broken in: intervals with their n, a mean with its deviation, methods and bounds of a group."""
_INDEX = ("set", "number", "case_id", "fold", "label", "answer", "probability", "ratio", "stratum", "spread", "figure")


@dataclass(frozen=True)
class Failure:
    """A line of the index of failures: its number within its set and the grid that shows it ("" beyond the last)."""

    number: int
    figure: str
    case: JudgedCase


def write(folder: Path, evaluation: Evaluation, progress: Progress = silent, evidence: Path | None = None) -> None:
    """Write everything into an empty folder; the same evaluation gives the same bytes.

    Args:
        folder: gets ``evaluation.json``, ``cases.csv``, ``failures.csv``, ``report.html``, ``tables/``, ``figures/``;
            of these only ``cases.csv`` has patient_id.
        evaluation: of `evaluation.evaluate.evaluate`.
        progress: told where the work stands.
        evidence: picture of the attention of some cases (the paper's Fig. 5), for the page.
    """
    record = json.dumps(as_record(evaluation), indent=1, allow_nan=False, ensure_ascii=False)
    (folder / "evaluation.json").write_text(record + "\n", encoding="utf-8")
    write_cases(folder / "cases.csv", evaluation.judged)
    (folder / "tables").mkdir()
    tables.write(folder / "tables", evaluation)
    progress("drawing the figures", 0.0)
    (folder / "figures").mkdir()
    drawn = charts.write(folder / "figures", evaluation)
    progress("drawing the failures", 0.0)
    index: list[Failure] = []
    pages: list[tuple[str, str]] = []
    for cases in evaluation.sets:
        wrong = failed([one for one in evaluation.judged if one.case.set == cases.name])
        made = failures.write(folder / "figures", cases.name, wrong, evaluation.run.grid_spacing_xyz)
        pages += [(page.file, _caption(tables.SET_TITLES[cases.name], page, len(wrong))) for page in made]
        index += _index(wrong, made)
    _write_index(folder / "failures.csv", index)
    progress("writing the report", 0.0)
    page = render(evaluation, folder / "figures", drawn, pages, index, evidence)
    (folder / "report.html").write_text(page, encoding="utf-8")


def render(
    evaluation: Evaluation,
    figures: Path,
    drawn: Sequence[tuple[str, str]],
    pages: Sequence[tuple[str, str]],
    index: Sequence[Failure],
    evidence: Path | None = None,
) -> str:
    """Return the page as text; all that others wrote (names of cases and methods) is escaped.

    Args:
        evaluation: the numbers.
        figures: the folder of the pictures, which are embedded.
        drawn: (file name, caption) of the charts.
        pages: the same of the failure grids.
        index: all failures.
        evidence: picture of the attention of some cases.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["kept"] = _kept_together
    template = environment.from_string(resources.path(_TEMPLATE).read_text(encoding="utf-8"))
    sheets = {sheet.name: sheet for sheet in tables.sheets(evaluation)}
    quality = [sheets.pop(name) for name in list(sheets) if name.startswith("attention-quality")]
    return template.render(
        evaluation=evaluation,
        run=evaluation.run,
        sets=[(tables.SET_TITLES[cases.name], cases) for cases in evaluation.sets],
        sheets=sheets,
        quality=quality,
        charts=[
            (name.split("-")[0].removesuffix(".png"), caption, _embedded(figures / name)) for name, caption in drawn
        ],
        pages=[(caption, _embedded(figures / name)) for name, caption in pages],
        index=index,
        evidence=_embedded(evidence) if evidence else "",
        set_titles=tables.SET_TITLES,
        strata=tables.stratum_titles(evaluation.run.segmenter.cut_offs),
        decision=TITLES[DECISION],
        low_confidence=LOW_CONFIDENCE,
        flags=_flags(evaluation.judged),
        research_use_only=RESEARCH_USE_ONLY,
    )


def _caption(set_title: str, page: failures.Page, of: int) -> str:
    return (
        f"Failures {page.first} to {page.last} of {of} on the {set_title} (the paper's Fig. 6): what the networks saw, "
        "axial above coronal, through most of the infection (outlined). Missed COVID-19 first, and of each kind the "
        "most certain mistake first. R: the patient's right."
    )


def _index(wrong: Sequence[JudgedCase], pages: Sequence[failures.Page]) -> list[Failure]:
    found = []
    for number, one in enumerate(wrong, 1):
        file = next((page.file for page in pages if page.first <= number <= page.last), "")
        found.append(Failure(number, file, one))
    return found


def _write_index(path: Path, index: Sequence[Failure]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_INDEX)
        for entry in index:
            one, case = entry.case, entry.case.case
            fold = "" if case.fold is None else case.fold
            spread = "" if math.isnan(one.spread) else f"{one.spread:.6f}"
            writer.writerow(
                [case.set, entry.number, case.case_id, fold, case.label, one.answer, f"{one.probability:.6f}",
                 repr(case.ratio), case.stratum, spread, entry.figure]
            )  # fmt: skip


def _flags(judged: Sequence[JudgedCase]) -> list[tuple[str, int, int]]:
    """Return (meaning, number of validation cases, number of test cases) of each flag of ``cases.csv``."""
    flags = {
        "false negative (missed COVID-19)": [one for one in judged if one.false_negative],
        "false positive (CAP called COVID-19)": [one for one in judged if one.false_positive],
        "US and SS disagree": [one for one in judged if one.networks_disagree],
        "low confidence": [one for one in judged if one.low_confidence],
    }
    return [
        (name, sum(one.case.fold is not None for one in cases), sum(one.case.fold is None for one in cases))
        for name, cases in flags.items()
    ]


def _kept_together(cell: str) -> str:
    """Return a cell in which no interval is parted from its n and no mean from its deviation."""
    from markupsafe import Markup, escape

    return Markup(_UNBROKEN.sub(r'<span class="kept">\g<0></span>', str(escape(cell))))


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
