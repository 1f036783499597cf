"""The ensemble's four forms on arrays of out-of-fold logits: Eq. 5 as printed, as Table III has it, fitted, stacked.

Whatever is fitted is cross-fitted (section 6 of the method's notes): no case is combined by what it was fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import CutOffs
from ..ensemble import Form, fit_weights, weight
from .metrics import sigmoid

FORMS = ("equation", "table", "fitted", "stacker")
"""Eq. 5; its printed weight on P_SS; w fitted in each ratio bin; logistic regression on both logits and log ratio."""

FITTED_FORMS = FORMS[2:]
LEAST_SHARE = 0.1
"""The stacker takes ratios below this share of the smallest cut-off as that share: the logarithm of 0 is none."""

Floats = NDArray[np.float64]
Combiner = Callable[[ArrayLike, ArrayLike, ArrayLike], Floats]
"""(logits with US [case], logits with SS [case], infection ratios [case]) -> probabilities of COVID-19 [case]."""


def cross_fitted(
    form: str,
    us_logits: ArrayLike,
    ss_logits: ArrayLike,
    ratios: ArrayLike,
    is_covid: ArrayLike,
    folds: Sequence[Hashable] | NDArray[np.generic],
    cut_offs: CutOffs,
) -> Floats:
    """Combine out-of-fold logits; a fitted form combines each fold by what was fitted on the other folds.

    Args:
        form: one of `FORMS`.
        us_logits: logits of COVID-19 of the network with uniform sampling [case].
        ss_logits: the same of the one with size-balanced sampling [case].
        ratios: infection ratios [case].
        is_covid: truth [case].
        folds: whose validation case each is [case].
        cut_offs: those of the segmenter that the ratios come from.

    Returns:
        The probabilities of COVID-19 [case], in the cases' order.

    Raises:
        ValueError: no such form, unequal lengths, numbers that are none, fewer than two folds for a fitted form, or
            the other folds of one lack a class (stacker).
    """
    us, ss, ratio, covid = _checked(form, us_logits, ss_logits, ratios, is_covid)
    if len(folds) != len(us):
        raise ValueError(f"every case needs its fold, got {len(folds)} folds and {len(us)} cases")
    if form not in FITTED_FORMS:
        return fitted_on(form, us, ss, ratio, covid, cut_offs)(us, ss, ratio)
    _, fold = np.unique([str(name) for name in folds], return_inverse=True)
    if fold.max(initial=0) < 1:
        raise ValueError("cross-fitting needs at least two folds")
    result = np.empty(len(us))
    for number in range(fold.max() + 1):
        own = fold == number
        combine = fitted_on(form, us[~own], ss[~own], ratio[~own], covid[~own], cut_offs)
        result[own] = combine(us[own], ss[own], ratio[own])
    return result


def fitted_on(
    form: str,
    us_logits: ArrayLike,
    ss_logits: ArrayLike,
    ratios: ArrayLike,
    is_covid: ArrayLike,
    cut_offs: CutOffs,
) -> Combiner:
    """Return what combines cases of no fold (the test set), fitted on all of these; arguments as in `cross_fitted`.

    The two forms of Eq. 5 learn nothing: for them the cases do not matter.

    Raises:
        ValueError: no such form, unequal lengths, numbers that are none, or the stacker's cases lack a class.
    """
    us, ss, ratio, covid = _checked(form, us_logits, ss_logits, ratios, is_covid)
    if form == "stacker":
        return _stacker(us, ss, ratio, covid, cut_offs)
    weights: Form = fit_weights(sigmoid(us), sigmoid(ss), ratio, covid, cut_offs) if form == "fitted" else form

    def combine(us_logits: ArrayLike, ss_logits: ArrayLike, ratios: ArrayLike) -> Floats:
        us, ss, ratio = _arrays(us_logits, ss_logits, ratios)
        w = np.array([weight(float(value), cut_offs, weights) for value in ratio], dtype=np.float64)
        return w * sigmoid(us) + (1.0 - w) * sigmoid(ss)

    return combine


def _stacker(us: Floats, ss: Floats, ratio: Floats, covid: NDArray[np.bool_], cut_offs: CutOffs) -> Combiner:
    """Fit a logistic regression (L2, C = 1) on both logits and the log ratio, each standardised."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(covid)) < 2:
        raise ValueError("the stacker needs cases of both classes to learn from")

    def features(us: Floats, ss: Floats, ratio: Floats) -> Floats:
        return np.column_stack([us, ss, np.log(np.maximum(ratio, LEAST_SHARE * cut_offs.minimal))])

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features(us, ss, ratio), covid)

    def combine(us_logits: ArrayLike, ss_logits: ArrayLike, ratios: ArrayLike) -> Floats:
        arrays = _arrays(us_logits, ss_logits, ratios)
        if not len(arrays[0]):
            return np.empty(0)
        return np.asarray(model.predict_proba(features(*arrays))[:, 1], dtype=np.float64)

    return combine


def _checked(
    form: str, us_logits: ArrayLike, ss_logits: ArrayLike, ratios: ArrayLike, is_covid: ArrayLike
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    us, ss, ratio = _arrays(us_logits, ss_logits, ratios)
    covid = np.asarray(is_covid, dtype=bool)
    if covid.shape != us.shape:
        raise ValueError(f"every case needs its truth, got {covid.size} for {us.size} cases")
    return us, ss, ratio, covid


def _arrays(us_logits: ArrayLike, ss_logits: ArrayLike, ratios: ArrayLike) -> tuple[Floats, Floats, Floats]:
    us, ss, ratio = (np.asarray(values, dtype=np.float64) for values in (us_logits, ss_logits, ratios))
    if us.ndim != 1 or not us.shape == ss.shape == ratio.shape:
        raise ValueError(f"every case needs two logits and a ratio, got {us.size}, {ss.size} and {ratio.size}")
    if not np.isfinite([us, ss, ratio]).all():
        raise ValueError("logits and ratios must be numbers")
    return us, ss, ratio
