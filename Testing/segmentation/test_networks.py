"""What labels' names mean, how segmenters are named, and who gets the infection between two lungs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import segmentation
from DualSamplingCOVIDLib.diagnosis import CutOffs, SegmenterCard
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


@pytest.mark.parametrize(("missing", "expected"), [("", "vbnet"), ("torch", "threshold"), ("safetensors", "threshold")])
def test_the_default_is_vbnet_where_its_packages_are_and_thresholds_elsewhere(missing: str, expected: str) -> None:
    code = "import sys; sys.modules.update({name: None for name in sys.argv[1:]}); "
    code += "from DualSamplingCOVIDLib.segmentation import DEFAULT; print(DEFAULT)"
    arguments = [sys.executable, "-c", code, *([missing] if missing else [])]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_a_folder_that_an_uninstalled_package_left_is_none(tmp_path, monkeypatch) -> None:
    (tmp_path / "leftover").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not segmentation._installed("leftover") and segmentation._installed("numpy")


@pytest.mark.parametrize(
    ("labels", "asked", "limit"),
    [({"right lung": 1, "left lung": 2, "infection": 3}, [], 0.005), ({"infection": 3}, ["default"], 0.0123)],
)
def test_a_network_that_finds_all_does_without_the_default_and_its_limit(
    labels: dict[str, int], asked: list[str], limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign(_Drawn):
        def __init__(self, argument: str | None, device: str) -> None: ...

    Foreign.labels = Labels.named(labels)
    wanted: list[str] = []

    class Default:
        card = SegmenterCard("default", "1", CutOffs(0.002, 0.02, 0.2), 0.0123)

        def __init__(self, folder: object, device: str) -> None:
            wanted.append(self.card.name)

    monkeypatch.setitem(segmentation._NETWORKS, "foreign", Foreign)
    monkeypatch.setattr(segmentation, "DEFAULT", "vbnet")
    monkeypatch.setattr(segmentation, "VBNetSegmenter", Default)
    card = segmenter("foreign").card
    assert wanted == asked and card.detection_limit == limit
    assert card.cut_offs == (Default.card.cut_offs if asked else CutOffs())


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
