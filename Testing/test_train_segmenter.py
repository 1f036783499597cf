"""`train-segmenter`: from nothing to a segmenter in one command, resumed where it was interrupted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import __main__, __version__
from DualSamplingCOVIDLib.diagnosis import COVID, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.phantom import NORMAL
from DualSamplingCOVIDLib.segmentation import segmenter, trained
from DualSamplingCOVIDLib.training.segmentation import calibrate, recipe
from DualSamplingCOVIDLib.training.segmentation.fit import Fit
from DualSamplingCOVIDLib.training.segmentation.recipe import Recipe, Stage

TINY = Recipe(3, Stage(8, 48, 1, 3), Stage(8, 48, 1, 3), calibration=6)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipe.RECIPES, "trial", TINY)


def _run(output: Path, *options: str) -> int:
    return __main__.main(
        ["train-segmenter", "--recipe", "trial", "--output", str(output), "--progress", "none", *options]
    )


FOUND = [
    *(calibrate.Measured(NORMAL, 0.0, ratio, 0.99, 0.0) for ratio in (0.0, 0.0, 0.0004, 0.001)),
    *(calibrate.Measured(COVID, ratio, 1.1 * ratio, 0.98, 0.8) for ratio in (0.0008, 0.002, 0.004, 0.01, 0.02, 0.1)),
]


def test_one_command_makes_a_segmenter_that_segments(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "measure", lambda *_, **__: FOUND)
    assert _run(tmp_path / "taught", "--work", str(tmp_path / "work"), "--without", "vessels") == 0
    assert len(list((tmp_path / "work" / "cases").iterdir())) == 3
    found = trained.load(tmp_path / "taught")
    assert found.evaluation["command"].endswith("--recipe trial --seed 2020 --without vessels")
    assert found.evaluation["recipe"]["variety"]["vessels"] is False
    assert found.evaluation["held_out"]["normal_ratio_largest"] == 0.001
    assert found.card.version.startswith(f"{__version__}-")
    assert found.card.detection_limit == pytest.approx(0.00091)
    assert 0.0011 < found.card.cut_offs.minimal < found.card.cut_offs.small < found.card.cut_offs.large < 0.11
    assert segmenter(f"vbnet:{tmp_path / 'taught'}").card == found.card


def test_the_same_work_folder_gives_the_same_weights_without_learning_again(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "measure", lambda *_, **__: FOUND)
    options = ("--work", str(tmp_path / "work"))
    assert _run(tmp_path / "first", *options) == 0
    monkeypatch.setattr(Fit, "step", lambda *_: pytest.fail("a step was taken"))
    assert _run(tmp_path / "second", *options) == 0
    one, other = (trained.load(tmp_path / name) for name in ("first", "second"))
    assert (one.coarse.sha256, one.fine.sha256) == (other.coarse.sha256, other.fine.sha256)


def test_seconds_of_interrupted_phantoms_and_guides_count(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "measure", lambda *_, **__: FOUND)
    (tmp_path / "work").mkdir()
    for part, before in (("phantoms", 1000.0), ("guides", 3000.0)):
        (tmp_path / "work" / f"{part}.json").write_text(json.dumps({"seconds": before}))
    assert _run(tmp_path / "taught", "--work", str(tmp_path / "work")) == 0
    seconds = trained.load(tmp_path / "taught").evaluation["seconds"]
    assert 1000 <= seconds["phantoms"] < 1200 and 3000 <= seconds["guides"] < 3200
    assert 4000 <= seconds["total"] < 4600


def test_figures_by_hand() -> None:
    figures = calibrate.figures(FOUND)
    assert (figures["phantoms"], figures["normal"], figures["below_0.005"]) == (10, 4, 3)
    assert figures["lung_dice"] == pytest.approx((4 * 0.99 + 6 * 0.98) / 10)
    assert figures["infection_dice"] == 0.8
    assert figures["normal_ratio_median"] == 0.0002
    with pytest.raises(ValueError, match="normal"):
        calibrate.calibrated(SegmenterCard("x", "1", CutOffs(), 0.0), FOUND[4:])


def test_a_limit_is_never_so_low_that_lungs_without_infection_are_above_it() -> None:
    clean = [one._replace(found_ratio=0.0) if one.label == NORMAL else one for one in FOUND]
    limit = calibrate.calibrated(SegmenterCard("x", "1", CutOffs(), 0.0), clean).detection_limit
    assert limit == calibrate.LEAST_LIMIT == 0.0005


def test_work_of_another_seed_is_not_mixed_in(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "recipe.json").write_text(json.dumps({"seed": 1}))
    assert _run(tmp_path / "taught", "--work", str(tmp_path / "work")) == 3
    assert "recipe.json: of another recipe or seed" in capsys.readouterr().err
    assert not (tmp_path / "taught").exists()


def test_an_empty_folder_of_backgrounds_is_named(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "normals").mkdir()
    assert _run(tmp_path / "taught", "--backgrounds", str(tmp_path / "normals")) == 3
    assert "normals: holds no CT" in capsys.readouterr().err


def test_networks_that_find_nothing_are_no_segmenter(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = [one._replace(found_ratio=0.0, infection=0.0) for one in FOUND]
    monkeypatch.setattr(calibrate, "measure", lambda *_, **__: nothing)
    assert _run(tmp_path / "taught") == 3
    assert "the networks have learned too little: no case has an infection ratio above 0" in capsys.readouterr().err
    assert not (tmp_path / "taught").exists()


def test_a_package_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "monai" else real(name))
    assert _run(tmp_path / "taught") == 3
    said = capsys.readouterr().err
    assert "train-segmenter needs the package monai; in this project's folder: pip install -c constraints" in said
    assert "-e '.[training]'" in said
