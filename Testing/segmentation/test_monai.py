"""MONAI bundles as segmenters, against a stand-in of the documented interface (MONAI 1.6.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import segmenter
from DualSamplingCOVIDLib.segmentation.monai import MonaiBundle
from DualSamplingCOVIDLib.segmentation.networks import NetworkSegmenter
from segmentation._foreign import DIRECTIONS, Complete, Package, assert_on_grid, chest, missing, stand_in, voxels

__all__ = ["stand_in"]

BUNDLE = '''
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk


class ConfigParser:
    """What the bundle's `initialize` and `run` do when they are evaluated, with the names it was told."""

    def __init__(self, config=None, excludes=None, globals=None):
        self.config, self.done = {"_meta_": {}}, []

    def read_meta(self, f, **kwargs):
        self.config["_meta_"] = json.loads(Path(f).read_text())

    def read_config(self, f, **kwargs):
        self.config.update(json.loads(Path(f).read_text()))

    def update(self, pairs):
        for key, value in pairs.items():
            node, *rest = key.split("#")
            if rest:
                self.config[node][rest[0]] = value
            else:
                self.config[node] = value

    def __contains__(self, id):
        return id in self.config

    def get_parsed_content(self, id="", **kwargs):
        self.done.append(id)
        if id == "run":
            assert self.done == ["initialize", "run"]
            assert (Path(self.config["bundle_root"]) / "models" / "model.pt").is_file()
            assert self.config["dataloader"]["num_workers"] == 0
            self._run()

    def _run(self):
        """NIfTI is RAS; what it saves keeps its own directions, and floats."""
        (item,) = self.config["dataset"]["data"]
        image = sitk.DICOMOrient(sitk.ReadImage(item["image"]), "RAS")
        hu = sitk.GetArrayFromImage(image)
        right = np.arange(hu.shape[2])[None, None, :] >= hu.shape[2] / 2
        labels = np.where(hu < -600, np.where(right, 5, 4), 0).astype(np.float32)
        labels[(hu > -600) & (hu < -100)] = 9
        {extra}
        saved = sitk.GetImageFromArray(labels, isVector=False)
        saved.CopyInformation(image)
        folder = Path(self.config["output_dir"]) / "ct"
        folder.mkdir(parents=True)
        sitk.WriteImage(saved, folder / "ct_trans.nii.gz")
'''
CHANNELS = {"0": "background", "4": "lung_left", "5": "lung_right", "9": "infection"}


def install(stand_in: Package, extra: str = "") -> None:
    source = BUNDLE.replace("{extra}", extra)
    stand_in("monai", "1.6.1", {"monai/__init__.py": "", "monai/bundle/__init__.py": source})


def bundle(folder: Path, channels: dict[str, str]) -> str:
    root = folder / "bundle"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "models" / "model.pt").write_bytes(b"weights")
    formats = {"inputs": {"image": {"num_channels": 1}}, "outputs": {"pred": {"channel_def": channels}}}
    facts = {"name": "Lungs and infection", "version": "0.1.0", "network_data_format": formats}
    config = {
        "dataset": {"data": "$[]"},
        "dataloader": {"num_workers": 4},
        "device": "auto",
        "initialize": ["$1"],
        "run": ["$1"],
    }
    (root / "configs" / "metadata.json").write_text(json.dumps(facts))
    (root / "configs" / "inference.json").write_text(json.dumps(config))
    return str(root)


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_lungs_and_infection_of_the_bundle_alone(kind: str, stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest(kind)
    other = Complete(truth)
    found = NetworkSegmenter(MonaiBundle(bundle(tmp_path, CHANNELS)), other).segment(truth.ct)
    assert other.asked == 0
    assert_on_grid(found, truth.ct)
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.left_lung), voxels(truth.left))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


@pytest.mark.parametrize(("device", "expected"), [("cpu", "$torch.device('cpu')"), ("auto", "auto"), ("cuda", "auto")])
def test_the_bundles_own_device_gives_way_to_the_cpu(
    device: str, expected: str, stand_in: Package, tmp_path: Path
) -> None:
    install(stand_in, f"assert self.config['device'] == {expected!r}")
    found = segmenter(f"monai:{bundle(tmp_path, CHANNELS)}", device).segment(chest("flipped").ct)
    assert voxels(found.infection).any()


def test_lobes_are_lungs_and_infection_is_the_others(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    truth = chest("oblique")
    channels = {
        "0": "background",
        "4": "lung_upper_lobe_left",
        "5": "lung_lower_lobe_right",
        "9": "lung_lower_lobe_right",
    }
    found = NetworkSegmenter(MonaiBundle(bundle(tmp_path, channels)), Complete(truth)).segment(truth.ct)
    assert found.segmenter.name == "other with lungs of MONAI Lungs and infection 0.1.0"
    assert np.array_equal(voxels(found.right_lung), voxels(truth.right))
    assert np.array_equal(voxels(found.infection), voxels(truth.infection))


def test_the_card_names_bundle_package_and_weights(stand_in: Package, tmp_path: Path) -> None:
    install(stand_in)
    card = segmenter(f"monai:{bundle(tmp_path, CHANNELS)}").card
    assert card.name == "MONAI Lungs and infection 0.1.0"
    assert card.version.startswith("1.6.1 weights ")


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ("return", "wrote 0 files where one label map was expected"),
        ("labels = np.stack([labels, labels], 0); image = sitk.JoinSeries([image] * 2)", "wrote several channels"),
        ("raise ValueError('required package `ignite` is not installed')", "the segmenter monai failed: .*`ignite`"),
    ],
)
def test_a_bundle_that_fails_is_one_sentence(extra: str, sentence: str, stand_in: Package, tmp_path: Path) -> None:
    install(stand_in, extra)
    truth = chest("anisotropic")
    with pytest.raises(InputError, match=sentence):
        NetworkSegmenter(MonaiBundle(bundle(tmp_path, CHANNELS)), Complete(truth)).segment(truth.ct)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing(monkeypatch, "monai")
    with pytest.raises(InputError, match="needs the package monai, which is not installed: pip install monai"):
        segmenter(f"monai:{bundle(tmp_path, CHANNELS)}")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: (root / "configs" / "metadata.json").unlink(), r"metadata\.json: cannot be read"),
        (lambda root: (root / "configs" / "inference.json").unlink(), "the segmenter monai needs inference.json or"),
        (lambda root: (root / "configs" / "metadata.json").write_text("{}"), r"metadata\.json: not usable"),
        (lambda root: (root / "configs" / "metadata.json").write_text("[]"), r"metadata\.json: no JSON object"),
    ],
)
def test_a_folder_that_is_no_bundle_says_why(damage: Any, sentence: str, tmp_path: Path) -> None:
    folder = bundle(tmp_path, CHANNELS)
    damage(Path(folder))
    with pytest.raises(InputError, match=sentence):
        MonaiBundle(folder)


@pytest.mark.parametrize(
    ("name", "sentence"), [("monai", "monai:FOLDER"), ("monai:nowhere", "nowhere: no such folder")]
)
def test_a_missing_folder_is_named(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        segmenter(name)
