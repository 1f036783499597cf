"""Masks whose makers go with the label are noted, and lungs that would tell it are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from DualSamplingCOVIDLib.cohort import Case
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.training.provenance import check_lungs_of_both_classes, mask_notes, segmenter_notes

MASK = Path("mask.nrrd")


def _cases(label: str, amount: int, masks: str = "", split: str = "") -> list[Case]:
    """Cases that have the masks whose first letters are named: l, i, li."""
    lungs, infection = (MASK if letter in masks else None for letter in "li")
    return [Case(f"{label}-{n}", f"{label}-{n}", MASK, label, lungs, infection, split=split) for n in range(amount)]


def test_masks_alike_in_both_classes_are_no_matter() -> None:
    assert mask_notes([*_cases(COVID, 3, "li"), *_cases(CAP, 5, "li")]) == []
    half = [*_cases(COVID, 2, "l"), *_cases(COVID, 4), *_cases(CAP, 1, "l"), *_cases(CAP, 2)]
    assert mask_notes(half) == []
    assert mask_notes(_cases(COVID, 2, "l")) == [] and mask_notes([]) == []


def test_another_mix_in_one_class_is_told_with_its_numbers() -> None:
    cases = [*_cases(COVID, 3, "li"), *_cases(COVID, 2), *_cases(CAP, 4, "i"), *_cases(CAP, 1, "li")]
    (note,) = mask_notes(cases)
    assert note.startswith("Whose masks the cases of the folds have goes with their label")
    assert "(COVID-19: 3 with lungs and infection given, 2 with no masks given; CAP: 1 with lungs and infection" in note
    assert "given, 4 with infection given)" in note and note.endswith('set masks = "segmenter".')


def test_folds_and_test_are_counted_apart() -> None:
    test = [*_cases(COVID, 1, "l", "test"), *_cases(CAP, 1, "", "test")]
    alike = [*_cases(COVID, 2), *_cases(CAP, 2)]
    (note,) = mask_notes([*alike, *test])
    assert "of the test" in note and "COVID-19: 1 with lungs given; CAP: 1 with no masks given" in note


@pytest.mark.parametrize(("with_lungs", "without"), [(COVID, CAP), (CAP, COVID)])
def test_lungs_of_one_class_alone_are_refused(with_lungs: str, without: str) -> None:
    with pytest.raises(InputError) as caught:
        check_lungs_of_both_classes(Path("cohort.csv"), [*_cases(with_lungs, 3, "l"), *_cases(without, 2, "i")])
    text = str(caught.value)
    assert text.startswith(f"cohort.csv: lungs are given for all 3 cases with {with_lungs} and for none of the 2 with")
    assert 'masks = "segmenter"' in text and "\n" not in text


def test_lungs_of_both_classes_or_of_neither_are_not() -> None:
    for covid, cap in (("l", "li"), ("", "i"), ("i", "")):
        check_lungs_of_both_classes(Path("cohort.csv"), [*_cases(COVID, 2, covid), *_cases(CAP, 2, cap)])
    some = [*_cases(COVID, 2, "l"), *_cases(CAP, 2), *_cases(CAP, 1, "l")]
    check_lungs_of_both_classes(Path("cohort.csv"), some)


def _card(name: str, version: str = "2") -> SegmenterCard:
    return SegmenterCard(name, version, CutOffs(), 0.0)


@pytest.mark.parametrize(
    ("learned", "used", "told"),
    [
        (_card("vbnet"), [_card("vbnet"), _card("vbnet with given lungs")], ""),
        (_card("vbnet with given lungs"), [_card("vbnet")], ""),
        (_card("given masks and vbnet"), [_card("given masks"), _card("vbnet", "1")], ""),
        (_card("vbnet"), [_card("vbnet", "1"), _card("vbnet")], "Test cases have other masks (vbnet 1 in 1 of 2) than"),
        (
            _card("given masks"),
            [_card("vbnet"), _card("vbnet"), _card("given masks"), _card("threshold", "1")],
            "Test cases have other masks (vbnet 2 in 2 of 4, threshold 1 in 1 of 4) than the run learned from "
            "(given masks 2): ",
        ),
        (_card("vbnet"), [_card("given masks")], "Test cases have other masks (given masks 2 in 1 of 1) than"),
    ],
)
def test_masks_of_another_segmenter_than_the_runs_are_counted(
    learned: SegmenterCard, used: list[SegmenterCard], told: str
) -> None:
    notes = segmenter_notes(used, learned)
    assert [note[: len(told)] for note in notes] == ([told] if told else [])
