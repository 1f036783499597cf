"""The planned comparisons of one run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from _run_folder import Scan, noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.evaluation.bootstrap import patient_bootstrap
from DualSamplingCOVIDLib.evaluation.comparisons import PLANNED, Comparison, compare
from DualSamplingCOVIDLib.evaluation.methods import DUAL, CaseSet, case_sets
from DualSamplingCOVIDLib.evaluation.metrics import auc
from DualSamplingCOVIDLib.evaluation.statistics import clustered_delong, delong, holm, mcnemar, paired_t_test
from DualSamplingCOVIDLib.evaluation.tables import few_patients, resample, rows
from DualSamplingCOVIDLib.run_folder import ATTENTION_US, BASELINE_US, read_run


def some_sets(folder: Path, most_scans: int) -> tuple[CaseSet, CaseSet]:
    scans = scans_of(36, folds=3, test_patients=24, most_scans=most_scans)
    validation, test, _ = case_sets(read_run(write_run(folder, scans, noisy_logits(scans), 3)))
    return validation, test


@pytest.fixture(scope="module")
def a_set(tmp_path_factory: pytest.TempPathFactory) -> CaseSet:
    return some_sets(tmp_path_factory.mktemp("comparisons") / "run", 3)[0]


@pytest.fixture(scope="module")
def compared(a_set: CaseSet) -> tuple[Comparison, ...]:
    return compare(resample(a_set, 300, 0), permutations=200)


def test_each_planned_comparison_is_made_of_auc_and_accuracy(compared: tuple[Comparison, ...]) -> None:
    for metric in ("auc", "accuracy"):
        assert [(c.first, c.second, c.group) for c in compared if c.metric == metric] == list(PLANNED)


def test_a_difference_is_that_of_the_figures_with_an_interval_by_patient(
    a_set: CaseSet, compared: tuple[Comparison, ...]
) -> None:
    first, second = a_set.answer(BASELINE_US), a_set.answer(ATTENTION_US)
    found = compared[0]
    assert found.difference == pytest.approx(auc(second, a_set.is_covid) - auc(first, a_set.is_covid))
    both = np.arange(len(first))  # the metric looks the drawn cases up

    def difference(cases: np.ndarray, covid: np.ndarray) -> float:
        drawn = cases.astype(int)
        return auc(second[drawn], covid) - auc(first[drawn], covid)

    expected = patient_bootstrap(difference, both, a_set.is_covid, a_set.patients, 300)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == len(first) and found.patients == 36


def test_the_difference_within_folds_stands_beside_the_pooled_one(tmp_path: Path) -> None:
    """A network whose scores shift from fold to fold loses pooled and nothing within: only the mean of folds tells."""
    scans = scans_of(36, folds=3, test_patients=8, most_scans=1)
    plain = noisy_logits(scans)

    def shifted(fold: int, model: str, scan: Scan) -> float:
        return plain(0, ATTENTION_US, scan) + (5.0 * (scan.fold or 0) if model == BASELINE_US else 0.0)

    validation, test, _ = case_sets(read_run(write_run(tmp_path / "run", scans, shifted, 3)))
    (found,) = [one for one in compare(resample(validation, 300, 0), permutations=20) if _is_first(one)]
    assert found.difference > 0.1 and found.fold_difference == pytest.approx(0, abs=1e-12)
    assert math.isnan(found.fold_low)  # no resample changes it
    accuracy = compare(resample(validation, 300, 0), permutations=20)[len(PLANNED)]
    folds = [validation.folds == fold for fold in range(3)]
    right = {m: (validation.answer(m) >= 0.5) == validation.is_covid for m in (BASELINE_US, ATTENTION_US)}
    expected = np.mean([right[ATTENTION_US][own].mean() - right[BASELINE_US][own].mean() for own in folds])
    assert accuracy.metric == "accuracy" and accuracy.fold_difference == pytest.approx(expected)
    assert accuracy.fold_low < expected < accuracy.fold_high
    assert all(math.isnan(one.fold_difference) for one in compare(resample(test, 20, 0), permutations=10))


def _is_first(one: Comparison) -> bool:
    return (one.first, one.second, one.group, one.metric) == (BASELINE_US, ATTENTION_US, "all", "auc")


def test_where_one_patient_is_a_class_no_interval_claims_to_know_what_both_classes_make(a_set: CaseSet) -> None:
    """The draws without that patient have no AUC, and the others never vary it."""
    kept = np.array([not case.is_covid or case.patient_id == "p000" for case in a_set.cases])
    cases = tuple(case for case, is_kept in zip(a_set.cases, kept, strict=True) if is_kept)
    lone = CaseSet(a_set.name, cases, {name: p[:, kept] for name, p in a_set.probabilities.items()})
    assert 0 < lone.is_covid.sum() < len(cases)
    groups = resample(lone, 200, 0)
    for row in rows(groups):
        assert math.isnan(row.auc.low) and math.isnan(row.f1.high)
    whole = next(row for row in rows(groups) if row.group == "all" and row.method == BASELINE_US)
    assert not math.isnan(whole.auc.value) and not math.isnan(whole.specificity.low)
    by_metric = {one.metric: one for one in compare(groups, permutations=20) if one.group == "all"}
    assert math.isnan(by_metric["auc"].low) and not math.isnan(by_metric["accuracy"].low)
    (note,) = few_patients(groups)
    assert "1 with COVID-19 (validation)" in note and few_patients(resample(a_set, 10, 0)[:1]) == ()


def test_p_values_are_adjusted_within_a_figure_and_set(compared: tuple[Comparison, ...]) -> None:
    family = [one for one in compared if one.metric == "accuracy"]
    assert [one.p_holm for one in family] == list(holm([one.p_value for one in family]))
    assert any(one.p_holm > one.p_value for one in family)


def test_with_several_scans_a_patient_only_clustered_tests_are_given(
    a_set: CaseSet, compared: tuple[Comparison, ...]
) -> None:
    whole = [one for one in compared if one.group == "all"]
    assert all(math.isnan(one.p_delong) and math.isnan(one.p_mcnemar) for one in whole)
    expected = clustered_delong(a_set.answer(BASELINE_US), a_set.answer(ATTENTION_US), a_set.is_covid, a_set.patients)
    assert whole[0].p_clustered_delong == pytest.approx(expected.p_value)
    covid = a_set.is_covid
    given = [np.where(covid, p, 1 - p) for p in (a_set.answer(BASELINE_US), a_set.answer(ATTENTION_US))]
    assert whole[0].p_paired_t == pytest.approx(paired_t_test(*given).p_value)


def test_with_one_scan_a_patient_delong_and_mcnemar_are_given(tmp_path: Path) -> None:
    validation, _ = some_sets(tmp_path / "run", 1)
    area, accuracy = (
        next(one for one in compare(resample(validation, 20, 0), 50) if one.metric == metric)
        for metric in ("auc", "accuracy")
    )
    pair = (validation.answer(BASELINE_US), validation.answer(ATTENTION_US), validation.is_covid)
    assert area.p_delong == area.p_clustered_delong == pytest.approx(delong(*pair).p_value)
    assert accuracy.p_mcnemar == pytest.approx(mcnemar(*pair).p_value)
    assert math.isnan(accuracy.p_delong) and math.isnan(area.p_mcnemar)


def test_a_group_without_cases_has_no_p_value(tmp_path: Path) -> None:
    scans = [dataclasses.replace(scan, ratio=0.01) for scan in scans_of(18, folds=3, most_scans=1)]
    validation, _, _ = case_sets(read_run(write_run(tmp_path / "run", scans, noisy_logits(scans), 3)))
    empty = [one for one in compare(resample(validation, 20, 0), 50) if one.group == "small"]
    assert [(one.metric, one.n, one.patients) for one in empty] == [("auc", 0, 0), ("accuracy", 0, 0)]
    for one in empty:
        values = (one.difference, one.p_value, one.p_holm, one.p_delong, one.p_mcnemar, one.p_paired_t)
        assert all(math.isnan(value) for value in values)


def test_methods_that_answer_alike_do_not_differ(a_set: CaseSet) -> None:
    alike = dict(a_set.probabilities) | {DUAL: a_set.probabilities[ATTENTION_US]}
    found = compare(resample(dataclasses.replace(a_set, probabilities=alike), 20, 0), 50)
    same = [one for one in found if (one.first, one.second) == (ATTENTION_US, DUAL)]
    assert len(same) == 6
    assert all(one.difference == 0 and one.p_value == 1 and one.p_paired_t == 1 for one in same)


def test_the_fold_models_of_the_test_set_are_compared_on_average(tmp_path: Path) -> None:
    _, test = some_sets(tmp_path / "run", 2)
    found = compare(resample(test, 20, 0), 50)[2]
    areas = [[auc(p, test.is_covid) for p in test.probabilities[method]] for method in (found.first, found.second)]
    assert found.difference == pytest.approx(np.mean(areas[1]) - np.mean(areas[0]))
    assert compare((), 10) == ()
