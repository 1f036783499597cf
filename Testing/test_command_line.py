"""What the commands write; what they refuse is in test_bad_input.py."""

import json
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ct._dicom_files import NAME, PATIENT, edit, write_series
from ct.test_quality import chest
from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.commands import reporter as reporter_module
from DualSamplingCOVIDLib.commands import segment
from DualSamplingCOVIDLib.commands.reporter import reporter
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, NO_PNEUMONIA
from DualSamplingCOVIDLib.phantom import make_phantom
from test_bundle import a_bundle


@pytest.fixture(scope="module")
def a_phantom_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "ct.nii.gz"
    sitk.WriteImage(make_phantom(5, COVID, ratio=0.06).ct, path)
    return path


@pytest.fixture(scope="module")
def a_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "random"
    a_bundle(folder)
    return folder


def _analyze(ct: Path, bundle: Path, output: Path, *more: str) -> int:
    arguments = ["analyze", str(ct), "--bundle", str(bundle), "--output", str(output), "--progress", "none", *more]
    return main(arguments)


def test_a_phantom_gives_a_whole_diagnosis_folder(
    a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "out") == 0
    assert "(threshold segmenter, with which the bundle learned, in another version)" in capsys.readouterr().err
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    maps = {
        f"attention/{name}{kind}.nrrd" for name in ("us", "ss", "baseline", "decision") for kind in ("", "-opposite")
    }
    assert found == maps | {
        "report.json",
        "run.json",
        "report.html",
        "figure.png",
        "lungs-infection.seg.nrrd",
        "attention-label.nrrd",
        "attention.nrrd",
        "scene.mrb",
    }
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["decision"]["answer"] in (COVID, CAP, NO_PNEUMONIA)
    assert report["notice"].startswith("Research use only")
    assert json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["notice"] == report["notice"]
    assert report["schema"] == diagnosis_folder.SCHEMA and "COVID-19" in report["convention"]
    assert report["logits"].keys() == {"US", "SS", "ensemble"}
    for volumes in ("lungs_ml", "infection_ml"):
        assert report["segmentation"][volumes].keys() == {"right", "left"}
    us, ss = (next(m for m in report["members"] if m["name"] == name)["probability"] for name in ("us", "ss"))
    weight = report["decision"]["weight"]
    assert report["decision"]["probability"] == pytest.approx(weight * us + (1 - weight) * ss, abs=1e-5)
    for member in report["members"]:
        parts = member["positive_evidence"] - member["negative_evidence"] + member["bias"]
        assert member["logit"] == pytest.approx(parts, abs=1e-4)


def test_nothing_of_the_patient_is_in_anything_that_is_written(a_bundle_folder: Path, tmp_path: Path) -> None:
    ct, _ = chest()
    hu = sitk.GetArrayFromImage(ct)
    tags = {"PixelSpacing": [5, 5], "SliceThickness": 5, "PatientBirthDate": "19010203", "InstitutionName": "Lazaret"}
    for index, file in enumerate(write_series(tmp_path / NAME, hu, heights=5.0 * np.arange(len(hu)))):
        edit(file, **tags, AccessionNumber=f"ACC{index}")
    assert _analyze(tmp_path / NAME, a_bundle_folder, tmp_path / "out") == 0
    with zipfile.ZipFile(tmp_path / "out" / "scene.mrb") as scene:
        scene.extractall(tmp_path / "out" / "scene")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 20
    for secret in (NAME, "Secret", PATIENT, "19010203", "Lazaret", "ACC1", "1.2.3.1", str(tmp_path)):
        assert not [path for path in files if secret.encode() in path.read_bytes() or secret in path.name], secret


def test_what_a_package_is_missing_for_is_said_and_the_rest_is_written(
    a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "DualSamplingCOVIDLib.report.html", raising=False)
    monkeypatch.delattr("DualSamplingCOVIDLib.report.html", raising=False)
    for name, parts in (("both", "figure,report"), ("page", "report")):
        assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / name, "--write", parts) == 0
        record = json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8"))
        assert record["not_written"] == ["report.html: the package jinja2 is not installed"]
        assert (tmp_path / name / "figure.png").exists() == ("figure" in parts)


def test_a_series_is_asked_of_dicom_alone(
    a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "out", "--series", "1.2.3") == 3
    assert "ct.nii.gz: not DICOM, so it holds no series to choose" in capsys.readouterr().err


def test_a_diagnosis_is_drawn_again_without_the_networks(
    a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path
) -> None:
    assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "whole") == 0
    assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "quick", "--write", "masks,maps") == 0
    assert not (tmp_path / "quick" / "attention.nrrd").exists()
    arguments = ["report", str(a_phantom_ct), "--diagnosis", str(tmp_path / "quick"), "--progress", "none"]
    assert main([*arguments, "--output", str(tmp_path / "again")]) == 0
    whole, again = (
        {str(p.relative_to(tmp_path / name)): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("whole", "again")
    )
    assert whole.keys() == again.keys()
    assert {name for name in whole if whole[name] != again[name]} <= {"run.json", "scene.mrb"}


def test_a_diagnosis_of_another_ct_is_refused(
    a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "quick", "--write", "masks,maps") == 0
    sitk.WriteImage(make_phantom(6, CAP, ratio=0.02).ct, tmp_path / "other.nrrd")
    arguments = ["report", str(tmp_path / "other.nrrd"), "--diagnosis", str(tmp_path / "quick")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 3
    assert "is of another CT" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_runs_give_the_same_report(a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert _analyze(a_phantom_ct, a_bundle_folder, tmp_path / name, "--write", "masks") == 0
    assert (tmp_path / "a" / "report.json").read_bytes() == (tmp_path / "b" / "report.json").read_bytes()


def test_given_masks_replace_the_segmenter(a_bundle_folder: Path, tmp_path: Path) -> None:
    phantom = make_phantom(6, CAP, ratio=0.02)
    files = {"ct": phantom.ct, "lungs": sitk.Or(phantom.right_lung, phantom.left_lung), "infection": phantom.infection}
    for name, image in files.items():
        sitk.WriteImage(image, tmp_path / f"{name}.nrrd")
    masks = ["--lungs", str(tmp_path / "lungs.nrrd"), "--infection", str(tmp_path / "infection.nrrd")]
    assert _analyze(tmp_path / "ct.nrrd", a_bundle_folder, tmp_path / "out", "--write", "masks", *masks) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["decision"]["ratio"] == pytest.approx(phantom.ratio, rel=1e-4)


def test_unknown_parts_are_wrong_usage(a_phantom_ct: Path, a_bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        _analyze(a_phantom_ct, a_bundle_folder, tmp_path / "out", "--write", "masks,jokes")
    assert caught.value.code == 2


def test_phantoms_come_with_masks_and_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cohort"
    command = ["phantom", "--cases", "2", "--normals", "1", "--seed", "3", "--output", str(out)]
    assert main([*command, "--progress", "none"]) == 0
    assert capsys.readouterr().err == f"3 phantoms in {out}, listed in its cohort.csv (computer-made, of no patient)\n"
    from DualSamplingCOVIDLib.cohort import NORMAL, read_cohort

    cases = read_cohort(out / "cohort.csv")
    assert sorted(case.label for case in cases) == [CAP, COVID, NORMAL]
    for case in cases:
        assert case.infection is not None
        infection = sitk.GetArrayFromImage(sitk.ReadImage(case.infection))
        assert (np.count_nonzero(infection) > 0) == (case.label != NORMAL)


def test_progress_without_a_terminal_is_one_line_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    progress = reporter("bar")
    for stage, fraction in (("reading", 0.0), ("reading", 0.5), ("writing", 1.0), ("done", 1.0)):
        progress(stage, fraction)
    assert capsys.readouterr().err == "reading\nwriting\n"


@pytest.mark.parametrize(
    "said",
    ["CUDA out of memory. Tried to allocate 2.00 GiB", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "out of memory"],
)
def test_memory_that_runs_out_anywhere_has_its_status(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(segment, "run", run)
    assert main(["segment", "ct.nrrd", "--output", str(tmp_path / "out"), "--progress", "none"]) == 5
    assert capsys.readouterr().err == "error: memory ran out: close other programs and try again\n"


def test_a_line_may_be_said_between_the_stages_of_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    progress = reporter_module._Bar()
    progress("reading", 0.5)
    reporter_module.say(progress, "warning: \x1b[31mred\nand more")
    progress("reading", 0.7)
    progress("done", 1.0)
    lines = capsys.readouterr().err.split("\n")
    assert lines[1] == "warning: \\x1b[31mred\\nand more" and lines[0].startswith("\r")
    assert "100%" in lines[2]


def test_an_interrupted_import_counts_as_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(segment, "run", run)
    assert main(["segment", "ct.nrrd", "--output", str(tmp_path / "out"), "--progress", "none"]) == 130
    assert capsys.readouterr().err == "cancelled: nothing was written\n"
