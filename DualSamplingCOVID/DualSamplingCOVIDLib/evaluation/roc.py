"""ROC curves and the band that resampled patients leave around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bootstrap import LEVEL, Floats


@dataclass(frozen=True)
class Band:
    """Pointwise interval of the sensitivity [point] at these shares of false alarms (1 - specificity) [point]."""

    false_alarms: Floats
    low: Floats
    high: Floats


def curve(probabilities: ArrayLike, is_covid: ArrayLike) -> tuple[Floats, Floats]:
    """Return 1 - specificity and sensitivity at every threshold, from (0, 0) to (1, 1)."""
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    false, true = _rates(p, covid, np.ones((1, len(p))))
    return false[0], true[0]


def band(
    probabilities: ArrayLike, is_covid: ArrayLike, draws: NDArray[np.int64], points: int = 101, level: float = LEVEL
) -> Band:
    """Return the pointwise interval over resamples [resample, case] of patients; empty where a class is missing."""
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    grid = np.linspace(0, 1, points)
    usable = (draws[:, covid].sum(axis=1) > 0) & (draws[:, ~covid].sum(axis=1) > 0)
    if not usable.any():
        return Band(np.empty(0), np.empty(0), np.empty(0))
    false, true = _rates(p, covid, draws[usable].astype(np.float64))
    heights = np.array([t[np.searchsorted(f, grid, "right") - 1] for f, t in zip(false, true, strict=True)])
    low, high = np.quantile(heights, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(grid, low, high)


def _rates(p: Floats, covid: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Return both rates [row, threshold] under case weights [row, case]; equal probabilities share a threshold."""
    order = np.argsort(-p, kind="stable")
    w, positive = weights[:, order], covid[order]
    last = np.append(np.flatnonzero(np.diff(-p[order]) > 0), len(p) - 1) if len(p) else np.empty(0, dtype=int)
    rates = []
    for mask in (~positive, positive):
        counted = np.cumsum(w * mask, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = counted[:, last] / counted[:, -1:]
        rates.append(np.concatenate([np.zeros((len(w), 1)), share], axis=1))
    return rates[0], rates[1]
