"""Whose masks the cases have: where that goes with the label, networks learn the one for the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..cohort import Case
from ..diagnosis import CAP, COVID, SegmenterCard
from ..errors import InputError
from ..run_folder import TEST
from ..segmentation import finder

_GIVEN = {
    (True, True): "lungs and infection given",
    (True, False): "lungs given",
    (False, True): "infection given",
    (False, False): "no masks given",
}


def check_lungs_of_both_classes(cohort: Path, cases: Sequence[Case]) -> None:
    """Refuse lungs that are the cohort's in one class and the segmenter's in the other.

    The network sees what lies in the lungs and nothing else: where they end would tell the class.

    Args:
        cohort: the file, for the sentence.
        cases: those that are learned from; masks that are not used are None.

    Raises:
        InputError: they are.
    """
    given = {label: [case.lungs is not None for case in cases if case.label == label] for label in (COVID, CAP)}
    for label, other in ((COVID, CAP), (CAP, COVID)):
        if given[label] and given[other] and all(given[label]) and not any(given[other]):
            raise InputError(
                f"{cohort}: lungs are given for all {len(given[label])} cases with {label} and for none of the "
                f"{len(given[other])} with {other}: networks would learn whose lungs they see, not the disease; give "
                'lungs for all cases or for none (in the settings of cross-validate: masks = "segmenter")'
            )


def mask_notes(cases: Sequence[Case]) -> list[str]:
    """Return a sentence for the folds, and one for the test, where whose masks the cases have goes with their label.

    Args:
        cases: all of COVID-19 and CAP; masks that are not used are None.
    """
    groups = {
        "of the folds": [case for case in cases if case.split != TEST],
        "of the test": [case for case in cases if case.split == TEST],
    }
    return [_note(where, mixes) for where, group in groups.items() if _differ(mixes := _mixes(group))]


def segmenter_notes(cards: Sequence[SegmenterCard], learned: SegmenterCard) -> list[str]:
    """Return a sentence where test cases have masks of another segmenter than those that a run learned from.

    Whoever finds the infection counts.

    Args:
        cards: whose masks each test case has.
        learned: of the run; masks of several are called "one and another".
    """
    names = {finder(replace(learned, name=name))[0] for name in learned.name.split(" and ")}
    others = Counter(
        card.title
        for card in cards
        if finder(card)[0] not in names or (len(names) == 1 and card.version != learned.version)
    )
    if not others:
        return []
    counts = ", ".join(f"{name} in {count} of {len(cards)}" for name, count in others.items())
    return [
        f"Test cases have other masks ({counts}) than the run learned from ({learned.title}): "
        "ratios, strata and the ensemble's weights may not be comparable."
    ]


Mix = Counter[tuple[bool, bool]]


def _mixes(cases: Sequence[Case]) -> dict[str, Mix]:
    """Return, of each label that occurs, how many cases have which masks given (lungs, infection)."""
    labels = [label for label in (COVID, CAP) if any(case.label == label for case in cases)]
    return {
        label: Counter((c.lungs is not None, c.infection is not None) for c in cases if c.label == label)
        for label in labels
    }


def _differ(mixes: dict[str, Mix]) -> bool:
    """Whether the labels' shares differ."""
    if len(mixes) < 2:
        return False
    first, second = mixes.values()
    return any(first[kind] * second.total() != second[kind] * first.total() for kind in _GIVEN)


def _note(where: str, mixes: dict[str, Mix]) -> str:
    counts = "; ".join(
        f"{label}: " + ", ".join(f"{mix[kind]} with {name}" for kind, name in _GIVEN.items() if mix[kind])
        for label, mix in mixes.items()
    )
    return (
        f"Whose masks the cases {where} have goes with their label ({counts}): networks may know the one by the other, "
        'and look better than they are; give masks for all cases, or set masks = "segmenter".'
    )
