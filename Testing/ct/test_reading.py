"""Files other than DICOM, masks, and the real CTs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ct._dicom_files import voxels, write_series
from DualSamplingCOVIDLib.ct import read_ct, read_mask
from DualSamplingCOVIDLib.errors import InputError


def image(hu: np.ndarray | None = None) -> sitk.Image:
    one = sitk.GetImageFromArray(voxels() if hu is None else hu)
    one.SetSpacing((0.8, 0.82, 2.0)[: one.GetDimension()])
    if one.GetDimension() == 3:
        one.SetOrigin((-20, -30, 100))
        one.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, -1))
    return one


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_every_format_gives_the_same_voxels_and_geometry(tmp_path: Path, suffix: str) -> None:
    sitk.WriteImage(image(), tmp_path / f"ct{suffix}")
    ct = read_ct(tmp_path / f"ct{suffix}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ct.image), voxels())
    assert ct.image.GetPixelID() == sitk.sitkInt16
    assert ct.image.GetOrigin() == pytest.approx((-20, -30, 100))
    assert ct.image.GetDirection() == pytest.approx((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, -1), abs=1e-5)
    assert ct.description.endswith("32 x 24 x 40 voxels of 0.8 x 0.82 x 2 mm")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.int32, sitk.sitkInt16), (np.float32, sitk.sitkFloat32), (np.float64, sitk.sitkFloat32)],
)
def test_voxels_become_int16_or_float32(tmp_path: Path, dtype: type, expected: int) -> None:
    sitk.WriteImage(image(voxels().astype(dtype)), tmp_path / "ct.mha")
    assert read_ct(tmp_path / "ct.mha").image.GetPixelID() == expected


def test_padding_is_clipped_to_air_and_said(tmp_path: Path) -> None:
    hu = voxels().astype(np.float32)
    hu[:, :2] = -3024
    sitk.WriteImage(image(hu), tmp_path / "ct.nrrd")
    ct = read_ct(tmp_path / "ct.nrrd")
    assert [finding.code for finding in ct.findings] == ["padding"]
    assert sitk.GetArrayViewFromImage(ct.image).min() == -1024


def test_sha256_follows_voxels_and_geometry_not_the_file(tmp_path: Path) -> None:
    changed, moved = image(), image()
    changed.SetPixel(3, 3, 3, 41)
    moved.SetOrigin((-20, -30, 101))
    for name, one in {"a.nrrd": image(), "b.mha": image(), "c.nrrd": changed, "d.nrrd": moved}.items():
        sitk.WriteImage(one, tmp_path / name)
    first, same, other, elsewhere = (
        read_ct(tmp_path / name).sha256 for name in ("a.nrrd", "b.mha", "c.nrrd", "d.nrrd")
    )
    assert len(first) == 64
    assert first == same
    assert len({first, other, elsewhere}) == 3


def write(hu: np.ndarray, *, is_vector: bool = False):  # type: ignore[no-untyped-def]
    return lambda file: sitk.WriteImage(sitk.GetImageFromArray(hu, isVector=is_vector), file)


def truncated(file: Path) -> None:
    sitk.WriteImage(image(np.random.default_rng(0).integers(-1000, 400, (40, 24, 32)).astype(np.int16)), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def nifti_spacing(value: float):  # type: ignore[no-untyped-def]
    def make(file: Path) -> None:
        sitk.WriteImage(image(), file)
        content = bytearray(file.read_bytes())
        content[88:92] = struct.pack("<f", value)
        file.write_bytes(content)

    return make


def replaced(before: bytes, after: bytes):  # type: ignore[no-untyped-def]
    def make(file: Path) -> None:
        sitk.WriteImage(sitk.GetImageFromArray(voxels()), file)
        content = file.read_bytes()
        assert before in content
        file.write_bytes(content.replace(before, after))

    return make


def with_value(value: float) -> np.ndarray:
    hu = voxels().astype(np.float32)
    hu[5, 5, 5] = value
    return hu


BAD = [
    ("text.nii.gz", lambda f: f.write_text("not an image"), "not a NIfTI file"),
    ("empty.nii.gz", lambda f: f.write_bytes(b""), "not a NIfTI file"),
    ("empty.dcm", lambda f: f.write_bytes(b""), "no DICOM CT slices|damaged"),
    ("text.dcm", lambda f: f.write_text("not an image" * 40), "no DICOM CT slices|damaged"),
    ("cut.nii.gz", truncated, "truncated or damaged gzip"),
    ("cut.nii", truncated, "truncated NIfTI"),
    ("cut.nrrd", truncated, "damaged, truncated"),
    ("cut.mha", truncated, "damaged, truncated"),
    ("notes.txt", lambda f: f.write_text("not an image"), "not a DICOM, NIfTI, NRRD or MetaImage"),
    ("flat.nrrd", write(voxels()[0]), "a 2D image"),
    ("one.nrrd", write(voxels(1)), "a single slice"),
    ("color.mha", write(np.zeros((40, 24, 32, 3), np.uint8), is_vector=True), "3 values a voxel"),
    ("vector.nii", write(np.zeros((40, 24, 32, 2), np.float32), is_vector=True), "2 values a voxel"),
    ("series.nii", write(np.stack([voxels()] * 2)), "a 4D image"),
    ("constant.nii", write(np.full((40, 24, 32), -700, np.int16)), "all voxels have the same value"),
    ("nan.nrrd", write(with_value(np.nan)), "NaN or infinite"),
    ("infinity.nrrd", write(with_value(-np.inf)), "NaN or infinite"),
    ("zero.nii", nifti_spacing(0.0), "zero or negative spacing"),
    ("negative.nii", nifti_spacing(-2.0), "zero or negative spacing"),
    ("zero.mha", replaced(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 0"), "zero or negative spacing"),
    ("negative.mha", replaced(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 -1"), "zero or negative spacing"),
    ("zero.nrrd", replaced(b"(0,0,1)", b"(0,0,0)"), "zero or negative spacing"),
    (
        "tiny.nrrd",
        write(np.arange(-1000, -990, dtype=np.int16).reshape(5, 2, 1).repeat(2, 2)[:, :, :2] * 1),
        "too few voxels",
    ),
    ("eight.nrrd", write((np.arange(40 * 24 * 32) % 256).reshape(40, 24, 32).astype(np.uint8)), "8-bit export"),
    ("raw.nrrd", write((voxels() + 1024).astype(np.uint16)), "hardly any voxel below -500 HU"),
]


@pytest.mark.parametrize(("name", "make", "cause"), BAD, ids=[row[0] for row in BAD])
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, name: str, make, cause: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / name)
    with pytest.raises(InputError, match=cause) as caught:
        read_ct(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.status == 3


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read_ct(tmp_path / "nowhere")


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(image(), tmp_path / "ct.nrrd")
    with pytest.raises(InputError, match="no DICOM CT slices found"):
        read_ct(tmp_path)


def test_warnings_of_the_readers_stay_off_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path, voxels(), skip=(3,), series="not-a-uid")
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    read_ct(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == shown


def mask(shape: tuple[int, ...] = (40, 24, 32), value: float = 2) -> sitk.Image:
    labels = np.zeros(shape, np.float32)
    labels[5:-5, 5:-5, 5:-5] = value
    return image(labels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_mask_becomes_zero_and_one_on_the_cts_grid(tmp_path: Path, suffix: str) -> None:
    sitk.WriteImage(mask(), tmp_path / f"lungs{suffix}")
    lungs = read_mask(tmp_path / f"lungs{suffix}", image())
    assert lungs.GetPixelID() == sitk.sitkUInt8
    assert np.bincount(sitk.GetArrayFromImage(lungs).ravel()).tolist() == [40 * 24 * 32 - 30 * 14 * 22, 30 * 14 * 22]
    assert (lungs.GetOrigin(), lungs.GetSpacing(), lungs.GetDirection()) == (
        image().GetOrigin(),
        image().GetSpacing(),
        image().GetDirection(),
    )


def shifted() -> sitk.Image:
    one = mask()
    one.SetOrigin((-20, -30, 100.5))
    return one


def stretched() -> sitk.Image:
    one = mask()
    one.SetSpacing((0.8, 0.82, 2.1))
    return one


def flipped() -> sitk.Image:
    one = mask()
    one.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    return one


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (mask((39, 24, 32)), "geometry differs"),
        (shifted(), "geometry differs"),
        (stretched(), "geometry differs"),
        (flipped(), "geometry differs"),
        (mask(value=np.nan), "NaN"),
        (mask(value=-1000), "no mask: it holds values from -1000 to 0, not labels"),
        (mask(value=1500), "no mask: it holds values from 0 to 1500"),
        (mask(value=0.5), "no mask: it holds values from 0 to 0.5"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, bad: sitk.Image, cause: str) -> None:
    sitk.WriteImage(bad, tmp_path / "lungs.nrrd")
    with pytest.raises(InputError, match=f"lungs.nrrd: .*{cause}"):
        read_mask(tmp_path / "lungs.nrrd", image())


@pytest.mark.parametrize(("name", "cause"), [("none.nrrd", "no such file"), ("", "a folder")])
def test_a_mask_path_that_is_no_file_is_refused(tmp_path: Path, name: str, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        read_mask(tmp_path / name, image())
