"""One line a case: what each method says of it, whether the decision is right, and why a person should look at it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..diagnosis import CAP, COVID, THRESHOLD
from ..run_folder import ATTENTION_SS, ATTENTION_US, Run, RunCase
from .calibration import spread
from .methods import DECISION, CaseSet, paper_sets

LOW_CONFIDENCE = 0.7
"""A decision whose probability for its own answer is below this is flagged."""


@dataclass(frozen=True)
class JudgedCase:
    """A case and its answers: on the test set means over the fold models, whose std is `spread` (else NaN)."""

    case: RunCase
    probabilities: dict[str, float]
    spread: float

    @property
    def probability(self) -> float:
        """The decision's probability of COVID-19."""
        return self.probabilities[DECISION]

    @property
    def answer(self) -> str:
        """The decision at threshold 0.5."""
        return COVID if self.probability >= THRESHOLD else CAP

    @property
    def right(self) -> bool:
        """Whether the decision is the label."""
        return self.answer == self.case.label

    @property
    def false_negative(self) -> bool:
        """Whether COVID-19 was missed."""
        return self.case.is_covid and not self.right

    @property
    def false_positive(self) -> bool:
        """Whether a CAP was called COVID-19."""
        return not self.case.is_covid and not self.right

    @property
    def networks_disagree(self) -> bool:
        """Whether the networks of uniform and size-balanced sampling answer differently."""
        return (self.probabilities[ATTENTION_US] >= THRESHOLD) != (self.probabilities[ATTENTION_SS] >= THRESHOLD)

    @property
    def low_confidence(self) -> bool:
        """Whether the decision's own answer has a probability below 0.7."""
        return max(self.probability, 1 - self.probability) < LOW_CONFIDENCE


def judge(cases: CaseSet) -> tuple[JudgedCase, ...]:
    """Return the set's cases with their answers, in their order."""
    answers = {method: cases.answer(method) for method in cases.probabilities}
    spreads = spread(cases.probabilities[DECISION])
    return tuple(
        JudgedCase(case, {method: float(p[number]) for method, p in answers.items()}, float(spreads[number]))
        for number, case in enumerate(cases.cases)
    )


def judge_run(run: Run) -> tuple[JudgedCase, ...]:
    """Return a run's cases with what the paper's methods answer, validation first; see `methods.paper_sets`."""
    return tuple(one for cases in paper_sets(run) if cases.cases for one in judge(cases))


def failures(judged: Sequence[JudgedCase]) -> tuple[JudgedCase, ...]:
    """Return the cases answered wrongly: missed COVID-19 first, the most certain mistake first."""
    wrong = [case for case in judged if not case.right]
    return tuple(
        sorted(wrong, key=lambda c: (not c.false_negative, -max(c.probability, 1 - c.probability), c.case.case_id))
    )


def write_cases(path: Path, judged: Sequence[JudgedCase]) -> None:
    """Write ``cases.csv``; its case_id is that of the run's ``cases.csv``, where the files of a case stand.

    It holds patient_id, for statistics by patient.
    """
    methods = list(judged[0].probabilities) if judged else []
    header = ["case_id", "patient_id", "set", "fold", "label", "site", "age", "sex", "ratio", "stratum"]
    header += [f"probability {method}" for method in methods]
    header += ["answer", "right", "spread"]
    header += ["false negative", "false positive", "US and SS disagree", "low confidence"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for one in judged:
            case = one.case
            fold = "" if case.fold is None else case.fold
            row = [case.case_id, case.patient_id, case.set, fold, case.label, case.site, case.age, case.sex]
            row += [repr(case.ratio), case.stratum]
            row += [f"{one.probabilities[method]:.6f}" for method in methods]
            row += [one.answer, _yes(one.right), "" if np.isnan(one.spread) else f"{one.spread:.6f}"]
            row += [
                _yes(flag)
                for flag in (one.false_negative, one.false_positive, one.networks_disagree, one.low_confidence)
            ]
            writer.writerow(row)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
