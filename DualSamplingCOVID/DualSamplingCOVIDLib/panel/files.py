"""The job's own folder: the CT and masks on their way to the worker, and its results on their way back.

Names are neutral: a volume is often named after the patient, and so no name leaves the scene.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import diagnosis_folder
from ..diagnosis import Diagnosis, Finding
from ..errors import ResourceError
from ..progress import named
from ..scene import export
from ..scene.result import Result
from .translation import _

CT, LUNGS, INFECTION, OUTPUT, DIAGNOSIS = "ct.nrrd", "lungs.nrrd", "infection.nrrd", "output", "diagnosis"
_ROOM_FOR_RESULTS = 200_000_000


@dataclass(frozen=True)
class GivenSegments:
    """Segments of the scene that replace the segmenter's; the left lung is empty where one segment holds both."""

    segmentation: Any
    rightLung: str
    leftLung: str
    infection: str


def exporting(
    folder: Path, ctNode: Any, given: GivenSegments | None
) -> Generator[str, None, tuple[list[str], tuple[Finding, ...]]]:
    """Write a CT, and masks where they are given, for the worker.

    Returns:
        The arguments that name the files, and findings about how the CT lies in the scene, as the generator's value.

    Raises:
        ResourceError: the disk is full.
        KeyError, ValueError: a given segment cannot be used.
    """
    yield _("exporting the CT")
    exported = export.exportCt(ctNode)
    write(exported.image, folder / CT)
    arguments = [str(folder / CT)]
    if given is not None:
        yield _("exporting the masks")
        lungs = export.exportSegment(given.segmentation, given.rightLung, exported.image)
        if given.leftLung:
            left = export.exportSegment(given.segmentation, given.leftLung, exported.image)
            lungs = lungs + 2 * sitk.And(left, sitk.Equal(lungs, 0))
        write(lungs, folder / LUNGS)
        write(export.exportSegment(given.segmentation, given.infection, exported.image), folder / INFECTION)
        arguments += ["--lungs", str(folder / LUNGS), "--infection", str(folder / INFECTION)]
    return arguments, exported.findings


def loading(folder: Path, findings: tuple[Finding, ...]) -> Generator[str, None, Diagnosis]:
    """Read what the worker wrote; `findings` are put to its own.

    Raises:
        InputError: the folder is not whole.
    """
    diagnosis = yield from named(diagnosis_folder.loading(folder), _("reading the results"))
    return replace(diagnosis, findings=diagnosis.findings + findings)


def exportingResult(folder: Path, result: Result) -> Generator[str, None, list[str]]:
    """Write a result of the scene, with its CT, for the worker that draws its report.

    Returns:
        The arguments that name the files, as the generator's value.

    Raises:
        KeyError: a part of the result was deleted from the scene.
        ValueError: the CT was moved or the masks were edited since the analysis.
        ResourceError: the disk is full.
    """
    if result.isCtMoved:
        raise ValueError(_("The CT was moved since it was analysed: analyse it again, or move it back."))
    yield _("exporting the CT")
    write(export.exportCt(result.ct).image, folder / CT)
    yield _("exporting the result")
    diagnosis = result.diagnosis()
    (folder / DIAGNOSIS).mkdir()
    diagnosis_folder.save_report(folder / DIAGNOSIS, diagnosis)
    yield _("exporting the masks")
    diagnosis_folder.save_masks(folder / DIAGNOSIS, diagnosis.segmentation)
    diagnosis_folder.save_maps(folder / DIAGNOSIS, diagnosis)
    return [str(folder / CT), "--diagnosis", str(folder / DIAGNOSIS)]


def write(image: sitk.Image, path: Path) -> None:
    """Write an image uncompressed.

    Raises:
        ResourceError: the disk is full.
    """
    array = sitk.GetArrayViewFromImage(image)
    size = int(np.prod(array.shape)) * array.itemsize
    full = ResourceError(
        _("{folder}: the disk is full: {size:.0f} MB are needed there").format(
            folder=path.parent.parent, size=(size + _ROOM_FOR_RESULTS) / 1e6
        )
    )
    if shutil.disk_usage(path.parent).free < size + _ROOM_FOR_RESULTS:
        raise full
    try:
        sitk.WriteImage(image, path, useCompression=False)
    except RuntimeError as error:
        raise full from error
    if path.stat().st_size < size:  # not every writer says that the disk is full
        raise full


def moving(made: Path, output: Path) -> Generator[str, None, Path]:
    """Bring a whole folder where the user wants it; what is half-way there is taken back.

    Raises:
        ResourceError: the disk there is full, or nobody may write to it.
    """
    yield _("writing the report")
    aside = output.with_name(f".{output.name}-part")
    try:
        shutil.copytree(made, aside)
        aside.rename(output)
    except OSError as error:
        reason = error.strerror or error
        raise ResourceError(_("{folder}: cannot be written: {reason}").format(folder=output, reason=reason)) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return output
