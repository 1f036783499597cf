"""nnU-Net model folders as segmenters, against a stand-in of the documented interface (nnunetv2 2.8.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import segmenter
from DualSamplingCOVIDLib.segmentation.networks import NetworkSegmenter
from DualSamplingCOVIDLib.segmentation.nnunet import NNUNet
from segmentation._foreign import DIRECTIONS, Complete, Package, assert_on_grid, chest, missing, stand_in, voxels

__all__ = ["stand_in"]

PREDICTOR = '''
import json
from pathlib import Path

import numpy as np
import torch


class nnUNetPredictor:
    def __init__(self, tile_step_size=0.5, use_gaussian=True, use_mirroring=True, perform_everything_on_device=True,
                 device=torch.device("cuda"), verbose=False, verbose_preprocessing=False, allow_tqdm=True):
        assert isinstance(device, torch.device)
        self.device = device
        print("perform_everything_on_device=True is only supported for cuda devices!")

    def initialize_from_trained_model_folder(self, model_training_output_dir, use_folds,
                                             checkpoint_name="checkpoint_final.pth"):
        assert isinstance(model_training_output_dir, str)
        for fold in use_folds:
            assert (Path(model_training_output_dir) / f"fold_{fold}" / checkpoint_name).is_file()
        plans = json.loads((Path(model_training_output_dir) / "plans.json").read_text())
        self.reader = plans["image_reader_writer"]
        self.labels = json.loads((Path(model_training_output_dir) / "dataset.json").read_text())["labels"]

    def predict_single_npy_array(self, input_image, image_properties, segmentation_previous_stage=None,
                                 output_file_truncated=None, save_or_return_probabilities=False):
        """[channel, k, j, i] with the spacing (k, j, i); LPS or RAS, as the model's reader gives it."""
        assert input_image.ndim == 4 and input_image.shape[0] == 1 and input_image.dtype == np.float32
        assert list(image_properties) == ["spacing"], "must only have a 'spacing' key!"
        {extra}
        hu = input_image[0]
        spacing = dict(zip(hu.shape, image_properties["spacing"]))
        assert {n: round(mm, 6) for n, mm in spacing.items()} == {70: 3.6, 56: 4.1, 44: 5.2}
        halves = np.arange(hu.shape[2])[None, None, :] < hu.shape[2] / 2
        right = ~halves if self.reader.endswith("WithReorient") else halves
        value = {name: v[0] if isinstance(v, list) else v for name, v in self.labels.items()}
        whole = value.get("lung", 0)
        sides = np.where(right, value.get("right lung", whole), value.get("left lung", whole))
        labels = np.where(hu < -600, sides, 0)
        labels[(hu > -600) & (hu < -100)] = value.get("COVID-19 infection", 0)
        return labels.astype(np.uint8)
'''
SIDED = {"background": 0, "right lung": 1, "left lung": 2}
WHOLE = {**SIDED, "COVID-19 infection": 3}


def install(stand_in: Package, extra: str = "") -> None:
    files = {"nnunetv2/__init__.py": "", "nnunetv2/inference/__init__.py": ""}
    source = PREDICTOR.replace("{extra}", extra)
    stand_in("nnunetv2", "2.8.1", files | {"nnunetv2/inference/predict_from_raw_data.py": source})


def model(folder: Path, labels: dict[str, Any], reader: str = "SimpleITKIO", folds: Sequence[str] = "01") -> str:
    root = folder / "model"
    for fold in folds:
        (root / f"fold_{fold}").mkdir(parents=True)
        (root / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(fold.encode())
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    (root / "plans.json").write_text(json.dumps({"dataset_name": "Dataset201_Lungs", "image_reader_writer": reader}))
    return str(root)


@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient"])
@pytest.mark.parametrize("kind", DIRECTIONS)
def test_lungs_and_infection_of_the_model_alone(kind: str, reader: str, stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest(kind)
    other = Complete(truth)
    found = NetworkSegmenter(NNUNet(model(tmp_path, WHOLE, reader)), other).segment(truth.ct)
    assert other.asked == 0
    assert_on_grid(found, truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))  # the infection included
    assert np.array_equal(voxels(found.left_lung), voxels(truth.left))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


@pytest.mark.parametrize(
    ("device", "has_gpu", "expected"), [("cpu", True, "cpu"), ("auto", True, "cuda"), ("auto", False, "cpu")]
)
def test_it_computes_on_the_device_that_was_asked_for(
    device: str, has_gpu: bool, expected: str, stand_in: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    install(stand_in, f"assert self.device.type == {expected!r}")
    assert voxels(segmenter(f"nnunet:{model(tmp_path, WHOLE)}", device).segment(chest("flipped").ct).infection).any()


def test_lungs_alone_take_the_others_infection(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("oblique")
    found = NetworkSegmenter(NNUNet(model(tmp_path, SIDED)), Complete(truth)).segment(truth.ct)
    assert found.segmenter.name == "other with lungs of nnU-Net Dataset201_Lungs"
    assert not voxels(found.infection).any()  # which this network leaves out of its lungs


def test_infection_alone_takes_the_others_lungs(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("flipped")
    found = NetworkSegmenter(NNUNet(model(tmp_path, {"COVID-19 infection": 1})), Complete(truth)).segment(truth.ct)
    assert found.segmenter.name == "other with infection of nnU-Net Dataset201_Lungs"
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


def test_lungs_of_no_named_side_are_parted_by_place(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("flipped")
    labels = {"background": 0, "lung": [1, 3], "COVID-19 infection": 3}
    found = NetworkSegmenter(NNUNet(model(tmp_path, labels)), Complete(truth)).segment(truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.left_lung), voxels(truth.left))


def test_the_card_tells_which_weights(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    card = segmenter(f"nnunet:{model(tmp_path, WHOLE)}").card
    assert card.name == "nnU-Net Dataset201_Lungs"
    assert card.version == f"2.8.1 weights {hashlib.sha256(b'01').hexdigest()[:8]}"


def test_the_fold_of_all_cases_serves_where_there_is_no_other(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("anisotropic")
    found = NetworkSegmenter(NNUNet(model(tmp_path, WHOLE, folds=("all",))), Complete(truth)).segment(truth.ct)
    assert np.array_equal(voxels(found.lungs), voxels(truth.right) | voxels(truth.left))


def test_a_model_that_saw_its_images_the_other_way_round_is_refused(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("anisotropic")
    labels = {"left lung": 1, "right lung": 2, "COVID-19 infection": 3}
    folder = model(tmp_path, labels)
    swapped = NNUNet(folder)
    (Path(folder) / "dataset.json").write_text(json.dumps({"labels": {**labels, "left lung": 2, "right lung": 1}}))
    with pytest.raises(InputError, match="put the right lung to the patient's left"):
        NetworkSegmenter(swapped, Complete(truth)).segment(truth.ct)


def test_a_package_that_fails_is_one_sentence(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in, "raise RuntimeError('Unable to locate trainer class nnUNetTrainerMine')")
    truth = chest("anisotropic")
    with pytest.raises(InputError, match="the segmenter nnunet failed: RuntimeError: Unable to locate trainer class"):
        NetworkSegmenter(NNUNet(model(tmp_path, WHOLE)), Complete(truth)).segment(truth.ct)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing(monkeypatch, "nnunetv2")
    with pytest.raises(InputError, match="needs the package nnunetv2, which is not installed: pip install nnunetv2"):
        segmenter(f"nnunet:{model(tmp_path, WHOLE)}")


def change(name: str, **facts: Any) -> Any:
    def damage(root: Path) -> None:
        (root / name).write_text(json.dumps(json.loads((root / name).read_text()) | facts))

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: (root / "dataset.json").unlink(), r"dataset\.json: cannot be read \(No such file"),
        (lambda root: (root / "plans.json").write_text("{"), r"plans\.json: not valid JSON"),
        (change("dataset.json", labels={"liver": 1}), "none of its labels means lung or infection: liver"),
        (change("dataset.json", labels={"lung": "one"}), r"dataset\.json: not usable"),
        (change("dataset.json", channel_names={"0": "CT", "1": "PET"}), "the model needs 2 images, a CT is one"),
        (lambda root: (root / "fold_0" / "checkpoint_final.pth").unlink(), "no fold holds checkpoint_final.pth"),
    ],
)
def test_a_folder_that_is_no_model_says_why(damage: Any, sentence: str, tmp_path: Path) -> None:
    folder = model(tmp_path, WHOLE, folds=("0",))
    damage(Path(folder))
    with pytest.raises(InputError, match=sentence):
        NNUNet(folder)


@pytest.mark.parametrize(("name", "sentence"), [("nnunet", "nnunet:FOLDER"), ("nnunet:nowhere", "nowhere: no such")])
def test_a_missing_folder_is_named(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        segmenter(name)
