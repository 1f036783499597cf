"""The table of checks: every limit, the lungs' checks, and the real CTs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from DualSamplingCOVIDLib.ct import CHECKS, check_lungs, check_volume, quality_table_markdown, read_ct, read_mask
from DualSamplingCOVIDLib.errors import InputError

CODES = [check.code for check in CHECKS]


def chest(
    size: tuple[int, int, int] = (60, 60, 60), spacing: tuple[float, float, float] = (5, 5, 5), blood: int = 40
) -> tuple[sitk.Image, sitk.Image]:
    """Two lung boxes (-850 HU) beside a mediastinum in a body of 0 HU in air; [k,j,i] size, (x,y,z) mm."""
    hu = np.full(size, -1000, np.int16)
    depth, height, width = size
    hu[:, height // 10 : -height // 10, width // 20 : -width // 20] = blood
    lungs = np.zeros(size, np.uint8)
    for first, last in ((0.1, 0.4), (0.6, 0.9)):
        lungs[depth // 10 : -depth // 10, height // 4 : -height // 4, int(first * width) : int(last * width)] = 1
        lungs[depth // 3 : -depth // 3, height // 5 : -height // 5, int(first * width) : int(last * width)] = 1
    hu[lungs == 1] = -850
    image, mask = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(lungs)
    image.SetSpacing(spacing)
    mask.CopyInformation(image)
    return image, mask


def volume_codes(image: sitk.Image) -> list[str]:
    return [finding.code for finding in check_volume(image)]


def lung_codes(image: sitk.Image, lungs: sitk.Image) -> list[str]:
    return [finding.code for finding in check_lungs(image, lungs)]


def test_codes_are_unique_and_all_in_the_table() -> None:
    assert len(set(CODES)) == len(CODES)
    rows = quality_table_markdown().splitlines()
    assert len(rows) == len(CHECKS) + 2
    assert [row.split("`")[1] for row in rows[2:]] == CODES
    assert "| `very-thick-slices` | slices too thick for a three-dimensional reading | refuse | above 10 mm |" in rows


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((60, 60, 60), (3, 3, 3), []),
        ((60, 60, 60), (3, 3, 3.1), ["thick-slices"]),
        ((60, 60, 60), (3, 3, 10), ["thick-slices"]),
        ((60, 60, 60), (2, 2.2, 3), ["anisotropic-in-plane"]),
        ((29, 60, 60), (2, 2, 3), ["few-slices"]),
    ],
)
def test_the_grid_leads_to_findings(size, spacing, expected: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert volume_codes(chest(size, spacing)[0]) == expected


def test_what_was_measured_stands_in_one_bracket() -> None:
    told = [finding.message for finding in check_volume(chest((60, 60, 60), (2, 2.2, 3))[0])]
    assert told == ["pixels are not square (longer side / shorter side: 1.1, limit 1.05)"]
    thick = [finding.message for finding in check_volume(chest((60, 60, 60), (3, 3, 4))[0])]
    assert thick == ["thick slices: small lesions are averaged away (4 mm, limit 3 mm)"]


@pytest.mark.parametrize(
    ("size", "spacing", "cause"),
    [((60, 60, 60), (3, 3, 10.5), "slices too thick"), ((7, 60, 60), (2, 2, 3), "too few voxels along one axis")],
)
def test_the_grid_leads_to_refusals(size, spacing, cause: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=f"^some.nii: {cause}"):
        check_volume(chest(size, spacing)[0], name="some.nii")


@pytest.mark.parametrize(("air", "expected"), [(2000, ["little-air"]), (20000, [])])
def test_little_air_is_said(air: int, expected: list[str]) -> None:
    hu = np.tile(np.array([40, 400], np.int16), 60**3 // 2)
    hu[:air] = -900
    assert volume_codes(sitk.GetImageFromArray(hu.reshape(60, 60, 60))) == expected


def test_a_whole_chest_has_no_findings() -> None:
    assert lung_codes(*chest()) == []


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "ASR", "LSA"])
def test_lungs_cut_off_are_told_apart_whatever_the_direction(orientation: str) -> None:
    image, lungs = chest()
    top, bottom = (slice(None), slice(None), slice(0, 50)), (slice(None), slice(None), slice(10, 60))
    assert lung_codes(*(sitk.DICOMOrient(one[top], orientation) for one in (image, lungs))) == ["lungs-cut-top"]
    assert lung_codes(*(sitk.DICOMOrient(one[bottom], orientation) for one in (image, lungs))) == ["lungs-cut-bottom"]


@pytest.mark.parametrize(("blood", "expected"), [(40, []), (85, []), (150, ["contrast"]), (300, ["contrast"])])
def test_enhanced_blood_is_noticed(blood: int, expected: list[str]) -> None:
    assert lung_codes(*chest(blood=blood)) == expected


def with_lungs(value: int) -> tuple[sitk.Image, sitk.Image]:
    image, lungs = chest()
    hu = sitk.GetArrayFromImage(image)
    hu[sitk.GetArrayViewFromImage(lungs) == 1] = value
    changed = sitk.GetImageFromArray(hu)
    changed.CopyInformation(image)
    return changed, lungs


def short() -> tuple[sitk.Image, sitk.Image]:
    image, lungs = chest()
    return image[:, :, :23], lungs[:, :, :23]


def without_lungs() -> tuple[sitk.Image, sitk.Image]:
    image, lungs = chest()
    return image, lungs * 0


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        (without_lungs(), "too little lung"),
        (chest(spacing=(2, 2, 2)), "too little lung"),
        (short(), "span too little"),
        (chest(size=(120, 30, 30), spacing=(3.5, 3.5, 10)), "largest axial section"),
        (tuple(one[:, :, :30] for one in chest()), "ends where the lungs are widest"),
        (with_lungs(30), "solid"),
        (with_lungs(-995), "gas"),
    ],
)
def test_what_is_no_chest_is_refused(case: tuple[sitk.Image, sitk.Image], cause: str) -> None:
    with pytest.raises(InputError, match=f"^some.nii: not a chest CT: .*{cause}"):
        check_lungs(*case, name="some.nii")


@pytest.mark.parametrize(("step", "expected"), [(2.5, ["small-lungs"]), (7.5, ["large-lungs"])])
def test_implausible_lung_volumes_are_said(step: float, expected: list[str]) -> None:
    assert lung_codes(*chest(spacing=(step, step, step))) == expected


def data(path: str) -> Path:
    folder = os.environ.get("DUALSAMPLING_TEST_DATA")
    if not folder:
        pytest.skip("DUALSAMPLING_TEST_DATA names no folder of real CTs")
    return Path(folder) / path


def thresholded(image: sitk.Image) -> sitk.Image:
    """Air inside the body as a rough lung mask: pieces below -400 HU that do not touch the sides."""
    hu = sitk.GetArrayViewFromImage(image)
    pieces, _ = ndimage.label(hu < -400)
    sizes = np.bincount(pieces.ravel())
    for side in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        sizes[np.unique(side)] = 0
    sizes[0] = 0
    mask = sitk.GetImageFromArray((sizes > max(1, sizes.max() // 5))[pieces].astype(np.uint8))
    mask.CopyInformation(image)
    return mask


@pytest.mark.parametrize("name", ["id001", "id002"])
def test_low_resolution_chests_with_padding_are_accepted(name: str) -> None:
    ct = read_ct(data(f"lungs/{name}-ct.nii.gz"))
    assert [finding.code for finding in ct.findings] == ["padding", "thick-slices"]
    assert lung_codes(ct.image, read_mask(data(f"lungs/{name}-lungs.nii.gz"), ct.image)) == []


def test_an_abdomen_is_refused() -> None:
    ct = read_ct(data("not-chest/abdomen-pelvis.nii.gz"))
    with pytest.raises(InputError, match="not a chest CT"):
        check_lungs(ct.image, thresholded(ct.image))


@pytest.mark.parametrize(
    ("name", "size", "lowest", "expected"),
    [
        ("covid-P001", (512, 512, 148), -346.1, ["lungs-cut-bottom"]),
        ("normal-normal001", (512, 512, 154), -330.5, []),
    ],
)
def test_jpeg_lossless_dicom_is_read_in_order(
    name: str, size: tuple[int, ...], lowest: float, expected: list[str]
) -> None:
    ct = read_ct(data(f"ct/{name}"))
    assert ct.findings == ()
    assert ct.image.GetSize() == size
    assert ct.image.GetSpacing()[2] == pytest.approx(2.0)
    assert ct.image.GetOrigin()[2] == pytest.approx(lowest)
    assert ct.image.GetPixelID() == sitk.sitkInt16
    coarse = sitk.Shrink(ct.image, (4, 4, 2))
    assert lung_codes(coarse, thresholded(coarse)) == expected
