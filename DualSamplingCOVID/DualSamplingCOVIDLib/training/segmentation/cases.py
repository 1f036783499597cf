"""Phantoms (and CTs that a person brings) as training cases: everything on the segmenter's working grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ...cohort import NORMAL
from ...ct import read_ct
from ...diagnosis import CAP, COVID
from ...errors import InputError
from ...parallel import spread
from ...phantom import make_phantom
from ...phantom.background import chest_of, healthy_of
from ...phantom.lesions import infect
from ...phantom.variety import Variety
from ...progress import Progress, silent
from ...run_folder.volume import FULL_SHARE
from ...segmentation import lungs, working_grid
from ...storage import write_whole

NORMALS = 0.27
SMALL = 0.4
SMALL_RATIO, ANY_RATIO = (0.0003, 0.008), (0.008, 0.40)


class SegmentationCase(NamedTuple):
    """One CT with its truth, arrays [k, j, i] on the working grid (2 mm, LPS).

    `hu` is int16; `right`, `left` and `infection` are uint8 shares of the voxel's volume (255 = all of it); lungs
    include the infection.
    """

    hu: NDArray[np.int16]
    right: NDArray[np.uint8]
    left: NDArray[np.uint8]
    infection: NDArray[np.uint8]

    @property
    def lungs(self) -> NDArray[np.uint8]:
        """Share of either lung."""
        return np.maximum(self.right, self.left)

    def cut(self, part: tuple[slice, ...]) -> SegmentationCase:
        """Return a part of it."""
        return SegmentationCase(self.hu[part], self.right[part], self.left[part], self.infection[part])


class PlannedPhantom(NamedTuple):
    """One phantom to be made; `ratio` is None for normal lungs, `background` a real CT that takes the made lesions."""

    seed: int
    label: str
    ratio: float | None
    background: Path | None = None

    @property
    def folder(self) -> str:
        """Name of its case's folder."""
        return f"{self.seed:010d}{'-background' if self.background else ''}"


def plan_phantoms(amount: int, seed: int, backgrounds: Sequence[Path] = ()) -> tuple[PlannedPhantom, ...]:
    """Plan phantoms to learn from: a quarter without disease, two in five of the others with very little of it.

    Where there are backgrounds, every second phantom is laid into one of them.
    """
    rng = np.random.default_rng([seed, 20])
    seeds = rng.choice(2**31 - 1, amount, replace=False)
    plan = [_planned(int(one), rng) for one in seeds]
    for turn, index in enumerate(range(1, amount if backgrounds else 0, 2)):
        plan[index] = plan[index]._replace(background=backgrounds[turn % len(backgrounds)])
    return tuple(plan)


def _planned(seed: int, rng: np.random.Generator) -> PlannedPhantom:
    if rng.random() < NORMALS:
        return PlannedPhantom(seed, NORMAL, None)
    low, high = SMALL_RATIO if rng.random() < SMALL else ANY_RATIO
    label = COVID if rng.random() < 0.5 else CAP
    return PlannedPhantom(seed, label, float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def write_cases(
    folder: Path, plan: Sequence[PlannedPhantom], variety: Variety, progress: Progress = silent
) -> list[Path]:
    """Make the planned phantoms, in parallel; those already in `folder` are kept. Returns their folders in order."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [folder / one.folder for one in plan]
    missing = [(one, case) for one, case in zip(plan, cases, strict=True) if not _file(case, _WRITTEN_LAST).exists()]
    spread(partial(_write_phantom, variety=variety), missing, "making phantoms", progress)
    return cases


def read_case(folder: Path) -> SegmentationCase:
    """Open a case that `write_case` wrote; only what is cut out of it or counted in it is read from the disk."""
    return SegmentationCase(*(np.load(_file(folder, name), mmap_mode="r") for name in SegmentationCase._fields))


def write_case(folder: Path, case: SegmentationCase) -> None:
    """Write a case, an array a file; it is whole when the last of them is there."""
    folder.mkdir(exist_ok=True)
    for name, array in case._asdict().items():
        write_whole(_file(folder, name), partial(np.save, arr=array))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


_WRITTEN_LAST = SegmentationCase._fields[-1]


def on_working_grid(ct: sitk.Image, right: sitk.Image, left: sitk.Image, infection: sitk.Image) -> SegmentationCase:
    """Bring a CT (HU) and its masks (0 and 1, on the CT's grid) to the working grid, as the segmenter does.

    Masks are averaged like the CT, so that a voxel keeps its share of a small lesion.
    """
    hu = np.rint(working_grid.array(working_grid.from_ct(ct))).astype(np.int16)
    shares = [
        np.rint(working_grid.array(working_grid.from_ct(sitk.Cast(mask, sitk.sitkFloat32) * FULL_SHARE)))
        for mask in (right, left, infection)
    ]
    return SegmentationCase(hu, *(share.clip(0, FULL_SHARE).astype(np.uint8) for share in shares))


def _write_phantom(planned: tuple[PlannedPhantom, Path], variety: Variety) -> None:
    one, folder = planned
    if one.background is not None:
        write_case(folder, on_background(one, variety))
        return
    phantom = make_phantom(one.seed, one.label, ratio=one.ratio, variety=variety)
    write_case(folder, on_working_grid(phantom.ct, phantom.right_lung, phantom.left_lung, phantom.infection))


def on_background(one: PlannedPhantom, variety: Variety) -> SegmentationCase:
    """Lay made lesions into a real CT without disease, whose lungs the threshold segmenter finds.

    Raises:
        InputError: the CT cannot be read, or shows no lungs.
    """
    assert one.background is not None
    grid = working_grid.from_ct(read_ct(one.background).image)
    hu = working_grid.array(grid)
    right, left = lungs.find(hu)
    if not (right.any() and left.any()):
        raise InputError(f"{one.background}: no background: it does not show both lungs")
    kinds = np.zeros(hu.shape, np.uint8)
    if one.ratio is not None:
        rng = np.random.default_rng([one.seed, 10])
        chest = chest_of(hu, right, left, working_grid.SPACING_MM, rng)
        hu, kinds = infect(chest, healthy_of(hu, chest, rng), one.label, one.ratio, rng, variety)
    masks = ((mask * FULL_SHARE).astype(np.uint8) for mask in (right, left, kinds > 0))
    return SegmentationCase(np.rint(hu).astype(np.int16), *masks)
