"""What each method answers, and that nothing fitted saw the case that it is used on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from _run_folder import noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.ensemble import combine
from DualSamplingCOVIDLib.evaluation.calibration import cross_fitted_temperature
from DualSamplingCOVIDLib.evaluation.combining import fitted_on
from DualSamplingCOVIDLib.evaluation.methods import DUAL, RATIO, TITLES, CaseSet, case_sets
from DualSamplingCOVIDLib.run_folder import ATTENTION_SS, ATTENTION_US, FoldModel, Run, read_run


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    scans = scans_of(24, folds=3, test_patients=8, seed=2)
    return read_run(write_run(tmp_path_factory.mktemp("methods") / "run", scans, noisy_logits(scans), 3))


def test_the_ensemble_is_eq_5_of_each_folds_networks(a_run: Run) -> None:
    validation, test, notes = case_sets(a_run)
    assert not notes and list(TITLES) == [m for m in TITLES if m in validation.probabilities]
    cut_offs = a_run.segmenter.cut_offs
    us, ss = (validation.probabilities[name][0] for name in (ATTENTION_US, ATTENTION_SS))
    expected = [combine(u, s, r, cut_offs) for u, s, r in zip(us, ss, validation.ratios, strict=True)]
    assert validation.probabilities[DUAL][0] == pytest.approx(expected)
    assert test.probabilities[DUAL].shape == (3, len(a_run.test))
    us, ss = (test.probabilities[name][1] for name in (ATTENTION_US, ATTENTION_SS))
    expected = [combine(u, s, r, cut_offs, "table") for u, s, r in zip(us, ss, test.ratios, strict=True)]
    assert test.probabilities["attention-ds-table"][1] == pytest.approx(expected)


def _turned(run: Run) -> Run:
    """Return the run with the truth of fold 0 turned around."""
    turned = {COVID: CAP, CAP: COVID}
    cases = (dataclasses.replace(case, label=turned[case.label]) if case.fold == 0 else case for case in run.cases)
    return dataclasses.replace(run, cases=tuple(cases))


def test_a_fitted_form_does_not_see_its_own_fold(a_run: Run) -> None:
    (before, _, _), (after, _, _) = case_sets(a_run), case_sets(_turned(a_run))
    own = before.folds == 0
    for method in ("attention-ds-stacker", RATIO, "attention-ds-fitted"):
        assert np.array_equal(before.probabilities[method][0, own], after.probabilities[method][0, own])
        assert not np.allclose(before.probabilities[method][0, ~own], after.probabilities[method][0, ~own])
        assert np.isfinite(before.without[method][0, ~own]).all() and np.isnan(before.without[method][0, own]).all()
        assert np.array_equal(before.without[method][0, ~own], after.without[method][0, ~own])
        assert not np.allclose(
            before.without[method][1, before.folds == 2], after.without[method][1, before.folds == 2]
        )


def test_the_temperature_of_a_fold_does_not_depend_on_its_own_truth(a_run: Run) -> None:
    (before, _, _), (after, _, _) = case_sets(a_run), case_sets(_turned(a_run))
    for method in before.probabilities:
        own, other = (_temperature_of_fold_0(cases, method) for cases in (before, after))
        assert own == other, method


def _temperature_of_fold_0(cases: CaseSet, method: str) -> float:
    p, without = cases.probabilities[method][0], cases.without.get(method)
    return dict(cross_fitted_temperature(p, cases.is_covid, cases.folds.tolist(), without).per_fold)[0]


def test_the_test_set_is_combined_by_what_all_folds_taught(a_run: Run) -> None:
    validation, test, _ = case_sets(a_run)
    logits = {
        name: [a_run.model(case.fold or 0, name).logits[case.case_id] for case in a_run.validation]
        for name in (ATTENTION_US, ATTENTION_SS)
    }
    combined = fitted_on(
        "stacker", logits[ATTENTION_US], logits[ATTENTION_SS], validation.ratios, validation.is_covid,
        a_run.segmenter.cut_offs,
    )  # fmt: skip
    own = [[a_run.model(2, name).logits[c.case_id] for c in a_run.test] for name in (ATTENTION_US, ATTENTION_SS)]
    assert test.probabilities["attention-ds-stacker"][2] == pytest.approx(combined(*own, test.ratios))


def test_the_ratio_alone_is_a_regression_on_its_logarithm(a_run: Run) -> None:
    validation, test, _ = case_sets(a_run)

    def feature(ratios: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(ratios, 0.0001))[:, None]

    model = LogisticRegression().fit(feature(validation.ratios[validation.folds != 1]),
                                     validation.is_covid[validation.folds != 1])  # fmt: skip
    own = validation.folds == 1
    assert validation.probabilities[RATIO][0, own] == pytest.approx(
        model.predict_proba(feature(validation.ratios[own]))[:, 1]
    )
    assert test.probabilities[RATIO][1] == pytest.approx(model.predict_proba(feature(test.ratios))[:, 1])


def test_a_method_that_cannot_be_fitted_is_left_out_and_named(a_run: Run) -> None:
    only = tuple(
        dataclasses.replace(case, label="COVID-19" if case.fold else "CAP")
        for case in a_run.cases
        if case.fold in (0, 1)
    )
    models = tuple(FoldModel(m.fold, m.name, m.logits) for m in a_run.models if m.fold < 2)
    validation, test, notes = case_sets(dataclasses.replace(a_run, cases=only, models=models, folds=2))
    assert "attention-ds-stacker" not in validation.probabilities and DUAL in validation.probabilities
    assert notes == ("Attention RN34 + DS, stacker is left out: the stacker needs cases of both classes to learn from",)
    assert not test.cases and test.probabilities[DUAL].shape == (2, 0)


def test_paths_of_a_case_set_follow_its_stratum(a_run: Run) -> None:
    validation, _, _ = case_sets(a_run)
    part = validation.part("large")
    inside = [case.stratum == "large" for case in validation.cases]
    assert np.array_equal(part.probabilities[DUAL][0], validation.probabilities[DUAL][0, inside])
    assert all(isinstance(case.image, Path) and case.ratio > 0.03 for case in part.cases)
