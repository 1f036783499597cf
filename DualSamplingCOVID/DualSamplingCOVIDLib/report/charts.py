"""An evaluation's charts: ROC curves (Fig. 4), infection ratios (Fig. 1), reliability, and the fold models' spread.

All are made to be read at page width; colours are Okabe and Ito's and never the only sign of what a line is.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnosis import RESEARCH_USE_ONLY, THRESHOLD
from ..evaluation import roc
from ..evaluation.bootstrap import fewest_patients, patient_draws
from ..evaluation.calibration import spread
from ..evaluation.evaluate import Calibration, Evaluation
from ..evaluation.methods import DECISION, DUAL, PAPER_METHODS, RATIO, TITLES, CaseSet
from ..evaluation.metrics import auc
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, TEST, VALIDATION
from .drawing import FONT, save
from .tables import SET_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, DPI = 10.0, 160
_BLACK, _BLUE, _ORANGE, _RED, _GREY, _GREEN = "#000000", "#0072B2", "#E69F00", "#D55E00", "#767676", "#009E73"
LINES = {
    BASELINE_US: (_BLACK, (0, (5, 2))),
    ATTENTION_US: (_BLUE, "-"),
    ATTENTION_SS: (_ORANGE, (0, (6, 1.5, 1.5, 1.5))),
    DUAL: (_RED, "-"),
    RATIO: (_GREY, (0, (1.2, 1.5))),
}
_MARKERS = {BASELINE_US: "s", ATTENTION_US: "o", ATTENTION_SS: "^", DUAL: "D"}
_COVID, _CAP = _RED, _BLUE


def write(folder: Path, evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Write all charts as PNG; return (file name, caption) in the order of the report."""
    made: list[tuple[str, str]] = []
    for cases in evaluation.sets:
        name = f"roc-{cases.name}.png"
        _save(folder / name, _roc(cases, evaluation))
        made.append((name, _roc_caption(cases)))
    _save(folder / "ratios.png", _ratios(evaluation))
    made.append(
        ("ratios.png", "Infection ratios by class (the paper's Fig. 1). Dashed: the cut-offs between the groups of "
         "Table III; dotted: the lower cut-off of Eq. 5. A ratio of 0 stands in the column at the left.")
    )  # fmt: skip
    for cases in evaluation.sets:
        name = f"reliability-{cases.name}.png"
        _save(folder / name, _reliability(cases, evaluation))
        made.append((name, _reliability_caption(cases)))
    if evaluation.uncertainty and evaluation.uncertainty.groups:
        _save(folder / "spread.png", _spread(evaluation))
        made.append(
            ("spread.png", "How the fold models disagree on the test cases (Attention RN34 + DS). Left: the spread of "
             "each case over its mean probability. Right: accuracy of four groups of equal size, least spread first.")
        )  # fmt: skip
    return tuple(made)


def _counted(cases: CaseSet) -> str:
    return f"{SET_TITLES[cases.name]} (n = {len(cases.cases)}, {len(set(cases.patients))} patients)"


def _roc_caption(cases: CaseSet) -> str:
    where = (
        "the validation folds pooled, whole and in the corner that matters"
        if cases.name == VALIDATION
        else "the test set: each case's mean over the fold models, then each fold's models alone"
    )
    return (
        f"ROC curves of {where} (the paper's Fig. 4; n = {len(cases.cases)}, {len(set(cases.patients))} patients). "
        "Band: pointwise 95 % interval of Attention RN34 + DS by patient-clustered bootstrap. The dotted line is the "
        "infection ratio alone."
    )


def _reliability_caption(cases: CaseSet) -> str:
    return (
        f"Reliability on the {SET_TITLES[cases.name]} (n = {len(cases.cases)}) in ten bins of equal width. Filled: as "
        "predicted, with 95 % intervals by patient-clustered bootstrap; hollow: after temperature scaling. A method "
        "whose probabilities can be taken at their word follows the diagonal. Below: how many cases a bin holds."
    )


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")


def _save(path: Path, figure: Figure) -> None:
    from matplotlib import rc_context

    with rc_context({"font.family": FONT, "font.size": 11}):
        figure.supxlabel(RESEARCH_USE_ONLY, x=0.995, ha="right", fontsize=8, color=_RED)
        save(path, figure)


def _roc(cases: CaseSet, evaluation: Evaluation) -> Figure:
    models = len(cases.probabilities[DECISION])
    if cases.name == VALIDATION or models < 2:
        figure = _figure(5.3)
        whole, corner = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
        for panel in (whole, corner):
            _draw_roc(panel, cases, None, evaluation, 9.5)
        whole.legend(*_legend(whole), loc="lower right", fontsize=9.5, title="AUC", edgecolor="none", handlelength=2.6)
        corner.set_xlim(0, 0.3)
        corner.set_ylim(0.7, 1.003)
        corner.set_title("The upper left corner", fontsize=10)
        whole.set_title(_counted(cases), fontsize=10)
        return figure
    rows = math.ceil((models + 1) / 3)
    figure = _figure(3.6 * rows)
    for number in range(models + 1):
        panel = figure.add_subplot(rows, 3, number + 1)
        _draw_roc(panel, cases, None if not number else number - 1, evaluation, 7.5)
        panel.legend(*_legend(panel), loc="lower right", fontsize=7.5, title="AUC", title_fontsize=7.5,
                     edgecolor="none", handlelength=2.6)  # fmt: skip
        mean = f"{_counted(cases)}\nMean of the fold models"
        panel.set_title(mean if not number else f"Models of fold {number - 1}", fontsize=10)
    return figure


def _draw_roc(panel: Axes, cases: CaseSet, model: int | None, evaluation: Evaluation, size: float) -> None:
    """Draw one panel: the methods' answers (`model` None), or those of one fold's models."""
    covid = cases.is_covid
    answers = {
        method: cases.answer(method) if model is None else cases.probabilities[method][model]
        for method in (RATIO, *PAPER_METHODS)
    }
    panel.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8)
    draws = patient_draws(cases.patients, evaluation.resamples, evaluation.seed)
    if fewest_patients(covid, cases.patients) < 2:
        draws = draws[:0]
    found = roc.band(answers[DUAL], covid, draws)
    panel.fill_between(found.false_alarms, found.low, found.high, step="post", color=_RED, alpha=0.15, linewidth=0)
    for method, p in answers.items():
        color, style = LINES[method]
        value = auc(p, covid)
        label = f"{TITLES[method]}  {value:.3f}" if model is None else f"{value:.3f}"
        panel.plot(*roc.curve(p, covid), color=color, linestyle=style, label=label,
                   linewidth=2.4 if method == DUAL else 1.5, zorder=3 if method == DUAL else 2.5)  # fmt: skip
    panel.set_aspect("equal")
    panel.set_xlim(-0.01, 1.01)
    panel.set_ylim(-0.01, 1.01)
    panel.set_xlabel("1 − specificity", fontsize=size + 1)
    panel.set_ylabel("Sensitivity", fontsize=size + 1)
    panel.tick_params(labelsize=size)
    panel.grid(color="#eeeeee")
    panel.set_axisbelow(True)


def _legend(panel: Axes) -> tuple[list[Any], list[str]]:
    """Return a panel's lines and their names, the decision's first."""
    handles, labels = panel.get_legend_handles_labels()
    return list(handles[::-1]), list(labels[::-1])


def _ratios(evaluation: Evaluation) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = _figure(3.9)
    cut_offs = evaluation.run.segmenter.cut_offs
    every = np.concatenate([cases.ratios for cases in evaluation.sets])
    positive = every[every > 0]
    low = min(float(positive.min()) if len(positive) else cut_offs.minimal, cut_offs.minimal) / 1.5
    edges = np.geomspace(low, max(float(every.max()), cut_offs.large) * 1.1, 26)
    zero = low / (edges[1] / edges[0]) ** 2  # where ratios of 0 are drawn, apart from the others
    for number, cases in enumerate(evaluation.sets):
        panel = figure.add_subplot(1, len(evaluation.sets), number + 1)
        for name, mask, color, hatch in (
            ("COVID-19", cases.is_covid, _COVID, ""),
            ("CAP", ~cases.is_covid, _CAP, "////"),
        ):
            own = cases.ratios[mask]
            counts, _ = np.histogram(own[own > 0], edges)
            label = f"{name} (n = {int(mask.sum())})"
            panel.stairs(counts, edges, color=color, linewidth=1.8, label=label)
            panel.stairs(
                counts, edges, fill=True, facecolor=color, alpha=0.18, hatch=hatch, edgecolor=color, linewidth=0
            )
            nothing = int(np.sum(own == 0))
            place = zero * (0.84 if name == "COVID-19" else 1.0)
            panel.bar(place, nothing, zero * 0.14, color=color, alpha=0.45, hatch=hatch, edgecolor=color)
        panel.set_xscale("log")
        for value, style in ((cut_offs.minimal, ":"), (cut_offs.small, "--"), (cut_offs.large, "--")):
            panel.axvline(value, color="#444444", linewidth=1.0, linestyle=style)
        panel.set_title(f"{SET_TITLES[cases.name]} ({len(set(cases.patients))} patients)", fontsize=11)
        panel.set_xlabel("Infection volume / lung volume", fontsize=10)
        panel.set_ylabel("CT scans", fontsize=10)
        ticks = [10.0**power for power in range(math.ceil(math.log10(low)), 1) if 10.0**power <= edges[-1]]
        panel.set_xticks([zero * 0.92, *ticks], ["0", *(f"{tick:g}" for tick in ticks)], fontsize=9)
        panel.set_xlim(zero / 1.5, edges[-1])
        panel.minorticks_off()
        panel.legend(fontsize=9, loc="upper left", framealpha=1, edgecolor="none")
        panel.set_ylim(0, panel.get_ylim()[1] * 1.25)
        panel.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def _reliability(cases: CaseSet, evaluation: Evaluation) -> Figure:
    figure = _figure(4.5)
    figure.suptitle(_counted(cases), fontsize=10)
    grid = figure.add_gridspec(2, 4, height_ratios=(3, 1))
    found = {one.method: one for one in evaluation.calibration if one.set == cases.name}
    for column, method in enumerate(PAPER_METHODS):
        one = found[method]
        upper, lower = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        _draw_reliability(upper, one, method)
        widths = [group.high - group.low for group in one.bins]
        lower.bar([group.low for group in one.bins], [group.n for group in one.bins], widths, align="edge",
                  color=LINES[method][0], alpha=0.55, edgecolor="white")  # fmt: skip
        lower.set_xlim(0, 1)
        lower.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        lower.tick_params(labelsize=8.5)
        lower.set_xlabel("Probability of COVID-19", fontsize=9)
        if not column:
            upper.set_ylabel("Share of COVID-19", fontsize=10)
            lower.set_ylabel("Cases", fontsize=10)
    return figure


def _draw_reliability(panel: Axes, one: Calibration, method: str) -> None:
    color = LINES[method][0]
    panel.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    p, share = ([getattr(group, name) for group in one.bins] for name in ("mean_probability", "share"))
    errors = [
        [np.maximum(0.0, group.share - group.share_low) for group in one.bins],  # NaN, where there is none, draws none
        [np.maximum(0.0, group.share_high - group.share) for group in one.bins],
    ]
    panel.errorbar(p, share, yerr=errors, color=color, marker=_MARKERS[method], markersize=4.5, linewidth=1.2,
                   elinewidth=0.8, capsize=2)  # fmt: skip
    panel.plot([group.mean_probability for group in one.scaled_bins], [group.share for group in one.scaled_bins],
               color=color, marker=_MARKERS[method], markersize=6, markerfacecolor="none", linewidth=0)  # fmt: skip
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xticks([0, 0.5, 1], [])
    panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    panel.tick_params(labelsize=8.5)
    scaled = f", scaled {one.scaled_error_equal_width:.3f}" if one.scaled_bins else ""
    words = f"ECE {one.error_equal_width:.3f}{scaled}\nBrier {one.brier.score:.3f}"
    panel.set_title(f"{TITLES[method]}\n{words}", fontsize=9)


def _spread(evaluation: Evaluation) -> Figure:
    assert evaluation.uncertainty is not None
    cases = next(cases for cases in evaluation.sets if cases.name == TEST)
    p = cases.probabilities[DECISION]
    mean, deviations = p.mean(axis=0), spread(p)
    right = (mean >= THRESHOLD) == cases.is_covid
    figure = _figure(3.8)
    left, bars = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    left.scatter(mean[right], deviations[right], s=16, color=_BLUE, alpha=0.45, linewidth=0,
                 label=f"right (n = {int(right.sum())})")  # fmt: skip
    left.scatter(mean[~right], deviations[~right], s=34, color=_RED, marker="x", linewidth=1.6,
                 label=f"wrong (n = {int((~right).sum())})")  # fmt: skip
    left.axvline(THRESHOLD, color="#444444", linewidth=0.8, linestyle="--")
    left.set_xlim(-0.02, 1.02)
    left.set_ylim(0, max(0.02, float(deviations.max()) * 1.3))
    left.set_xlabel("Mean probability of COVID-19", fontsize=10)
    left.set_ylabel("Spread (standard deviation)", fontsize=10)
    left.legend(fontsize=9, framealpha=1, edgecolor="none", loc="upper left", ncols=2)
    groups = evaluation.uncertainty.groups
    bars.bar(range(len(groups)), [group.accuracy for group in groups], color=_GREEN, alpha=0.75, width=0.7)
    for number, group in enumerate(groups):
        bars.text(number, group.accuracy + 0.015, f"{group.accuracy:.3f}\nn = {group.n}", ha="center", fontsize=9)
    bars.set_xticks(range(len(groups)), [f"{group.low:.3f} to\n{group.high:.3f}" for group in groups], fontsize=9)
    bars.set_ylim(0, 1.2)
    bars.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    bars.set_xlabel("Spread of the fold models", fontsize=10)
    bars.set_ylabel("Accuracy", fontsize=10)
    return figure
