"""Which differences are real: the comparisons that were planned, on the same cases, and adjusted for their number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..progress import Progress, silent
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US
from .bootstrap import Floats, Interval
from .methods import DUAL, RATIO
from .metrics import area
from .statistics import PERMUTATIONS, accuracy, clustered_delong, delong, holm, mcnemar, midranks, paired_t_test
from .statistics import permutation_test as permuted
from .tables import ALL, METRICS, Resampled, bounds_of

PLANNED = (
    (BASELINE_US, ATTENTION_US, ALL),
    (BASELINE_US, ATTENTION_SS, ALL),
    (BASELINE_US, DUAL, ALL),
    (ATTENTION_US, DUAL, ALL),
    (ATTENTION_US, DUAL, "small"),
    (ATTENTION_US, DUAL, "large"),
    (RATIO, BASELINE_US, ALL),
    (RATIO, DUAL, ALL),
)
"""(first, second, group). The paper tests the three attention methods against the baseline, and US against DS in the
small and large group; the infection ratio alone is what a claim must beat. One family for Holm a set and metric."""

COMPARED = ("auc", "accuracy")


@dataclass(frozen=True)
class Comparison:
    """How much better `second` is than `first`; a p-value that does not apply is NaN.

    `difference` has a 95 % interval by patient-clustered bootstrap, as has `fold_difference`, that of the means over
    the single folds' validation cases (NaN on the test set). `p_value` is the patient-clustered permutation test's and
    `p_holm` adjusts it. `p_clustered_delong` (AUC) is Obuchowski's; `p_delong` (AUC) and `p_mcnemar` (accuracy) are
    given with one scan a patient only. `p_paired_t` compares the probability given to the true class case by case: for
    replication of the paper, scans taken as independent. The last four look at the mean probability of the fold models
    on the test set.
    """

    first: str
    second: str
    set: str
    group: str
    metric: str
    n: int
    patients: int
    difference: float
    low: float
    high: float
    p_value: float
    permutations: int
    exact: bool
    p_clustered_delong: float
    p_delong: float
    p_mcnemar: float
    p_paired_t: float
    fold_difference: float = math.nan
    fold_low: float = math.nan
    fold_high: float = math.nan
    p_holm: float = math.nan


def compare(
    groups: Sequence[Resampled], permutations: int = PERMUTATIONS, seed: int = 0, progress: Progress = silent
) -> tuple[Comparison, ...]:
    """Return the planned comparisons of one set; nothing of a set without cases."""
    by_name = {group.group: group for group in groups}
    found: list[Comparison] = []
    for metric in COMPARED if by_name else ():
        family = []
        for number, (first, second, name) in enumerate(PLANNED):
            progress("comparing the methods", (number + len(PLANNED) * COMPARED.index(metric)) / (2 * len(PLANNED)))
            family.append(_comparison(first, second, metric, by_name[name], permutations, seed))
        adjusted = holm([comparison.p_value for comparison in family])
        found += [dataclasses.replace(one, p_holm=p) for one, p in zip(family, adjusted, strict=True)]
    return tuple(found)


def _comparison(first: str, second: str, metric: str, group: Resampled, permutations: int, seed: int) -> Comparison:
    cases, patients = group.cases, group.cases.patients
    covid = cases.is_covid
    models = [cases.probabilities[name] for name in (first, second)]
    one, other = (cases.answer(name) for name in (first, second))
    values, statistic = (list(map(midranks, models)), area) if metric == "auc" else (models, accuracy)
    test = permuted(statistic, values[0], values[1], covid, patients, permutations, seed)
    column = METRICS.index(metric)
    differences = group.figures[second][:, column] - group.figures[first][:, column]
    bounds = bounds_of(metric, test.difference, differences, cases)
    of_folds = _of_folds(first, second, metric, group)
    single, is_auc = len(set(patients)) == len(patients), metric == "auc"
    return Comparison(
        first=first,
        second=second,
        set=cases.name,
        group=group.group,
        metric=metric,
        n=len(cases.cases),
        patients=len(set(patients)),
        difference=test.difference,
        low=bounds.low,
        high=bounds.high,
        p_value=test.p_value,
        permutations=test.permutations,
        exact=test.exact,
        p_clustered_delong=clustered_delong(one, other, covid, patients).p_value if is_auc else math.nan,
        p_delong=delong(one, other, covid).p_value if is_auc and single else math.nan,
        p_mcnemar=mcnemar(one, other, covid).p_value if single and not is_auc else math.nan,
        p_paired_t=paired_t_test(_of_the_truth(one, covid), _of_the_truth(other, covid)).p_value,
        fold_difference=of_folds.estimate,
        fold_low=of_folds.low,
        fold_high=of_folds.high,
    )


def _of_folds(first: str, second: str, metric: str, group: Resampled) -> Interval:
    """Return the difference of both methods' means over the folds; NaN on the test set and of no cases."""
    if not group.by_fold:
        return Interval(math.nan, math.nan, math.nan, 0)
    column = METRICS.index(metric)
    differences = group.by_fold[second][:, column] - group.by_fold[first][:, column]
    return bounds_of(metric, float(differences[0]), differences[1:], group.cases)


def _of_the_truth(p: Floats, covid: np.ndarray) -> Floats:
    """Return the probability that was given to each case's true class."""
    return np.where(covid, p, 1 - p)
