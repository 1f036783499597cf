"""Is a difference between two methods real? Tests on the same cases, most of them aware that patients have many scans.

The default is `permutation_test`, by patient. `delong` and `mcnemar` take one scan a patient; `clustered_delong`
(Obuchowski 1997) takes any number. `paired_t_test` is what the paper can have meant, for replication only. Nothing here
stands on a statistics library, so that the tests can hold it against one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import THRESHOLD

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]
Statistic = Callable[[Floats, Truth], float]
"""(values [case], truth [case]) -> figure of one method, such as `area` or `accuracy`."""

PERMUTATIONS = 2000
EXHAUSTIVE_UP_TO = 10
"""With no more patients than this every one of the 2^patients swaps is looked at instead of a sample."""


@dataclass(frozen=True)
class PermutationTest:
    """`difference` is the second method's figure minus the first's; `exact` where every swap was looked at."""

    difference: float
    p_value: float
    permutations: int
    exact: bool


@dataclass(frozen=True)
class AreaComparison:
    """Two correlated areas under the ROC curve, the standard error of their difference and its two-sided p-value."""

    first: float
    second: float
    difference: float
    standard_error: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """Cases that only the first, and only the second method answers rightly, and the exact two-sided p-value.

    Without cases the p-value is NaN: nothing was compared.
    """

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class PairedT:
    """Paired t-test over cases: mean difference, t, degrees of freedom, two-sided p-value."""

    mean_difference: float
    t: float
    degrees_of_freedom: int
    p_value: float


def accuracy(values: Floats, covid: Truth) -> float:
    """Return the share of cases that threshold 0.5 answers rightly; NaN without cases."""
    return float(np.mean((values >= THRESHOLD) == covid)) if len(covid) else math.nan


def permutation_test(
    statistic: Statistic,
    first: ArrayLike,
    second: ArrayLike,
    is_covid: ArrayLike,
    patients: Sequence[Hashable],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PermutationTest:
    """Test whether two methods differ by swapping their answers, for all scans of a patient together.

    Args:
        statistic: figure of one method; of several models its mean over them is compared.
        first: values of the first method [case] or [model, case].
        second: values of the second method, of the same shape. For areas give `midranks` of both, so that methods whose
            values have different scales can be swapped.
        is_covid: truth [case].
        patients: whose scan each case is [case].
        permutations: random swaps, beside the one that was seen.
        seed: of the swaps.

    The p-value is two-sided and NaN where the figure is not defined.
    """
    a, b = np.atleast_2d(np.asarray(first, np.float64)), np.atleast_2d(np.asarray(second, np.float64))
    covid = np.asarray(is_covid, dtype=bool)
    if a.shape != b.shape or a.shape[1:] != covid.shape or len(patients) != len(covid):
        raise ValueError("both methods, truth and patients must have one value a case")
    seen = _mean_difference(statistic, a, b, covid)
    if math.isnan(seen):
        return PermutationTest(seen, math.nan, 0, False)
    swaps, exact = _swaps(patients, permutations, seed)
    extreme = 0
    for swap in swaps:
        difference = _mean_difference(statistic, np.where(swap, b, a), np.where(swap, a, b), covid)
        extreme += abs(difference) >= abs(seen) - 1e-12
    p_value = extreme / len(swaps) if exact else (1 + extreme) / (1 + len(swaps))
    return PermutationTest(seen, p_value, len(swaps), exact)


def _mean_difference(statistic: Statistic, a: Floats, b: Floats, covid: Truth) -> float:
    return float(np.mean([statistic(y, covid) - statistic(x, covid) for x, y in zip(a, b, strict=True)]))


def _swaps(patients: Sequence[Hashable], permutations: int, seed: int) -> tuple[Truth, bool]:
    """Return which cases are swapped in each permutation [permutation, case], and whether these are all there are."""
    numbers: dict[Hashable, int] = {}
    of_case = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients])
    if len(numbers) <= EXHAUSTIVE_UP_TO:
        every = np.array(list(itertools.product((False, True), repeat=len(numbers))), dtype=bool)
        return every[:, of_case], True
    drawn = np.random.default_rng(seed).integers(2, size=(permutations, len(numbers))).astype(bool)
    return drawn[:, of_case], False


def midranks(values: ArrayLike) -> Floats:
    """Return the rank of each value along the last axis, from 1; equal values share the mean of theirs."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim > 1:
        return np.stack([midranks(row) for row in x])
    ordered = np.sort(x)
    return (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right") + 1) / 2


def delong(first: ArrayLike, second: ArrayLike, is_covid: ArrayLike) -> AreaComparison:
    """Compare two areas under the ROC curve on cases that are ALL of different patients (DeLong et al. 1988).

    The placement values come from midranks (Sun and Xu 2014), in time n log n.
    """
    return clustered_delong(first, second, is_covid, range(np.asarray(is_covid).size))


def clustered_delong(
    first: ArrayLike, second: ArrayLike, is_covid: ArrayLike, patients: Sequence[Hashable]
) -> AreaComparison:
    """Compare two areas under the ROC curve where a patient has several scans (Obuchowski, Biometrics 53:567, 1997).

    Args:
        first: values of the first method [case].
        second: values of the second method [case].
        is_covid: truth [case].
        patients: whose scan each case is [case]; with one scan each this is DeLong's test.

    All of it is NaN where a class has fewer than two patients.
    """
    covid = np.asarray(is_covid, dtype=bool)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if not a.shape == b.shape == covid.shape or len(patients) != len(covid):
        raise ValueError("both methods, truth and patients must have one value a case")
    numbers: dict[Hashable, int] = {}
    cluster = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.int64)
    if min(len(set(cluster[covid])), len(set(cluster[~covid]))) < 2:
        return AreaComparison(*[math.nan] * 5)
    covids, caps = int(covid.sum()), int((~covid).sum())
    sums, areas = [], []
    for values in (a, b):
        of_covid, of_cap = placements(values, covid)
        theta = float(of_covid.mean())
        areas.append(theta)
        by_patient = [
            np.bincount(cluster[mask], own - theta, minlength=len(numbers))
            for mask, own in ((covid, of_covid), (~covid, of_cap))
        ]
        sums.append(by_patient)
    difference = np.array(sums[1]) - np.array(sums[0])  # [class, patient]: of the second minus of the first
    with_covid, with_cap = len(set(cluster[covid])), len(set(cluster[~covid]))
    variance = with_covid / (with_covid - 1) * float(difference[0] @ difference[0]) / covids**2
    variance += with_cap / (with_cap - 1) * float(difference[1] @ difference[1]) / caps**2
    both = len(numbers) / (len(numbers) - 1) * float(difference[0] @ difference[1]) / (covids * caps)
    error = math.sqrt(max(variance + 2 * both, 0.0))
    change = areas[1] - areas[0]
    return AreaComparison(areas[0], areas[1], change, error, _two_sided(change, error))


def placements(values: Floats, covid: Truth) -> tuple[Floats, Floats]:
    """Return the placement values of the COVID-19 cases (share of CAP below) and of the CAP cases (share above)."""
    ranks = midranks(values)
    covids, caps = int(covid.sum()), int((~covid).sum())
    of_covid = (ranks[covid] - midranks(values[covid])) / caps
    of_cap = 1 - (ranks[~covid] - midranks(values[~covid])) / covids
    return of_covid, of_cap


def _two_sided(difference: float, error: float) -> float:
    if difference == 0:
        return 1.0
    return math.erfc(abs(difference) / error / math.sqrt(2)) if error else math.nan  # too few cases to tell


def mcnemar(first: ArrayLike, second: ArrayLike, is_covid: ArrayLike) -> McNemar:
    """Compare the answers at threshold 0.5 on cases that are ALL of different patients: McNemar's exact test."""
    covid = np.asarray(is_covid, dtype=bool)
    right = [(np.asarray(values, np.float64) >= THRESHOLD) == covid for values in (first, second)]
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(~right[0] & right[1]))
    if not len(covid):
        return McNemar(0, 0, math.nan)
    n, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(least + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**n))


def paired_t_test(first: ArrayLike, second: ArrayLike) -> PairedT:
    """Test whether the mean of second - first over cases is 0. Takes scans as independent, which those of a patient
    are not: for replication of the paper only."""
    change = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    n = len(change)
    if n < 2:
        return PairedT(math.nan, math.nan, max(n - 1, 0), math.nan)
    mean, error = float(change.mean()), float(change.std(ddof=1)) / math.sqrt(n)
    if not error:
        return PairedT(mean, math.copysign(math.inf, mean) if mean else 0.0, n - 1, 0.0 if mean else 1.0)
    t = mean / error
    return PairedT(mean, t, n - 1, _incomplete_beta((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number (Holm 1979), in their order; NaN is no test and stays NaN."""
    known = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[index] = largest
    return tuple(adjusted)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    tiny, c, d = 1e-300, 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / ((1 + step * d) or tiny)
            c = (1 + step / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction
