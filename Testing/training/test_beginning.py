"""What a run is told to have: who is held out, whose masks it learns from, and what its detection limit rests on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.cohort import NORMAL, Case, write_cohort_csv
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import found_anywhere
from DualSamplingCOVIDLib.training import begin as module
from DualSamplingCOVIDLib.training.begin import begin
from DualSamplingCOVIDLib.training.config import Config
from DualSamplingCOVIDLib.training.prepared import PreparedCase

CARD = SegmenterCard("threshold", "2", CutOffs(), 0.005)
CONFIG = Config().changed(folds=2)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a cohort of tiny volumes that nobody segments: 6 cases with COVID-19, 6 with CAP, and more."""
    mask = tmp_path / "mask.nrrd"
    sitk.WriteImage(sitk.Image(12, 11, 10, sitk.sitkUInt8), mask)

    def image(name: str) -> Path:
        return Path(shutil.copy(mask, tmp_path / f"{name}.nrrd"))

    def cohort(more: Sequence[Case] = (), covid: bool = True, cap: bool = True, masks: str = "li") -> Path:
        given = {name: mask for name in ("lungs", "infection") if name[0] in masks}
        cases = []
        for number in range(12):
            label, has_masks = ((COVID, covid), (CAP, cap))[number % 2]
            name, masks_given = f"case-{number}", given if has_masks else {}
            cases.append(Case(name, f"patient-{number}", image(name), label, **masks_given))
        cases += [replace(case, image=image(case.case_id)) for case in more]
        write_cohort_csv(tmp_path / "cohort.csv", cases)
        return tmp_path / "cohort.csv"

    return cohort


@pytest.fixture(autouse=True)
def prepared_by_hand(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """In place of segmenting: ratios that rise from case to case, and masks of the threshold segmenter."""
    told: dict[str, Any] = {"cards": {}, "ratios": {}, "content": {}}

    def prepare(cases: Sequence[Case], spec: object, name: str, folder: Path, *rest: Any) -> list[PreparedCase]:
        told["masks"] = [(case.lungs, case.infection) for case in cases]
        told["device"] = rest[-1]
        return [
            PreparedCase(
                case.case_id,
                case.patient_id,
                case.label,
                case.split,
                told["ratios"].get(case.case_id, 0.001 * (number + 1)),
                folder / f"{case.case_id}.npz",
                told["cards"].get(case.case_id, CARD),
                told["content"].get(case.case_id, case.case_id),
            )
            for number, case in enumerate(cases)
        ]

    monkeypatch.setattr(module, "prepare_cohort", prepare)
    return told


def _begin(cohort: Path, config: Config = CONFIG) -> tuple[dict[str, Any], list[str]]:
    """Begin a run; return run.json and what was said."""
    said: list[str] = []
    begin(cohort, cohort.parent / "run", config, device="cpu", say=said.append)
    return json.loads((cohort.parent / "run" / "run.json").read_text(encoding="utf-8")), said


def _test_cases(amount: int) -> list[Case]:
    return [Case(f"test-{n}", f"held-{n}", Path(), COVID if n % 2 else CAP, split="test") for n in range(amount)]


@pytest.mark.parametrize(
    ("amount", "line"),
    [
        (0, "no cases are held out for the test"),
        (1, "1 case is held out for the test"),
        (4, "4 cases are held out for the test"),
    ],
)
def test_how_many_are_held_out_is_said(write: Write, amount: int, line: str) -> None:
    about, said = _begin(write(_test_cases(amount), masks=""))
    assert said == [line] and about["notes"] == []
    assert _begin(write(_test_cases(amount), masks=""))[1] == []  # gone on with


def test_the_device_is_the_segmenters(write: Write, prepared_by_hand: dict[str, Any]) -> None:
    _begin(write())
    assert prepared_by_hand["device"] == "cpu"


def test_masks_that_go_with_the_label_are_kept_as_a_note_and_warned_of(write: Write) -> None:
    about, said = _begin(write(covid=False, masks="i"))
    (note,) = about["notes"]
    assert "COVID-19: 6 with no masks given; CAP: 6 with infection given" in note
    assert said[1] == f"warning: {note}"


def test_a_ct_that_counts_twice_is_kept_as_a_note(write: Write, prepared_by_hand: dict[str, Any]) -> None:
    prepared_by_hand["content"] = {"case-0": "same", "again": "same"}
    again = Case("again", "patient-0", Path(), COVID)
    about, said = _begin(write([again], masks=""))
    assert about["notes"] == ["The cases case-0 and again are the same CT: it counts twice."]
    assert said[1] == f"warning: {about['notes'][0]}"


def test_lungs_of_one_class_are_refused_before_anything_is_written(write: Write) -> None:
    cohort = write(cap=False, masks="l")
    with pytest.raises(InputError, match="lungs are given for all 6 cases with COVID-19 and for none of the 6 with"):
        _begin(cohort)
    assert not (cohort.parent / "run").exists()


def test_masks_that_are_not_used_tell_nothing(write: Write, prepared_by_hand: dict[str, Any]) -> None:
    about, _ = _begin(write(cap=False, masks="l"), CONFIG.changed(masks="segmenter"))
    assert about["notes"] == [] and set(prepared_by_hand["masks"]) == {(None, None)}


def _normals(amount: int, split: str = "") -> list[Case]:
    return [Case(f"normal-{n}", f"healthy-{n}", Path(), NORMAL, split=split) for n in range(amount)]


@pytest.mark.parametrize("amount", [19, 20, 41])
def test_twenty_normals_refit_the_detection_limit(write: Write, prepared_by_hand: dict[str, Any], amount: int) -> None:
    ratios = {f"normal-{n}": 0.01 + 0.001 * n for n in range(amount)}
    prepared_by_hand["ratios"] = ratios
    about, said = _begin(write([*_normals(amount)], masks=""))
    if amount < 20:
        assert about["segmenter"]["detection_limit"] == 0.005 and about["detection_limit_normals"] == 0
        assert said[1] == (
            "the detection limit stays 0.005: 19 of 19 normal cases have masks of threshold 2, "
            "20 are needed to refit it"
        )
    else:
        limit = float(np.percentile(list(ratios.values()), 95))
        assert about["segmenter"]["detection_limit"] == pytest.approx(limit)
        assert about["detection_limit_normals"] == amount
        assert said[1] == (
            f"the detection limit is {limit:.4g}, refitted: {amount} of {amount} normal cases have masks of threshold 2"
        )


@pytest.mark.parametrize("other", [replace(CARD, name="given masks"), replace(CARD, version="1")])
def test_normals_with_masks_of_another_segmenter_say_nothing_of_this_one(
    write: Write, prepared_by_hand: dict[str, Any], other: SegmenterCard
) -> None:
    prepared_by_hand["ratios"] = {f"normal-{n}": 0.3 if n < 15 else 0.01 for n in range(40)}
    prepared_by_hand["cards"] = {f"normal-{n}": other for n in range(15)}
    about, said = _begin(write(_normals(40), masks=""))
    assert about["segmenter"]["detection_limit"] == pytest.approx(0.01) and about["detection_limit_normals"] == 25
    assert said[1].endswith("25 of 40 normal cases have masks of threshold 2")


def test_normals_of_the_test_are_not_learned_from(write: Write) -> None:
    about, said = _begin(write(_normals(30, "test"), masks=""))
    assert about["detection_limit_normals"] == 0 and about["segmenter"]["detection_limit"] == 0.005
    assert said == ["no cases are held out for the test"]


def test_settings_of_the_machine_may_change_and_the_file_stays_as_it_was(write: Write) -> None:
    cohort = write()
    _begin(cohort)
    file = cohort.parent / "run" / "config.toml"
    before = file.read_bytes(), file.stat().st_mtime_ns
    other = CONFIG.changed(threads=3, workers=1, compile=True)
    run = begin(cohort, cohort.parent / "run", other)
    assert run.config == other and (file.read_bytes(), file.stat().st_mtime_ns) == before
    with pytest.raises(InputError, match="begun with micro_batch 4, not 2; choose another folder"):
        begin(cohort, cohort.parent / "run", other.changed(micro_batch=2))


def test_too_few_patients_for_the_folds_are_named_before_anything_is_prepared(
    write: Write, prepared_by_hand: dict[str, Any]
) -> None:
    cohort = write()
    with pytest.raises(InputError, match=r"cohort\.csv: 6 patients with CAP do not make 7 folds: choose fewer folds"):
        _begin(cohort, CONFIG.changed(folds=7))
    assert "masks" not in prepared_by_hand and not (cohort.parent / "run").exists()
    assert _begin(cohort)[0]["folds"] == 2  # the folder is still free


def test_splits_that_folds_do_not_heed_are_spoken_of(write: Write) -> None:
    split = [Case("extra", "one-more", Path(), COVID, split="validation")]
    assert _begin(write(split, masks=""))[1][1] == (
        "the splits train and validation are for fit: the folds are made anew, by patient"
    )


def test_a_segmenters_folder_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taught").mkdir()
    monkeypatch.chdir(tmp_path)
    assert found_anywhere("vbnet:taught") == f"vbnet:{tmp_path / 'taught'}"
    for name in ("threshold", "vbnet", "lungmask:R231CovidWeb", "vbnet:gone"):
        assert found_anywhere(name) == name
