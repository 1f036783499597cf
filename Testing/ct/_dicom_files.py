"""Writes small DICOM CTs of a box of lung in soft tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

SPACING = (0.8, 0.82, 2.0)
ORIGIN = (-20.0, -30.0, 100.0)
NAME, PATIENT = "Secret^Person", "ID-4711"


def voxels(count: int = 40, rows: int = 24, columns: int = 32) -> np.ndarray:
    """HU [k,j,i]: value rises with k so that slice order shows; a lung-like box inside."""
    hu = np.full((count, rows, columns), 40, dtype=np.int16)
    hu[:, 4:-4, 4:-4] = -850
    hu[:, 0, 0] = np.arange(count) * 10
    hu[:, -1, -1] = 1000
    return hu


def _common(shape: tuple[int, int], sop_class: str, series: str, patient: str, **tags: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    one.Modality, one.PatientID, one.PatientName = "CT", patient, NAME
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", series
    one.Rows, one.Columns = shape
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation, one.SamplesPerPixel = 15, 0, 1
    one.PhotometricInterpretation = "MONOCHROME2"
    for name, value in tags.items():
        setattr(one, name, value)
    return one


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    series: str = "1.2.3.1",
    patient: str = PATIENT,
    skip: tuple[int, ...] = (),
    shear: float = 0.0,
    heights: np.ndarray | None = None,
    **tags: Any,
) -> list[Path]:
    """One file a slice, names in random order; `shear` moves slice k by k * shear mm along y (a gantry tilt)."""
    folder.mkdir(parents=True, exist_ok=True)
    places = np.arange(len(hu)) * SPACING[2] if heights is None else heights
    names = np.random.default_rng(0).permutation(len(hu))
    files = []
    for k, plane in enumerate(hu):
        if k in skip:
            continue
        one = _common(plane.shape, CTImageStorage, series, patient, **tags)
        one.InstanceNumber = k + 1
        one.ImagePositionPatient = [ORIGIN[0], round(ORIGIN[1] + k * shear, 4), round(ORIGIN[2] + float(places[k]), 4)]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.PixelSpacing = [SPACING[1], SPACING[0]]
        if "SliceThickness" not in tags:
            one.SliceThickness = SPACING[2]
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        one.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        files.append(folder / f"{series}-{names[k]:03d}.dcm")
        one.save_as(files[-1], enforce_file_format=True)
    return files


def write_enhanced(file: Path, hu: np.ndarray, *, patient: str = PATIENT) -> None:
    """One multi-frame enhanced CT whose frames are stored head first."""
    one = _common(hu.shape[1:], EnhancedCTImageStorage, "1.2.3.9", patient, NumberOfFrames=len(hu), InstanceNumber=1)
    shared, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([values])
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in reversed(range(len(hu))):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + k * SPACING[2]]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    one.PixelData = (hu[::-1].astype(np.int32) + 1024).astype(np.uint16).tobytes()
    one.save_as(file, enforce_file_format=True)


def edit(file: Path, **tags: Any) -> None:
    """Overwrite tags of one file."""
    one = pydicom.dcmread(file)
    for name, value in tags.items():
        setattr(one, name, value)
    one.save_as(file)
