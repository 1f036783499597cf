"""The whole of `analyze` on real CTs with the bundle that ships (the folder that DUALSAMPLING_TEST_DATA names)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from DualSamplingCOVIDLib.diagnosis import NO_PNEUMONIA

FOLDER = os.environ.get("DUALSAMPLING_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="DUALSAMPLING_TEST_DATA is not set")

PARTS = {
    "report.json",
    "run.json",
    "report.html",
    "figure.png",
    "lungs-infection.seg.nrrd",
    "attention-label.nrrd",
    "attention.nrrd",
    "attention",
    "scene.mrb",
}


def _analyze(case: str, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "DualSamplingCOVIDLib", "analyze", str(Path(FOLDER) / case)]
    return subprocess.run(
        [*command, "--output", str(output), "--progress", "none", *more], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=["covid-P001", "cap-cap002", "normal-normal001"])
def a_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / str(request.param)
    done = _analyze(f"ct/{request.param}", folder)
    assert done.returncode == 0, done.stderr
    print(f"{request.param}: {done.stderr.splitlines()[0]}; {done.stderr.splitlines()[2]}")
    return folder


def _report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_each_gives_a_whole_folder(a_folder: Path) -> None:
    assert {path.name for path in a_folder.iterdir()} == PARTS
    assert all(path.stat().st_size > 0 for path in a_folder.rglob("*"))
    assert "phantoms only" in (a_folder / "report.html").read_text(encoding="utf-8")


def test_normal_lungs_get_no_diagnosis(a_folder: Path) -> None:
    report = _report(a_folder)
    limit = report["segmentation"]["segmenter"]["detection_limit"]
    assert (report["decision"]["answer"] == NO_PNEUMONIA) == (report["decision"]["ratio"] < limit)
    if a_folder.name == "normal-normal001":
        assert report["decision"]["answer"] == NO_PNEUMONIA


@pytest.mark.parametrize("a_folder", ["covid-P001"], indirect=True)
def test_two_processes_write_the_same_report(a_folder: Path, tmp_path: Path) -> None:
    assert _analyze("ct/covid-P001", tmp_path / "again", "--write", "masks").returncode == 0
    assert (tmp_path / "again" / "report.json").read_bytes() == (a_folder / "report.json").read_bytes()


def test_an_abdomen_is_refused(tmp_path: Path) -> None:
    done = _analyze("not-chest/abdomen-pelvis.nii.gz", tmp_path / "out")
    assert done.returncode == 3
    assert "abdomen-pelvis.nii.gz: not a chest CT" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
