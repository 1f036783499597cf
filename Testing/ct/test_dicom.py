"""DICOM: order, geometry and choice of the slices, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from ct._dicom_files import NAME, ORIGIN, PATIENT, SPACING, edit, voxels, write_enhanced, write_series
from DualSamplingCOVIDLib.ct import CT, read_ct
from DualSamplingCOVIDLib.ct.dicom import dicom_grid
from DualSamplingCOVIDLib.ct.grid import grid_of
from DualSamplingCOVIDLib.errors import InputError


def codes(ct: CT) -> list[str]:
    return [finding.code for finding in ct.findings]


def array(ct: CT) -> np.ndarray:
    return sitk.GetArrayFromImage(ct.image)


def test_shuffled_files_become_hu_in_order_of_position(tmp_path: Path) -> None:
    write_series(tmp_path / "deep" / "er", voxels())
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(array(ct), voxels())
    assert ct.image.GetSpacing() == pytest.approx(SPACING)
    assert ct.image.GetOrigin() == pytest.approx(ORIGIN)
    assert ct.image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert ct.image.GetPixelID() == sitk.sitkInt16
    assert ct.findings == ()


def test_descending_orientation_keeps_every_voxel_in_its_place(tmp_path: Path) -> None:
    for file in write_series(tmp_path, voxels()):
        edit(file, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    ct = read_ct(tmp_path)
    assert ct.image.GetDirection() == pytest.approx((-1, 0, 0, 0, 1, 0, 0, 0, -1))
    assert ct.image.GetPixel(0, 0, 0) == 390
    assert ct.image.TransformIndexToPhysicalPoint((0, 0, 0)) == pytest.approx((ORIGIN[0], ORIGIN[1], 178.0))


def test_a_missing_slice_is_interpolated_and_reported(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(), skip=(7, 20, 21))
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(array(ct), voxels())
    assert ct.image.GetSpacing()[2] == pytest.approx(2.0)
    assert [f.message for f in ct.findings] == ["slices are missing and were interpolated (3 slices, limit 0 slices)"]


def test_irregular_slices_are_resampled_to_their_true_places(tmp_path: Path) -> None:
    heights = np.arange(40) * 2.0
    heights[10] += 0.8
    hu = voxels()
    hu[:, 0, 0] = (heights * 5).astype(np.int16)
    write_series(tmp_path, hu, heights=heights)
    ct = read_ct(tmp_path)
    assert "irregular-slices" in codes(ct)
    step = ct.image.GetSpacing()[2]
    np.testing.assert_allclose(array(ct)[:, 0, 0], np.arange(len(array(ct))) * step * 5, atol=1)


def test_duplicated_slices_are_dropped(tmp_path: Path) -> None:
    write_series(tmp_path, voxels())
    write_series(tmp_path / "again", voxels() + 1, skip=tuple(range(2, 40)))
    ct = read_ct(tmp_path)
    assert codes(ct) == ["duplicated-slices"]
    assert ct.image.GetSize() == (32, 24, 40)


def test_gantry_tilt_is_undone_by_shearing(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(), shear=0.41)
    ct = read_ct(tmp_path)
    assert codes(ct) == ["gantry-tilt"]
    assert ct.image.GetSize()[:2] == (32, 44)
    assert ct.image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    for k in (0, 10, 39):
        center = (ORIGIN[0] + 16 * 0.8, ORIGIN[1] + 0.41 * k + 4 * 0.82, ORIGIN[2] + 2 * k)
        i, j, slice_index = ct.image.TransformPhysicalPointToIndex(center)
        assert slice_index == k
        assert ct.image.GetPixel(i, j - 2, k) == pytest.approx(40, abs=1)
        assert ct.image.GetPixel(i, j + 2, k) == pytest.approx(-850, abs=1)


def test_a_tilt_toward_negative_moves_the_origin(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(), shear=-0.82)
    ct = read_ct(tmp_path)
    assert ct.image.GetOrigin() == pytest.approx((ORIGIN[0], ORIGIN[1] - 39 * 0.82, ORIGIN[2]))
    assert ct.image.GetPixel(0, 0, 39) == 390


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"SpacingBetweenSlices": 3}, "spacing-tags"),
        ({"SliceThickness": 5}, "thick-slices"),
        ({"ContrastBolusAgent": "agent"}, "contrast-tag"),
    ],
)
def test_headers_lead_to_findings(tmp_path: Path, tags: dict[str, object], code: str) -> None:
    write_series(tmp_path, voxels(), **tags)
    assert codes(read_ct(tmp_path)) == [code]


def test_the_chest_series_with_most_slices_is_chosen_and_said(tmp_path: Path) -> None:
    write_series(tmp_path / "a", voxels(50), series="1.2.3.5", BodyPartExamined="HEAD")
    write_series(tmp_path / "b", voxels(40), series="1.2.3.6", BodyPartExamined="CHEST")
    write_series(tmp_path / "c", voxels(35), series="1.2.3.7", SeriesDescription="Thorax 2.0")
    write_series(tmp_path / "d", voxels(60), series="1.2.3.8", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct = read_ct(tmp_path)
    assert ct.image.GetSize()[2] == 40
    assert ct.findings[0].message == "3 CT series (40, 35, 50 slices); the first was used"


def test_a_named_series_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(40), series="1.2.3.5")
    write_series(tmp_path, voxels(35), series="1.2.3.6")
    ct = read_ct(tmp_path, series="1.2.3.6")
    assert ct.image.GetSize()[2] == 35
    assert ct.findings == ()
    with pytest.raises(InputError, match=r"none of its 2 CT series has the UID 9\.9"):
        read_ct(tmp_path, series="9.9")


def test_a_screen_capture_beside_the_ct_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, voxels())
    (file,) = write_series(tmp_path / "capture", voxels(1), series="1.2.3.7")
    edit(file, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    (tmp_path / "notes.txt").write_text("no DICOM")
    assert read_ct(tmp_path).findings == ()


def test_a_longer_series_that_cannot_be_used_is_said_and_its_cause_told_where_it_is_asked_for(tmp_path: Path) -> None:
    edit(write_series(tmp_path / "a", voxels(40), series="1.2.3.5")[7], ImagePositionPatient=None)
    write_series(tmp_path / "b", voxels(35), series="1.2.3.6")
    ct = read_ct(tmp_path)
    assert ct.image.GetSize()[2] == 35
    assert codes(ct) == ["unusable-series"] and "of 40 files was passed over" in ct.findings[0].message
    assert codes(read_ct(tmp_path, series="1.2.3.6")) == []
    with pytest.raises(InputError, match="slice without position"):
        read_ct(tmp_path, series="1.2.3.5")


@pytest.mark.parametrize("as_folder", [False, True])
def test_multi_frame_takes_geometry_from_functional_groups(tmp_path: Path, as_folder: bool) -> None:
    write_enhanced(tmp_path / "enhanced.dcm", voxels())
    ct = read_ct(tmp_path if as_folder else tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(array(ct), voxels())
    assert ct.image.GetSpacing() == pytest.approx(SPACING)
    assert ct.image.GetOrigin() == pytest.approx(ORIGIN)
    assert ct.findings == ()


def test_no_patient_identity_reaches_findings_or_description(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(), skip=(5,), ContrastBolusAgent="agent", BodyPartExamined="CHEST")
    write_series(tmp_path, voxels(35), series="1.2.3.6")
    ct = read_ct(tmp_path)
    text = ct.description + " ".join(finding.message for finding in ct.findings)
    assert len(ct.findings) == 3
    assert not [secret for secret in (NAME, "Secret", PATIENT, "1.2.3") if secret in text]


def cut(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def two_patients(folder: Path) -> None:
    write_series(folder, voxels())
    write_series(folder, voxels(), series="1.2.3.6", patient="ID-4712")


def colored(folder: Path) -> None:
    for file in write_series(folder, voxels()):
        edit(file, SamplesPerPixel=3, PhotometricInterpretation="RGB")


def truncated_pixels(folder: Path) -> None:
    cut(write_series(folder, voxels())[3], 0.7)


def truncated_header(folder: Path) -> None:
    for file in write_series(folder, voxels()):
        cut(file, 0.15)


def truncated_frames(folder: Path) -> None:
    folder.mkdir()
    write_enhanced(folder / "one.dcm", voxels())
    cut(folder / "one.dcm", 0.7)


def without_positions(folder: Path) -> None:
    for file in write_series(folder, voxels()):
        edit(file, ImagePositionPatient=None)


def zero_spacing(folder: Path) -> None:
    for file in write_series(folder, voxels()):
        edit(file, PixelSpacing=[0, 0])


def other_modality(folder: Path) -> None:
    for file in write_series(folder, voxels()):
        edit(file, Modality="MR")


BAD = [
    (two_patients, "CTs of more than one patient"),
    (colored, "color image"),
    (truncated_pixels, r"\.dcm: .*truncated"),
    (truncated_header, "no DICOM CT slices|damaged DICOM header|truncated"),
    (truncated_frames, r"one\.dcm: .*truncated"),
    (without_positions, "without position"),
    (zero_spacing, "spacing is zero or negative"),
    (other_modality, "no DICOM CT slices"),
    (lambda folder: write_series(folder, voxels(1)), "a single CT slice"),
    (lambda folder: write_series(folder, voxels(), skip=tuple(range(10, 19))), "too many slices are missing"),
    (lambda folder: write_series(folder, voxels(), heights=np.r_[np.arange(39), 1e7]), "slices are missing"),
    (lambda folder: write_series(folder, voxels(200), skip=tuple(range(50, 61))), "the gap between two slices"),
    (lambda folder: write_series(folder, voxels(), shear=3.0), "too oblique"),
    (lambda folder: write_series(folder, voxels(), SliceThickness=12), "slices too thick"),
    (lambda folder: folder.mkdir(), "the folder is empty"),
]


@pytest.mark.parametrize(("make", "cause"), BAD)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, make, cause: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "input")
    with pytest.raises(InputError, match=cause) as caught:
        read_ct(tmp_path / "input")
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "input"))
    assert "\n" not in message
    assert not [secret for secret in ("Secret", PATIENT, "ID-4712") if secret in message]


def test_one_slice_file_is_refused(tmp_path: Path) -> None:
    file = write_series(tmp_path, voxels())[0]
    with pytest.raises(InputError, match=r"\.dcm: a single CT slice"):
        read_ct(file)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = write_series(tmp_path, voxels())[5]
    real = Path.open

    def guarded(self: Path, *args, **kwargs):  # type: ignore[no-untyped-def]
        if self == secret:
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    with pytest.raises(InputError, match=f"{secret.name}: cannot be read: Permission denied"):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"skip": (7, 8)},
        {"shear": 0.5},
        {"shear": -0.3, "skip": (3,)},
        {"heights": np.cumsum(np.linspace(1.8, 2.2, 40))},
    ],
    ids=["regular", "gap", "tilt", "tilt and gap", "irregular"],
)
def test_headers_alone_tell_the_grid_that_the_ct_will_have(tmp_path: Path, how: dict[str, Any]) -> None:
    write_series(tmp_path, voxels(), **how)
    assert dicom_grid(tmp_path) == grid_of(read_ct(tmp_path).image)


def test_headers_alone_tell_the_grid_of_a_multi_frame_file(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "one.dcm", voxels())
    assert dicom_grid(tmp_path / "one.dcm") == grid_of(read_ct(tmp_path).image)
