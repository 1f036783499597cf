"""From two networks' probabilities to one decision: Eq. 5 as printed, as Table III implies it, or fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from .diagnosis import CAP, COVID, NO_PNEUMONIA, THRESHOLD, CutOffs, Decision, SegmenterCard

EXTREME_WEIGHT = 0.35
"""Eq. 5's w where the ratio is below `minimal` or above `large`."""

MIDDLE_WEIGHT = 0.96
"""Eq. 5's w for all other ratios."""

NEAR = 0.10
"""A ratio within this share of a cut-off is close to it: w jumps there."""

_WEIGHTS_TRIED = np.linspace(0.0, 1.0, 101)

Map = TypeVar("Map", sitk.Image, NDArray[np.float32])


@dataclass(frozen=True)
class FittedWeights:
    """w on P_US per ratio bin: below `minimal`, from `minimal` to `large`, above `large`."""

    cut_offs: CutOffs
    below: float
    between: float
    above: float

    def __post_init__(self) -> None:
        if not all(0.0 <= w <= 1.0 for w in (self.below, self.between, self.above)):
            raise ValueError(f"weights must lie in [0, 1], got {self.below}, {self.between}, {self.above}")

    def weight(self, ratio: float) -> float:
        """Return w on P_US of an infection ratio."""
        return (self.below, self.between, self.above)[_bin(ratio, self.cut_offs)]


Form = str | FittedWeights
"""``"equation"``, ``"table"`` or fitted weights."""


def weight(ratio: float, cut_offs: CutOffs, form: Form = "equation") -> float:
    """Return w, the share of P_US in the decision, for an infection ratio (Eq. 5).

    Args:
        ratio: infection volume / lung volume.
        cut_offs: those of the segmenter that made the masks (fitted weights bring their own).
        form: ``"equation"`` as printed; ``"table"`` puts the printed weight on P_SS, which is what Table III's middle
            group shows; or `FittedWeights`.

    Raises:
        ValueError: no such form.
    """
    if isinstance(form, FittedWeights):
        return form.weight(ratio)
    printed = MIDDLE_WEIGHT if _bin(ratio, cut_offs) == 1 else EXTREME_WEIGHT
    if form == "equation":
        return printed
    if form == "table":
        return 1.0 - printed
    raise ValueError(f"form must be 'equation', 'table' or fitted weights, got {form!r}")


def combine(p_us: float, p_ss: float, ratio: float, cut_offs: CutOffs, form: Form = "equation") -> float:
    """Return P = w P_US + (1 - w) P_SS (Eq. 5); arguments as in `weight`."""
    return weighted(p_us, p_ss, weight(ratio, cut_offs, form))


def weighted(p_us: float, p_ss: float, w: float) -> float:
    """Return w P_US + (1 - w) P_SS of a weight that is known."""
    return w * p_us + (1.0 - w) * p_ss


def called(probability: float) -> str:
    """Return the class that a probability of COVID-19 speaks for."""
    return COVID if probability >= THRESHOLD else CAP


def is_found(ratio: float, limit: float) -> bool:
    """Whether an infection ratio is one: it reaches the segmenter's detection limit, and is not 0."""
    return ratio > 0 and ratio >= limit


def decide(p_us: float, p_ss: float, ratio: float, segmenter: SegmenterCard, form: Form = "equation") -> Decision:
    """Return the ensemble's answer for one CT.

    Below the segmenter's detection limit, and where there is no infection at all, the answer is NO_PNEUMONIA, whatever
    the probability. Where the ratio lies within 10 % of a cut-off of w, `other_side` tells the probability across it.
    """
    cut_offs = form.cut_offs if isinstance(form, FittedWeights) else segmenter.cut_offs
    probability = combine(p_us, p_ss, ratio, cut_offs, form)
    across = _across(ratio, cut_offs)
    found = is_found(ratio, segmenter.detection_limit)
    return Decision(
        answer=called(probability) if found else NO_PNEUMONIA,
        probability=probability,
        p_us=p_us,
        p_ss=p_ss,
        weight=weight(ratio, cut_offs, form),
        form="fitted" if isinstance(form, FittedWeights) else form,
        ratio=ratio,
        stratum=segmenter.cut_offs.stratum(ratio),
        other_side=None if across is None else combine(p_us, p_ss, across, cut_offs, form),
    )


def combine_maps(a_us: Map, a_ss: Map, w: float) -> Map:
    """Return A^_DS = w A^_US + (1 - w) A^_SS of two maps on one grid."""
    return w * a_us + (1.0 - w) * a_ss


def fit_weights(
    p_us: ArrayLike, p_ss: ArrayLike, ratios: ArrayLike, is_covid: ArrayLike, cut_offs: CutOffs
) -> FittedWeights:
    """Return the w of each ratio bin, to 0.01, that gives the least mean log loss.

    Args:
        p_us: out-of-fold probabilities [case] of COVID-19 with uniform sampling.
        p_ss: the same with size-balanced sampling.
        ratios: infection ratios [case].
        is_covid: truth [case].
        cut_offs: bounds of the bins.

    A bin without cases, or where both networks agree, gets 0.5.
    """
    us, ss, ratio = (np.asarray(values, dtype=np.float64) for values in (p_us, p_ss, ratios))
    covid = np.asarray(is_covid, dtype=bool)
    if not len(us) == len(ss) == len(ratio) == len(covid):
        raise ValueError("probabilities, ratios and truth must have one value a case")
    bins = np.array([_bin(r, cut_offs) for r in ratio], dtype=int)
    below, between, above = (
        _best_weight(us[bins == index], ss[bins == index], covid[bins == index]) for index in range(3)
    )
    return FittedWeights(cut_offs, below, between, above)


def _bin(ratio: float, cut_offs: CutOffs) -> int:
    if ratio < cut_offs.minimal:
        return 0
    return 2 if ratio > cut_offs.large else 1


def _across(ratio: float, cut_offs: CutOffs) -> float | None:
    """Return a ratio just beyond the cut-off of w that `ratio` is close to, or None."""
    if abs(ratio - cut_offs.minimal) <= NEAR * cut_offs.minimal:
        return cut_offs.minimal if ratio < cut_offs.minimal else float(np.nextafter(cut_offs.minimal, 0.0))
    if abs(ratio - cut_offs.large) <= NEAR * cut_offs.large:
        return cut_offs.large if ratio > cut_offs.large else float(np.nextafter(cut_offs.large, 1.0))
    return None


def _best_weight(p_us: NDArray[np.float64], p_ss: NDArray[np.float64], covid: NDArray[np.bool_]) -> float:
    if not len(covid):
        return 0.5
    w = _WEIGHTS_TRIED[:, None]
    p = np.clip(w * p_us + (1.0 - w) * p_ss, 1e-6, 1.0 - 1e-6)
    loss = np.round(-np.log(np.where(covid, p, 1.0 - p)).mean(axis=1), 9)
    best = _WEIGHTS_TRIED[loss == loss.min()]
    return round(float(best[np.argmin(np.abs(best - 0.5))]), 2)
