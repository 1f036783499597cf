"""lungmask as a segmenter, against a stand-in of its documented interface (version 0.2.22)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import segmentation
from DualSamplingCOVIDLib.errors import InputError, ResourceError
from DualSamplingCOVIDLib.segmentation import DEFAULT, segmenter
from DualSamplingCOVIDLib.segmentation.lungmask import Lungmask
from DualSamplingCOVIDLib.segmentation.networks import NetworkSegmenter
from segmentation._foreign import DIRECTIONS, Complete, Package, assert_on_grid, chest, missing, stand_in, voxels

__all__ = ["stand_in"]

INTERFACE = """
import numpy as np
import SimpleITK as sitk

MODEL_URLS = ("R231", "LTRCLobes", "R231CovidWeb")


class LMInferer:
    def __init__(self, modelname="R231", modelpath=None, fillmodel=None, fillmodel_path=None, force_cpu=False,
                 batch_size=20, volume_postprocessing=True, tqdm_disable=False):
        assert modelpath is not None or modelname in MODEL_URLS, "Modelname not found."
        assert fillmodel is None
        print("lungmask: chatter", flush=True)
        self.loaded, self.on_cpu = modelpath or modelname, force_cpu

    def apply(self, image):
        assert isinstance(image, (sitk.Image, np.ndarray))
        code = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(image.GetDirection())
        hu = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS"))
        columns = np.arange(hu.shape[2])[None, None, :]
        labels = np.where(hu < -100, np.where(columns < hu.shape[2] / 2, 1, 2), 0).astype(np.uint8)
        {extra}
        labels = sitk.GetImageFromArray(labels)
        return sitk.GetArrayFromImage(labels if code == "LPS" else sitk.DICOMOrient(labels, code))
"""


def package(extra: str = "") -> dict[str, str]:
    return {"lungmask/__init__.py": INTERFACE.replace("{extra}", extra)}


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_each_lung_is_on_its_side_of_the_cts_own_grid(kind: str, stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package())
    truth = chest(kind)
    found = NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
    assert_on_grid(found, truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.left_lung), voxels(truth.left))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


def test_the_card_names_the_model_and_who_found_the_infection(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package())
    card, rest = segmenter("lungmask:R231CovidWeb").card, segmenter(DEFAULT).card
    assert (card.name, card.version) == (f"{rest.name} with lungs of lungmask R231CovidWeb", f"{rest.version} + 0.2.22")
    assert segmenter("lungmask").card.name == f"{rest.name} with lungs of lungmask R231"
    assert card.cut_offs == rest.cut_offs


@pytest.mark.parametrize(("device", "expected"), [("cpu", True), ("auto", False), ("cuda", False)])
def test_the_cpu_is_asked_for_where_it_is_wanted(
    device: str, expected: bool, stand_in: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "DEFAULT", "threshold")
    stand_in("lungmask", "0.2.22", package(f"assert self.on_cpu is {expected}"))
    assert voxels(segmenter("lungmask", device).segment(chest("anisotropic").ct).right_lung).any()


def test_the_default_computes_where_the_network_does(stand_in: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(segmentation, "DEFAULT", "vbnet")
    monkeypatch.setattr(segmentation, "VBNetSegmenter", lambda _, device: asked.append(device))
    stand_in("lungmask", "0.2.22", package())
    segmenter("lungmask", "cuda")
    assert asked == ["cuda"]


def test_infection_is_the_others_inside_these_lungs(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package("labels[hu > -500] = 0"))
    truth = chest("anisotropic")
    other = Complete(truth)
    found = NetworkSegmenter(Lungmask(), other).segment(truth.ct)
    assert other.asked == 1
    assert not voxels(found.infection).any()
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right) & ~voxels(truth.infection))


def test_one_lung_alone_stays_one_lung(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package("labels[labels == 2] = 0"))
    truth = chest("flipped")
    found = NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert not voxels(found.left_lung).any()


def test_no_lungs_give_empty_masks(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package("labels[:] = 0"))
    truth = chest("oblique")
    found = NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
    assert_on_grid(found, truth.ct)
    assert not voxels(found.lungs).any() and found.ratio == 0


def test_progress_rises_to_one(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package())
    heard: list[float] = []
    truth = chest("anisotropic")
    NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct, lambda stage, fraction: heard.append(fraction))
    assert heard == sorted(heard) and heard[-1] == 1.0


def test_weights_of_a_file_are_named_by_their_hash(stand_in: Package, tmp_path: Path) -> None:
    check = "assert str(self.loaded).endswith('patient-meyer.pth'), self.loaded"
    stand_in("lungmask", "0.2.22", package(check))
    (tmp_path / "patient-meyer.pth").write_bytes(b"weights")
    truth = chest("anisotropic")
    network = Lungmask(str(tmp_path / "patient-meyer.pth"))
    assert network.name == "lungmask weights 9a129038"  # as sha256sum says it
    assert np.array_equal(voxels(NetworkSegmenter(network, Complete(truth)).segment(truth.ct).lungs), lungs(truth.ct))


def lungs(ct: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(ct) < -100


def test_nothing_is_printed(stand_in: Package, capfd: pytest.CaptureFixture[str]) -> None:
    stand_in("lungmask", "0.2.22", package())
    truth = chest("anisotropic")
    NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "lungmask")
    with pytest.raises(InputError) as caught:
        segmenter("lungmask")
    assert str(caught.value) == (
        "the segmenter lungmask needs the package lungmask, which is not installed: pip install lungmask"
    )


def test_a_model_that_is_no_file_names_the_models() -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file of weights, .* R231 and R231CovidWeb"):
        segmenter("lungmask:nowhere.pth")


def test_weights_of_lobes_are_refused(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package("labels[labels > 0] += 3"))
    truth = chest("anisotropic")
    with pytest.raises(InputError, match="weights of lobes"):
        NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        ("raise RuntimeError('size mismatch for conv\\nand more')", InputError, "size mismatch for conv$"),
        ("import urllib.error; raise urllib.error.URLError('no route')", InputError, "could not fetch .*no route"),
        ("raise MemoryError", ResourceError, "memory ran out"),
        ("raise RuntimeError('DefaultCPUAllocator: cannot allocate memory')", ResourceError, "memory ran out"),
        ("raise SystemExit(1)", InputError, "the segmenter lungmask failed: SystemExit: 1"),
        ("import a_part_of_it", InputError, "the segmenter lungmask needs a_part_of_it, which is not installed"),
    ],
)
def test_a_package_that_fails_is_one_sentence(
    failure: str, error: type[Exception], sentence: str, stand_in: Package
) -> None:
    stand_in("lungmask", "0.2.22", package(failure))
    truth = chest("anisotropic")
    with pytest.raises(error, match=sentence) as caught:
        NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
    assert "\n" not in str(caught.value)


def test_swapped_sides_are_noticed(stand_in: Package) -> None:
    stand_in("lungmask", "0.2.22", package("labels[labels > 0] = 3 - labels[labels > 0]"))
    truth = chest("flipped")
    with pytest.raises(InputError, match="put the right lung to the patient's left"):
        NetworkSegmenter(Lungmask(), Complete(truth)).segment(truth.ct)
