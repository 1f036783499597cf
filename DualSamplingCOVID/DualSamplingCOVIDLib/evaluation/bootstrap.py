"""Intervals that respect patients: all scans of a patient are drawn together (section 7 of the method's notes)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import THRESHOLD

Floats = NDArray[np.float64]
Metric = Callable[[Floats, NDArray[np.bool_]], float]
"""(probabilities [case], truth [case]) -> figure; NaN where it is not defined."""

RESAMPLES = 1000
LEVEL = 0.95
_ROWS_AT_ONCE = 200
SAME = 1e-12
"""Figures that differ by less are the same, summed in another order."""


@dataclass(frozen=True)
class Interval:
    """A figure and its bootstrap interval; `resamples` counts those in which the figure was defined."""

    estimate: float
    low: float
    high: float
    resamples: int


def patient_bootstrap(
    metric: Metric,
    probabilities: ArrayLike,
    is_covid: ArrayLike,
    patients: Sequence[Hashable],
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return a percentile interval from resampling PATIENTS with replacement, each with all of their scans.

    For the five figures of Table II `weighted_figures` does the same with one sorting of the cases.

    Args:
        metric: such as `metrics.auc`.
        probabilities: of COVID-19 [case].
        is_covid: truth [case].
        patients: whose scan each case is [case].
        resamples: how often patients are drawn; draws in which the figure is not defined are left out.
        level: coverage of the interval.
        seed: of the random draws.
    """
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    if not len(p) == len(covid) == len(patients):
        raise ValueError("probabilities, truth and patients must have one value a case")
    found = []
    for times in patient_draws(patients, resamples, seed):
        drawn = np.repeat(np.arange(len(p)), times)
        found.append(metric(p[drawn], covid[drawn]))
    return interval(metric(p, covid), found, level)


def patient_draws(patients: Sequence[Hashable], resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """Return how often each case is drawn in each resample [resample, case]: as often as its patient."""
    numbers: dict[Hashable, int] = {}
    of_case = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.int64)
    if not len(of_case):
        return np.zeros((0, 0), dtype=np.int64)
    random = np.random.default_rng(seed)
    drawn = [np.bincount(random.integers(len(numbers), size=len(numbers)), minlength=len(numbers)) for _ in
             range(resamples)]  # fmt: skip
    return np.array(drawn, dtype=np.int64)[:, of_case]


def fewest_patients(is_covid: ArrayLike, patients: Sequence[Hashable]) -> int:
    """Return how many patients the rarer class has.

    Resampling cannot tell how sure a figure of both classes is where one patient alone is a class: draws with that
    patient leave it as it is, and in the others there is no figure.
    """
    classes: dict[bool, set[Hashable]] = {True: set(), False: set()}
    for patient, covid in zip(patients, np.asarray(is_covid, dtype=bool).tolist(), strict=True):
        classes[covid].add(patient)
    return min(map(len, classes.values()))


def interval(estimate: float, found: ArrayLike, level: float = LEVEL) -> Interval:
    """Return the percentile interval of what the resamples gave; NaN among them are left out.

    Its ends are NaN where all resamples gave the same, as where one patient alone carries a figure or every case is
    right: that says nothing of how sure the figure is, and an interval without width would claim certainty.
    """
    values = np.asarray(found, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values) or np.ptp(values) < SAME:
        return Interval(estimate, math.nan, math.nan, len(values))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), len(values))


def weighted_figures(probabilities: ArrayLike, is_covid: ArrayLike, weights: ArrayLike) -> Floats:
    """Return AUC, accuracy, sensitivity, specificity and macro-F1 [resample, 5] under case weights [resample, case].

    Each row is what `metrics.scores` gives of the cases repeated as often as their weight says.
    """
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    w = np.asarray(weights)
    order = np.argsort(p, kind="stable")
    p, covid, w = p[order], covid[order], w[:, order]
    parts = [_weighted(p, covid, w[start : start + _ROWS_AT_ONCE]) for start in range(0, len(w), _ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty((0, 5))


def _weighted(p: Floats, covid: NDArray[np.bool_], w: NDArray[np.generic]) -> Floats:
    w = w.astype(np.float64)
    positive, negative = w * covid, w * ~covid
    called = p >= THRESHOLD
    with np.errstate(invalid="ignore", divide="ignore"):
        right = (positive * called).sum(axis=1), (negative * ~called).sum(axis=1)
        covids, caps = positive.sum(axis=1), negative.sum(axis=1)
        wrong = covids + caps - right[0] - right[1]
        both = np.where((covids > 0) & (caps > 0), 1.0, np.nan)
        f1 = [both * 2 * hit / (2 * hit + wrong) for hit in right]
        if len(p):
            first = np.flatnonzero(np.concatenate([[True], np.diff(p) > 0]))  # of each group of equal probabilities
            tied_positive = np.add.reduceat(positive, first, axis=1)
            tied_negative = np.add.reduceat(negative, first, axis=1)
            below = np.cumsum(tied_negative, axis=1) - tied_negative / 2
            area = (tied_positive * below).sum(axis=1) / (covids * caps)
        else:
            area = np.full(len(w), np.nan)
        return np.column_stack(
            [area, (right[0] + right[1]) / (covids + caps), right[0] / covids, right[1] / caps, (f1[0] + f1[1]) / 2]
        )
