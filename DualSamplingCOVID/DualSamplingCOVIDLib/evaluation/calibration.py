"""Do probabilities mean what they say? Reliability, calibration error, Brier score, temperature, spread."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import THRESHOLD
from .bootstrap import Floats, interval
from .metrics import auc, sigmoid

BINS = 10
EQUAL_WIDTH, EQUAL_MASS = "equal-width", "equal-mass"
STEEPEST = 100.0
"""Bound of 1 / temperature, which cases that a method tells apart without error would send to infinity."""
_EDGE = 1e-12


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases whose probability lies in [low, high): their number, mean probability and share of COVID-19.

    `share_low` and `share_high` bound the share by patient-clustered bootstrap; NaN where none was made.
    """

    low: float
    high: float
    n: int
    mean_probability: float
    share: float
    share_low: float = math.nan
    share_high: float = math.nan


@dataclass(frozen=True)
class Brier:
    """The Brier score and its parts: score = reliability - resolution + uncertainty + within.

    `within` is what binning leaves inside the bins (Stephenson et al. 2008); without it the parts would not add up.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


@dataclass(frozen=True)
class Calibrated:
    """Probabilities [case] after temperature scaling; fold k by what was fitted on the other folds' cases.

    `per_fold` are the temperatures that the folds used, `for_test` that fitted on all of them.
    """

    probabilities: Floats
    per_fold: tuple[tuple[Hashable, float], ...]
    for_test: float


@dataclass(frozen=True)
class SpreadGroup:
    """Test cases of similar disagreement among the fold models: bounds of the spread, their number, share right."""

    low: float
    high: float
    n: int
    accuracy: float


def reliability(
    probabilities: ArrayLike,
    is_covid: ArrayLike,
    kind: str = EQUAL_WIDTH,
    bins: int = BINS,
    draws: NDArray[np.int64] | None = None,
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram that hold cases.

    Args:
        probabilities: of COVID-19 [case].
        is_covid: truth [case].
        kind: ``"equal-width"`` parts [0, 1] evenly, ``"equal-mass"`` the cases.
        bins: how many.
        draws: of `bootstrap.patient_draws` [resample, case], for the intervals of the shares.
    """
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    edges = _edges(p, kind, bins)
    place = np.clip(np.searchsorted(edges, p, "right") - 1, 0, len(edges) - 2)
    found = []
    for number in range(len(edges) - 1):
        inside = place == number
        if not inside.any():
            continue
        low, high = math.nan, math.nan
        if draws is not None and len(draws):
            with np.errstate(invalid="ignore"):
                shares = (draws @ (covid & inside).astype(np.int64)) / (draws @ inside.astype(np.int64))
            bounds = interval(0.0, shares)
            low, high = bounds.low, bounds.high
        share = float(covid[inside].mean())
        mean = float(p[inside].mean())
        found.append(
            ReliabilityBin(float(edges[number]), float(edges[number + 1]), int(inside.sum()), mean, share, low, high)
        )
    return tuple(found)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error: the mean |share - mean probability|, weighted by cases; NaN of none."""
    n = sum(group.n for group in bins)
    return sum(group.n * abs(group.share - group.mean_probability) for group in bins) / n if n else math.nan


def brier(probabilities: ArrayLike, is_covid: ArrayLike, kind: str = EQUAL_WIDTH, bins: int = BINS) -> Brier:
    """Return the mean squared error of probabilities and its decomposition over the bins of `reliability`."""
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    if not len(p):
        return Brier(*[math.nan] * 5)
    base, groups, n = float(covid.mean()), reliability(p, covid, kind, bins), len(p)
    score = float(np.mean((p - covid) ** 2))
    reliable = sum(group.n * (group.mean_probability - group.share) ** 2 for group in groups) / n
    resolution = sum(group.n * (group.share - base) ** 2 for group in groups) / n
    uncertainty = base * (1 - base)
    return Brier(score, reliable, resolution, uncertainty, score - (reliable - resolution + uncertainty))


def fit_temperature(logits: ArrayLike, is_covid: ArrayLike) -> float:
    """Return the temperature T that gives sigmoid(logit / T) the least log loss; 1 where a class is missing."""
    x, covid = np.asarray(logits, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    if covid.all() or not covid.any() or not np.any(x):
        return 1.0
    low, high = 1 / STEEPEST, STEEPEST
    for _ in range(200):  # the loss is convex in 1 / T: bisect its slope
        steepness = math.sqrt(low * high)
        slope = float(np.mean((sigmoid(steepness * x) - covid) * x))
        low, high = (low, steepness) if slope > 0 else (steepness, high)
    return 1 / math.sqrt(low * high)


def cross_fitted_temperature(
    probabilities: ArrayLike, is_covid: ArrayLike, folds: Sequence[int], without: ArrayLike | None = None
) -> Calibrated:
    """Scale the temperature of out-of-fold probabilities [case]: each fold by a temperature of the other folds.

    Args:
        probabilities: of COVID-19 [case].
        is_covid: truth [case].
        folds: whose validation case each is [case], from 0.
        without: of a method that was itself fitted on other folds, what it answers [fold, case] where fold k had no
            part in that (`methods.CaseSet`): fold k's temperature is fitted on row k. Where that is NaN, as with two
            folds, there is none: temperature and scaled probabilities of the fold are NaN.
    """
    x, covid = logits_of(probabilities), np.asarray(is_covid, dtype=bool)
    scaled, per_fold = np.empty(len(x)), []
    for name in dict.fromkeys(folds):
        own = np.array([fold == name for fold in folds])
        others = x if without is None else logits_of(np.asarray(without, dtype=np.float64)[name])
        usable = bool(np.isfinite(others[~own]).all())
        temperature = fit_temperature(others[~own], covid[~own]) if usable else math.nan
        scaled[own] = sigmoid(x[own] / temperature)
        per_fold.append((name, temperature))
    return Calibrated(scaled, tuple(per_fold), fit_temperature(x, covid))


def at_temperature(probabilities: ArrayLike, temperature: float) -> Floats:
    """Return probabilities of any shape at another temperature."""
    return sigmoid(logits_of(probabilities) / temperature)


def logits_of(probabilities: ArrayLike) -> Floats:
    """Return the logits of probabilities of any shape; 0 and 1 are taken as 1e-12 from there."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.log(p) - np.log1p(-p)


def spread(probabilities: ArrayLike) -> Floats:
    """Return the standard deviation (ddof 1) over the fold models of probabilities [model, case]; NaN of one model."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.std(p, axis=0, ddof=1) if len(p) > 1 else np.full(p.shape[1:], np.nan)


def accuracy_by_spread(probabilities: ArrayLike, is_covid: ArrayLike, groups: int = 4) -> tuple[SpreadGroup, ...]:
    """Return how accuracy falls as the fold models disagree, in groups of equal size, least spread first.

    The answer is the mean probability of the models [model, case].
    """
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    deviations, right = spread(p), (p.mean(axis=0) >= THRESHOLD) == covid
    if not len(covid) or np.isnan(deviations).any():
        return ()
    order = np.argsort(deviations, kind="stable")
    return tuple(
        SpreadGroup(float(deviations[part].min()), float(deviations[part].max()), len(part), float(right[part].mean()))
        for part in np.array_split(order, groups)
        if len(part)
    )


def spread_finds_errors(probabilities: ArrayLike, is_covid: ArrayLike) -> float:
    """Return the AUC of the spread as a warning of wrong answers: 0.5 tells nothing; NaN without wrong answers."""
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    deviations = spread(p)
    if not len(covid) or np.isnan(deviations).any():
        return math.nan
    return auc(deviations, (p.mean(axis=0) >= THRESHOLD) != covid)


def _edges(p: Floats, kind: str, bins: int) -> Floats:
    if kind == EQUAL_WIDTH or not len(p):
        return np.linspace(0, 1, bins + 1)
    if kind != EQUAL_MASS:
        raise ValueError(f"kind must be {EQUAL_WIDTH!r} or {EQUAL_MASS!r}, got {kind!r}")
    return np.unique(np.concatenate([[0.0], np.quantile(p, np.arange(1, bins) / bins), [1.0]]))
