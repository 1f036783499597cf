"""Probabilities against what happened."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from DualSamplingCOVIDLib.evaluation.bootstrap import patient_draws
from DualSamplingCOVIDLib.evaluation.calibration import (
    EQUAL_MASS,
    EQUAL_WIDTH,
    accuracy_by_spread,
    at_temperature,
    brier,
    calibration_error,
    cross_fitted_temperature,
    fit_temperature,
    reliability,
    spread,
    spread_finds_errors,
)


def overconfident(n: int = 3000, factor: float = 2.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose logits are `factor` times too large, and the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, n)
    return 1 / (1 + np.exp(-factor * logits)), rng.random(n) < 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(("kind", "strategy"), [(EQUAL_WIDTH, "uniform"), (EQUAL_MASS, "quantile")])
def test_the_reliability_diagram_is_that_of_scikit_learn(kind: str, strategy: str) -> None:
    p, covid = overconfident()
    groups = reliability(p, covid, kind)
    share, mean = calibration_curve(covid, p, n_bins=10, strategy=strategy)
    assert [group.share for group in groups] == pytest.approx(list(share))
    assert [group.mean_probability for group in groups] == pytest.approx(list(mean))
    assert sum(group.n for group in groups) == len(p)
    assert calibration_error(groups) == pytest.approx(
        sum(group.n / len(p) * abs(s - m) for group, s, m in zip(groups, share, mean, strict=True))
    )


def test_equal_mass_bins_hold_equally_many_and_one_belongs_to_the_last() -> None:
    assert {group.n for group in reliability(np.linspace(0, 1, 100), np.arange(100) % 2 == 0, EQUAL_MASS)} == {10}
    (only,) = reliability([1.0, 1.0], [True, False])
    assert (only.low, only.high, only.n) == (0.9, 1.0, 2)
    assert reliability([], []) == () and math.isnan(calibration_error(()))
    with pytest.raises(ValueError, match="equal-width"):
        reliability([0.1], [True], "other")


def test_shares_have_intervals_by_patient() -> None:
    p, covid = overconfident(300)
    single = reliability(p, covid, draws=patient_draws(list(range(300)), 300))
    repeated = reliability(
        *(np.repeat(x, 4) for x in (p, covid)), draws=patient_draws(list(np.repeat(range(300), 4)), 300)
    )
    assert all(group.share_low <= group.share <= group.share_high for group in single)
    assert [g.share_high - g.share_low for g in repeated] == pytest.approx([g.share_high - g.share_low for g in single])


def test_the_brier_score_is_the_sum_of_its_parts() -> None:
    p, covid = overconfident()
    for kind in (EQUAL_WIDTH, EQUAL_MASS):
        found = brier(p, covid, kind)
        assert found.score == pytest.approx(brier_score_loss(covid, p))
        assert found.score == pytest.approx(
            found.reliability - found.resolution + found.uncertainty + found.within, abs=1e-12
        )
        assert found.uncertainty == pytest.approx(covid.mean() * (1 - covid.mean()))
    exact = brier(np.round(p, 0) * 0.8 + 0.1, covid)  # one value a bin: nothing is left within
    assert exact.within == pytest.approx(0, abs=1e-12)


def test_the_temperature_is_that_of_least_log_loss() -> None:
    p, covid = overconfident()
    x = np.log(p / (1 - p))
    best = minimize_scalar(lambda t: np.mean(np.logaddexp(0, np.where(covid, -x, x) / t)), bounds=(0.1, 10))
    assert fit_temperature(x, covid) == pytest.approx(best.x, rel=1e-4)
    assert fit_temperature(x, covid) == pytest.approx(2.5, rel=0.1)
    assert fit_temperature([3.0, 1.0], [True, True]) == 1.0
    assert fit_temperature([-1.0, 1.0], [False, True]) == pytest.approx(0.01, rel=1e-3)  # told apart without error


def test_each_fold_is_scaled_by_what_the_others_teach() -> None:
    p, covid = overconfident()
    folds = np.arange(len(p)) % 3
    scaled = cross_fitted_temperature(p, covid, list(folds))
    expected = fit_temperature(np.log(p / (1 - p))[folds != 1], covid[folds != 1])
    assert dict(scaled.per_fold)[1] == pytest.approx(expected, rel=1e-6)
    assert scaled.probabilities[folds == 1] == pytest.approx(at_temperature(p[folds == 1], expected), rel=1e-6)
    before, after = (calibration_error(reliability(x, covid)) for x in (p, scaled.probabilities))
    assert after < 0.4 * before


def test_a_fitted_methods_temperature_rests_on_answers_in_which_the_fold_had_no_part() -> None:
    p, covid = overconfident()
    folds = np.arange(len(p)) % 3
    without = np.tile(at_temperature(p, 2.0), (3, 1))
    without[0] = p
    without[2, folds == 0] = np.nan  # too few folds are left for fold 2
    scaled = cross_fitted_temperature(p, covid, list(folds), without)
    plain = dict(cross_fitted_temperature(p, covid, list(folds)).per_fold)
    found = dict(scaled.per_fold)
    assert found[0] == plain[0]
    assert found[1] == pytest.approx(plain[1] / 2, rel=1e-6)
    assert math.isnan(found[2])
    assert scaled.for_test == cross_fitted_temperature(p, covid, list(folds)).for_test


def test_what_two_folds_leave_no_temperature_for_has_none() -> None:
    p, covid, folds = np.array([0.2, 0.7, 0.4, 0.9]), np.array([False, True, False, True]), [0, 0, 1, 1]
    scaled = cross_fitted_temperature(p, covid, folds, np.full((2, 4), np.nan))
    assert np.isnan(scaled.probabilities).all() and all(math.isnan(t) for _, t in scaled.per_fold)


def test_a_temperature_of_single_models_is_right_for_each_of_them_and_not_for_their_mean() -> None:
    rng = np.random.default_rng(7)
    evidence = rng.normal(0, 1.5, 4000)
    covid = rng.random(4000) < 1 / (1 + np.exp(-evidence))
    models = 1 / (1 + np.exp(-1.6 * (evidence + rng.normal(0, 1.5, (5, 4000)))))
    temperature = fit_temperature(np.log(models[0] / (1 - models[0])), covid)
    assert temperature > 1.5
    each = at_temperature(models, temperature)
    of_mean = at_temperature(models.mean(axis=0), temperature)
    single, averaged, wrong = (calibration_error(reliability(p, covid)) for p in (each[1], each.mean(axis=0), of_mean))
    assert single < 0.03  # what it was fitted for
    assert averaged < wrong - 0.01  # averaging softens; scaling the mean does so a second time
    assert averaged > single


def test_accuracy_falls_where_the_fold_models_disagree() -> None:
    rng = np.random.default_rng(3)
    evidence = rng.normal(0, 2, 400)
    covid = rng.random(400) < 1 / (1 + np.exp(-evidence))
    p = 1 / (1 + np.exp(-evidence - rng.normal(0, 0.7, (5, 400))))
    assert spread(p) == pytest.approx(p.std(axis=0, ddof=1))
    groups = accuracy_by_spread(p, covid)
    assert [group.n for group in groups] == [100] * 4
    assert groups[0].accuracy > groups[3].accuracy + 0.15
    assert groups[0].high <= groups[1].low
    wrong = (p.mean(axis=0) >= 0.5) != covid
    assert spread_finds_errors(p, covid) == pytest.approx(roc_auc_score(wrong, spread(p)))


def test_one_model_has_no_spread() -> None:
    assert np.isnan(spread([[0.2, 0.4]])).all()
    assert accuracy_by_spread([[0.2, 0.4]], [True, False]) == ()
    assert math.isnan(spread_finds_errors([[0.2, 0.4]], [True, False]))
