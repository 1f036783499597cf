"""Folds by patient, alike in labels and infection ratios (section IV-C; stratification is ours)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import InputError


def make_folds(
    patients: Sequence[str], labels: Sequence[str], strata: Sequence[str], folds: int, seed: int
) -> list[int]:
    """Return each case's fold, 0 to `folds` - 1: no patient is in two, and all are as alike as patients let them.

    Args:
        patients: whose scan each case is [case].
        labels: COVID-19 or CAP [case].
        strata: the infection ratio's group [case].
        folds: how many.
        seed: the same seed and cases give the same folds.

    Raises:
        InputError: too few patients of a label for so many folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    check_patients(patients, labels, folds)
    kinds = np.array([f"{label} {stratum}" for label, stratum in zip(labels, strata, strict=True)])
    for groups in (kinds, np.array(labels)):  # strata that are rarer than folds may leave a fold without a label
        found = np.zeros(len(groups), dtype=int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
            try:
                for fold, (_, own) in enumerate(splitter.split(groups, groups, patients)):
                    found[own] = fold
            except ValueError:  # every stratum is rarer than folds
                continue
        problem = fold_problem(patients, labels, found.tolist(), folds)
        if problem is None:
            return found.tolist()
    raise InputError(f"no {folds} folds can be made: {problem}; choose fewer folds")


def check_patients(patients: Sequence[str], labels: Sequence[str], folds: int) -> None:
    """Refuse with an InputError patients [case] of labels [case] that cannot make so many folds."""
    for label in sorted(set(labels)):
        amount = len({patient for patient, own in zip(patients, labels, strict=True) if own == label})
        if amount < folds:
            raise InputError(f"{amount} patients with {label} do not make {folds} folds: choose fewer folds")


def fold_problem(patients: Sequence[str], labels: Sequence[str], found: Sequence[int], folds: int) -> str | None:
    """Say what is wrong with folds that were read: a patient in two, a number out of range, a label that one lacks."""
    of_patient: dict[str, int] = {}
    for patient, fold in zip(patients, found, strict=True):
        if not 0 <= fold < folds:
            return f"there is no fold {fold} among {folds}"
        if of_patient.setdefault(patient, fold) != fold:
            return f"patient {patient!r} is in the folds {of_patient[patient]} and {fold}"
    for fold in range(folds):
        lacking = set(labels) - {label for label, own in zip(labels, found, strict=True) if own == fold}
        if lacking:
            return f"fold {fold} has no case of {' and '.join(sorted(lacking))}"
    return None
