"""What `segment` writes and says."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from ct.test_quality import chest
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.commands import segment
from DualSamplingCOVIDLib.diagnosis import CutOffs, Segmentation, SegmenterCard

CARD = SegmenterCard("drawn", "3", CutOffs(0.002, 0.01, 0.05), 0.004)


class _Drawn:
    """A segmenter that answers with the lungs of a drawn chest, of which the upper slices are infected."""

    card = CARD

    def __init__(self, lungs: sitk.Image) -> None:
        self._lungs = sitk.Cast(lungs > 0, sitk.sitkUInt8)

    def segment(self, ct: sitk.Image, progress: object = None) -> Segmentation:
        where = sitk.GetArrayFromImage(self._lungs)
        where[: where.shape[0] // 2] = 0
        infection = sitk.GetImageFromArray(where)
        infection.CopyInformation(self._lungs)
        return Segmentation(self._lungs, self._lungs * 0, infection, CARD)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ct, lungs = chest((40, 48, 48), (6, 6, 7))
    sitk.WriteImage(ct, tmp_path / "ct.nrrd")
    monkeypatch.setattr(segment, "segmenter", lambda name, device: _Drawn(lungs))
    return ["segment", str(tmp_path / "ct.nrrd"), "--output", str(tmp_path / "out"), "--progress", "none"]


def test_masks_numbers_and_picture_are_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "lungs-infection.seg.nrrd",
        "segmentation.json",
        "segmentation.png",
    }
    record = json.loads((tmp_path / "out" / "segmentation.json").read_text(encoding="utf-8"))
    assert (record["segmenter"], record["stratum"]) == ("drawn 3", "large")
    assert record["infection_ml"]["left"] == 0 and record["lungs_ml"]["left"] == 0  # the drawn lungs are right ones
    share = record["infection_ml"]["right"] / record["lungs_ml"]["right"]
    assert share == pytest.approx(record["infection_ratio"], rel=1e-3)
    assert record["cut_offs"] == dataclasses.asdict(CARD.cut_offs) and record["detection_limit"] == 0.004
    ratio = f"ratio {100 * record['infection_ratio']:.2f} %, large (cut-offs 0.2, 1, 5 %)"
    assert ratio in capsys.readouterr().err.replace("\N{NO-BREAK SPACE}", " ")


def test_without_matplotlib_all_else_is_written_and_a_line_says_so(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(arguments) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"lungs-infection.seg.nrrd", "segmentation.json"}
    assert "not written: segmentation.png: the package matplotlib is not installed" in capsys.readouterr().err
