"""What labels' names mean, how segmenters are named, and who gets the infection between two lungs."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import CHOICES, segmenter
from DualSamplingCOVIDLib.segmentation.networks import Labels, NetworkSegmenter
from segmentation._foreign import Complete, chest, voxels


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"right lung": 1, "left lung": 2}, Labels(right=frozenset({1}), left=frozenset({2}))),
        (
            {"Lung_Right": 2, "LEFT-LUNG": 1, "lesion": 3},
            Labels(frozenset({2}), frozenset({1}), infection=frozenset({3})),
        ),
        ({"background": 0, "lungs": 1, "GGO": 2, "consolidation": 3}, Labels((), (), {1}, {2, 3})),
        ({"lung": [1, 2], "infection": [2]}, Labels((), (), {1, 2}, {2})),
        ({"left lung infection": 4, "lung_vessels": 5, "lung_nodules": 6}, Labels((), (), (), {4})),
        ({"lung_middle_lobe_right": 13, "heart_atrium_left": 45}, Labels({13})),
        ({"ground-glass opacity": 1}, Labels((), (), (), {1})),
    ],
)
def test_labels_are_read_off_their_names(names: dict[str, object], expected: Labels) -> None:
    found = Labels.named(names)
    for kind in ("right", "left", "lungs", "infection"):
        assert getattr(found, kind) == frozenset(getattr(expected, kind))


@pytest.mark.parametrize("names", [{}, {"background": 0, "liver": 1}, {"lung_vessels": 1}, {"lung": 0.5, "liver": "x"}])
def test_names_that_mean_nothing_are_refused(names: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="means lung or infection"):
        Labels.named({name: value for name, value in names.items() if name != "lung"})


def test_every_choice_is_named_to_who_asks_for_another() -> None:
    with pytest.raises(InputError) as caught:
        segmenter("magic:wand")
    assert str(caught.value).endswith("choose one of " + ", ".join(CHOICES))


def test_thresholds_take_no_argument() -> None:
    with pytest.raises(InputError, match=r"threshold takes no argument, got '0\.5'"):
        segmenter("threshold:0.5")


class _Drawn:
    """A network that answers with a drawn label map."""

    name, version = "drawn", "1"
    labels = Labels.named({"right lung": 1, "left lung": 2, "infection": 3})

    def __init__(self, values: np.ndarray, like: sitk.Image) -> None:
        self._values, self._like = values, like

    def predict(self, ct: sitk.Image) -> sitk.Image:
        image = sitk.GetImageFromArray(self._values)
        image.CopyInformation(self._like)
        return image


def test_infection_belongs_to_the_lung_that_is_nearer_in_millimetres() -> None:
    ct = sitk.Image(40, 20, 4, sitk.sitkInt16)
    ct.SetSpacing((1.0, 10.0, 1.0))
    values = np.zeros((4, 20, 40), np.uint8)
    values[:, 10, :10], values[:, 5, 30:] = 1, 2  # right 50 mm behind the left
    values[:, 6, 12:18] = 3  # 4 rows (40 mm) from the right one; 1 row and 12 columns from the left one
    found = NetworkSegmenter(_Drawn(values, ct), Complete(chest("anisotropic"))).segment(ct)
    assert np.array_equal(voxels(found.left_lung), (values == 2) | (values == 3))
    assert np.array_equal(voxels(found.right_lung), values == 1)
    assert np.array_equal(voxels(found.infection), values == 3)


def test_a_coarser_label_map_is_brought_to_the_cts_grid() -> None:
    truth = chest("oblique")
    values = voxels(truth.right) * np.uint8(1) + voxels(truth.left) * np.uint8(2)
    coarse = sitk.Shrink(truth.ct, [2, 2, 1])
    like = sitk.GetImageFromArray(values)
    like.CopyInformation(truth.ct)
    halved = sitk.GetArrayFromImage(sitk.Resample(like, coarse, sitk.Transform(), sitk.sitkNearestNeighbor))
    found = NetworkSegmenter(_Drawn(halved, coarse), Complete(truth)).segment(truth.ct)
    agree = voxels(found.right_lung) & voxels(truth.right)
    assert 2 * agree.sum() / (voxels(found.right_lung).sum() + voxels(truth.right).sum()) > 0.93
