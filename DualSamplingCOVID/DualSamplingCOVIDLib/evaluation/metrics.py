"""The five figures of Tables II and III: positive is COVID-19, the threshold 0.5, F1 the mean over both classes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import THRESHOLD


@dataclass(frozen=True)
class Confusion:
    """Counts of cases; positive is COVID-19. A figure without cases to stand on is NaN."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int

    def __post_init__(self) -> None:
        if min(dataclasses.astuple(self)) < 0:
            raise ValueError(f"counts cannot be negative, got {dataclasses.astuple(self)}")

    @property
    def covid(self) -> int:
        """Number of COVID-19 cases."""
        return self.true_positive + self.false_negative

    @property
    def cap(self) -> int:
        """Number of CAP cases."""
        return self.true_negative + self.false_positive

    @property
    def accuracy(self) -> float:
        """Share of all cases that were answered rightly."""
        return _share(self.true_positive + self.true_negative, self.covid + self.cap)

    @property
    def sensitivity(self) -> float:
        """Share of the COVID-19 cases that were found."""
        return _share(self.true_positive, self.covid)

    @property
    def specificity(self) -> float:
        """Share of the CAP cases that were found."""
        return _share(self.true_negative, self.cap)

    @property
    def f1(self) -> float:
        """Macro-F1: the mean of both classes' F1; NaN where a class has no case for its own F1 to stand on."""
        if not self.covid or not self.cap:
            return math.nan
        wrong = self.false_negative + self.false_positive
        return sum(2 * right / (2 * right + wrong) for right in (self.true_positive, self.true_negative)) / 2


@dataclass(frozen=True)
class Scores:
    """One row of Table II; NaN where a class is missing."""

    auc: float
    accuracy: float
    sensitivity: float
    specificity: float
    f1: float


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the probabilities of logits, in the shape that came."""
    from scipy.special import expit

    return np.asarray(expit(np.asarray(logits, np.float64)), dtype=np.float64)


def confusion(probabilities: ArrayLike, is_covid: ArrayLike) -> Confusion:
    """Count the answers at threshold 0.5 (0.5 itself is COVID-19) of probabilities [case] against truth [case]."""
    p, covid = _checked(probabilities, is_covid)
    called = p >= THRESHOLD
    return Confusion(
        true_positive=int(np.sum(called & covid)),
        false_negative=int(np.sum(~called & covid)),
        true_negative=int(np.sum(~called & ~covid)),
        false_positive=int(np.sum(called & ~covid)),
    )


def auc(probabilities: ArrayLike, is_covid: ArrayLike) -> float:
    """Return the area under the ROC curve; NaN where only one class is present."""
    return area(*_checked(probabilities, is_covid))


def area(values: NDArray[np.float64], covid: NDArray[np.bool_]) -> float:
    """Return the share of (COVID-19, CAP) pairs of which the COVID-19 case has the greater value; a tie is one half."""
    caps, covids = np.sort(values[~covid]), values[covid]
    if not len(caps) or not len(covids):
        return math.nan
    below, not_above = np.searchsorted(caps, covids, "left"), np.searchsorted(caps, covids, "right")
    return float((below.sum() + not_above.sum()) / (2 * len(caps) * len(covids)))


def scores(probabilities: ArrayLike, is_covid: ArrayLike) -> Scores:
    """Return all five figures of probabilities [case] of COVID-19 against truth [case]."""
    counts = confusion(probabilities, is_covid)
    return Scores(
        auc=auc(probabilities, is_covid),
        accuracy=counts.accuracy,
        sensitivity=counts.sensitivity,
        specificity=counts.specificity,
        f1=counts.f1,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _checked(probabilities: ArrayLike, is_covid: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, covid = np.asarray(probabilities, dtype=np.float64), np.asarray(is_covid, dtype=bool)
    if p.ndim != 1 or p.shape != covid.shape:
        raise ValueError(f"probabilities {p.shape} and truth {covid.shape} must both have one value a case")
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("probabilities must lie in [0, 1]")
    return p, covid
