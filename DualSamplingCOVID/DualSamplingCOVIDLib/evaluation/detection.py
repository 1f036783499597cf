"""What the tables ask of every case, and what `analyze` answers: below the detection limit it names no disease.

A table counts each case's decision at threshold 0.5. `analyze` gives one only where the infection ratio reaches the
segmenter's detection limit and is not 0; else the answer is "no pneumonia found", which misses COVID-19 and CAP alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import CAP, COVID, THRESHOLD
from ..ensemble import is_found
from .bootstrap import Floats, interval, patient_draws
from .methods import DECISION, CaseSet
from .tables import Estimate


@dataclass(frozen=True)
class Detection:
    """One class of one set: how many of its `n` cases lie below the limit, and which share of them is called rightly.

    `named` is the decision's share as Table II has it (for COVID-19 the sensitivity, for CAP the specificity), `found`
    the same with the cases below the limit counted as not found. On the test set both are means over the fold models.
    """

    set: str
    label: str
    limit: float
    n: int
    patients: int
    below: int
    named: Estimate
    found: Estimate


def detections(sets: Sequence[CaseSet], limit: float, resamples: int, seed: int) -> tuple[Detection, ...]:
    """Return COVID-19 and CAP of each set.

    Args:
        sets: those that have cases.
        limit: the segmenter's detection limit, an infection ratio.
        resamples: of patients, for the intervals.
        seed: of the draws; they are those of Table II.
    """
    found = []
    for cases in sets:
        draws = patient_draws(cases.patients, resamples, seed)
        for label, own in ((COVID, cases.is_covid), (CAP, ~cases.is_covid)):
            below = np.array([not is_found(ratio, limit) for ratio in cases.ratios], dtype=bool)
            rightly = (cases.probabilities[DECISION] >= THRESHOLD) == cases.is_covid
            found.append(
                Detection(
                    set=cases.name,
                    label=label,
                    limit=limit,
                    n=int(own.sum()),
                    patients=len({patient for patient, one in zip(cases.patients, own, strict=True) if one}),
                    below=int((below & own).sum()),
                    named=_share(rightly, own, draws),
                    found=_share(rightly & ~below, own, draws),
                )
            )
    return tuple(found)


def _share(hit: NDArray[np.bool_], own: NDArray[np.bool_], draws: NDArray[np.int64]) -> Estimate:
    """Return the share of a class [case] that each model hits [model, case], averaged over the models."""
    n = int(own.sum())
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0, models=len(hit))
    values = hit[:, own].mean(axis=1)
    with np.errstate(invalid="ignore"):
        resampled: Floats = (draws @ (hit & own).T.astype(np.int64)).mean(axis=1) / (draws @ own.astype(np.int64))
    value = float(values.mean())
    bounds = interval(value, resampled)
    std = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Estimate(value, bounds.low, bounds.high, n, std=std, models=len(values))
