"""Resources/Bundles/vbnet-synthetic: small, declared, of phantoms alone, and as good on real CTs as its card says."""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.ct import read_ct, read_lungs
from DualSamplingCOVIDLib.diagnosis import COVID, Segmentation, volume_ml
from DualSamplingCOVIDLib.evaluation import segmentation as figures
from DualSamplingCOVIDLib.phantom import NORMAL, make_phantom
from DualSamplingCOVIDLib.phantom.variety import TAUGHT, Variety
from DualSamplingCOVIDLib.segmentation import DEFAULT, segmenter, trained
from DualSamplingCOVIDLib.segmentation.vbnet import SHIPPED

FOLDER = resources.path(SHIPPED)
DATA = os.environ.get("DUALSAMPLING_TEST_DATA", "")
real = pytest.mark.skipif(not DATA, reason="DUALSAMPLING_TEST_DATA is not set")


def test_it_is_small_and_the_one_that_is_taken_where_nobody_says() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 25e6
    assert segmenter(DEFAULT).card == trained.load(FOLDER).card


def test_it_says_what_it_learned_from_and_which_command_makes_it_again() -> None:
    shipped = trained.load(FOLDER)
    assert "phantoms only" in shipped.learned_from and "Research use only" in shipped.intended_use
    assert shipped.evaluation["command"] == "dualsampling-covid train-segmenter --recipe cpu --seed 2020"
    assert shipped.evaluation["seconds"]["total"] > 600
    held_out, recipe = shipped.evaluation["held_out"], shipped.evaluation["recipe"]
    assert (held_out["phantoms"], held_out["normal"]) == (300, 200) and recipe["calibration"] == 300
    assert Variety(**recipe["variety"]) == TAUGHT


def test_its_model_card_is_that_of_these_weights() -> None:
    shipped, card = trained.load(FOLDER), (FOLDER / "README.md").read_text(encoding="utf-8")
    cut_offs, held_out = shipped.card.cut_offs, shipped.evaluation["held_out"]
    assert f"`{shipped.card.version}`" in card and shipped.evaluation["command"] in card
    assert f"{cut_offs.minimal:.4f} / {cut_offs.small:.4f} / {cut_offs.large:.4f}" in card
    assert f"{shipped.card.detection_limit:.5f}" in card
    for figure in ("lung_dice", "infection_dice", "infection_dice_below_0.005"):
        assert f"{held_out[figure]:.3f}" in card, figure
    assert "Research use only" in card and json.dumps(shipped.learned_from)[1:-1] in card


def _dice(one: sitk.Image, other: sitk.Image) -> float:
    return figures.overlap(one, other).dice


def test_lungs_and_infection_of_a_phantom_that_it_never_saw() -> None:
    phantom = make_phantom(904, COVID, ratio=0.08)
    found = segmenter("vbnet").segment(phantom.ct)
    lungs = _dice(found.lungs, sitk.Or(phantom.right_lung, phantom.left_lung))
    infection = _dice(found.infection, phantom.infection)
    print(f"vbnet, phantom 904: lung Dice {lungs:.3f}, infection Dice {infection:.3f}")
    assert lungs > 0.97 and infection > 0.6
    assert _dice(found.right_lung, phantom.right_lung) > 0.96


def test_normal_lungs_of_a_phantom_are_below_its_detection_limit() -> None:
    found = segmenter("vbnet").segment(make_phantom(905, NORMAL).ct)
    assert found.ratio <= found.segmenter.detection_limit


def _in_the_card(row: str) -> float:
    """Return the shipped segmenter's figure in a row of its model card."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    return float(re.search(rf"^\| {re.escape(row)} \| ([\d.]+) \|", card, re.MULTILINE)[1])  # type: ignore[index]


@functools.cache
def _found(path: str) -> Segmentation:
    return segmenter("vbnet").segment(read_ct(Path(DATA) / path).image)


@real
@pytest.mark.parametrize(("case", "row"), [("id001", "first"), ("id002", "second")])
def test_real_lungs(case: str, row: str) -> None:
    found = _found(f"lungs/{case}-ct.nii.gz").lungs
    dice = figures.dice(found, read_lungs(Path(DATA) / f"lungs/{case}-lungs.nii.gz", found))
    print(f"vbnet, {case}: lung Dice {dice:.4f}")
    assert dice >= 0.975
    assert dice == pytest.approx(_in_the_card(f"lung Dice, {row} CT with masks"), abs=0.001)


@real
def test_the_infected_slices_of_a_real_ct_are_those_that_the_radiologists_labelled() -> None:
    label = json.loads((Path(DATA) / "labels.json").read_text(encoding="utf-8"))["covid-P001"]
    found = _found("ct/covid-P001")
    lungs, infection = figures.axial(found.lungs), figures.axial(found.infection)
    slices = figures.slice_figures(lungs, infection, figures.labelled_slices(label["infected_slices"], len(lungs)))
    lower = figures.lower_share(found, label["lobes"])
    print(
        f"vbnet, covid-P001: slice AUC {slices.fraction_auc:.3f} (lung area {slices.area_auc:.3f}), labelled slices "
        f"with infection {slices.labelled_found:.3f}, in the lower half {lower.lower_half:.3f}"
    )
    assert slices.fraction_auc >= max(0.91, slices.area_auc)
    assert slices.labelled_found >= 0.95
    assert lower.lower_half > 0.5
    row = "COVID-19: AUC of the slices' infected fraction against the labels"
    assert slices.fraction_auc == pytest.approx(_in_the_card(row), abs=0.005)


@real
def test_real_normal_lungs_are_nearly_free_and_a_small_pneumonia_is_found() -> None:
    normal, cap, covid = (_found(f"ct/{case}") for case in ("normal-normal001", "cap-cap002", "covid-P001"))
    print(f"vbnet: ratios normal {normal.ratio:.5f}, CAP {cap.ratio:.4f}, COVID-19 {covid.ratio:.4f}")
    assert normal.ratio < min(0.001, covid.ratio / 3)
    assert 0.001 < cap.ratio < 0.1
    assert normal.ratio <= normal.segmenter.detection_limit < cap.ratio
    assert cap.ratio == pytest.approx(_in_the_card("CAP: infection ratio"), rel=0.03)


@real
def test_bowel_gas_is_no_lung() -> None:
    lungs = volume_ml(_found("not-chest/abdomen-pelvis.nii.gz").lungs)
    assert lungs < 500
    assert lungs == pytest.approx(_in_the_card("CT of an abdomen: lungs, ml"), abs=10)


@real
@pytest.mark.parametrize("path", ["ct/covid-P001", "ct/normal-normal001", "ct/cap-cap002"])
def test_no_air_outside_the_body_is_lung(path: str) -> None:
    """The table's foam and the air round the arms lie within 8 mm of the volume's border; lungs do not, but above."""
    found = _found(path)
    inside = np.any(figures.axial(found.lungs), axis=0)
    edge = int(np.ceil(8 / found.lungs.GetSpacing()[0]))
    assert not (inside[:edge].any() or inside[-edge:].any() or inside[:, :edge].any() or inside[:, -edge:].any())
