"""Folds are by patient, alike, repeatable, and checked when read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.training.folds import fold_problem, make_folds


def _cohort(patients: int, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Patients of one to four scans each; a label a patient, a stratum a scan."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        for _ in range(rng.integers(1, 5)):
            rows.append((f"p{number}", COVID if number % 2 else CAP, str(rng.choice(["small", "medium", "large"]))))
    names, labels, strata = (list(column) for column in zip(*rows, strict=True))
    return names, labels, strata


def test_no_patient_is_in_two_folds_and_the_folds_are_alike() -> None:
    patients, labels, strata = _cohort(120)
    folds = make_folds(patients, labels, strata, 5, seed=3)
    assert fold_problem(patients, labels, folds, 5) is None
    of_patient: dict[str, set[int]] = {}
    for patient, fold in zip(patients, folds, strict=True):
        of_patient.setdefault(patient, set()).add(fold)
    assert all(len(found) == 1 for found in of_patient.values())
    counts = Counter(zip(folds, labels, strata, strict=True))
    for label in (COVID, CAP):
        for stratum in ("small", "medium", "large"):
            share = [counts[fold, label, stratum] for fold in range(5)]
            assert max(share) - min(share) <= 5, (label, stratum, share)


def test_the_seed_decides_the_folds() -> None:
    cohort = _cohort(40)
    assert make_folds(*cohort, 5, seed=3) == make_folds(*cohort, 5, seed=3) != make_folds(*cohort, 5, seed=4)


def test_strata_rarer_than_folds_do_not_stand_in_the_way() -> None:
    patients = [f"p{number}" for number in range(8)]
    labels = [COVID, CAP] * 4
    strata = ["small", "medium", "large", "small", "medium", "large", "large", "small"]
    folds = make_folds(patients, labels, strata, 4, seed=0)
    assert Counter(zip(folds, labels, strict=True)) == {(fold, label): 1 for fold in range(4) for label in (COVID, CAP)}


def test_too_few_patients_are_refused_however_many_scans_they_have() -> None:
    patients = ["a", "a", "a", "b", "c", "d"]
    labels = [COVID, COVID, COVID, CAP, CAP, CAP]
    with pytest.raises(InputError, match="1 patients with COVID-19 do not make 3 folds"):
        make_folds(patients, labels, ["small"] * 6, 3, seed=0)


@pytest.mark.parametrize(
    ("folds", "problem"),
    [
        ([0, 0, 1, 1], None),
        ([0, 0, 2, 1], "there is no fold 2 among 2"),
        ([0, 0, 1, 0], "patient 'b' is in the folds 1 and 0"),
        ([0, 0, 0, 0], "fold 1 has no case of CAP and COVID-19"),
    ],
)
def test_what_is_wrong_with_folds_is_said(folds: list[int], problem: str | None) -> None:
    patients, labels = ["a", "c", "b", "b"], [COVID, CAP, COVID, CAP]
    assert fold_problem(patients, labels, folds, 2) == problem
