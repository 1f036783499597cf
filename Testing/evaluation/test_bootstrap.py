"""Intervals by patient."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from DualSamplingCOVIDLib.evaluation.bootstrap import interval, patient_bootstrap, patient_draws, weighted_figures
from DualSamplingCOVIDLib.evaluation.metrics import auc, scores


def predictions(patients: int, scans: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return scans that repeat their patient's probability exactly."""
    rng = np.random.default_rng(5)
    covid = np.arange(patients) % 2 == 0
    p = np.clip(0.5 + 0.15 * np.where(covid, 1, -1) + rng.normal(0, 0.2, patients), 0, 1)
    return np.repeat(p, scans), np.repeat(covid, scans), list(np.repeat(np.arange(patients), scans))


def test_repeated_scans_do_not_narrow_the_interval() -> None:
    single, repeated = predictions(40, 1), predictions(40, 6)
    one = patient_bootstrap(auc, *single, resamples=300)
    six = patient_bootstrap(auc, *repeated, resamples=300)
    naive = patient_bootstrap(auc, repeated[0], repeated[1], range(240), resamples=300)
    assert one.estimate == pytest.approx(six.estimate)
    assert (six.low, six.high) == pytest.approx((one.low, one.high))
    assert naive.high - naive.low < 0.6 * (six.high - six.low)
    assert one.low < one.estimate < one.high


def test_the_interval_is_repeatable_and_skips_undefined_draws() -> None:
    p, covid, patients = [0.9, 0.2, 0.4], [True, False, False], ["a", "b", "c"]
    first = patient_bootstrap(auc, p, covid, patients, resamples=100, seed=4)
    assert first == patient_bootstrap(auc, p, covid, patients, resamples=100, seed=4)
    assert 0 < first.resamples < 100
    none = patient_bootstrap(auc, [0.9], [True], ["a"], resamples=10)
    assert none.resamples == 0 and math.isnan(none.low)


def test_a_figure_that_no_resample_changes_has_no_interval() -> None:
    one = patient_bootstrap(accuracy, [0.9, 0.8, 0.9], [True] * 3, ["a", "a", "a"], resamples=50)
    assert (one.estimate, one.resamples) == (1.0, 50) and math.isnan(one.low) and math.isnan(one.high)
    perfect = patient_bootstrap(auc, [0.9, 0.8, 0.3, 0.1], [True, True, False, False], "abcd", resamples=50)
    assert perfect.estimate == 1.0 and math.isnan(perfect.low)
    wrong_once = patient_bootstrap(accuracy, [0.9, 0.8, 0.3], [True] * 3, "abc", resamples=50)
    assert wrong_once.low < wrong_once.estimate < wrong_once.high


def accuracy(p: np.ndarray, covid: np.ndarray) -> float:
    return float(np.mean((p >= 0.5) == covid))


def test_a_patients_scans_are_drawn_together() -> None:
    draws = patient_draws(["a", "b", "a", "c"], resamples=50)
    assert draws.shape == (50, 4)
    assert np.array_equal(draws[:, 0], draws[:, 2]) and not np.array_equal(draws[:, 0], draws[:, 1])
    assert set(draws[:, [0, 1, 3]].sum(axis=1)) == {3}


def test_weighted_figures_are_those_of_the_cases_repeated() -> None:
    rng = np.random.default_rng(1)
    p, covid = np.round(rng.uniform(size=60), 1), rng.random(60) < 0.4  # rounded: many ties
    draws = patient_draws(list(np.repeat(np.arange(20), 3)), resamples=450)
    found = weighted_figures(p, covid, draws)
    for times, row in zip(draws, found, strict=True):
        drawn = np.repeat(np.arange(60), times)
        assert row == pytest.approx(dataclasses.astuple(scores(p[drawn], covid[drawn])), nan_ok=True)


def test_weighted_figures_without_a_class_or_cases_are_not_numbers() -> None:
    (row,) = weighted_figures([0.2, 0.8], [True, True], [[1, 1]])
    assert np.isnan(row[[0, 3, 4]]).all() and row[1:3] == pytest.approx([0.5, 0.5])
    assert np.isnan(weighted_figures([], [], np.zeros((3, 0)))).all()


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered, naive = np.random.default_rng(11), 0, 0
    for trial in range(200):
        patient = np.repeat(np.arange(60), rng.integers(1, 7, 60))
        right = rng.normal(0, 1.5, 60)[patient] + rng.normal(0, 0.5, len(patient)) > -1.0
        p, truth = np.where(right, 0.9, 0.1), np.ones(len(patient), dtype=bool)
        expected = 0.5 * math.erfc(-1 / math.sqrt(2 * 2.5))  # P(N(0, 2.5) > -1)
        for patients, counted in ((patient, True), (np.arange(len(patient)), False)):
            found = weighted_figures(p, truth, patient_draws(list(patients), 250, seed=trial))[:, 1]
            bounds = interval(float(right.mean()), found)
            covered += counted and bounds.low <= expected <= bounds.high
            naive += (not counted) and bounds.low <= expected <= bounds.high
    print(f"bootstrap by patient covers {covered / 2:.1f} % of 95 %, by scan {naive / 2:.1f} %")
    assert 0.90 <= covered / 200 <= 0.985
    assert naive < covered - 20


def test_figures_that_differ_in_their_last_bit_make_no_interval() -> None:
    found = interval(0.3, [0.1 + 0.2, 0.3, 0.3])
    assert 0.1 + 0.2 != 0.3 and math.isnan(found.low) and math.isnan(found.high)
