"""What `analyze` says of copies of one CT on other grids: overlap with the CT as read, and the logits.

python Testing/Benchmarks/geometry.py path/to/ct [--bundle DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import io
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
from DualSamplingCOVIDLib.evaluation.robustness import oblique, thick_slices

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
    THICK: lambda ct: thick_slices(ct, 3.0),
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
