"""Attention quality as tables to read: every cell a number with its interval and its n."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..diagnosis import STRATA
from .attention_networks import STAGES
from .attention_tables import ALL, DS, AttentionQuality, Figure, PairedDifference

NOTHING = "–"

_TITLES = {
    "prevalence": "Infection's share of the lungs",
    "pointing": "Pointing game",
    "peak_distance_mm": "Peak's distance, mm",
    "energy_infection": "Energy in infection",
    "energy_lungs": "Energy in lungs",
    "dice": "Dice, T at 0.5",
    "iou": "IoU, T at 0.5",
    "auprc": "AUPRC of Â",
    "insertion": "Insertion area",
    "deletion": "Deletion area",
}
_COMPARED = ("energy_infection", "energy_lungs", "pointing", "dice", "auprc")


@dataclass(frozen=True)
class TextTable:
    """A table to read: its columns' titles, rows of cells, and what a reader must know."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def text_tables(quality: AttentionQuality) -> tuple[TextTable, ...]:
    """Return the measures by stratum and method, the paired differences, and the weight randomisation if made."""
    tables = [_measures(quality), _differences(quality)]
    if quality.sanity:
        tables.append(_sanity(quality))
    return tuple(table for table in tables if table.rows)


def _measures(quality: AttentionQuality) -> TextTable:
    settings = dict(quality.settings)
    tolerance = f" of {settings['tolerance_mm']:g} mm" if "tolerance_mm" in settings else ""
    methods = list(dict.fromkeys(figure.method for figure in quality.figures))
    found = {(figure.stratum, figure.method, figure.measure): figure for figure in quality.figures}
    rows = tuple(
        (stratum, method, str(found[stratum, method, "energy_lungs"].dead), empty, *cells)
        for stratum in (*STRATA, ALL)
        for method in methods
        for empty in [str(found[stratum, method, "dice"].one_member_empty) if method == DS else NOTHING]
        for cells in [[_cell(found[stratum, method, measure]) for measure in _TITLES]]
    )
    return TextTable(
        title=f"Attention quality, {quality.label} cases",
        columns=("Infection", "Method", "Dead maps", "One member's map is empty", *_TITLES.values()),
        rows=rows,
        note=(
            "Mean [95 % interval by patient-clustered bootstrap], n: cases. Each validation case is measured with the "
            "models of its own fold. Dead maps (no positive evidence anywhere) are left out of the means; so are cases "
            "without infection on the grid. Where one member's map is empty, the combined map peaks at the other one's "
            "weight, not at 1: such cases are left out of Dice and IoU. Pointing game: the peak lies in the infection "
            f"or within the tolerance{tolerance}. Distances in mm take the lungs to fit into the network's grid: "
            "larger lungs are shrunk to it, and their distances read too small. A map without knowledge has an AUPRC "
            "of the infection's share of the lungs. Insertion and deletion follow each method's own network."
        ),
    )


def _differences(quality: AttentionQuality) -> TextTable:
    rows = tuple(_difference(found) for found in quality.differences if found.measure in _COMPARED)
    return TextTable(
        title="Attention against the baseline, paired by case",
        columns=(
            "Infection",
            "Difference",
            "Measure",
            "Mean",
            "n",
            "Patients",
            "Dead maps",
            "Dead maps as worst",
            "n with them",
        ),
        rows=rows,
        note=(
            "Mean over cases of the differences [95 % interval by patient-clustered bootstrap]. Pairs with a dead map, "
            "for Dice also those where one member's map is empty, are left out (their number: first, second method); "
            "beside it, the same with them as the worst answer: 0, for AUPRC the infection's share of the lungs."
        ),
    )


def _difference(found: PairedDifference) -> tuple[str, ...]:
    return (
        found.stratum,
        f"{found.first} − {found.second}",
        _TITLES[found.measure],
        _interval(found.mean, found.low, found.high, signed=True),
        str(found.n),
        str(found.patients),
        f"{found.dead_first}, {found.dead_second}",
        _interval(found.with_dead, found.with_dead_low, found.with_dead_high, signed=True),
        str(found.with_dead_n),
    )


def _sanity(quality: AttentionQuality) -> TextTable:
    methods = list(dict.fromkeys(figure.method for figure in quality.sanity))
    found = {(figure.method, figure.stage): figure for figure in quality.sanity}
    rows = []
    for method in methods:
        cells = []
        for stage in STAGES:
            figure = found[method, stage]
            dead = f", dead {figure.undefined}" if figure.undefined else ""
            cells.append(f"{_interval(figure.mean, figure.low, figure.high, signed=True)}, n {figure.n}{dead}")
        rows.append((method, *cells))
    return TextTable(
        title="Weight randomisation",
        columns=("Method", *(f"to {stage}" for stage in STAGES)),
        rows=tuple(rows),
        note=(
            "Spearman's correlation over the lungs of a map with that of the same network after the weights from the "
            "last layer to this one were drawn anew (mean over cases [95 % interval]). Near 0: the map shows what was "
            "learned. Cases in which the randomised network's map is dead have no correlation."
        ),
    )


def _cell(figure: Figure) -> str:
    return f"{_interval(figure.mean, figure.low, figure.high)}, n {figure.n}" if figure.n else NOTHING


def _interval(mean: float, low: float, high: float, *, signed: bool = False) -> str:
    if math.isnan(mean):
        return NOTHING
    form = "+.3f" if signed else ".3f"
    bounds = "" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"
    return f"{mean:{form}}{bounds}".replace("-", "−")
