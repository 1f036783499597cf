"""The numbers of Tables II and III: every method on every set and stratum, each figure with its interval and its n."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import CAP, COVID, STRATA
from ..run_folder import VALIDATION
from .bootstrap import Floats, Interval, fewest_patients, interval, patient_draws, weighted_figures
from .methods import CaseSet
from .metrics import scores

ALL = "all"
GROUPS = (ALL, *STRATA)
METRICS = ("auc", "accuracy", "sensitivity", "specificity", "f1")
OF_BOTH_CLASSES = ("auc", "f1")
ENOUGH_PATIENTS = 10
"""Of 5 patients in a class (30 in the other) the bootstrap's 95 % interval of an AUC of 0.76 held it in 91 %."""
TITLES = {"auc": "AUC", "accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity",
          "f1": "F1-score"}  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """One number of a table. What does not apply is NaN.

    `value` is that of the pooled validation folds, or the mean over the fold models on the test set; `low` and `high`
    its 95 % interval by patient-clustered bootstrap. `n` counts the cases that it rests on (for sensitivity the
    COVID-19 cases, for specificity the CAP cases). `fold_mean` is the mean over the single folds' validation cases,
    `folds` how many of them have the figure; `std` (ddof 1) is over the `models` of the test set.
    """

    value: float
    low: float
    high: float
    n: int
    fold_mean: float = math.nan
    folds: int = 0
    std: float = math.nan
    models: int = 0


@dataclass(frozen=True)
class Row:
    """A method on a set (``"validation"``, ``"test"``) and group (``"all"`` or a stratum); F1 is macro-F1."""

    method: str
    set: str
    group: str
    covid: int
    cap: int
    patients: int
    auc: Estimate
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    f1: Estimate


@dataclass(frozen=True)
class Resampled:
    """A set or one of its strata, and the five figures of each method in every resample of its patients [resample, 5].

    On the test set these are means over the fold models. All methods share the draws, so differences can be taken.
    `by_fold` has, of the validation set, the means over the single folds' figures [1 + resample, 5], that of the cases
    as they are first: unlike the pooled ones they do not ask whether scores of different folds can be compared.
    """

    group: str
    cases: CaseSet
    figures: dict[str, Floats]
    by_fold: dict[str, Floats]


def resample(whole: CaseSet, resamples: int, seed: int) -> tuple[Resampled, ...]:
    """Return the set and its three strata with all methods' figures in each resample; nothing of no cases."""
    if not whole.cases:
        return ()
    found = []
    for group in GROUPS:
        cases = whole if group == ALL else whole.part(group)
        draws = patient_draws(cases.patients, resamples, seed)
        figures = {}
        for method, models in cases.probabilities.items():
            each = [weighted_figures(p, cases.is_covid, draws) for p in models]
            figures[method] = np.mean(each, axis=0)
        found.append(Resampled(group, cases, figures, _means_of_folds(cases, draws)))
    return tuple(found)


def _means_of_folds(cases: CaseSet, draws: NDArray[np.int64]) -> dict[str, Floats]:
    """Return `Resampled.by_fold`: a fold without a figure in a resample is left out of that mean; nothing of tests."""
    if cases.name != VALIDATION or not cases.cases:
        return {}
    weights = np.concatenate([np.ones((1, len(cases.cases)), dtype=draws.dtype), draws])
    found = {}
    for method, (p,) in cases.probabilities.items():
        owns = [cases.folds == fold for fold in sorted(set(cases.folds.tolist()))]
        each = np.array([weighted_figures(p[own], cases.is_covid[own], weights[:, own]) for own in owns])
        there = ~np.isnan(each)
        with np.errstate(invalid="ignore"):
            found[method] = np.where(there, each, 0).sum(axis=0) / there.sum(axis=0)
    return found


def rows(groups: tuple[Resampled, ...]) -> tuple[Row, ...]:
    """Return one row a method and group."""
    return tuple(_row(method, group) for group in groups for method in group.cases.probabilities)


def _row(method: str, group: Resampled) -> Row:
    cases = group.cases
    covid, cap = int(cases.is_covid.sum()), int((~cases.is_covid).sum())
    counts = {"sensitivity": covid, "specificity": cap}
    models = np.array([dataclasses.astuple(scores(p, cases.is_covid)) for p in cases.probabilities[method]])
    by_fold = _by_fold(method, cases)
    estimates = {}
    for column, metric in enumerate(METRICS):
        value = float(models[:, column].mean())
        bounds = bounds_of(metric, value, group.figures[method][:, column], cases)
        if cases.name == VALIDATION:
            known = [fold[column] for fold in by_fold if not math.isnan(fold[column])]
            more = {"fold_mean": float(np.mean(known)) if known else math.nan, "folds": len(known)}
        else:
            std = float(models[:, column].std(ddof=1)) if len(models) > 1 else math.nan
            more = {"std": std, "models": len(models)}
        n = counts.get(metric, len(cases.cases))
        estimates[metric] = Estimate(value, bounds.low, bounds.high, n, **more)  # type: ignore[arg-type]
    return Row(method, cases.name, group.group, covid, cap, len(set(cases.patients)), **estimates)


def of_answers(cases: CaseSet, method: str, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return the figures of a method's one answer a case, which on the test set is the mean of the fold models'."""
    p, covid = cases.answer(method), cases.is_covid
    figures = weighted_figures(p, covid, patient_draws(cases.patients, resamples, seed))
    counts = {"sensitivity": int(covid.sum()), "specificity": int((~covid).sum())}
    found = {}
    for column, (metric, value) in enumerate(zip(METRICS, dataclasses.astuple(scores(p, covid)), strict=True)):
        bounds = bounds_of(metric, float(value), figures[:, column], cases)
        found[metric] = Estimate(float(value), bounds.low, bounds.high, counts.get(metric, len(p)))
    return found


def few_patients(groups: Sequence[Resampled]) -> tuple[str, ...]:
    """Return `too_narrow` of all groups."""
    counted = []
    for group in groups:
        cases = group.cases
        where = cases.name if group.group == ALL else f"{cases.name}, {group.group} infections"
        for label, own in ((COVID, cases.is_covid), (CAP, ~cases.is_covid)):
            patients = {patient for patient, one in zip(cases.patients, own, strict=True) if one}
            counted.append((len(patients), label, where))
    return too_narrow(counted)


def too_narrow(counted: Sequence[tuple[int, str, str]]) -> tuple[str, ...]:
    """Return one sentence on the classes of so few patients that intervals come out too narrow, if there are any.

    Args:
        counted: how many patients a class has, its label, and of which cases.
    """
    few = [f"{patients} with {label} ({where})" for patients, label, where in counted if 0 < patients < ENOUGH_PATIENTS]
    return (f"Intervals of so few patients are too narrow: {'; '.join(few)}.",) if few else ()


def bounds_of(metric: str, value: float, resampled: Floats, cases: CaseSet) -> Interval:
    """Return the interval of one of `METRICS`; NaN of what needs both classes where one of them is a single patient."""
    if metric in OF_BOTH_CLASSES and fewest_patients(cases.is_covid, cases.patients) < 2:
        return Interval(value, math.nan, math.nan, 0)
    return interval(value, resampled)


def _by_fold(method: str, cases: CaseSet) -> list[tuple[float, ...]]:
    """Return the five figures of each fold's own validation cases; nothing on the test set."""
    if cases.name != VALIDATION:
        return []
    p = cases.probabilities[method][0]
    return [
        dataclasses.astuple(scores(p[cases.folds == fold], cases.is_covid[cases.folds == fold]))
        for fold in sorted(set(cases.folds.tolist()))
    ]
