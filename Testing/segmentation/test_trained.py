"""A trained segmenter's folder: what is written is read back, and nothing altered, foreign or executable is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from DualSamplingCOVIDLib.errors import BundleError
from DualSamplingCOVIDLib.network.vbnet import COARSE_INPUTS, VBNet
from DualSamplingCOVIDLib.segmentation.trained import load
from DualSamplingCOVIDLib.segmentation.vbnet import VBNetSegmenter

from .vbnets import a_folder


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_card_and_weights_come_back(tmp_path: Path) -> None:
    written = a_folder(tmp_path)
    read = load(tmp_path)
    assert read == written
    assert (read.card.name, read.card.version, read.card.detection_limit) == ("untrained", "7", 0.0015)
    assert read.card.cut_offs.small == 0.006
    torch.manual_seed(0)
    expected = VBNet(COARSE_INPUTS, 2, 8).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in read.tensors(read.coarse).items())
    assert VBNetSegmenter(tmp_path).card == read.card


@pytest.mark.parametrize("name", ["coarse", "fine"])
def test_altered_truncated_or_missing_weights_are_refused(tmp_path: Path, name: str) -> None:
    a_folder(tmp_path)
    path = tmp_path / f"{name}.safetensors"
    blob = path.read_bytes()
    for content in (blob[:-1], blob[:-1] + bytes([blob[-1] ^ 1])):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=rf"{name}\.safetensors: altered or truncated"):
            load(tmp_path)
    path.unlink()
    with pytest.raises(BundleError, match="missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 99},
        {"architecture": "resnet34-online-attention"},
        {"networks": {}},
        {"detection_limit": 2},
        {"detection_limit": None},
        {"cut_offs": {"minimal": 0.5, "small": 0.1, "large": 0.2}},
        {"name": 3},
    ],
)
def test_metadata_that_makes_no_sense_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    a_folder(tmp_path)
    _edit(tmp_path, **changes)
    with pytest.raises(BundleError, match=r"metadata\.json: not valid bundle metadata"):
        load(tmp_path)


def test_networks_that_take_something_else_are_refused(tmp_path: Path) -> None:
    a_folder(tmp_path)
    networks = json.loads((tmp_path / "metadata.json").read_text())["networks"]
    _edit(tmp_path, networks=networks | {"fine": networks["fine"] | {"inputs": 3}})
    with pytest.raises(BundleError, match=r"fine\.safetensors: takes 3 inputs for 2 outputs, not 7 for 2"):
        VBNetSegmenter(tmp_path).segment(sitk.Image(8, 8, 8, sitk.sitkFloat32))


def test_a_folder_of_something_else_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a segmenter that train-segmenter wrote"):
        load(tmp_path)


def test_weights_outside_the_folder_are_never_reached_for(tmp_path: Path) -> None:
    a_folder(tmp_path / "inner")
    data = json.loads((tmp_path / "inner" / "metadata.json").read_text())
    data["networks"]["fine"]["file"] = "../fine.safetensors"
    _edit(tmp_path / "inner", **data)
    with pytest.raises(BundleError, match="own folder"):
        load(tmp_path / "inner")


def test_another_width_than_the_weights_have_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    a_folder(tmp_path)
    data = json.loads((tmp_path / "metadata.json").read_text())
    data["networks"]["fine"]["width"] = 16
    _edit(tmp_path, **data)
    trained = load(tmp_path)
    with pytest.raises(BundleError, match=r"fine\.safetensors: weights of another architecture"):
        trained.tensors(trained.fine)


def test_a_pickled_file_in_the_folder_is_refused_and_not_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("executed",)

    a_folder(tmp_path)
    (tmp_path / "extra.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BundleError, match="pickled files can run code"):
        load(tmp_path)


def test_where_no_weights_ship_the_sentence_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("DualSamplingCOVIDLib.segmentation.vbnet.SHIPPED", "Bundles/none")
    with pytest.raises(BundleError, match=r"Bundles/none .* vbnet:FOLDER"):
        VBNetSegmenter()
