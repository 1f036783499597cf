"""Which cases a person should look at."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.evaluation.cases import JudgedCase, failures, write_cases
from DualSamplingCOVIDLib.run_folder import RunCase


def judged(name: str, covid: bool, p: float, us: float = 0.9, ss: float = 0.9, fold: int | None = 0) -> JudgedCase:
    label = "COVID-19" if covid else "CAP"
    case = RunCase(
        name, f"patient {name}", label, "A, B", "61", "M", "", fold, 0.012, "medium", Path("ct"), None, None, None
    )
    probabilities = {"attention-us": us, "attention-ss": ss, "attention-ds": p}
    return JudgedCase(case, probabilities, math.nan if fold is not None else 0.125)


@pytest.mark.parametrize(
    ("covid", "p", "flags"),
    [
        (True, 0.5, (True, False, False, True)),
        (True, 0.3, (False, True, False, False)),
        (False, 0.71, (False, False, True, False)),
        (False, 0.31, (True, False, False, True)),
    ],
)
def test_a_case_is_right_missed_or_a_false_alarm(covid: bool, p: float, flags: tuple[bool, ...]) -> None:
    one = judged("a", covid, p)
    assert (one.right, one.false_negative, one.false_positive, one.low_confidence) == flags
    assert one.answer == ("COVID-19" if p >= 0.5 else "CAP")


def test_networks_disagree_across_the_threshold() -> None:
    assert judged("a", True, 0.6, us=0.49, ss=0.5).networks_disagree
    assert not judged("a", True, 0.6, us=0.51, ss=0.99).networks_disagree


def test_failures_come_missed_first_and_most_certain_first() -> None:
    cases = [judged("a", False, 0.6), judged("b", True, 0.4), judged("c", True, 0.1), judged("d", False, 0.99),
             judged("e", True, 0.9)]  # fmt: skip
    assert [one.case.case_id for one in failures(cases)] == ["c", "b", "d", "a"]


def test_a_line_says_all_of_a_case(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", [judged("a", True, 0.25, us=0.75), judged("t", False, 0.1, fold=None)])
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as stream:
        own, other = csv.DictReader(stream)
    assert own["case_id"] == "a" and own["site"] == "A, B" and own["fold"] == "0" and own["ratio"] == "0.012"
    assert float(own["probability attention-us"]) == 0.75 and own["answer"] == "CAP" and own["right"] == "no"
    assert own["false negative"] == "yes" and own["false positive"] == "no" and own["spread"] == ""
    assert other["set"] == "test" and other["fold"] == "" and float(other["spread"]) == 0.125
