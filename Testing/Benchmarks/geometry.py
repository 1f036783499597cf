"""What `analyze` says of copies of one CT on other grids: overlap with the CT as read, and the logits.

python Testing/Benchmarks/geometry.py path/to/ct [--bundle DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.__main__ import main as command_line
from DualSamplingCOVIDLib.ct import read_ct

AIR_HU = -1024
OBLIQUE_AXIS = (2.0, -1.0, 2.0)
OBLIQUE_DEGREES = 15.0
AS_READ, OBLIQUE, THICK = "as read", "oblique", "3 mm slices"
FILES = (diagnosis_folder.MASKS, diagnosis_folder.DECISION_LABEL, diagnosis_folder.DECISION_MAP)

Voxels = NDArray[np.bool_]
Copy = Callable[[sitk.Image], sitk.Image]


@dataclass(frozen=True)
class Geometry:
    """Where an image file's voxels lie; lengths in mm, LPS."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """What `analyze` wrote of one copy, read back from disk: `files` has the geometry of each of `FILES`."""

    ct: Geometry
    files: dict[str, Geometry]
    lungs: sitk.Image
    infection: sitk.Image
    us_logit: float
    ss_logit: float


def turned(order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Copy:
    """Return what stores the same voxels at the same places with other axes: reordered, then some from the far end."""
    return lambda ct: sitk.Flip(sitk.PermuteAxes(ct, order), flips, False)


def oblique(ct: sitk.Image) -> sitk.Image:
    """Resample to a grid of the same spacing at an angle to all three axes that holds the whole CT."""
    turn = sitk.VersorTransform(OBLIQUE_AXIS, math.radians(OBLIQUE_DEGREES))
    axes = np.array(turn.GetMatrix()).reshape(3, 3) @ np.array(ct.GetDirection()).reshape(3, 3)
    ends = itertools.product(*((-0.5, count - 0.5) for count in ct.GetSize()))
    corners = np.array([ct.TransformContinuousIndexToPhysicalPoint(end) for end in ends]) @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) / ct.GetSpacing())
    origin = axes @ ((low + high - (size - 1) * ct.GetSpacing()) / 2)
    return _linear(ct, size, origin, ct.GetSpacing(), axes.ravel())


def with_slices(ct: sitk.Image, thickness_mm: int) -> sitk.Image:
    """Resample to axial slices of this thickness, each the mean of samples 1 mm apart."""
    ct = sitk.DICOMOrient(ct, "LPS")
    x, y, z = ct.GetSpacing()
    size = (*ct.GetSize()[:2], math.floor((ct.GetSize()[2] - 1) * z) + 1)
    fine = _linear(ct, size, ct.GetOrigin(), (x, y, 1.0), ct.GetDirection())
    return sitk.BinShrink(fine, [1, 1, thickness_mm])


TURNED: dict[str, Copy] = {
    "flipped i": turned((0, 1, 2), (True, False, False)),
    "flipped j, k": turned((0, 1, 2), (False, True, True)),
    "axes k, j, i": turned((2, 1, 0), (False, False, False)),
    "axes -j, -k, -i": turned((1, 2, 0), (True, True, True)),
}
"""Copies with the very voxels of the CT."""

COPIES: dict[str, Copy] = {
    AS_READ: lambda ct: ct,
    **TURNED,
    OBLIQUE: oblique,
    THICK: lambda ct: with_slices(ct, 3),
}


def answer(ct: sitk.Image, bundle: Path | None = None) -> Answer:
    """Write a CT to disk, run the command `analyze` on it with the bundle (or the default one), read the results.

    Raises:
        RuntimeError: the command failed; the message is what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path, output = Path(scratch) / "ct.nrrd", Path(scratch) / "out"
        sitk.WriteImage(ct, path)
        options = ["--output", str(output), "--write", "masks,attention", "--progress", "none"]
        options += ["--bundle", str(bundle)] if bundle else []
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = command_line(["analyze", str(path), *options])
        if status:
            raise RuntimeError(said.getvalue())
        found = diagnosis_folder.load(output)
        return Answer(
            ct=_geometry(path),
            files={name: _geometry(output / name) for name in FILES},
            lungs=found.segmentation.lungs,
            infection=found.segmentation.infection,
            us_logit=found.member("US").logit,
            ss_logit=found.member("SS").logit,
        )


def voxels_on(ct: sitk.Image, mask: sitk.Image) -> Voxels:
    """Return whether the nearest voxel of `mask` is inside, for each voxel [k, j, i] of `ct`."""
    return sitk.GetArrayFromImage(sitk.Resample(mask, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0)) > 0


def overlap(ct: sitk.Image, one: sitk.Image, other: sitk.Image) -> float:
    """Return the Dice overlap of two masks on the grid of `ct`; NaN where both are empty."""
    a, b = voxels_on(ct, one), voxels_on(ct, other)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else math.nan


def header(name: str) -> str:
    """Return the head of the table of the copies of the CT called `name`."""
    return f"{name:<18}{'lungs Dice':>12}{'infection Dice':>16}{'US logit':>12}{'SS logit':>12}"


def row(name: str, ct: sitk.Image, found: Answer, reference: Answer) -> str:
    """Return one line of the table: a copy's overlap with the CT as read, and its logits."""
    lungs = overlap(ct, found.lungs, reference.lungs)
    infection = overlap(ct, found.infection, reference.infection)
    return f"{name:<18}{lungs:>12.4f}{infection:>16.4f}{found.us_logit:>12.5f}{found.ss_logit:>12.5f}"


def _linear(ct: sitk.Image, size: object, origin: object, spacing: object, direction: object) -> sitk.Image:
    size, *place = (np.array(values).tolist() for values in (size, origin, spacing, direction))
    return sitk.Resample(ct, [int(n) for n in size], sitk.Transform(), sitk.sitkLinear, *place, AIR_HU)


def _geometry(path: Path) -> Geometry:
    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    return Geometry(header.GetSize(), header.GetSpacing(), header.GetOrigin(), header.GetDirection())


def main() -> None:
    """Print one row a copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="trained bundle (default: phantom-demo)")
    options = parser.parse_args()
    ct = read_ct(options.ct).image
    reference = answer(ct, options.bundle)
    print(header(options.ct.name))
    for name, copy in COPIES.items():
        found = reference if name == AS_READ else answer(copy(ct), options.bundle)
        print(row(name, ct, found, reference), flush=True)


if __name__ == "__main__":
    main()
