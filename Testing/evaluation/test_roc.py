"""ROC curves and their band."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from DualSamplingCOVIDLib.evaluation.bootstrap import patient_draws
from DualSamplingCOVIDLib.evaluation.metrics import auc
from DualSamplingCOVIDLib.evaluation.roc import band, curve


def some_answers(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    covid = rng.random(n) < 0.5
    return np.round(1 / (1 + np.exp(-rng.normal(size=n) - covid)), 2), covid


def test_the_curve_is_that_of_scikit_learn_and_its_area_the_auc() -> None:
    p, covid = some_answers()
    false, true = curve(p, covid)
    expected = roc_curve(covid, p, drop_intermediate=False)
    assert false == pytest.approx(expected[0]) and true == pytest.approx(expected[1])
    assert np.trapezoid(true, false) == pytest.approx(auc(p, covid))


def test_the_band_is_what_the_repeated_cases_give() -> None:
    p, covid = some_answers(40)
    draws = patient_draws(list(np.repeat(np.arange(20), 2)), 60)
    heights = []
    for times in draws:
        drawn = np.repeat(np.arange(40), times)
        false, true = curve(p[drawn], covid[drawn])
        heights.append([true[false <= x].max() for x in (0.0, 0.25, 0.5, 0.75, 1.0)])
    found = band(p, covid, draws, points=5)
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    assert found.high[-1] == found.low[-1] == 1.0


def test_one_class_has_no_band() -> None:
    assert not len(band([0.1, 0.2], [True, True], np.ones((3, 2), dtype=np.int64)).low)
