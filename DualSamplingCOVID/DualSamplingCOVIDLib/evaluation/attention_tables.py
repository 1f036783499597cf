"""Attention quality over cases: by method and ratio stratum, with intervals by patient, and one method against another.

How dead maps enter: a map without any value above 0 has no figure and is left out of every mean, and its number stands
beside it (`dead`). Since a method could gain by being silent in hard cases, `with_dead` is the mean in which each dead
map counts as the worst answer: 0 for pointing, energies, Dice and IoU, the prevalence for AUPRC. A distance and the
curves have no worst answer: there `with_dead` is NaN as soon as one map is dead.

A combined map of which one member's map is dead peaks at the other's weight, not at 1: Eq. 2's threshold cuts it at
another height, or takes it away altogether. For Dice and IoU it counts as dead, for everything else as it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import COVID, STRATA
from ..storage import without_nan
from .attention_networks import STAGES
from .attention_quality import Curves, MapMeasures
from .bootstrap import Interval, patient_bootstrap

GRAD_CAM, US, SS, DS = METHODS = ("Grad-CAM baseline", "Attention US", "Attention SS", "Dual sampling")
ALL = "all"
"""The stratum that holds every case."""

MEASURES = (
    "prevalence", "pointing", "peak_distance_mm", "energy_infection", "energy_lungs", "dice", "iou", "auprc",
    "insertion", "deletion",
)  # fmt: skip
_WORST_IS_ZERO = ("pointing", "energy_infection", "energy_lungs", "dice", "iou")
_AT_THE_THRESHOLD = ("dice", "iou")
_NEED_NO_INFECTION = ("prevalence", "energy_lungs", "insertion", "deletion")

Value = Callable[["MapQuality"], float]


@dataclass(frozen=True)
class MapQuality:
    """One case's map by one method.

    `raw_peak` is the map's largest value before min-max, NaN for the combined map. `one_member_empty` says of the
    combined map that one of its two is dead; Dice and IoU are NaN then. `curves` is None for a dead map, and where no
    curves were asked for. `sanity` has Spearman's correlation with the map after each stage of weights was
    randomised, NaN where that map is dead; empty where the check was not made for this case.
    """

    case_id: str
    patient_id: str
    label: str
    fold: int
    ratio: float
    stratum: str
    method: str
    raw_peak: float
    measures: MapMeasures
    one_member_empty: bool
    curves: Curves | None = None
    sanity: tuple[tuple[str, float], ...] = ()

    def value(self, measure: str) -> float:
        """Return one of `MEASURES`; NaN where it is not defined for this map."""
        if measure in ("insertion", "deletion"):
            return getattr(self.curves, f"{measure}_area") if self.curves else math.nan
        return float(getattr(self.measures, measure))

    def value_with_dead(self, measure: str) -> float:
        """Return the measure, and for a map that is dead for it the worst answer; NaN where there is none."""
        if not self._is_silent(measure):
            return self.value(measure)
        if measure in ("prevalence", "auprc"):
            return self.measures.prevalence
        return 0.0 if measure in _WORST_IS_ZERO else math.nan

    def is_dead_for(self, measure: str) -> bool:
        """Whether the map tells the measure nothing in a case in which there was something to find."""
        return self._is_silent(measure) and (measure in _NEED_NO_INFECTION or self.measures.prevalence > 0)

    def is_defined_for(self, measure: str) -> bool:
        """Whether the map is alive and the measure a number."""
        return not self._is_silent(measure) and not math.isnan(self.value(measure))

    def _is_silent(self, measure: str) -> bool:
        return self.measures.dead or (self.one_member_empty and measure in _AT_THE_THRESHOLD)


@dataclass(frozen=True)
class Figure:
    """A measure's mean over the cases of a stratum with its patient-clustered 95 % interval.

    `n` cases of `patients` patients carry the mean; `dead` maps and `undefined` cases (no infection on the grid, no
    curves asked for) are left out of it. Of Dice and IoU, `one_member_empty` of the `dead` are combined maps of which
    one member's map is empty. `with_dead` is the mean in which dead maps count as the worst answer.
    """

    method: str
    stratum: str
    measure: str
    mean: float
    low: float
    high: float
    n: int
    patients: int
    dead: int
    one_member_empty: int
    undefined: int
    with_dead: float


@dataclass(frozen=True)
class PairedDifference:
    """The mean over cases of one method's measure minus another's, with its patient-clustered 95 % interval.

    Pairs in which a map is dead are left out (`dead_first`, `dead_second` count them, both-dead pairs in both); in
    `with_dead` and its interval they take part with the worst answer.
    """

    first: str
    second: str
    stratum: str
    measure: str
    mean: float
    low: float
    high: float
    n: int
    patients: int
    dead_first: int
    dead_second: int
    with_dead: float
    with_dead_low: float
    with_dead_high: float
    with_dead_n: int


@dataclass(frozen=True)
class SanityFigure:
    """Mean rank correlation of maps before and after weights were randomised from the last layer to `stage`.

    `n` cases carry it; in `undefined` others the randomised network's map is dead, so that nothing is correlated.
    """

    method: str
    stage: str
    mean: float
    low: float
    high: float
    n: int
    undefined: int


@dataclass(frozen=True)
class AttentionQuality:
    """All that was measured: the single maps and what they come to, of the cases with the label `label`."""

    label: str
    settings: tuple[tuple[str, float], ...]
    maps: tuple[MapQuality, ...]
    figures: tuple[Figure, ...]
    differences: tuple[PairedDifference, ...]
    sanity: tuple[SanityFigure, ...]

    def figure(self, method: str, measure: str, stratum: str = ALL) -> Figure:
        """Return one figure; KeyError where there is none."""
        for figure in self.figures:
            if (figure.method, figure.measure, figure.stratum) == (method, measure, stratum):
                return figure
        raise KeyError(f"no figure of {measure} for {method} in the stratum {stratum}")

    def difference(self, measure: str, stratum: str = ALL, first: str = US, second: str = GRAD_CAM) -> PairedDifference:
        """Return one paired difference; KeyError where there is none."""
        for found in self.differences:
            if (found.first, found.second, found.measure, found.stratum) == (first, second, measure, stratum):
                return found
        raise KeyError(f"no difference of {measure} between {first} and {second} in the stratum {stratum}")

    def as_table(self) -> list[dict[str, Any]]:
        """Return one row a method, stratum and measure."""
        return [dataclasses.asdict(figure) for figure in self.figures]

    def differences_as_table(self) -> list[dict[str, Any]]:
        """Return one row a pair of methods, stratum and measure."""
        return [dataclasses.asdict(difference) for difference in self.differences]

    def sanity_as_table(self) -> list[dict[str, Any]]:
        """Return one row a method and stage."""
        return [dataclasses.asdict(figure) for figure in self.sanity]

    def maps_as_table(self) -> list[dict[str, Any]]:
        """Return one row a case and method, its measures beside what identifies it."""
        rows = []
        for row in self.maps:
            named = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)[:8]}
            named |= {"dead": row.measures.dead, "one_member_empty": row.one_member_empty}
            rows.append(named | {name: row.value(name) for name in MEASURES})
        return rows

    def as_json(self) -> str:
        """Return everything as JSON, curves included; what is not defined is null."""
        return json.dumps(without_nan(dataclasses.asdict(self)), indent=2, allow_nan=False) + "\n"


def summarise(
    maps: Iterable[MapQuality],
    label: str = COVID,
    settings: Sequence[tuple[str, float]] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> AttentionQuality:
    """Bring single maps together.

    Args:
        maps: one a case and method.
        label: whose cases count: the maps show evidence of COVID-19, so that only its cases' infection is their aim.
        settings: how the maps were measured, kept with the result.
        resamples: draws of the patients for each interval.
        seed: of these draws.
    """
    chosen = sorted((row for row in maps if row.label == label), key=_order)
    methods = [method for method in METHODS if any(row.method == method for row in chosen)]
    figures = tuple(
        _figure(_of(chosen, method, stratum), method, stratum, measure, resamples, seed)
        for method in methods
        for stratum in (*STRATA, ALL)
        for measure in MEASURES
    )
    differences = tuple(
        _difference(chosen, method, stratum, measure, resamples, seed)
        for method in methods
        if method != GRAD_CAM and GRAD_CAM in methods
        for stratum in (*STRATA, ALL)
        for measure in MEASURES[1:]
    )
    sanity = tuple(
        _sanity(_of(chosen, method, ALL), method, stage, resamples, seed)
        for method in methods
        if any(row.sanity for row in chosen)
        for stage in STAGES
    )
    return AttentionQuality(label, tuple(settings), tuple(chosen), figures, differences, sanity)


def median_cases(maps: Sequence[MapQuality], method: str = US, measure: str = "energy_infection") -> dict[str, str]:
    """Return the case that stands for each stratum: that with the median of a measure (the lower of two middle ones).

    Dead and undefined maps take part as the lowest, so that a stratum of mostly dead maps is shown as that.

    Returns:
        Case identifiers by stratum; a stratum without cases is left out.
    """
    found = {}
    for stratum in STRATA:
        rows = [row for row in maps if (row.method, row.stratum) == (method, stratum)]
        rows.sort(key=lambda row: (np.nan_to_num(row.value(measure), nan=-math.inf), row.case_id))
        if rows:
            found[stratum] = rows[(len(rows) - 1) // 2].case_id
    return found


def mean_interval(values: Sequence[float], patients: Sequence[str], resamples: int, seed: int) -> Interval:
    """Return the mean of values [case] with the interval of `bootstrap.patient_bootstrap`.

    One patient has no interval: resampling would make it as narrow as a point. Without values all is NaN.
    """
    if len(set(patients)) < 2:
        return Interval(_plain_mean(values), math.nan, math.nan, 0)
    return patient_bootstrap(_mean, values, np.ones(len(values), dtype=bool), patients, resamples, seed=seed)


def _order(row: MapQuality) -> tuple[str, int]:
    return row.case_id, METHODS.index(row.method)


def _of(maps: Iterable[MapQuality], method: str, stratum: str) -> list[MapQuality]:
    return [row for row in maps if row.method == method and stratum in (ALL, row.stratum)]


def _figure(rows: list[MapQuality], method: str, stratum: str, measure: str, resamples: int, seed: int) -> Figure:
    dead = [row for row in rows if row.is_dead_for(measure)]
    used = [row for row in rows if row.is_defined_for(measure)]
    patients = [row.patient_id for row in used]
    found = mean_interval([row.value(measure) for row in used], patients, resamples, seed)
    return Figure(
        method=method,
        stratum=stratum,
        measure=measure,
        mean=found.estimate,
        low=found.low,
        high=found.high,
        n=len(used),
        patients=len(set(patients)),
        dead=len(dead),
        one_member_empty=sum(not row.measures.dead for row in dead),
        undefined=len(rows) - len(used) - len(dead),
        with_dead=_plain_mean([row.value_with_dead(measure) for row in (*used, *dead)]),
    )


def _difference(
    maps: list[MapQuality], method: str, stratum: str, measure: str, resamples: int, seed: int
) -> PairedDifference:
    others = {row.case_id: row for row in _of(maps, GRAD_CAM, stratum)}
    pairs = [(row, others[row.case_id]) for row in _of(maps, method, stratum) if row.case_id in others]
    both_alive = [pair for pair in pairs if all(row.is_defined_for(measure) for row in pair)]
    both_apply = [
        pair for pair in pairs if all(row.is_defined_for(measure) or row.is_dead_for(measure) for row in pair)
    ]
    plain = _paired(both_alive, lambda row: row.value(measure), resamples, seed)
    whole = _paired(both_apply, lambda row: row.value_with_dead(measure), resamples, seed)
    return PairedDifference(
        first=method,
        second=GRAD_CAM,
        stratum=stratum,
        measure=measure,
        mean=plain.estimate,
        low=plain.low,
        high=plain.high,
        n=len(both_alive),
        patients=len({row.patient_id for row, _ in both_alive}),
        dead_first=sum(row.is_dead_for(measure) for row, _ in pairs),
        dead_second=sum(row.is_dead_for(measure) for _, row in pairs),
        with_dead=whole.estimate,
        with_dead_low=whole.low,
        with_dead_high=whole.high,
        with_dead_n=len(both_apply),
    )


def _paired(pairs: list[tuple[MapQuality, MapQuality]], value: Value, resamples: int, seed: int) -> Interval:
    """Return the interval of the mean difference; NaN where one difference is not defined."""
    differences = [value(first) - value(second) for first, second in pairs]
    if any(math.isnan(difference) for difference in differences):
        return Interval(math.nan, math.nan, math.nan, 0)
    return mean_interval(differences, [row.patient_id for row, _ in pairs], resamples, seed)


def _sanity(rows: list[MapQuality], method: str, stage: str, resamples: int, seed: int) -> SanityFigure:
    checked = [(dict(row.sanity)[stage], row.patient_id) for row in rows if row.sanity]
    used = [(value, patient) for value, patient in checked if not math.isnan(value)]
    found = mean_interval([value for value, _ in used], [patient for _, patient in used], resamples, seed)
    return SanityFigure(method, stage, found.estimate, found.low, found.high, len(used), len(checked) - len(used))


def _mean(values: NDArray[np.float64], _: NDArray[np.bool_]) -> float:
    return float(values.mean())


def _plain_mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
