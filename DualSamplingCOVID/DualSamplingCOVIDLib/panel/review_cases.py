"""Which of a run's cases are listed, in which order and in which words; nothing here needs Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..diagnosis import COVID
from ..evaluation.cases import JudgedCase
from ..review_folder import AGREE, FLAG, Opinion
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US
from ..summary import percent
from .translation import _

MISCLASSIFIED, FALSE_NEGATIVES, FALSE_POSITIVES, ALL = "wrong", "false negatives", "false positives", "all"
AGREED, FLAGGED, WORDS = "\N{CHECK MARK}", "\N{BLACK FLAG}", "\N{LOWER RIGHT PENCIL}"
REVIEW, CASE = 0, 1
"""Where the reader's mark stands among the columns, and where the case's name."""
_BELONGS: dict[str, Callable[[JudgedCase], bool]] = {
    MISCLASSIFIED: lambda one: not one.right,
    FALSE_NEGATIVES: lambda one: one.false_negative,
    FALSE_POSITIVES: lambda one: one.false_positive,
    ALL: lambda one: True,
}


@dataclass(frozen=True)
class Filters:
    """What a case must be to be listed; all of it at once. An empty stratum is any."""

    answer: str = MISCLASSIFIED
    stratum: str = ""
    networksDisagree: bool = False
    lowConfidence: bool = False
    notReviewed: bool = False

    def lets(self, judged: JudgedCase, opinion: Opinion) -> bool:
        """Whether a case is listed."""
        return (
            _BELONGS[self.answer](judged)
            and self.stratum in ("", judged.case.stratum)
            and (judged.networks_disagree or not self.networksDisagree)
            and (judged.low_confidence or not self.lowConfidence)
            and (not opinion.opinion or not self.notReviewed)
        )


@dataclass(frozen=True)
class Column:
    """A column: its title, what the title means, the text of a cell, and what it is sorted by."""

    title: str
    meaning: str
    text: Callable[[JudgedCase, Opinion], str]
    key: Callable[[JudgedCase, Opinion], Any]
    isNumber: bool = False


def columns() -> tuple[Column, ...]:
    """Return the table's columns from left to right."""
    probability = _("probability of COVID-19; research use only")
    said = _("what the reader said: {agreed} agreed, {flagged} flagged, {words} a comment alone").format(
        agreed=AGREED, flagged=FLAGGED, words=WORDS
    )
    return (
        Column(AGREED, said, lambda j, o: mark(o), lambda j, o: mark(o)),
        Column(_("Case"), _("case_id in the run"), lambda j, o: j.case.case_id, lambda j, o: _natural(j.case.case_id)),
        Column(_("Label"), _("what the cohort says"), lambda j, o: short(j.case.label), lambda j, o: j.case.label),
        Column(_("Decision"), _("what the ensemble says"), lambda j, o: short(j.answer), lambda j, o: j.answer),
        _probability(_("P"), _("Ensemble (DS): {what}").format(what=probability), lambda j: j.probability),
        _probability(_("US"), _("Uniform sampling: {what}").format(what=probability), _of(ATTENTION_US)),
        _probability(_("SS"), _("Size-balanced sampling: {what}").format(what=probability), _of(ATTENTION_SS)),
        _probability(_("Base"), _("Baseline without attention: {what}").format(what=probability), _of(BASELINE_US)),
        Column(
            _("Ratio"),
            _("infection ratio, with its stratum"),
            lambda j, o: f"{percent(j.case.ratio)} {j.case.stratum}",
            lambda j, o: j.case.ratio,
            isNumber=True,
        ),
        Column(
            _("Fold"),
            _("the fold that was validated on the case, or the test set"),
            lambda j, o: _("test") if j.case.fold is None else str(j.case.fold),
            lambda j, o: float("inf") if j.case.fold is None else j.case.fold,
            isNumber=True,
        ),
    )


def listed(
    judged: Sequence[JudgedCase], opinion: Callable[[str], Opinion], filters: Filters, column: Column, descending: bool
) -> list[JudgedCase]:
    """Return the cases that the filters let through, sorted by a column; equal ones keep the run's order."""
    found = [one for one in judged if filters.lets(one, opinion(one.case.case_id))]
    return sorted(found, key=lambda one: column.key(one, opinion(one.case.case_id)), reverse=descending)


def count(shown: Sequence[JudgedCase], total: int) -> str:
    """Say how many cases are listed."""
    missed = sum(one.false_negative for one in shown)
    alarms = sum(one.false_positive for one in shown)
    return _("{shown} of {total} cases: {missed}, {alarms}").format(
        shown=len(shown),
        total=total,
        missed=_("1 false negative") if missed == 1 else _("{n} false negatives").format(n=missed),
        alarms=_("1 false positive") if alarms == 1 else _("{n} false positives").format(n=alarms),
    )


def short(label: str) -> str:
    """Return a class in as few letters as a narrow column has room for."""
    return _("COVID") if label == COVID else label


def mark(opinion: Opinion) -> str:
    """Return what a reader said, as one sign; an opinion of another tool's words is shown in them."""
    if opinion.opinion:
        return {AGREE: AGREED, FLAG: FLAGGED}.get(opinion.opinion, opinion.opinion)
    return WORDS if opinion.comment else ""


def _probability(title: str, meaning: str, value: Callable[[JudgedCase], float]) -> Column:
    return Column(title, meaning, lambda j, o: f"{value(j):.2f}", lambda j, o: value(j), isNumber=True)


def _of(model: str) -> Callable[[JudgedCase], float]:
    return lambda judged: judged.probabilities[model]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that puts case-2 before case-10."""
    parts, digits = [""], False
    for character in name:
        if character.isdecimal() != digits:
            parts.append("")
            digits = not digits
        parts[-1] += character
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]
