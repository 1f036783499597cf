"""Cases made ready: a cohort's own masks count before the segmenter's, and a CT without lungs is named."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.cohort import Case
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.processes import place
from DualSamplingCOVIDLib.run_folder.volume import stored
from DualSamplingCOVIDLib.segmentation import VBNetSegmenter
from DualSamplingCOVIDLib.training import prepared
from DualSamplingCOVIDLib.training.prepared import PreparedCase, PreparedDataset, prepare_cohort, same_ct_notes
from segmentation.vbnets import a_folder

SPEC = GridSpec().coarser(4)


@pytest.fixture(scope="module")
def a_case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, float]:
    folder = tmp_path_factory.mktemp("case")
    phantom = make_phantom(3, COVID, ratio=0.10, spacing_mm=(3.0, 3.0, 3.0))
    images = {"ct": phantom.ct, "lungs": phantom.right_lung + 2 * phantom.left_lung, "infection": phantom.infection}
    for name, image in images.items():
        sitk.WriteImage(image, folder / f"{name}.nrrd")
    files = [folder / f"{name}.nrrd" for name in images]
    return Case("one", "one", files[0], COVID, files[1], files[2]), phantom.ratio


def test_masks_that_the_cohort_gives_replace_the_segmenters(a_case: tuple[Case, float], tmp_path: Path) -> None:
    case, ratio = a_case
    (given,) = prepare_cohort([case], SPEC, "threshold", tmp_path / "given")
    (found,) = prepare_cohort([replace(case, lungs=None, infection=None)], SPEC, "threshold", tmp_path / "found")
    assert given.ratio == pytest.approx(ratio, rel=1e-6)
    assert found.ratio != pytest.approx(ratio, rel=1e-3)
    image, infection, label = PreparedDataset([given])[0]
    assert image.shape == infection.shape == (1, *SPEC.shape_kji) and label == 1.0
    voxel_ml = np.prod(SPEC.spacing_xyz) / 1000
    assert float(infection.sum()) * voxel_ml == pytest.approx(_volume_ml(case.infection), rel=0.03)


def test_a_ct_without_lungs_is_named(tmp_path: Path) -> None:
    grid = np.random.default_rng(0).normal(40, 10, (40, 60, 60))
    grid[:, :10] = -1000
    block = sitk.GetImageFromArray(grid.astype(np.int16))
    block.SetSpacing((4.0, 4.0, 4.0))
    sitk.WriteImage(block, tmp_path / "block.nrrd")
    case = Case("block", "block", tmp_path / "block.nrrd", COVID)
    with pytest.raises(InputError, match=r"block\.nrrd: not a chest CT"):
        prepare_cohort([case], SPEC, "threshold", tmp_path / "ready")


def test_every_problem_is_named_by_its_line_and_the_other_cases_are_ready(
    a_case: tuple[Case, float], tmp_path: Path
) -> None:
    case, _ = a_case
    (tmp_path / "cut.nrrd").write_bytes(case.image.read_bytes()[:5000])
    moved = sitk.ReadImage(str(case.lungs))
    moved.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(moved, tmp_path / "moved.nrrd")
    cases = [
        replace(case, case_id="cut", image=tmp_path / "cut.nrrd", line=2),
        replace(case, line=3),
        replace(case, case_id="copy", patient_id="other", line=4),
        replace(case, case_id="moved", lungs=tmp_path / "moved.nrrd", line=5),
    ]
    with pytest.raises(InputError) as caught:
        prepare_cohort(cases, SPEC, "threshold", tmp_path / "cache")
    first, second, third = str(caught.value).split("; ")
    assert first.startswith(f"line 2: case cut: {tmp_path / 'cut.nrrd'}: damaged, truncated")
    assert second.startswith("line 4: the cases one and copy are the same CT under two patient_ids")
    assert third == f"line 5: case moved: {tmp_path / 'moved.nrrd'}: the mask's geometry differs from the CT's"
    (ready,) = (tmp_path / "cache").glob("*.npz")
    before = ready.stat().st_mtime_ns
    assert prepare_cohort(cases[1:2], SPEC, "threshold", tmp_path / "cache")[0].file == ready
    assert ready.stat().st_mtime_ns == before


def test_the_cache_knows_content_and_settings(a_case: tuple[Case, float], tmp_path: Path) -> None:
    case, _ = a_case
    folder = tmp_path / "cache"
    (first,) = prepare_cohort([case], SPEC, "threshold", folder)
    written = first.file.stat().st_mtime_ns
    (again,) = prepare_cohort([case], SPEC, "threshold", folder)
    assert again == first and first.file.stat().st_mtime_ns == written
    (coarser,) = prepare_cohort([case], SPEC.coarser(2), "threshold", folder)
    (without,) = prepare_cohort([replace(case, infection=None)], SPEC, "threshold", folder)
    assert len({first.file, coarser.file, without.file}) == 3
    assert first.segmenter is not None and first.segmenter.name == "given masks"
    assert without.segmenter is not None and without.segmenter.name == "threshold with given lungs"
    whole = sum(array.nbytes for array in stored(first.file, "image", "infection", "lungs"))
    assert first.file.stat().st_size < whole / 2
    assert not list(folder.glob("*.partial*"))


def test_a_damaged_or_missing_file_of_the_cache_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    dataset = PreparedDataset([PreparedCase("x", "x", COVID, "", 0.1, file)])
    with pytest.raises(InputError, match=r"x\.npz: the prepared case x is gone"):
        dataset[0]
    for content in (b"", b"PK\x03\x04 and no more"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.npz: the prepared case x cannot be read"):
            dataset[0]


def test_one_ct_under_two_patients_is_refused_and_under_one_noted(a_case: tuple[Case, float], tmp_path: Path) -> None:
    case, _ = a_case
    copies = {}
    for name in ("image", "lungs", "infection"):  # the same CT as another program may keep it
        flipped = sitk.Flip(sitk.ReadImage(getattr(case, name)), (False, True, False))
        copies[name] = tmp_path / f"{name}.nii.gz"
        sitk.WriteImage(sitk.Cast(flipped, sitk.sitkFloat32) if name == "image" else flipped, copies[name])
    again = replace(case, case_id="two", **copies)
    with pytest.raises(InputError) as caught:
        prepare_cohort([case, replace(again, patient_id="other")], SPEC, "threshold", tmp_path / "ready")
    assert "the cases one and two are the same CT under two patient_ids" in str(caught.value)
    ready = prepare_cohort([case, again], SPEC, "threshold", tmp_path / "ready")
    assert same_ct_notes(ready) == ["The cases one and two are the same CT: it counts twice."]
    assert same_ct_notes(ready[:1]) == []


@pytest.fixture
def a_dicom_folder(tmp_path: Path) -> Path:
    """A folder called after a patient, with names that sort otherwise as texts than as paths."""
    folder = tmp_path / "Doe^Jane"
    for name in ("a/2", "a-b/1", "B/3"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def _content(folder: Path, cache: Path) -> str:
    cache.mkdir(exist_ok=True)
    ((role, digest),) = prepared._content(Case("one", "one", folder, COVID), cache)
    assert role == "image"
    return digest


def test_a_folders_content_is_the_same_on_every_system_and_without_what_systems_leave(
    a_dicom_folder: Path, tmp_path: Path
) -> None:
    order = ("B/3", "a/2", "a-b/1")
    lines = "".join(f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in order)
    before = _content(a_dicom_folder, tmp_path / "cache")
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    for left in (".DS_Store", "a/._2", "Thumbs.db", "a-b/desktop.ini", ".AppleDouble/2"):
        (a_dicom_folder / left).parent.mkdir(exist_ok=True)
        (a_dicom_folder / left).write_bytes(b"of the system")
    assert _content(a_dicom_folder, tmp_path / "cache") == before
    (a_dicom_folder / "a" / "4").write_bytes(b"another slice")
    assert _content(a_dicom_folder, tmp_path / "cache") != before


def test_the_cache_names_no_file_of_a_ct(a_dicom_folder: Path, tmp_path: Path) -> None:
    _content(a_dicom_folder, tmp_path / "cache")
    (note,) = (tmp_path / "cache").iterdir()
    text = note.read_text(encoding="utf-8")
    assert "Doe" not in text and "a-b" not in text and str(tmp_path) not in text
    assert set(json.loads(text)["image"]) == {"state", "sha256"}


def test_files_are_read_again_only_when_name_size_or_time_have_changed(
    a_dicom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    sha256 = prepared.sha256
    monkeypatch.setattr(prepared, "sha256", lambda file: read.append(file.name) or sha256(file))
    first = _content(a_dicom_folder, tmp_path / "cache")
    assert _content(a_dicom_folder, tmp_path / "cache") == first and read == ["3", "2", "1"]
    os.utime(a_dicom_folder / "a" / "2", (1, 1))
    assert _content(a_dicom_folder, tmp_path / "cache") == first and len(read) == 6


def test_metadata_that_lies_about_tells_nothing_of_a_segmenter_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata.json").write_text("{}")
    assert prepared._identity("threshold")[2] == ""
    a_folder(tmp_path / "trained")
    digest = hashlib.sha256((tmp_path / "trained" / "metadata.json").read_bytes()).hexdigest()
    assert prepared._identity(f"vbnet:{tmp_path / 'trained'}") == ["untrained", "7", digest]


@pytest.mark.parametrize(
    ("name", "device", "has_gpu", "expected"),
    [
        ("vbnet:weights", "auto", True, 1),
        ("vbnet:weights", "cuda", True, 1),
        ("vbnet:weights", "cpu", True, None),
        ("vbnet:weights", "auto", False, None),
        ("threshold", "auto", True, None),
    ],
)
def test_networks_on_a_gpu_get_one_process_and_every_segmenter_its_device(
    name: str, device: str, has_gpu: bool, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def spread(
        work: Callable[[Case], PreparedCase], cases: Sequence[Case], *_: Any, processes: int | None
    ) -> list[Any]:
        asked.append(processes)
        return [work(case) for case in cases]

    class Refused(Exception):
        pass

    def back_end(case: Case, name: str, ct: sitk.Image, device: str) -> None:
        asked.append((name, device))
        raise Refused

    monkeypatch.setattr(prepared, "spread", spread)
    monkeypatch.setattr(prepared, "back_end", back_end)
    monkeypatch.setattr(prepared, "_identity", lambda name: [name])
    monkeypatch.setattr(prepared.torch.cuda, "is_available", lambda: has_gpu)
    sitk.WriteImage(make_phantom(1, COVID, spacing_mm=(6.0, 6.0, 6.0)).ct, tmp_path / "ct.nrrd")
    with pytest.raises(Refused):
        prepare_cohort([Case("one", "one", tmp_path / "ct.nrrd", COVID)], SPEC, name, tmp_path / "cache", device=device)
    assert asked == [expected, (name, device)]


def test_a_trained_segmenters_weights_are_read_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DualSamplingCOVIDLib import weights

    read: list[str] = []
    real = weights.read
    monkeypatch.setattr(weights, "read", lambda path: read.append(path.name) or real(path))
    a_folder(tmp_path / "trained")
    ct = make_phantom(1, COVID, spacing_mm=(6.0, 6.0, 6.0)).ct
    found = []
    for number in range(2):
        case = Case(str(number), str(number), tmp_path / "ct.nrrd", COVID)
        found.append(prepared.back_end(case, f"vbnet:{tmp_path / 'trained'}", ct, "cpu"))
        found[-1].segment(ct)
    assert read == ["coarse.safetensors", "fine.safetensors"]
    assert isinstance(found[0], VBNetSegmenter) and found[0] is found[1]


def test_what_a_process_leaves_that_dies_while_cases_are_prepared_goes_too(
    a_case: tuple[Case, float], tmp_path: Path
) -> None:
    """A killed run's processes may outlive it for a moment."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = tmp_path / f".b.npz-{'0' * 16}-{place()}-{process.pid}-{'1' * 8}.partial.npz"
        left.touch()

        def die(_: str, fraction: float) -> None:
            assert left.exists() or fraction
            process.kill()
            process.wait()

        prepare_cohort([a_case[0]], SPEC, "threshold", tmp_path, die)
    assert not left.exists() and list(tmp_path.glob("*.npz"))


def _volume_ml(path: Path | None) -> float:
    assert path is not None
    mask = sitk.ReadImage(path)
    return float(sitk.GetArrayFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000)
