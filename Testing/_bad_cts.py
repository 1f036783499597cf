"""CTs that cannot be used, as a table: where they lie, what makes them, and the cause to be named."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk

from ct._dicom_files import edit, voxels, write_series

Make = Callable[[Path], object]
SHAPE = (10, 24, 32)


def image(hu: np.ndarray, spacing: Sequence[float] = (0.8, 0.82, 2.0)) -> sitk.Image:
    one = sitk.GetImageFromArray(hu, isVector=False)
    one.SetSpacing([*spacing, 1.0][: one.GetDimension()])
    return one


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 400, shape or SHAPE).astype(np.int16)


def wrote(hu: np.ndarray) -> Make:
    return lambda file: sitk.WriteImage(image(hu), file)


def wrote_color(file: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((*SHAPE, 3), np.uint8), isVector=True), file)


def with_voxel(value: float) -> np.ndarray:
    hu = noise().astype(np.float32)
    hu[5, 5, 5] = value
    return hu


def text(file: Path) -> None:
    file.write_text("not an image")


def cut(file: Path) -> None:
    sitk.WriteImage(image(noise()), file, useCompression=True)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def damaged(file: Path) -> None:
    sitk.WriteImage(image(noise()), file, useCompression=True)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def patched(offset: int, layout: str, *values: float) -> Make:
    """A NIfTI file with other values at an offset of its header."""

    def make(file: Path) -> None:
        sitk.WriteImage(image(noise()), file)
        content = bytearray(file.read_bytes())
        struct.pack_into(layout, content, offset, *values)
        file.write_bytes(content)

    return make


def replaced(before: bytes, after: bytes) -> Make:
    """A file with other text in its header."""

    def make(file: Path) -> None:
        sitk.WriteImage(image(noise(), (1, 1, 1)), file)
        content = file.read_bytes()
        assert before in content
        file.write_bytes(content.replace(before, after))

    return make


def without_its_voxels(file: Path) -> None:
    sitk.WriteImage(image(noise()), file)
    file.with_suffix(".raw").unlink()


def slices(**tags: Any) -> Make:
    """A DICOM folder whose slices all have these tags."""

    def make(folder: Path) -> None:
        for file in write_series(folder, voxels(10)):
            edit(file, **tags)

    return make


def with_slice_of(size: int) -> Make:
    """A DICOM folder with a slice, cut.dcm, of which only the first bytes are left."""

    def make(folder: Path) -> None:
        file = write_series(folder, voxels(10))[3].rename(folder / "cut.dcm")
        file.write_bytes(file.read_bytes()[:size])

    return make


def two_patients(folder: Path) -> None:
    write_series(folder, voxels(10))
    write_series(folder, voxels(10), series="1.2.3.6", patient="ID-4712")


def two_patients_in_one_series(folder: Path) -> None:
    for index, file in enumerate(write_series(folder, voxels(20))):
        edit(file, PatientID=f"ID-{index % 2}")


def sheared(file: Path) -> None:
    """A NIfTI file whose only geometry is an sform with an axis that leans."""
    sitk.WriteImage(image(noise(), (1, 1, 1)), file)
    content = bytearray(file.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<12f", content, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    file.write_bytes(content)


def junk_for_jpeg(folder: Path) -> None:
    (written,) = write_series(folder, voxels(1))
    one = pydicom.dcmread(written)
    one.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    one.PixelData = pydicom.encaps.encapsulate([b"no picture"])
    one["PixelData"].VR = "OB"
    for number in range(2):
        one.ImagePositionPatient[2] = number
        one.save_as(folder / f"{number}.dcm")
    written.unlink()


def only(folder: Path) -> None:
    """Keep one slice, under the name 0.dcm."""
    first, *others = sorted(folder.iterdir())
    for other in others:
        other.unlink()
    first.rename(folder / "0.dcm")


UNREADABLE = "damaged, truncated or not what its name says"
SPACING = "zero or negative spacing"
CUT_DICOM = "damaged or truncated DICOM file"
CTS: list[tuple[str, Make, str]] = [
    ("missing.nii.gz", lambda file: None, "no such file or folder"),
    ("empty", Path.mkdir, "the folder is empty"),
    ("empty-inside", lambda folder: (folder / "a" / "b").mkdir(parents=True), "the folder is empty"),
    ("no-dicom", lambda folder: (folder.mkdir(), text(folder / "a.txt")), "no DICOM CT slices found"),
    ("text.nii.gz", text, "not a NIfTI file"),
    ("text.nrrd", text, UNREADABLE),
    ("text.mha", text, UNREADABLE),
    ("text.dcm", text, CUT_DICOM),
    ("text.txt", text, "not a DICOM, NIfTI, NRRD or MetaImage file"),
    ("nothing.nii", Path.touch, "not a NIfTI file"),
    ("nothing.dcm", Path.touch, CUT_DICOM),
    ("pipe.nii", os.mkfifo, "neither a file nor a folder"),
    ("latin-\udce9.nrrd", text, "the name is not valid UTF-8; rename it"),
    ("two\nlines.nii", text, "not a NIfTI file"),
    ("cut.nii.gz", cut, "truncated or damaged gzip file"),
    ("damaged.nii.gz", damaged, "truncated or damaged gzip file"),
    ("cut.nii", cut, "truncated NIfTI file"),
    ("cut.nrrd", cut, "truncated compressed voxels"),
    ("damaged.nrrd", damaged, "damaged compressed voxels"),
    ("cut.mha", cut, "truncated compressed voxels"),
    ("damaged.mha", damaged, "damaged compressed voxels"),
    ("alone.mhd", without_its_voxels, UNREADABLE),
    ("header.mha", replaced(b"DimSize = 32 24 10", b"DimSize = 32 24"), UNREADABLE),
    ("type.nii", patched(70, "<h", 999), "damaged NIfTI header"),
    ("offset.nii", patched(108, "<f", np.nan), "damaged NIfTI header"),
    ("huge.nii", patched(42, "<3h", 32000, 32000, 32000), "truncated NIfTI file"),
    ("nowhere.nii", patched(280, "<f", np.nan), "the position or orientation is not a number"),
    ("flat.nii", wrote(noise(24, 32)), "a 2D image, not a volume"),
    ("flat.mha", wrote(noise(24, 32)), "a 2D image, not a volume"),
    ("one-slice.nii", wrote(noise(1, 24, 32)), "a single slice, not a volume"),
    ("one-slice", lambda folder: write_series(folder, voxels(1)), "a single CT slice, not a volume"),
    ("color.nrrd", wrote_color, "3 values a voxel (color, vector or overlapping segments), not one CT or mask"),
    ("color/0.dcm", lambda folder: (slices(SamplesPerPixel=3)(folder), only(folder)), "color image, not a CT"),
    ("constant.nii.gz", wrote(np.full(SHAPE, -700, np.int16)), "all voxels have the same value"),
    ("nan.nii", wrote(with_voxel(np.nan)), "NaN or infinite voxels"),
    ("infinity.nii.gz", wrote(with_voxel(np.inf)), "NaN or infinite voxels"),
    ("nan.nrrd", wrote(with_voxel(np.nan)), "NaN or infinite voxels"),
    ("infinity.mha", wrote(with_voxel(-np.inf)), "NaN or infinite voxels"),
    ("two-volumes.nii", wrote(noise(2, *SHAPE)), "a 4D image (several volumes), not one CT"),
    ("two-volumes.nrrd", wrote(noise(2, *SHAPE)), "a 4D image (several volumes), not one CT"),
    ("zero.nii", patched(88, "<f", 0.0), SPACING),
    ("negative.nii", patched(88, "<f", -2.0), SPACING),
    ("zero.mha", replaced(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 0"), SPACING),
    ("negative.mha", replaced(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 -1"), SPACING),
    ("word.mha", replaced(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 e"), SPACING),
    ("zero.nrrd", replaced(b"(0,0,1)", b"(0,0,0)"), SPACING),
    ("zero/0.dcm", lambda folder: (slices(PixelSpacing=[0, 0])(folder), only(folder)), "the pixel spacing is zero or"),
    ("ten-voxels.nii", wrote(noise(5, 2, 1)), "a single slice, not a volume"),
    ("ten-voxels-wide.nrrd", wrote(noise(10, 10, 10)), "not a chest CT: too little lung"),
    ("few-voxels.nrrd", wrote(noise(4, 24, 32)), "too few voxels along one axis"),
    ("two-patients", two_patients, "CTs of more than one patient in one folder"),
    ("one-series", two_patients_in_one_series, "CTs of more than one patient in one folder"),
    ("sheared.nii", sheared, "its axes are sheared: they are not perpendicular"),
    ("spacing.mha", text, UNREADABLE),
    ("cut-in-meta/cut.dcm", with_slice_of(140), CUT_DICOM),
    ("cut-in-header/cut.dcm", with_slice_of(600), CUT_DICOM),
    ("cut-in-pixels/cut.dcm", with_slice_of(1800), "the pixels are truncated"),
    ("cut-to-nothing/cut.dcm", with_slice_of(0), CUT_DICOM),
    ("huge/0.dcm", lambda folder: (slices(Rows=60000, Columns=60000)(folder), only(folder)), "the pixels are trunc"),
    ("jpeg/0.dcm", junk_for_jpeg, "the pixels are truncated, damaged or in an unknown compression"),
    ("mr", slices(Modality="MR"), "no DICOM CT slices found"),
]
