"""Cohorts: the paper's mix of classes and ratios, nuisances that do not give the label away, files as documented."""

import csv
import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.cohort import read_cohort
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.phantom import NORMAL, cohort_plan, draw_case, draw_nuisances, write_cohort
from DualSamplingCOVIDLib.phantom.variety import FULL

TABLE_III = {COVID: (151, 318, 625), CAP: (838, 183, 71)}


@pytest.mark.parametrize("label", [COVID, CAP])
def test_the_plan_follows_the_strata_of_table_iii(label):
    ratios = [case.ratio for case in cohort_plan(2186, 3) if case.label == label]
    assert len(ratios) == 1093
    strata = [CutOffs().stratum(ratio) for ratio in ratios]
    counts = [strata.count(name) for name in ("small", "medium", "large")]
    np.testing.assert_allclose(counts, TABLE_III[label], atol=2)


def test_a_plan_takes_another_mix_of_ratios():
    mix = {COVID: ((0.1, 0.2, 1), (0.3, 0.4, 3)), CAP: ((0.01, 0.02, 1),)}
    plan = cohort_plan(80, 3, strata=mix)
    ratios = {label: [case.ratio for case in plan if case.label == label] for label in (COVID, CAP)}
    assert sum(0.1 <= ratio <= 0.2 for ratio in ratios[COVID]) == 10
    assert sum(0.3 <= ratio <= 0.4 for ratio in ratios[COVID]) == 30
    assert all(0.01 <= ratio <= 0.02 for ratio in ratios[CAP]) and len(ratios[CAP]) == 40


def test_drawn_cases_follow_the_same_strata():
    drawn = [draw_case(seed) for seed in range(3000)]
    assert drawn == [draw_case(seed) for seed in range(3000)]
    assert np.mean([label == COVID for label, _ in drawn]) == pytest.approx(0.5, abs=0.03)
    large = np.mean([ratio > 0.03 for label, ratio in drawn if label == COVID])
    assert large == pytest.approx(625 / 1094, abs=0.04)


def test_a_plan_is_repeatable_mixes_its_classes_and_has_the_wanted_normals():
    plan = cohort_plan(100, 5, normals=0.2)
    assert plan == cohort_plan(100, 5, normals=0.2) != cohort_plan(100, 6, normals=0.2)
    labels = [case.label for case in plan]
    assert [labels.count(label) for label in (NORMAL, COVID, CAP)] == [20, 40, 40]
    assert len(set(labels[:15])) == 3
    assert len({case.case_id for case in plan}) == len({case.seed for case in plan}) == 100
    assert all((case.ratio is None) == (case.label == NORMAL) for case in plan)


@pytest.mark.parametrize(("cases", "normals"), [(0, 0.0), (5, 1.5)])
def test_impossible_plans_are_refused(cases, normals):
    with pytest.raises(ValueError, match="at least one case"):
        cohort_plan(cases, 1, normals)


def test_nuisances_do_not_tell_the_label():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plan = cohort_plan(2000, 7)
    drawn = [draw_nuisances(case.seed) for case in plan]
    factors = np.array(
        [
            (
                *n.spacing_mm[1:],
                n.noise_hu,
                n.kernel,
                n.body_scale,
                n.fat_mm,
                case.age,
                case.sex == "F",
                case.site == "site-1",
            )
            for n, case in zip(drawn, plan, strict=True)
        ]
    )
    covid = np.array([case.label == COVID for case in plan])
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(model, factors, covid, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(covid, scores) == pytest.approx(0.5, abs=0.045)


def test_a_written_cohort_has_its_manifest_and_images(tmp_path):
    heard = []
    plan = write_cohort(tmp_path / "cohort", 2, 9, lambda *report: heard.append(report), spacing_mm=(4.0, 4.0, 5.0))
    assert heard == [("phantoms", 0.0), ("phantoms", 0.5), ("phantoms", 1.0)]
    with (tmp_path / "cohort" / "cohort.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == "case_id,patient_id,image,label,lungs,infection,site,age,sex,split"
    assert [row["label"] for row in rows] == [case.label for case in plan]
    assert "Computer-made" in (tmp_path / "cohort" / "phantoms.json").read_text(encoding="utf-8")
    cases = read_cohort(tmp_path / "cohort" / "cohort.csv")
    assert [(case.case_id, case.age, case.split) for case in cases] == [(c.case_id, c.age, c.split) for c in plan]
    for row, case in zip(rows, plan, strict=True):
        ct, lungs, infection = (
            sitk.ReadImage(str(tmp_path / "cohort" / row[name])) for name in ("image", "lungs", "infection")
        )
        assert ct.GetSize() == lungs.GetSize() == infection.GetSize()
        sides, infected = sitk.GetArrayFromImage(lungs), sitk.GetArrayFromImage(infection)
        assert set(np.unique(sides)) == {0, 1, 2}
        assert infected.sum() / np.count_nonzero(sides) == pytest.approx(case.ratio, rel=0.05)


def test_a_written_cohort_shows_what_its_variety_may(tmp_path):
    fewer = dataclasses.replace(FULL, vessels=False)
    spacing, voxels = (4.0, 4.0, 5.0), {}
    for name, variety in (("full", FULL), ("fewer", fewer)):
        (case,) = write_cohort(tmp_path / name, 1, 9, spacing_mm=spacing, variety=variety)
        lungs, ct = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / case.case_id / f"{part}.nii.gz")))
            for part in ("lungs", "ct")
        )
        voxels[name] = ct[lungs > 0]
    assert np.mean(voxels["fewer"] > -500) < 0.9 * np.mean(voxels["full"] > -500)


@pytest.mark.parametrize("label", [COVID, CAP])
def test_every_split_of_a_small_plan_has_both_classes(label: str):
    splits = [case.split for case in cohort_plan(20, 4) if case.label == label]
    assert [splits.count(name) for name in ("train", "validation", "test")] == [6, 2, 2]
