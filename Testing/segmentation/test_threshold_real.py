"""The threshold segmenter on real CTs (the folder that DUALSAMPLING_TEST_DATA names)."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import Segmentation, volume_ml
from DualSamplingCOVIDLib.segmentation import segmenter

FOLDER = os.environ.get("DUALSAMPLING_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="DUALSAMPLING_TEST_DATA is not set")


@functools.cache
def found(case: str) -> Segmentation:
    path = Path(FOLDER) / case
    source = str(path) if path.is_file() else sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
    return segmenter("threshold").segment(sitk.ReadImage(source))


def voxels(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mask) > 0


@pytest.mark.parametrize("case", ["id001", "id002"])
def test_lungs_agree_with_the_masks_beside_the_ct(case):
    mine = voxels(found(f"lungs/{case}-ct.nii.gz").lungs)
    truth = voxels(sitk.ReadImage(str(Path(FOLDER) / f"lungs/{case}-lungs.nii.gz")))
    dice = 2 * np.count_nonzero(mine & truth) / (mine.sum() + truth.sum())
    print(f"{case}: lung Dice {dice:.3f}")
    assert dice > 0.97


def test_the_infected_fraction_tells_infected_slices_better_than_lung_area():
    from sklearn.metrics import roc_auc_score

    labels = json.loads((Path(FOLDER) / "labels.json").read_text())["covid-P001"]["infected_slices"]
    area = voxels(found("ct/covid-P001").lungs).sum((1, 2))
    infected = voxels(found("ct/covid-P001").infection).sum((1, 2))
    bearing = area > 0
    truth = np.isin(np.arange(area.size), labels)[bearing]
    by_fraction, by_area = (roc_auc_score(truth, s[bearing]) for s in (infected / np.maximum(area, 1), area))
    print(f"covid-P001: slice AUC of the infected fraction {by_fraction:.3f}, of the lung area alone {by_area:.3f}")
    assert by_fraction > max(0.88, by_area)


def test_normal_lungs_are_found_nearly_free_of_infection():
    normal = found("ct/normal-normal001")
    ratios = {name: round(found(f"ct/{name}").ratio, 4) for name in ("covid-P001", "cap-cap002", "normal-normal001")}
    print(f"infection ratios: {ratios}")
    assert normal.ratio < 0.02
    assert normal.ratio < found("ct/covid-P001").ratio / 3
    assert normal.ratio < normal.segmenter.detection_limit


def test_an_abdomen_holds_little_lung():
    assert volume_ml(found("not-chest/abdomen-pelvis.nii.gz").lungs) < 500
