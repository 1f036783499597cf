"""An evaluation's tables in the paper's layout, as CSV to compute with and as Markdown and HTML to read."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..diagnosis import NO_PNEUMONIA, RESEARCH_USE_ONLY, STRATA, CutOffs
from ..evaluation.calibration import Brier
from ..evaluation.comparisons import Comparison
from ..evaluation.evaluate import Calibration, Evaluation
from ..evaluation.methods import DECISION, TITLES
from ..evaluation.tables import ALL, METRICS, Estimate, Row
from ..evaluation.tables import TITLES as METRIC_TITLES
from ..run_folder import TEST, VALIDATION

SET_TITLES = {VALIDATION: "TV set", TEST: "Test set"}
_SHORT = {VALIDATION: "tv", TEST: "test"}
_SIGNIFICANT = 0.05
NOTHING = "–"


@dataclass(frozen=True)
class Sheet:
    """A table to read: cells of text; a row whose first cell is empty belongs to the row above."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def stratum_titles(cut_offs: CutOffs) -> dict[str, str]:
    """Return how each stratum is written: by the cut-offs of the segmenter that the ratios belong to."""
    small, large = _short(cut_offs.small), _short(cut_offs.large)
    return dict(zip(STRATA, (f"< {small}", f"{small} – {large}", f"> {large}"), strict=True))


def table_2(evaluation: Evaluation) -> Sheet:
    """Return Table II: every method on all cases of the TV and the test set."""
    sets = [cases.name for cases in evaluation.sets]
    head = ["Results", "Method"]
    for name in sets:
        head += [SET_TITLES[name], "n", *([f"Mean of {evaluation.run.folds} folds"] if name == VALIDATION else [])]
    rows = []
    for metric in METRICS:
        for number, method in enumerate(_methods(evaluation)):
            cells = [METRIC_TITLES[metric] if not number else "", TITLES[method]]
            for name in sets:
                found: Estimate = getattr(evaluation.row(method, name), metric)
                cells += [_estimate(found), str(found.n)]
                cells += [_number(found.fold_mean)] if name == VALIDATION else []
            rows.append(tuple(cells))
    note = (
        "TV set: the validation folds pooled, with the mean over the single folds beside it. Test set: mean ± "
        "standard deviation (ddof 1) over the fold models. In brackets: 95 % interval by patient-clustered "
        "bootstrap; none where no resample changes the figure, and of AUC and F1 none where one patient is a class, "
        "since it would claim certainty. n: cases that the figure rests on. Threshold 0.5, positive is COVID-19, F1 "
        "is the mean over both classes. Each network's best epoch was chosen on its validation fold, so the TV set's "
        "figures are optimistic, and the cut-offs of the infection ratio were fitted on the ratios of all folds. The "
        "infection ratio alone (a logistic "
        "regression on its logarithm, cross-fitted) is what the others must beat."
    )
    if evaluation.independent_test is not None:
        note += f" The test set is {evaluation.independent_test}."
    return Sheet("table2", "Table II: classification results", tuple(head), tuple(rows), note)


def table_3(evaluation: Evaluation) -> Sheet:
    """Return Table III: the same by infection ratio."""
    titles = stratum_titles(evaluation.run.segmenter.cut_offs)
    columns = [(cases.name, stratum) for cases in evaluation.sets for stratum in STRATA]
    head = ("Results", "Method", *(f"{SET_TITLES[name]} {titles[stratum]}" for name, stratum in columns))
    methods = _methods(evaluation)
    of_any = [evaluation.row(methods[0], *column) for column in columns]
    rows = [
        ("No. of images", "COVID-19", *(str(row.covid) for row in of_any)),
        ("", "CAP", *(str(row.cap) for row in of_any)),
        ("", "Total", *(str(row.covid + row.cap) for row in of_any)),
        ("", "Patients", *(str(row.patients) for row in of_any)),
    ]
    for metric in METRICS:
        for number, method in enumerate(methods):
            cells = [METRIC_TITLES[metric] if not number else "", TITLES[method]]
            for column in columns:
                found: Estimate = getattr(evaluation.row(method, *column), metric)
                cells.append(f"{_estimate(found)}, n = {found.n}")
            rows.append(tuple(cells))
    segmenter = evaluation.run.segmenter
    note = (
        "By infection volume / lung volume; ratios and cut-offs are those of the segmenter "
        f"{segmenter.title}. Otherwise as Table II."
    )
    return Sheet("table3", "Table III: results by infection ratio", head, tuple(rows), note)


def detection(evaluation: Evaluation) -> Sheet:
    """Return how many cases lie below the detection limit, and what the decision is worth without them."""
    head = ("Set", "Class", "n (patients)", "Below the limit", "Named rightly", "Below the limit as not found")
    rows, name = [], ""
    for one in evaluation.detection:
        before, name = name, one.set
        cells = (
            SET_TITLES[name] if name != before else "",
            one.label,
            f"{one.n} ({one.patients})",
            str(one.below),
            _estimate(one.named),
            _estimate(one.found),
        )
        rows.append(cells)
    limit = evaluation.run.segmenter.detection_limit
    note = (
        f"Below the segmenter's detection limit, an infection ratio of {limit:.4g}, analyze answers “{NO_PNEUMONIA}” "
        "and names neither disease; the other tables take the networks' answer for every case. Named rightly: share of "
        f"the class that {TITLES[DECISION]} calls by its name, for COVID-19 the sensitivity and for CAP the "
        "specificity of Table II; beside it the same with the cases below the limit counted as not found."
    )
    return Sheet("detection", "Cases below the detection limit", head, tuple(rows), note)


def comparisons(evaluation: Evaluation) -> Sheet:
    """Return the planned comparisons with their p-values."""
    head = ("Figure", "Group", "First", "Second", "n (patients)", "Second − first",
            "Second − first, mean of folds", "p, permutation", "p, Holm",
            "p, clustered DeLong", "p, DeLong", "p, McNemar", "p, paired t (replication)")  # fmt: skip
    groups = {ALL: "all", **stratum_titles(evaluation.run.segmenter.cut_offs)}
    rows, family = [], ""
    for one in evaluation.comparisons:
        before, family = family, f"{METRIC_TITLES[one.metric]}, {SET_TITLES[one.set]}"
        cells = (
            family if family != before else "",
            groups[one.group],
            TITLES[one.first],
            TITLES[one.second],
            f"{one.n} ({one.patients})",
            _difference(one.difference, one.low, one.high),
            _difference(one.fold_difference, one.fold_low, one.fold_high),
            _p(one.p_value),
            _p(one.p_holm) + (" *" if is_real(one) else ""),
            _p(one.p_clustered_delong),
            _p(one.p_delong),
            _p(one.p_mcnemar),
            _p(one.p_paired_t),
        )
        rows.append(cells)
    note = (
        "p, permutation, is the test to go by: both methods' answers are swapped for all scans of a patient together "
        f"({evaluation.permutations} random swaps, or all where patients are few). p, Holm, adjusts it for the "
        "comparisons of the same figure and set; * is below 0.05. Mean of folds: on the TV set each fold's cases by "
        "themselves. Pooled differences and their tests also count how well the scores of different folds agree: a "
        "gain that is not in the mean of folds is one of that. The p-values behind it are not adjusted. Brackets: "
        "95 % interval by patient-clustered bootstrap. DeLong and McNemar take scans as independent and are given with "
        "one scan a patient only; clustered DeLong is Obuchowski's (1997). The paired t-test is over the probability "
        "given to the true class, case by case: the paper names no unit, and it takes a patient's scans as "
        "independent. On the test set the tests without swaps look at the mean probability of the fold models."
    )
    return Sheet("comparisons", "Planned comparisons", head, tuple(rows), note)


def is_real(comparison: Comparison) -> bool:
    """Whether the adjusted p-value is below 0.05."""
    return comparison.p_holm < _SIGNIFICANT


def calibration(evaluation: Evaluation) -> Sheet:
    """Return calibration errors and Brier scores before and after temperature scaling."""
    head = ("Set", "Method", "n", "ECE, equal width", "ECE, equal mass", "Brier", "reliability", "resolution",
            "uncertainty", "within bins", "Temperature", "ECE, equal width, scaled", "ECE, equal mass, scaled",
            "Brier, scaled")  # fmt: skip
    rows, name = [], ""
    for one in evaluation.calibration:
        before, name = name, one.set
        cells = (
            SET_TITLES[name] if name != before else "",
            TITLES[one.method],
            str(one.n),
            _number(one.error_equal_width),
            _number(one.error_equal_mass),
            *(_number(part) for part in vars(one.brier).values()),
            NOTHING if math.isnan(one.temperature) else f"{one.temperature:.2f}",
            _number(one.scaled_error_equal_width),
            _number(one.scaled_error_equal_mass),
            _number(one.scaled_brier),
        )
        rows.append(cells)
    note = (
        "ECE: expected calibration error over ten bins. Brier = reliability − resolution + uncertainty + within bins "
        "of equal width. Temperature: cross-fitted on the TV set (the mean over the folds is shown); on the test set "
        "that of all folds, which scales each fold model's probability before their mean is taken. With two folds "
        "none is cross-fitted of what was itself fitted. Averaging softens probabilities by itself, scaled ones as "
        "well: of the mean the temperature is not the best one."
    )
    return Sheet("calibration", "Calibration errors and Brier scores", head, tuple(rows), note)


def uncertainty(evaluation: Evaluation) -> Sheet | None:
    """Return how accuracy falls with the fold models' spread; None without a test set or with one model."""
    found = evaluation.uncertainty
    if found is None or not found.groups:
        return None
    head = ("Test cases by spread", "Spread from", "to", "n", "Accuracy")
    names = ("least", *[""] * (len(found.groups) - 2), "most") if len(found.groups) > 1 else ("all",)
    rows = tuple(
        (f"{number + 1} {name}".strip(), _number(group.low), _number(group.high), str(group.n), _number(group.accuracy))
        for number, (name, group) in enumerate(zip(names, found.groups, strict=True))
    )
    note = (
        f"Spread: standard deviation of the probability over the {found.models} fold models (mean "
        f"{found.mean_spread:.3f}, n = {found.n}). As a warning of wrong answers, of which there are {found.wrong}, it "
        f"has an AUC of {_number(found.warns)} (0.5 tells nothing). What a bundle of all folds answers, the mean of "
        f"their probabilities: {_answered(found.answered)}."
    )
    return Sheet("uncertainty", "Accuracy where the fold models disagree", head, rows, note)


def _answered(figures: dict[str, Estimate]) -> str:
    return ", ".join(f"{METRIC_TITLES[name]} {_estimate(one)}, n {one.n}" for name, one in figures.items())


def sheets(evaluation: Evaluation) -> tuple[Sheet, ...]:
    """Return all tables, in the order of the report."""
    last = uncertainty(evaluation)
    fixed = (
        table_2(evaluation),
        detection(evaluation),
        table_3(evaluation),
        comparisons(evaluation),
        calibration(evaluation),
    )
    given = tuple(
        Sheet(f"attention-quality-{number}", table.title, table.columns, table.rows, table.note)
        for number, table in enumerate(evaluation.attention_quality, 1)
    )
    return (*fixed, *((last,) if last else ()), *given)


def write(folder: Path, evaluation: Evaluation) -> None:
    """Write each table as Markdown and HTML, and as CSV with every number of the table in a column of its own.

    The attention's numbers are in the CSV files of `commands.attention.write_attention`.
    """
    for sheet in sheets(evaluation):
        (folder / f"{sheet.name}.md").write_text(as_markdown(sheet), encoding="utf-8")
        (folder / f"{sheet.name}.html").write_text(as_html(sheet), encoding="utf-8")
    names = [cases.name for cases in evaluation.sets]
    strata = [(name, stratum) for name in names for stratum in STRATA]
    numbers = {
        "table2": _table_numbers(evaluation, [(name, ALL) for name in names]),
        "table3": _table_numbers(evaluation, strata),
        "detection": _fields([_nested(dataclasses.asdict(one)) for one in evaluation.detection]),
        "comparisons": _fields([dataclasses.asdict(one) for one in evaluation.comparisons]),
        "calibration": _fields([_flat(one) for one in evaluation.calibration]),
    }
    if evaluation.uncertainty is not None and evaluation.uncertainty.groups:
        numbers["uncertainty"] = _fields([dataclasses.asdict(group) for group in evaluation.uncertainty.groups])
    for name, lines in numbers.items():
        (folder / f"{name}.csv").write_text(_csv(lines), encoding="utf-8")


def _flat(one: Calibration) -> dict[str, Any]:
    """Return the numbers of a calibration, bins left out; the parts of the Brier score beside the others."""
    record = {name: value for name, value in vars(one).items() if not isinstance(value, tuple | Brier)}
    return record | {f"brier_{name}": value for name, value in vars(one.brier).items()}


def _nested(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which the numbers of an estimate stand beside the others, named after it."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= (
            {f"{name}_{part}": number for part, number in value.items()} if isinstance(value, dict) else {name: value}
        )
    return flat


def _fields(records: list[dict[str, Any]]) -> list[list[str]]:
    return [list(records[0]), *([_cell(value) for value in record.values()] for record in records)] if records else []


def as_markdown(sheet: Sheet) -> str:
    """Return a sheet as Markdown."""
    lines = [" | ".join(sheet.head), " | ".join("---" for _ in sheet.head), *(" | ".join(row) for row in sheet.rows)]
    body = "\n".join(f"| {line} |" for line in lines)
    return f"# {sheet.title}\n\n{body}\n\n{sheet.note} {RESEARCH_USE_ONLY}.\n"


def as_html(sheet: Sheet) -> str:
    """Return a sheet as a page of its own."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in sheet.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows)
    title, note = html.escape(sheet.title), html.escape(f"{sheet.note} {RESEARCH_USE_ONLY}.")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>\n'
        f"<h1>{title}</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n<p>{note}</p>\n"
        "</body></html>\n"
    )


def _table_numbers(evaluation: Evaluation, columns: list[tuple[str, str]]) -> list[list[str]]:
    """Return the lines of Table II or III with a column for every number; what does not apply is empty."""
    head = ["results", "method"]
    parts = {
        VALIDATION: ("", "low", "high", "n", "fold_mean", "folds"),
        TEST: ("mean", "std", "low", "high", "n", "models"),
    }
    for name, group in columns:
        prefix = _SHORT[name] + ("" if group == ALL else f"_{group}")
        head += [f"{prefix}_{part}".removesuffix("_") for part in parts[name]]
    lines: list[list[str]] = [head]
    for label in ("covid", "cap", "patients"):
        line = [f"number of {'patients' if label == 'patients' else f'{label} images'}", ""]
        for name, group in columns:
            row: Row = evaluation.row(_methods(evaluation)[0], name, group)
            line += [str(getattr(row, label)), *[""] * (len(parts[name]) - 1)]
        lines.append(line)
    for metric in METRICS:
        for method in _methods(evaluation):
            line = [metric, method]
            for name, group in columns:
                found: Estimate = getattr(evaluation.row(method, name, group), metric)
                fields = ["value" if part in ("", "mean") else part for part in parts[name]]
                line += [_cell(getattr(found, field)) for field in fields]
            lines.append(line)
    return lines


def _csv(lines: list[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _methods(evaluation: Evaluation) -> list[str]:
    return [method for method in TITLES if method in evaluation.sets[0].probabilities]


def _estimate(found: Estimate) -> str:
    if math.isnan(found.value):
        return NOTHING
    std = f" ± {found.std:.3f}" if not math.isnan(found.std) else ""
    interval = f" ({found.low:.3f}–{found.high:.3f})" if not math.isnan(found.low) else ""
    return f"{found.value:.3f}{std}{interval}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{round(value, 3) + 0:.3f}".replace("-", "−")


def _signed(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def _difference(value: float, low: float, high: float) -> str:
    return _signed(value) + ("" if math.isnan(low) else f" ({_signed(low)} to {_signed(high)})")


def _p(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _short(value: float) -> str:
    return f"{value:.4f}".removesuffix("0") if value >= 0.001 else f"{value:.2g}"
