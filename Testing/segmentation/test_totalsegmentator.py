"""TotalSegmentator as a segmenter, against a stand-in of its documented interface (version 2.18.0) and of nibabel's."""

from __future__ import annotations

import numpy as np
import pytest

from DualSamplingCOVIDLib import segmentation
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import DEFAULT, segmenter
from DualSamplingCOVIDLib.segmentation.networks import NetworkSegmenter
from DualSamplingCOVIDLib.segmentation.totalsegmentator import LOBES, TotalSegmentator
from segmentation._foreign import DIRECTIONS, Complete, Package, assert_on_grid, chest, missing, stand_in, voxels

__all__ = ["stand_in"]

NIBABEL = """
import numpy as np


class Nifti1Image:
    def __init__(self, dataobj, affine, header=None, extra=None, file_map=None, dtype=None):
        assert dataobj.dtype != np.int64 and affine.shape == (4, 4)
        self.dataobj, self.affine, self.shape = dataobj, affine, dataobj.shape
"""
CLASS_MAP = f'class_map = {{"total": {{1: "spleen", **{LOBES!r}}}}}\n'
API = '''
import numpy as np
from nibabel.nifti1 import Nifti1Image


def totalsegmentator(input, output=None, ml=False, nr_thr_resamp=1, nr_thr_saving=6, fast=False, nora_tag="None",
                     preview=False, task="total", roi_subset=None, statistics=False, radiomics=False, crop_path=None,
                     body_seg=False, force_split=False, output_type="nifti", quiet=False, verbose=False, test=0,
                     skip_saving=False, device="gpu", license_number=None, statistics_exclude_masks_at_border=True,
                     no_derived_masks=False, v1_order=False, fastest=False, roi_subset_robust=None):
    """NIfTI's world is RAS: the patient's right lies at greater x, the head at greater z."""
    assert isinstance(input, Nifti1Image) and task == "total" and type(roi_subset) is list
    assert roi_subset == ["lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
                          "lung_middle_lobe_right", "lung_lower_lobe_right"]
    {extra}
    hu = input.dataobj
    i, j, k = np.indices(hu.shape)
    x, y, z = (sum(input.affine[row, n] * (i, j, k)[n] for n in range(3)) + input.affine[row, 3] for row in range(3))
    middle = (input.affine @ [*(np.array(hu.shape) - 1) / 2, 1])[:3]
    above = z > middle[2]
    right = np.where(above, 12, np.where(y > middle[1], 13, 14))
    labels = np.where(hu < -100, np.where(x > middle[0], right, np.where(above, 10, 11)), 0).astype(np.uint8)
    return Nifti1Image(labels, input.affine)
'''


def install(stand_in: Package, extra: str = "", class_map: str = CLASS_MAP) -> None:
    files = {"nibabel/__init__.py": "", "nibabel/nifti1.py": NIBABEL, "totalsegmentator/__init__.py": ""}
    files["totalsegmentator/python_api.py"] = API.replace("{extra}", extra)
    stand_in("TotalSegmentator", "2.18.0", files | {"totalsegmentator/map_to_binary.py": class_map})


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_the_lobes_of_each_side_are_its_lung(kind: str, stand_in: Package) -> None:
    install(stand_in)
    truth = chest(kind)
    found = NetworkSegmenter(TotalSegmentator(), Complete(truth)).segment(truth.ct)
    assert_on_grid(found, truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.left_lung), voxels(truth.left))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


def test_the_card_names_task_and_version(stand_in: Package) -> None:
    install(stand_in)
    card, rest = segmenter("totalsegmentator").card, segmenter(DEFAULT).card
    assert (card.name, card.version) == (
        f"{rest.name} with lungs of TotalSegmentator total",
        f"{rest.version} + 2.18.0",
    )


@pytest.mark.parametrize(("device", "expected"), [("cpu", "cpu"), ("auto", "gpu"), ("cuda", "gpu")])
def test_the_cpu_is_asked_for_where_it_is_wanted(
    device: str, expected: str, stand_in: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "DEFAULT", "threshold")
    install(stand_in, f"assert device == {expected!r}")
    assert voxels(segmenter("totalsegmentator", device).segment(chest("anisotropic").ct).right_lung).any()


def test_another_numbering_is_refused(stand_in: Package) -> None:
    install(stand_in, class_map='class_map = {"total": {13: "lung_upper_lobe_left"}}\n')
    truth = chest("anisotropic")
    with pytest.raises(InputError, match="numbers its lobes otherwise: version 2 is needed"):
        NetworkSegmenter(TotalSegmentator(), Complete(truth)).segment(truth.ct)


def test_weights_that_cannot_be_fetched_are_one_sentence(stand_in: Package) -> None:
    install(stand_in, "raise ConnectionError('no route to host')")
    truth = chest("anisotropic")
    with pytest.raises(InputError, match="the segmenter totalsegmentator failed: it could not fetch its weights"):
        NetworkSegmenter(TotalSegmentator(), Complete(truth)).segment(truth.ct)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "totalsegmentator")
    with pytest.raises(InputError, match=r"needs the package totalsegmentator, .* pip install TotalSegmentator"):
        segmenter("totalsegmentator")


def test_an_argument_is_refused() -> None:
    with pytest.raises(InputError, match="totalsegmentator takes no argument, got 'fast'"):
        segmenter("totalsegmentator:fast")
