"""Cohort files: read whole or refused with every problem named."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

from ct._dicom_files import voxels, write_series
from DualSamplingCOVIDLib.cohort import COLUMNS, Case, check_cohort, read_cohort, write_cohort_csv
from DualSamplingCOVIDLib.ct import read_ct
from DualSamplingCOVIDLib.errors import InputError

HEADER = ",".join(COLUMNS)


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    for name in ("a.nii.gz", "b.nii.gz", "a-lungs.nii.gz", "a-infection.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "dicom").mkdir()
    return tmp_path


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "cohort.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_a_cohort_is_read_with_paths_relative_to_its_file(a_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    path = written(
        a_folder,
        "a,p1,a.nii.gz,COVID-19,a-lungs.nii.gz,a-infection.nii.gz,Site 1,47.5,F,train",
        "b,p2,dicom,CAP,,,,,,test",
    )
    first, second = read_cohort(path)
    assert first == Case(
        "a",
        "p1",
        a_folder / "a.nii.gz",
        "COVID-19",
        a_folder / "a-lungs.nii.gz",
        a_folder / "a-infection.nii.gz",
        "Site 1",
        47.5,
        "F",
        "train",
    )
    assert second == Case("b", "p2", a_folder / "dicom", "CAP", split="test")
    assert first.is_covid and not second.is_covid
    assert (first.line, second.line) == (2, 3)


def test_four_columns_in_any_order_are_enough_and_others_are_left_alone(a_folder: Path) -> None:
    path = written(a_folder, "CAP,note,a.nii.gz,p,a", header="\ufefflabel,remark,image,patient_id,case_id")
    assert read_cohort(path) == (Case("a", "p", a_folder / "a.nii.gz", "CAP"),)


def test_every_problem_is_reported_with_its_line(a_folder: Path) -> None:
    path = written(
        a_folder,
        "a,p1,a.nii.gz,COVID,,,,,,train",
        "a,p2,missing.nii.gz,CAP,no.nii.gz,,,old,,train",
        "",
        "c,p1,b.nii.gz,CAP,,,,,,test",
        "d,p3,b.nii.gz",
        ",p4,b.nii.gz,normal,,,,,,",
        "x/y,p5,b.nii.gz,normal,,,,,,",
        "e,p6,b.nii.gz,CAP,,,,,,Test",
        "f,p7,b.nii.gz,CAP,,,,,,holdout",
    )
    with pytest.raises(InputError) as error:
        read_cohort(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    for problem in (
        "line 2: label 'COVID' is none of COVID-19, CAP, normal",
        "line 3: image missing.nii.gz does not exist",
        "line 3: lungs no.nii.gz is not a file",
        "line 3: age 'old' is not a number of years",
        "line 3: case_id 'a' is already on line 2",
        "line 5: patient 'p1' is in split 'test', but in 'train' on line 2",
        "line 6: 3 fields, the header has 10",
        "line 7: case_id is empty",
        "line 8: case_id 'x/y' cannot name a file",
        "line 9: split 'Test' is none of train, validation, test",
        "line 10: split 'holdout' is none of train, validation, test",
    ):
        assert problem in text


def test_no_two_cases_may_have_one_image_however_its_path_is_written(a_folder: Path) -> None:
    (a_folder / "link").symlink_to("dicom")
    path = written(
        a_folder,
        "a,p1,a.nii.gz,COVID-19,,,,,,",
        "b,p2,dicom/../a.nii.gz,CAP,,,,,,",
        "c,p3,dicom,CAP,,,,,,",
        "d,p3,b.nii.gz,CAP,,,,,,",
        "e,p3,link/,CAP,,,,,,",
    )
    with pytest.raises(InputError) as error:
        read_cohort(path)
    assert str(error.value) == (
        f"{path}: line 3: image dicom/../a.nii.gz is already on line 2; line 6: image link/ is already on line 4"
    )


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "line 1: no column case_id, patient_id, image, label"),
        (b"case_id,image\n", "line 1: no column patient_id, label"),
        (HEADER.encode() + b",image\n", "line 1: column image more than once"),
        (HEADER.encode() + b"\n\n", "no cases"),
        (b"case_id,patient_id,image,label, Split ,Note\n", "line 1: column 'Split' would not be read: write split$"),
        (HEADER.encode() + b",INFECTION\n", "line 1: column 'INFECTION' would not be read: write infection$"),
        (
            b"case_id,patient_id,image,Label\n",
            "line 1: column 'Label' would not be read: write label; line 1: no column label$",
        ),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
    ],
)
def test_what_is_no_cohort_is_an_input_error(tmp_path: Path, content: bytes, cause: str) -> None:
    path = tmp_path / "cohort.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=cause):
        read_cohort(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_cohort(tmp_path / "none.csv")


def test_a_written_cohort_is_read_back_and_may_move_with_its_folder(a_folder: Path) -> None:
    cases = (
        Case(
            "a", "p1", a_folder / "a.nii.gz", "normal", a_folder / "a-lungs.nii.gz", site='Clinic "A", north', age=61.0
        ),
        Case("b", "p1", a_folder / "dicom", "CAP", sex="M"),
    )
    path = a_folder / "cohort.csv"
    write_cohort_csv(path, cases)
    assert read_cohort(path) == cases
    assert str(a_folder) not in path.read_text(encoding="utf-8")
    assert [p.name for p in a_folder.glob("*.partial")] == []


def _volume(path: Path, size: tuple[int, int, int] = (12, 11, 10), origin: float = 0.0) -> None:
    image = sitk.Image(size, sitk.sitkUInt8)
    image.SetOrigin((origin, 0.0, 0.0))
    sitk.WriteImage(image, path)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_a_sound_cohort_passes_the_thorough_check(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "lungs"):
        _volume(tmp_path / f"{name}.{suffix}")
    write_series(tmp_path / "dicom" / "series", voxels())
    sitk.WriteImage(read_ct(tmp_path / "dicom").image > 0, tmp_path / f"mask.{suffix}")
    lines = f"a,p1,a.{suffix},COVID-19,lungs.{suffix},,,,,", f"b,p2,dicom,CAP,mask.{suffix},,,,,test"
    path = written(tmp_path, *lines)
    told: list[tuple[str, float]] = []
    assert check_cohort(path, lambda *one: told.append(one)) == read_cohort(path)
    assert told == [("checking the cohort", 0.0), ("checking the cohort", 0.5)]


def test_masks_are_compared_with_the_grid_of_a_dicom_folder_before_a_pixel_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / name, voxels(), series="1.2.3.4")
    mask = read_ct(tmp_path / "a").image > 0
    sitk.WriteImage(mask[:, :, 1:], tmp_path / "short.nrrd")
    mask.SetOrigin([place + 0.2 for place in mask.GetOrigin()])
    sitk.WriteImage(mask, tmp_path / "moved.nrrd")
    cut = sorted((tmp_path / "b").iterdir())[3]
    cut.write_bytes(cut.read_bytes()[:1500])
    with pytest.raises(InputError) as error:
        check_cohort(written(tmp_path, "a,p1,a,CAP,moved.nrrd,short.nrrd,,,,", "b,p2,b,CAP,moved.nrrd,,,,,"))
    assert str(error.value).split(": ", 1)[1].split("; ") == [
        f"line 2: infection {tmp_path / 'short.nrrd'}: the mask's geometry differs from the CT's",
        f"line 2: lungs {tmp_path / 'moved.nrrd'}: the mask's geometry differs from the CT's",
        f"line 3: image {cut}: the pixels are truncated",
    ]


def test_the_thorough_check_names_labels_headers_and_geometry_with_their_lines(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _volume(tmp_path / f"{name}.nrrd")
    _volume(tmp_path / "moved.nrrd", origin=0.2)
    _volume(tmp_path / "small.nrrd", (12, 11, 9))
    (tmp_path / "broken.nii.gz").write_bytes(b"not this")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    path = written(
        tmp_path,
        "a,p1,a.nrrd,COVID-19,moved.nrrd,small.nrrd,,,,",
        "b,p1,b.nrrd,CAP,,broken.nii.gz,,,,",
        "c,p2,broken.nii.gz,CAP,a.nrrd,,,,,",
        "d,p3,empty,CAP,none.nrrd,,,,,",
        "e,p4,text.txt,CAP,,text.txt,,,,",
    )
    with pytest.raises(InputError) as error:
        check_cohort(path)
    text = str(error.value)
    assert text.startswith(f"{path}: line 2: ") and "\n" not in text
    for problem in (
        f"line 2: lungs {tmp_path / 'moved.nrrd'}: the mask's geometry differs",
        f"line 2: infection {tmp_path / 'small.nrrd'}: the mask's geometry differs",
        "line 3: patient 'p1' is labelled CAP, but COVID-19 on line 2",
        f"line 3: infection {tmp_path / 'broken.nii.gz'}: damaged",
        f"line 4: image {tmp_path / 'broken.nii.gz'}: damaged",
        f"line 5: image {tmp_path / 'empty'}: no DICOM",
        "line 5: lungs none.nrrd is not a file",
        f"line 6: image {tmp_path / 'text.txt'}: no DICOM",
        f"line 6: infection {tmp_path / 'text.txt'}: not a NIfTI",
    ):
        assert problem in text
