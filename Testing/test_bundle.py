"""A bundle is data: checked before it is read, refused with a reason when it is not what it says."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.bundle import Bundle, Member, load_bundle, save_bundle
from DualSamplingCOVIDLib.diagnosis import BundleCard, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.errors import BundleError
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.segmentation import DEFAULT, name_for, segmenter
from segmentation.vbnets import a_folder

GRID = GridSpec((32, 48, 48), (8.0, 8.0, 12.0))


def a_bundle(folder: Path, width: int = 2, carried: Path | None = None) -> Bundle:
    """Write a bundle of random weights of US, SS and the baseline, and of a segmenter."""
    torch.manual_seed(5)
    members = (("us", "US", "attention"), ("ss", "SS", "attention"), ("baseline", "US", "baseline"))
    networks = [
        (Member(name, sampling, kind, None, width, f"{name}.safetensors", ""), ResNet34(width).state_dict())
        for name, sampling, kind in members
    ]
    card = BundleCard("random", "1", "nothing", "tests", "")
    learned = SegmenterCard("threshold", "1", CutOffs(), 0.01)
    return save_bundle(folder, networks, card, GRID, learned, {"n": 0}, carried)


def test_a_saved_bundle_is_loaded_with_every_field(tmp_path: Path) -> None:
    saved = a_bundle(tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    assert loaded == saved
    assert [member.name for member in loaded.members] == ["us", "ss", "baseline"]
    assert loaded.grid == GRID
    assert loaded.segmenter == SegmenterCard("threshold", "1", CutOffs(), 0.01)
    assert loaded.weights(loaded.members[0])["fc.weight"].shape == (1, 16)


def test_what_a_bundle_holds_is_shown_a_line_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_bundle(tmp_path / "b")
    data = json.loads((tmp_path / "b" / "metadata.json").read_text())
    held_out = {"all": {"n": 120, "auc": 0.8512345}, "large": {"n": 38}}
    data["evaluation"] = {
        "validation": {"us": {"epoch": 9}},
        "held_out": held_out,
        "tables": [{"n": 1}, {"n": 2}],
        "seconds": 3000,
    }
    (tmp_path / "b" / "metadata.json").write_text(json.dumps(data))
    assert main(["bundle", "show", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("random 1 (research use only)\n")
    expected = [
        "evaluation:",
        "  validation:",
        "    us: epoch 10",
        "  held_out:",
        "    all: n 120, auc 0.8512",
        "    large: n 38",
    ]
    expected += ["  tables: 2 rows in metadata.json", "  seconds: 3000"]
    assert shown.splitlines()[-8:] == expected


def test_without_a_folder_it_is_the_bundle_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show"]) == 0
    assert capsys.readouterr().out.startswith("phantom-demo ")
    assert main(["bundle", "check"]) == 0
    assert "phantom-demo: sound (3 members)" in capsys.readouterr().out


def _tamper(folder: Path) -> None:
    path = folder / "us.safetensors"
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)


def _truncate(folder: Path) -> None:
    path = folder / "ss.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _other_architecture(folder: Path) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architecture": "resnet50"}))


def _pickle(folder: Path) -> None:
    (folder / "us.pkl").write_bytes(pickle.dumps({"a": 1}))


def _no_metadata(folder: Path) -> None:
    (folder / "metadata.json").unlink()


def _broken_metadata(folder: Path) -> None:
    (folder / "metadata.json").write_text("{")


def _no_ss(folder: Path) -> None:
    path = folder / "metadata.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "members": data["members"][:1]}))


def _path_out_of_the_folder(folder: Path) -> None:
    path = folder / "metadata.json"
    path.write_text(path.read_text().replace('"us.safetensors"', '"../us.safetensors"'))


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (_tamper, "altered or truncated"),
        (_truncate, "altered or truncated"),
        (_other_architecture, "resnet50"),
        (_pickle, "pickled files can run code"),
        (_no_metadata, "not a bundle"),
        (_broken_metadata, "not valid bundle metadata"),
        (_no_ss, "one with SS"),
        (_path_out_of_the_folder, "not a safetensors file of its own folder"),
    ],
)
def test_a_damaged_bundle_is_refused_with_its_cause(tmp_path: Path, damage: Callable[[Path], None], cause: str) -> None:
    a_bundle(tmp_path / "b")
    damage(tmp_path / "b")
    with pytest.raises(BundleError, match=cause) as caught:
        load_bundle(tmp_path / "b")
    assert str(tmp_path / "b") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_segmenter_in_place_of_a_bundle_is_told_its_use(tmp_path: Path) -> None:
    a_folder(tmp_path / "taught")
    with pytest.raises(BundleError, match=r"metadata \(architecture 'vb-net', .*; a segmenter is for"):
        load_bundle(tmp_path / "taught")


def test_a_bundle_takes_its_segmenter_along(tmp_path: Path) -> None:
    taught = a_folder(tmp_path / "taught")
    (tmp_path / "taught" / "notes.txt").write_text("mine")
    a_bundle(tmp_path / "made", carried=tmp_path / "taught")
    shutil.rmtree(tmp_path / "taught")
    shutil.move(tmp_path / "made", tmp_path / "elsewhere")
    bundle = load_bundle(tmp_path / "elsewhere")
    name = name_for(bundle.segmenter, bundle.carried)
    assert name == f"vbnet:{tmp_path / 'elsewhere' / 'segmenter'}"
    assert segmenter(name).card == taught.card
    files = {file.name for file in (tmp_path / "elsewhere" / "segmenter").iterdir()}
    assert files == {"metadata.json", "coarse.safetensors", "fine.safetensors"}
    a_bundle(tmp_path / "without")
    assert name_for(bundle.segmenter, load_bundle(tmp_path / "without").carried) == bundle.segmenter.name


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("vbnet", "vbnet"),
        ("threshold with given lungs", "threshold"),
        ("vbnet with lungs of lungmask", "vbnet"),
        ("given masks", DEFAULT),
    ],
)
def test_the_segmenter_of_a_bundle_is_the_one_that_found_its_masks(name: str, asked: str) -> None:
    assert name_for(SegmenterCard(name, "1", CutOffs(), 0.01), None) == asked


@pytest.mark.parametrize("file", ["metadata.json", "fine.safetensors"])
def test_a_bundle_with_another_segmenter_than_its_own_is_not_sound(
    tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_folder(tmp_path / "taught")
    a_bundle(tmp_path / "b", carried=tmp_path / "taught")
    assert main(["bundle", "check", str(tmp_path / "b")]) == 0
    path = tmp_path / "b" / "segmenter" / file
    path.write_bytes(path.read_bytes() + b" ")
    assert main(["bundle", "check", str(tmp_path / "b")]) == 4
    assert f"{path}: altered or truncated" in capsys.readouterr().err
    shutil.rmtree(path.parent)
    assert main(["bundle", "check", str(tmp_path / "b")]) == 4


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_bundle(tmp_path / "none")


def test_a_pickle_named_safetensors_is_never_unpickled(tmp_path: Path) -> None:
    import hashlib

    a_bundle(tmp_path / "b")
    path = tmp_path / "b" / "us.safetensors"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    torch.save(ResNet34(2).state_dict(), path)
    metadata = tmp_path / "b" / "metadata.json"
    metadata.write_text(metadata.read_text().replace(old, hashlib.sha256(path.read_bytes()).hexdigest()))
    bundle = load_bundle(tmp_path / "b")
    with pytest.raises(BundleError, match="not a readable safetensors file"):
        bundle.weights(bundle.members[0])
