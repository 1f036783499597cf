"""Each test of a difference against an independent implementation, full enumeration or a published example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from DualSamplingCOVIDLib.evaluation.metrics import area, auc
from DualSamplingCOVIDLib.evaluation.statistics import (
    accuracy,
    clustered_delong,
    delong,
    holm,
    mcnemar,
    midranks,
    paired_t_test,
    permutation_test,
    placements,
)


def two_methods(seed: int, n: int, digits: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two correlated methods with ties, and the truth."""
    rng = np.random.default_rng(seed)
    covid = rng.random(n) < 0.45
    shared = rng.normal(size=n) + 1.2 * covid
    first, second = (1 / (1 + np.exp(-shared - rng.normal(size=n) - 0.3 * k * covid)) for k in (0, 1))
    return np.round(first, digits), np.round(second, digits), covid


def test_the_area_is_that_of_scikit_learn() -> None:
    for seed in range(20):
        p, _, covid = two_methods(seed, 50, digits=1)
        assert auc(p, covid) == pytest.approx(roc_auc_score(covid, p), abs=1e-12)


def test_midranks_are_those_of_scipy() -> None:
    x = np.random.default_rng(0).integers(0, 9, (3, 40)).astype(float)
    assert np.array_equal(midranks(x), scipy.stats.rankdata(x, axis=1))


def brute_placements(p: np.ndarray, covid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a COVID-19 and a CAP case, as DeLong et al. write it."""
    kernel = np.array([[(x > y) + 0.5 * (x == y) for y in p[~covid]] for x in p[covid]])
    return kernel.mean(axis=1), kernel.mean(axis=0)


def brute_delong(a: np.ndarray, b: np.ndarray, covid: np.ndarray) -> tuple[float, float]:
    """Return the difference of areas and its standard error from the covariance of the placement values."""
    pairs = [brute_placements(p, covid) for p in (a, b)]
    s10, s01 = (np.cov(np.stack([pair[side] for pair in pairs])) for side in (0, 1))
    s = s10 / covid.sum() + s01 / (~covid).sum()
    return pairs[1][0].mean() - pairs[0][0].mean(), math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_delong_agrees_with_all_pairs(seed: int) -> None:
    a, b, covid = two_methods(seed, 70)
    for fast, slow in zip(placements(a, covid), brute_placements(a, covid), strict=True):
        assert fast == pytest.approx(slow, abs=1e-12)
    found, (difference, error) = delong(a, b, covid), brute_delong(a, b, covid)
    assert (found.difference, found.standard_error) == pytest.approx((difference, error), abs=1e-12)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(difference) / error), abs=1e-12)
    assert found.first == pytest.approx(roc_auc_score(covid, a))


def brute_obuchowski(a: np.ndarray, b: np.ndarray, covid: np.ndarray, patients: np.ndarray) -> float:
    """Return the standard error of the difference, formula by formula as Obuchowski (1997) prints them."""
    names = list(dict.fromkeys(patients))
    m, n = [np.array([np.sum(mask & (patients == name)) for name in names]) for mask in (covid, ~covid)]
    big_m, big_n, clusters = m.sum(), n.sum(), len(names)
    i10, i01 = np.sum(m > 0), np.sum(n > 0)
    x, y, theta = [], [], []
    for p in (a, b):
        v10, v01 = np.zeros(len(p)), np.zeros(len(p))
        v10[covid], v01[~covid] = brute_placements(p, covid)
        theta.append(v10[covid].mean())
        x.append(np.array([v10[covid & (patients == name)].sum() for name in names]))
        y.append(np.array([v01[~covid & (patients == name)].sum() for name in names]))

    def covariance(r: int, s: int) -> float:
        s10 = i10 / ((i10 - 1) * big_m) * np.sum((x[r] - m * theta[r]) * (x[s] - m * theta[s]))
        s01 = i01 / ((i01 - 1) * big_n) * np.sum((y[r] - n * theta[r]) * (y[s] - n * theta[s]))
        s11 = clusters / (clusters - 1) * np.sum((x[r] - m * theta[r]) * (y[s] - n * theta[s]))
        s11_turned = clusters / (clusters - 1) * np.sum((x[s] - m * theta[s]) * (y[r] - n * theta[r]))
        return float(s10 / big_m + s01 / big_n + (s11 + s11_turned) / (big_m * big_n))

    return math.sqrt(covariance(0, 0) + covariance(1, 1) - 2 * covariance(0, 1))


def test_the_clustered_form_is_obuchowskis_also_where_a_patient_has_both_classes() -> None:
    a, b, covid = two_methods(3, 90)
    patients = np.random.default_rng(4).integers(0, 30, 90)
    found = clustered_delong(a, b, covid, list(patients))
    assert found.standard_error == pytest.approx(brute_obuchowski(a, b, covid, patients), abs=1e-12)


def test_scans_that_repeat_their_patient_add_nothing() -> None:
    a, b, covid = two_methods(5, 60)
    one = delong(a, b, covid)
    three = clustered_delong(*(np.repeat(x, 3) for x in (a, b, covid)), list(np.repeat(np.arange(60), 3)))
    naive = delong(*(np.repeat(x, 3) for x in (a, b, covid)))
    assert three.standard_error == pytest.approx(one.standard_error)
    assert naive.standard_error < 0.65 * one.standard_error


def test_areas_cannot_be_compared_with_one_patient_of_a_class() -> None:
    found = clustered_delong([0.1, 0.2, 0.9], [0.3, 0.2, 0.8], [False, False, True], ["a", "b", "c"])
    assert math.isnan(found.p_value)
    one_value, perfect, covid = [0.5] * 4, [0.1, 0.2, 0.8, 0.9], [False, False, True, True]
    assert math.isnan(clustered_delong(one_value, perfect, covid, list("abcd")).p_value)
    assert math.isnan(delong(one_value, perfect, covid).p_value)
    assert delong([0.1, 0.2, 0.9, 0.5], [0.1, 0.2, 0.9, 0.5], [False, False, True, True]).p_value == 1.0


@pytest.mark.parametrize("statistic", [area, accuracy])
def test_few_patients_are_permuted_exhaustively(statistic) -> None:  # type: ignore[no-untyped-def]
    a, b, covid = two_methods(8, 12)
    patients = [0, 0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 6]
    seen = statistic(b, covid) - statistic(a, covid)
    extreme = 0
    for bits in itertools.product((0, 1), repeat=7):
        swap = np.array([bits[patient] for patient in patients], dtype=bool)
        x, y = np.where(swap, b, a), np.where(swap, a, b)
        extreme += abs(statistic(y, covid) - statistic(x, covid)) >= abs(seen) - 1e-12
    found = permutation_test(statistic, a, b, covid, patients)
    assert found.exact and found.permutations == 2**7
    assert found.p_value == pytest.approx(extreme / 2**7)
    assert found.difference == pytest.approx(seen)


def test_random_swaps_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, covid = two_methods(9, 20)
    patients = list(np.repeat(np.arange(10), 2))
    exact = permutation_test(area, a, b, covid, patients)
    monkeypatch.setattr("DualSamplingCOVIDLib.evaluation.statistics.EXHAUSTIVE_UP_TO", 2)
    drawn = permutation_test(area, a, b, covid, patients, permutations=4000)
    assert not drawn.exact and 0.02 < exact.p_value < 0.98
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.03)
    assert drawn == permutation_test(area, a, b, covid, patients, permutations=4000)


def test_the_permutation_test_keeps_its_level_with_many_scans_a_patient() -> None:
    rng, rejected, naive = np.random.default_rng(21), 0, 0
    for trial in range(120):
        patient = np.repeat(np.arange(30), 4)
        covid = (np.arange(30) % 2 == 0)[patient]
        a, b = (1 / (1 + np.exp(-(rng.normal(size=30) + 1.0)[patient] * np.where(covid, 1, -1))) for _ in range(2))
        arguments = (accuracy, a, b, covid)
        rejected += permutation_test(*arguments, list(patient), 200, seed=trial).p_value <= 0.05
        naive += permutation_test(*arguments, list(range(120)), 200, seed=trial).p_value <= 0.05
    print(f"permutation test by patient rejects {rejected / 1.2:.1f} % at 5 %, by scan {naive / 1.2:.1f} %")
    assert rejected <= 12 and naive > 20


def test_several_models_are_swapped_together_and_averaged() -> None:
    a, b, covid = two_methods(10, 40)
    one = permutation_test(area, a, b, covid, list(range(40)), 300)
    two = permutation_test(area, np.stack([a, a]), np.stack([b, b]), covid, list(range(40)), 300)
    assert two == one


def test_mcnemar_is_the_sign_test_of_scipy() -> None:
    for seed in range(6):
        a, b, covid = two_methods(seed, 80)
        found = mcnemar(a, b, covid)
        n = found.only_first + found.only_second
        assert found.p_value == pytest.approx(scipy.stats.binomtest(found.only_first, n, 0.5).pvalue if n else 1.0)
    right = np.ones(20, dtype=bool)
    assert mcnemar(np.full(20, 0.9), np.full(20, 0.9), right).p_value == 1.0
    assert math.isnan(mcnemar([], [], []).p_value)


def test_holm_is_the_textbooks() -> None:
    # Four tests of 0.01, 0.04, 0.03, 0.005 (Holm's procedure): 0.03, 0.06, 0.06, 0.02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    adjusted = holm([0.5, math.nan, 0.9])
    assert math.isnan(adjusted[1]) and (adjusted[0], adjusted[2]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_the_paired_t_test_is_scipys() -> None:
    for seed, n in ((0, 2), (1, 5), (2, 400), (3, 3000)):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=n)
        b = a + rng.normal(0.05, 0.4, n)
        expected = scipy.stats.ttest_rel(b, a)
        found = paired_t_test(a, b)
        assert (found.t, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
        assert found.degrees_of_freedom == n - 1
    assert paired_t_test([0.1, 0.2], [0.1, 0.2]).p_value == 1.0 and math.isnan(paired_t_test([1], [2]).p_value)
