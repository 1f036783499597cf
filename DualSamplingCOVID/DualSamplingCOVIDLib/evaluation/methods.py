"""What each method of Tables II and III answers for every case of a run: three networks, their ensembles, the ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import CutOffs
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, MODELS, TEST, VALIDATION, Run, RunCase
from .combining import FORMS, LEAST_SHARE, cross_fitted, fitted_on
from .metrics import sigmoid

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
_FORM_OF = dict(zip(tuple(TITLES)[4:7], FORMS[1:], strict=True))


@dataclass(frozen=True)
class CaseSet:
    """The validation cases pooled over the folds, or the test cases, with what each method says of them.

    `probabilities` of COVID-19 are [model, case]: one row on the validation set (each case by the model that never saw
    it), one a fold model on the test set. `folds` is [case], -1 on the test set. `without` is what a fitted method
    answers [fold, case] where fold k's cases had no part in its fit: what may be fitted for fold k rests on row k. NaN
    for fold k's own cases, and where too few folds are left.
    """

    name: str
    cases: tuple[RunCase, ...]
    probabilities: dict[str, Floats]
    without: dict[str, Floats] = field(default_factory=dict)

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


def paper_sets(run: Run) -> tuple[CaseSet, CaseSet]:
    """Return the validation and the test set with what the paper's four methods answer, the decision by Eq. 5.

    Nothing is fitted, so a run that is not finished will do: the cases of folds without all models are left out, and
    test cases are answered by the folds that are finished (left out where none is).
    """
    folds = finished_folds(run)
    validation = tuple(case for case in run.validation if case.fold in folds)
    own = {name: _validation_logits(run, name, validation)[None] for name in MODELS}
    other = {name: _test_logits(run, name, folds) for name in MODELS}
    cut_offs = run.segmenter.cut_offs
    return (
        _answered(VALIDATION, validation, own, cut_offs),
        _answered(TEST, run.test if folds else (), other, cut_offs),
    )


def _answered(name: str, cases: tuple[RunCase, ...], logits: dict[str, Floats], cut_offs: CutOffs) -> CaseSet:
    """Return a set with each model's probabilities and Eq. 5's, of logits [model, case]."""
    probabilities = {model: sigmoid(rows) for model, rows in logits.items()}
    combine = fitted_on("equation", [], [], [], [], cut_offs)
    ratios = CaseSet(name, cases, {}).ratios
    rows = [combine(us, ss, ratios) for us, ss in zip(logits[ATTENTION_US], logits[ATTENTION_SS], strict=True)]
    probabilities[DUAL] = np.array(rows).reshape(len(rows), len(cases))
    return CaseSet(name, cases, probabilities)


def finished_folds(run: Run) -> tuple[int, ...]:
    """Return the folds whose three models have predicted."""
    found = {(model.fold, model.name) for model in run.models}
    return tuple(fold for fold in range(run.folds) if all((fold, name) in found for name in MODELS))


def case_sets(run: Run) -> tuple[CaseSet, CaseSet, tuple[str, ...]]:
    """Return the validation set, the test set (without cases where the run has none), and why a method is left out.

    Whatever is fitted (w of the fitted form, the stacker, the ratio's own logistic regression) is cross-fitted: fold k
    by the other folds' out-of-fold predictions. On the test set w and the stacker are fitted on all folds, and the
    ratio's regression stands for fold model k where it was fitted on the cases that fold k's networks learned from.
    """
    base, other = paper_sets(run)
    test_logits = {name: _test_logits(run, name, range(run.folds)) for name in (ATTENTION_US, ATTENTION_SS)}
    cut_offs, truth = run.segmenter.cut_offs, base.is_covid
    us, ss = (_validation_logits(run, name, base.cases) for name in (ATTENTION_US, ATTENTION_SS))

    def combined(form: str, kept: NDArray[np.bool_]) -> Floats:
        cases = us[kept], ss[kept], base.ratios[kept], truth[kept], base.folds[kept]
        return cross_fitted(form, *cases, cut_offs)

    notes = []
    for method, form in _FORM_OF.items():
        try:
            crossed = combined(form, np.ones(len(truth), dtype=bool))[None]
            combine = fitted_on(form, us, ss, base.ratios, truth, cut_offs)
            pairs = zip(test_logits[ATTENTION_US], test_logits[ATTENTION_SS], strict=True)
            rows = np.array([combine(u, s, other.ratios) for u, s in pairs]).reshape(run.folds, len(other.cases))
        except ValueError as error:
            notes.append(f"{TITLES[method]} is left out: {error}")
            continue
        base.probabilities[method], other.probabilities[method] = crossed, rows
        base.without[method] = _without_each_fold(partial(combined, form), base.folds, run.folds)
    by_fold = [_ratio_alone(base.ratios[base.folds != k], truth[base.folds != k], cut_offs) for k in range(run.folds)]
    base.probabilities[RATIO] = _ratio_crossed(base.ratios, truth, base.folds, cut_offs)[None]
    base.without[RATIO] = _without_each_fold(
        lambda kept: _ratio_crossed(base.ratios[kept], truth[kept], base.folds[kept], cut_offs), base.folds, run.folds
    )
    other.probabilities[RATIO] = np.array([regression(other.ratios) for regression in by_fold])
    return base, other, tuple(notes)


def _validation_logits(run: Run, name: str, cases: Sequence[RunCase]) -> Floats:
    """Return each case's logit by its own fold's model [case]."""
    logits = [run.model(case.fold, name).logits[case.case_id] for case in cases if case.fold is not None]
    return np.array(logits, dtype=np.float64)


def _test_logits(run: Run, name: str, folds: Sequence[int]) -> Floats:
    """Return the test cases' logits by each fold's model [fold, case]."""
    rows = [[run.model(fold, name).logits[case.case_id] for case in run.test] for fold in folds]
    return np.array(rows, dtype=np.float64).reshape(len(folds), len(run.test))


def _without_each_fold(crossed: Callable[[NDArray[np.bool_]], Floats], folds: NDArray[np.int64], amount: int) -> Floats:
    """Return [fold, case]: row k is what `crossed` gives of the other folds' cases, as if fold k were not there."""
    rows = np.full((amount, len(folds)), np.nan)
    for fold in range(amount):
        kept = folds != fold
        with suppress(ValueError):  # too few folds or classes are left
            rows[fold, kept] = crossed(kept)
    return rows


def _ratio_crossed(ratios: Floats, is_covid: NDArray[np.bool_], folds: NDArray[np.int64], cut_offs: CutOffs) -> Floats:
    """Return the ratio's regression's answers [case], each fold's by the other folds."""
    names = np.unique(folds)
    if len(names) < 2:
        raise ValueError("cross-fitting needs at least two folds")
    answers = np.empty(len(ratios))
    for fold in names:
        own = folds == fold
        answers[own] = _ratio_alone(ratios[~own], is_covid[~own], cut_offs)(ratios[own])
    return answers


def _ratio_alone(ratios: Floats, is_covid: NDArray[np.bool_], cut_offs: CutOffs) -> Callable[[Floats], Floats]:
    """Fit a logistic regression on the log ratio; with one class alone that class's share is the answer."""
    from sklearn.linear_model import LogisticRegression

    def feature(ratios: Floats) -> Floats:
        return np.log(np.maximum(ratios, LEAST_SHARE * cut_offs.minimal))[:, None]

    if is_covid.all() or not is_covid.any():
        return lambda ratios: np.full(len(ratios), float(is_covid.any()))
    model = LogisticRegression().fit(feature(ratios), is_covid)
    return lambda ratios: model.predict_proba(feature(ratios))[:, 1] if len(ratios) else np.empty(0)
