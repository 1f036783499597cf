"""One run, evaluated: all numbers of tables, comparisons, calibration and uncertainty, ready to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..diagnosis import THRESHOLD
from ..progress import Progress, silent
from ..run_folder import TEST, VALIDATION, Run
from . import calibration, comparisons, tables
from .attention_text import TextTable
from .bootstrap import RESAMPLES, Floats, patient_draws
from .calibration import Brier, ReliabilityBin, SpreadGroup
from .cases import JudgedCase, judge
from .comparisons import Comparison
from .detection import Detection, detections
from .methods import DECISION, CaseSet, case_sets
from .statistics import PERMUTATIONS
from .tables import Estimate, Row


@dataclass(frozen=True)
class Calibration:
    """How far one method's probabilities can be taken at their word, before and after temperature scaling.

    On the validation set the temperature is cross-fitted (`temperature` is the mean over the folds). Two folds are too
    few for that of a method that was itself fitted: it and what it scales are NaN, and there are no scaled bins. On the
    test set it is that of all folds, fitted on answers of single models, so each fold model's probabilities are scaled
    by it and averaged after. `bins` have equal width.
    """

    method: str
    set: str
    n: int
    error_equal_width: float
    error_equal_mass: float
    brier: Brier
    bins: tuple[ReliabilityBin, ...]
    bins_equal_mass: tuple[ReliabilityBin, ...]
    temperature: float
    scaled_error_equal_width: float
    scaled_error_equal_mass: float
    scaled_brier: float
    scaled_bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Uncertainty:
    """How the decision's fold models disagree on the test set, and whether that warns of its `wrong` answers.

    `answered` are the five figures of the mean of their probabilities: what a bundle of all folds answers.
    """

    n: int
    wrong: int
    models: int
    mean_spread: float
    warns: float
    groups: tuple[SpreadGroup, ...]
    answered: dict[str, Estimate]


@dataclass(frozen=True)
class IndependentTest:
    """A test set that is no part of the run: a cohort that came after it, and how much of it the tables rest on."""

    cohort_sha256: str
    cases: int
    patients: int

    def __str__(self) -> str:
        return f"an independent cohort ({self.cases} CTs of {self.patients} patients) that came after the run"


@dataclass(frozen=True)
class Evaluation:
    """All numbers of a run. `sets` are those that have cases: validation, and test where there is one."""

    run: Run
    resamples: int
    permutations: int
    seed: int
    sets: tuple[CaseSet, ...]
    groups: tuple[tables.Resampled, ...]
    rows: tuple[Row, ...]
    detection: tuple[Detection, ...]
    comparisons: tuple[Comparison, ...]
    calibration: tuple[Calibration, ...]
    uncertainty: Uncertainty | None
    judged: tuple[JudgedCase, ...]
    notes: tuple[str, ...]
    attention_quality: tuple[TextTable, ...] = ()

    @property
    def independent_test(self) -> IndependentTest | None:
        """The cohort that stands in for the test set; None where the test cases, if any, are the run's own."""
        if not self.run.test_cohort_sha256:
            return None
        test = self.run.test
        return IndependentTest(self.run.test_cohort_sha256, len(test), len({case.patient_id for case in test}))

    def row(self, method: str, set_name: str, group: str = tables.ALL) -> Row:
        """Return one row of the tables; KeyError where there is none."""
        for row in self.rows:
            if (row.method, row.set, row.group) == (method, set_name, group):
                return row
        raise KeyError((method, set_name, group))


def evaluate(
    run: Run,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    attention_quality: Sequence[TextTable] = (),
    progress: Progress = silent,
) -> Evaluation:
    """Compute every number of a finished run; the same run, counts and seed give the same numbers.

    Args:
        run: of `run_folder.read_run`, or of `training.independent.with_test_cohort`.
        resamples: of patients, for intervals.
        permutations: for the comparisons.
        seed: of resamples and permutations.
        attention_quality: of `attention_text.text_tables`, to go with the others.
        progress: told where the work stands.

    Raises:
        InputError: models of the run are not finished.
    """
    run.check_finished()
    validation, test, notes = case_sets(run)
    sets = tuple(cases for cases in (validation, test) if cases.cases)
    groups: list[tables.Resampled] = []
    compared: list[Comparison] = []
    for cases in sets:
        progress("resampling patients", 0.5 * sets.index(cases))
        own = tables.resample(cases, resamples, seed)
        groups += own
        compared += comparisons.compare(own, permutations, seed, progress)
    progress("calibration", 0.0)
    return Evaluation(
        run=run,
        resamples=resamples,
        permutations=permutations,
        seed=seed,
        sets=sets,
        groups=tuple(groups),
        rows=tables.rows(tuple(groups)),
        detection=detections(sets, run.segmenter.detection_limit, resamples, seed),
        comparisons=tuple(compared),
        calibration=_calibrations(validation, test, resamples, seed),
        uncertainty=_uncertainty(test, resamples, seed),
        judged=tuple(one for cases in sets for one in judge(cases)),
        notes=run.notes + notes + tables.few_patients(groups),
        attention_quality=tuple(attention_quality),
    )


def _calibrations(validation: CaseSet, test: CaseSet, resamples: int, seed: int) -> tuple[Calibration, ...]:
    found = []
    draws = {cases.name: patient_draws(cases.patients, resamples, seed) for cases in (validation, test)}
    for method in validation.probabilities:
        p = validation.answer(method)
        without = validation.without.get(method)
        scaled = calibration.cross_fitted_temperature(p, validation.is_covid, validation.folds.tolist(), without)
        mean = float(np.mean([temperature for _, temperature in scaled.per_fold]))
        found.append(_calibration(method, validation, p, scaled.probabilities, mean, draws[VALIDATION]))
        if test.cases:
            at = calibration.at_temperature(test.probabilities[method], scaled.for_test).mean(axis=0)
            found.append(_calibration(method, test, test.answer(method), at, scaled.for_test, draws[TEST]))
    return tuple(sorted(found, key=lambda one: one.set != VALIDATION))


def _calibration(
    method: str, cases: CaseSet, p: Floats, scaled: Floats, temperature: float, draws: np.ndarray
) -> Calibration:
    covid = cases.is_covid
    bins = calibration.reliability(p, covid, draws=draws)
    mass = calibration.reliability(p, covid, calibration.EQUAL_MASS)
    is_scaled = not np.isnan(scaled).any()
    scaled_bins = calibration.reliability(scaled, covid, draws=draws) if is_scaled else ()
    scaled_mass = calibration.reliability(scaled, covid, calibration.EQUAL_MASS) if is_scaled else ()
    return Calibration(
        method=method,
        set=cases.name,
        n=len(cases.cases),
        error_equal_width=calibration.calibration_error(bins),
        error_equal_mass=calibration.calibration_error(mass),
        brier=calibration.brier(p, covid),
        bins=bins,
        bins_equal_mass=mass,
        temperature=temperature,
        scaled_error_equal_width=calibration.calibration_error(scaled_bins),
        scaled_error_equal_mass=calibration.calibration_error(scaled_mass),
        scaled_brier=calibration.brier(scaled, covid).score if is_scaled else math.nan,
        scaled_bins=scaled_bins,
    )


def _uncertainty(test: CaseSet, resamples: int, seed: int) -> Uncertainty | None:
    if not test.cases:
        return None
    p = test.probabilities[DECISION]
    return Uncertainty(
        n=len(test.cases),
        wrong=int(np.sum((test.answer(DECISION) >= THRESHOLD) != test.is_covid)),
        models=len(p),
        mean_spread=float(np.mean(calibration.spread(p))),
        warns=calibration.spread_finds_errors(p, test.is_covid),
        groups=calibration.accuracy_by_spread(p, test.is_covid),
        answered=tables.of_answers(test, DECISION, resamples, seed),
    )
