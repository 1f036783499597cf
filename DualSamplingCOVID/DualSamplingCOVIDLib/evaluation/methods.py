"""What each method of Tables II and III answers for every case of a run: three networks, their ensembles, the ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import CutOffs
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, MODELS, TEST, VALIDATION, Run, RunCase
from .combining import FORMS, LEAST_SHARE, cross_fitted, fitted_on

Floats = NDArray[np.float64]

DUAL, RATIO = "attention-ds", "ratio"
DECISION = DUAL
"""The method whose answers are the run's: Eq. 5 as printed."""

TITLES = {
    BASELINE_US: "RN34 + US",
    ATTENTION_US: "Attention RN34 + US",
    ATTENTION_SS: "Attention RN34 + SS",
    DUAL: "Attention RN34 + DS",
    "attention-ds-table": "Attention RN34 + DS, table form",
    "attention-ds-fitted": "Attention RN34 + DS, fitted",
    "attention-ds-stacker": "Attention RN34 + DS, stacker",
    RATIO: "Infection ratio alone",
}
"""Method -> what it is called in tables and figures. The paper's four come first."""

PAPER_METHODS = tuple(TITLES)[:4]
_FORM_OF = dict(zip(tuple(TITLES)[3:7], FORMS, strict=True))


@dataclass(frozen=True)
class CaseSet:
    """The validation cases pooled over the folds, or the test cases, with what each method says of them.

    `probabilities` of COVID-19 are [model, case]: one row on the validation set (each case by the model that never saw
    it), one a fold model on the test set. `folds` is [case], -1 on the test set.
    """

    name: str
    cases: tuple[RunCase, ...]
    probabilities: dict[str, Floats]

    @cached_property
    def is_covid(self) -> NDArray[np.bool_]:
        """Truth [case]."""
        return np.array([case.is_covid for case in self.cases], dtype=bool)

    @cached_property
    def ratios(self) -> Floats:
        """Infection ratios [case]."""
        return np.array([case.ratio for case in self.cases], dtype=np.float64)

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """Whose validation case each is [case]."""
        return np.array([-1 if case.fold is None else case.fold for case in self.cases], dtype=np.int64)

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Whose scan each case is [case]."""
        return tuple(case.patient_id for case in self.cases)

    def part(self, stratum: str) -> CaseSet:
        """Return the cases of one stratum."""
        inside = np.array([case.stratum == stratum for case in self.cases], dtype=bool)
        cases = tuple(case for case in self.cases if case.stratum == stratum)
        return CaseSet(self.name, cases, {name: p[:, inside] for name, p in self.probabilities.items()})

    def answer(self, method: str) -> Floats:
        """Return one probability a case: out of fold, or the mean over the fold models."""
        return self.probabilities[method].mean(axis=0)


def case_sets(run: Run) -> tuple[CaseSet, CaseSet, tuple[str, ...]]:
    """Return the validation set, the test set (without cases where the run has none), and why a method is left out.

    Whatever is fitted (w of the fitted form, the stacker, the ratio's own logistic regression) is cross-fitted: fold k
    by the other folds' out-of-fold predictions. On the test set w and the stacker are fitted on all folds, and the
    ratio's regression stands for fold model k where it was fitted on the cases that fold k's networks learned from.
    """
    validation, test = run.validation, run.test
    logits = {name: _validation_logits(run, name) for name in MODELS}
    test_logits = {name: _test_logits(run, name) for name in MODELS}
    own = {name: _sigmoid(values)[None] for name, values in logits.items()}
    other = {name: _sigmoid(values) for name, values in test_logits.items()}
    base = CaseSet(VALIDATION, validation, {})
    test_ratios = CaseSet(TEST, test, {}).ratios
    cut_offs, truth = run.segmenter.cut_offs, base.is_covid
    us, ss = logits[ATTENTION_US], logits[ATTENTION_SS]
    notes = []
    for method, form in _FORM_OF.items():
        try:
            own[method] = cross_fitted(form, us, ss, base.ratios, truth, base.folds, cut_offs)[None]
            combine = fitted_on(form, us, ss, base.ratios, truth, cut_offs)
            pairs = zip(test_logits[ATTENTION_US], test_logits[ATTENTION_SS], strict=True)
            other[method] = np.array([combine(u, s, test_ratios) for u, s in pairs]).reshape(run.folds, len(test))
        except ValueError as error:
            own.pop(method, None)
            notes.append(f"{TITLES[method]} is left out: {error}")
    by_fold = [_ratio_alone(base.ratios[base.folds != k], truth[base.folds != k], cut_offs) for k in range(run.folds)]
    own[RATIO] = np.empty((1, len(validation)))
    for fold, regression in enumerate(by_fold):
        own[RATIO][0, base.folds == fold] = regression(base.ratios[base.folds == fold])
    other[RATIO] = np.array([regression(test_ratios) for regression in by_fold])
    return CaseSet(VALIDATION, validation, own), CaseSet(TEST, test, other), tuple(notes)


def _validation_logits(run: Run, name: str) -> Floats:
    models = [run.model(fold, name) for fold in range(run.folds)]
    return np.array([models[case.fold].logits[case.case_id] for case in run.validation if case.fold is not None])


def _test_logits(run: Run, name: str) -> Floats:
    models = [run.model(fold, name) for fold in range(run.folds)]
    rows = [[model.logits[case.case_id] for case in run.test] for model in models]
    return np.array(rows, dtype=np.float64).reshape(run.folds, len(run.test))


def _ratio_alone(ratios: Floats, is_covid: NDArray[np.bool_], cut_offs: CutOffs) -> Callable[[Floats], Floats]:
    """Fit a logistic regression on the log ratio; with one class alone that class's share is the answer."""
    from sklearn.linear_model import LogisticRegression

    def feature(ratios: Floats) -> Floats:
        return np.log(np.maximum(ratios, LEAST_SHARE * cut_offs.minimal))[:, None]

    if is_covid.all() or not is_covid.any():
        return lambda ratios: np.full(len(ratios), float(is_covid.any()))
    model = LogisticRegression().fit(feature(ratios), is_covid)
    return lambda ratios: model.predict_proba(feature(ratios))[:, 1] if len(ratios) else np.empty(0)


def _sigmoid(logits: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(logits), dtype=np.float64)
