"""The forms of the ensemble, and that no case is combined by what it was fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.ensemble import combine, fit_weights
from DualSamplingCOVIDLib.evaluation.combining import FITTED_FORMS, FORMS, cross_fitted, fitted_on

PAPER = CutOffs()
FOLDS = np.arange(60) % 3


def _cases(seed: int = 0, cases: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """US tells small infections apart and SS large ones; the other network guesses."""
    rng = np.random.default_rng(seed)
    covid = rng.permutation(np.arange(cases) % 2 == 0)
    ratio = np.where(rng.random(cases) < 0.5, 0.0005, 0.08)
    signal, noise = 3.0 * (2 * covid - 1), rng.normal(0, 3, (2, cases))
    us, ss = (np.where(own, signal, 0) + n for own, n in zip((ratio < 0.01, ratio > 0.01), noise, strict=True))
    return us, ss, ratio, covid


@pytest.mark.parametrize("form", ["equation", "table"])
def test_equation_and_table_are_those_of_the_ensemble(form: str) -> None:
    us, ss, ratio, covid = _cases()
    ratio = np.resize([0.0, 0.0005, 0.001, 0.01, 0.03, 0.2], 60)
    found = cross_fitted(form, us, ss, ratio, covid, FOLDS, PAPER)
    expected = [combine(u, s, r, PAPER, form) for u, s, r in zip(expit(us), expit(ss), ratio, strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)
    assert (fitted_on(form, us, ss, ratio, covid, PAPER)(us, ss, ratio) == found).all()


def test_fitted_weights_are_those_of_the_other_folds_and_on_the_test_set_of_all() -> None:
    us, ss, ratio, covid = _cases()
    p_us, p_ss = expit(us), expit(ss)
    found = cross_fitted("fitted", us, ss, ratio, covid, FOLDS, PAPER)
    for fold in range(3):
        own = fold == FOLDS
        fitted = fit_weights(p_us[~own], p_ss[~own], ratio[~own], covid[~own], PAPER)
        w = np.where(ratio[own] < 0.01, fitted.below, fitted.above)
        assert found[own] == pytest.approx(w * p_us[own] + (1 - w) * p_ss[own], abs=1e-12)
    on_test = fitted_on("fitted", us, ss, ratio, covid, PAPER)(us, ss, ratio)
    fitted = fit_weights(p_us, p_ss, ratio, covid, PAPER)
    w = np.where(ratio < 0.01, fitted.below, fitted.above)
    assert on_test == pytest.approx(w * p_us + (1 - w) * p_ss, abs=1e-12)


@pytest.mark.parametrize("form", FITTED_FORMS)
def test_a_folds_own_truth_never_reaches_its_probabilities(form: str) -> None:
    us, ss, ratio, covid = _cases()
    own = FOLDS == 1
    turned = np.where(own, ~covid, covid)
    before, after = (cross_fitted(form, us, ss, ratio, truth, FOLDS, PAPER) for truth in (covid, turned))
    assert (before[own] == after[own]).all()
    assert np.abs(before[~own] - after[~own]).max() > 1e-3


def test_the_stacker_is_a_logistic_regression_on_both_logits_and_the_log_ratio() -> None:
    """Against a fit of the same penalised likelihood by another optimiser."""
    from scipy.optimize import minimize

    us, ss, ratio, covid = _cases()
    raw = np.column_stack([us, ss, np.log(ratio)])
    x = (raw - raw.mean(0)) / raw.std(0)
    y = np.where(covid, 1.0, -1.0)

    def loss(p: np.ndarray) -> float:
        return float(np.logaddexp(0, -y * (x @ p[:3] + p[3])).sum() + 0.5 * (p[:3] ** 2).sum())

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    found = fitted_on("stacker", us, ss, ratio, covid, PAPER)(us, ss, ratio)
    assert logit(found) == pytest.approx(x @ best[:3] + best[3], abs=2e-3)


def test_the_stacker_beats_one_network_where_each_knows_half() -> None:
    us, ss, ratio, covid = _cases(cases=600)
    found = cross_fitted("stacker", us, ss, ratio, covid, np.arange(600) % 5, PAPER)
    right = [float(np.mean((values > 0.5) == covid)) for values in (found, expit(us), expit(ss))]
    assert right[0] > max(right[1:]) + 0.03


def test_a_ratio_of_0_has_a_probability() -> None:
    us, ss, ratio, covid = _cases()
    on = fitted_on("stacker", us, ss, np.where(ratio < 0.01, 0.0, ratio), covid, PAPER)
    assert np.isfinite(on([0.0], [0.0], [0.0])).all()


@pytest.mark.parametrize("form", FORMS)
def test_no_cases_give_no_probabilities(form: str) -> None:
    assert fitted_on(form, *_cases(), PAPER)([], [], []).shape == (0,)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"form": "median"}, "form must be one of"),
        ({"us_logits": [0.0]}, "two logits and a ratio"),
        ({"is_covid": [True]}, "needs its truth"),
        ({"folds": [0]}, "needs its fold"),
        ({"folds": np.zeros(60)}, "at least two folds"),
        ({"us_logits": np.full(60, np.nan)}, "must be numbers"),
        ({"is_covid": FOLDS == 0, "form": "stacker"}, "both classes"),
    ],
)
def test_what_cannot_be_combined_is_refused(change: dict[str, object], cause: str) -> None:
    us, ss, ratio, covid = _cases()
    given = {"form": "fitted", "us_logits": us, "ss_logits": ss, "ratios": ratio, "is_covid": covid, "folds": FOLDS}
    with pytest.raises(ValueError, match=cause):
        cross_fitted(**{**given, **change}, cut_offs=PAPER)
