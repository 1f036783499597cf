"""What `analyze` answers against what the tables ask: cases below the detection limit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from _run_folder import Scan, noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.ensemble import decide
from DualSamplingCOVIDLib.evaluation.detection import Detection, detections
from DualSamplingCOVIDLib.evaluation.evaluate import evaluate
from DualSamplingCOVIDLib.run_folder import ATTENTION_SS, ATTENTION_US, read_run

LIMIT = 0.01
COVID = {0.001: True, 0.002: True, 0.01: True, 0.02: True, 0.05: False, 0.1: True}
CAP = {0.001: True, 0.002: False, 0.003: True, 0.01: False, 0.02: True, 0.05: True}
"""Infection ratio -> whether the networks name the class rightly; a ratio of the limit itself is not below it."""


def _run(folder: Path) -> Path:
    scans = [
        Scan(f"{name}-{where}-{ratio}", f"{name}-{where}-{ratio}", name == "covid", fold, ratio)
        for name, cases in (("covid", COVID), ("cap", CAP))
        for where in ("own", "test")
        for number, ratio in enumerate(cases)
        for fold in [number % 2 if where == "own" else None]
    ]

    def logit(fold: int, _model: str, scan: Scan) -> float:
        right = (COVID if scan.covid else CAP)[scan.ratio]
        if scan.fold is None and fold == 1 and scan.ratio == 0.02:
            right = False  # on the test set the second fold's models make one mistake more
        return 2.0 if scan.covid == right else -2.0

    return write_run(folder, scans, logit, 2, detection_limit=LIMIT)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Detection]:
    run = read_run(_run(tmp_path_factory.mktemp("detection") / "run"))
    return {(one.set, one.label): one for one in evaluate(run, resamples=200, permutations=10).detection}


def test_cases_below_the_limit_are_counted_by_set_and_class(found: dict[tuple[str, str], Detection]) -> None:
    assert {key: (one.n, one.below) for key, one in found.items()} == {
        ("validation", "COVID-19"): (6, 2),
        ("validation", "CAP"): (6, 3),
        ("test", "COVID-19"): (6, 2),
        ("test", "CAP"): (6, 3),
    }


def test_cases_below_the_limit_are_not_found(found: dict[tuple[str, str], Detection]) -> None:
    own, cap = found["validation", "COVID-19"], found["validation", "CAP"]
    assert (own.named.value, own.found.value) == pytest.approx((5 / 6, 3 / 6))
    assert (cap.named.value, cap.found.value) == pytest.approx((4 / 6, 2 / 6))
    assert own.found.low <= own.found.value <= own.found.high and own.found.low < own.named.low


def test_the_test_sets_figures_are_means_over_the_fold_models(found: dict[tuple[str, str], Detection]) -> None:
    other = found["test", "COVID-19"]
    assert other.named.value == pytest.approx((5 / 6 + 4 / 6) / 2)
    assert other.found.value == pytest.approx((3 / 6 + 2 / 6) / 2)
    assert other.found.std == pytest.approx(np.std([3 / 6, 2 / 6], ddof=1)) and other.found.models == 2


def test_named_is_table_2_and_found_is_what_analyze_answers(tmp_path: Path) -> None:
    scans = scans_of(24, folds=3, test_patients=8, seed=5)
    run = read_run(write_run(tmp_path / "run", scans, noisy_logits(scans), 3, detection_limit=0.008))
    made = evaluate(run, resamples=100, permutations=10)
    for one in made.detection:
        row = made.row("attention-ds", one.set)
        table = row.sensitivity if one.label == "COVID-19" else row.specificity
        assert (one.named.value, one.named.low, one.named.high) == pytest.approx((table.value, table.low, table.high))
    for label in ("COVID-19", "CAP"):
        cases = [case for case in run.validation if case.label == label]
        answers = []
        for case in cases:
            us, ss = (run.model(case.own_fold, name).logits[case.case_id] for name in (ATTENTION_US, ATTENTION_SS))
            answers.append(decide(1 / (1 + np.exp(-us)), 1 / (1 + np.exp(-ss)), case.ratio, run.segmenter).answer)
        (one,) = [one for one in made.detection if (one.set, one.label) == ("validation", label)]
        assert one.below == answers.count("no pneumonia found") > 0
        assert one.found.value == pytest.approx(answers.count(label) / len(cases))


def test_without_a_limit_nothing_is_missed_but_what_has_no_infection_at_all(tmp_path: Path) -> None:
    run = read_run(_run(tmp_path / "run"))
    sets = evaluate(run, 20, 10).sets
    for one in detections(sets, 0.0, 20, 0):
        assert one.below == 0 and one.found == one.named
    empty = [
        dataclasses.replace(cases, cases=tuple(dataclasses.replace(case, ratio=0.0) for case in cases.cases))
        for cases in sets
    ]
    for one in detections(empty, 0.0, 20, 0):
        assert one.below == one.n > 0 and one.found.value == 0
    answer = decide(0.9, 0.9, 0.0, dataclasses.replace(run.segmenter, detection_limit=0.0)).answer
    assert answer == "no pneumonia found"
