"""What the two networks are shown: whole chests at low resolution, and patches round the lungs at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ...network.vbnet import Bearings, closed, coarsened, guided, highest, placed, position
from ...run_folder.volume import FULL_SHARE
from ...segmentation.working_grid import AIR_HU
from .acquisition import Acquired, acquire
from .cases import SegmentationCase, read_case
from .guides import HOLLOW_VOXELS, LEAST_PEAK, Guide, Overview, read_guide

ON_INFECTION = 0.55
LARGEST_TURN, LARGEST_STRETCH = 0.26, 0.15
LARGEST_SHIFT = 3
"""Voxels that the coarse network's lungs may lie beside the fine ones, as they do in people who are no phantoms."""
CUT_OFF = 0.3
"""How often a chest is taken for cut at its upper or lower end, by up to a sixth."""
MISTAKEN_HU = 8.0
"""Standard deviation of what healthy lung is taken for: noise and disease change it in people."""
HOLLOWS_TAKEN = 0.5
"""How often the coarse network takes the lungs' hollows for lung, as it does in people; in phantoms it knows better."""


class Chests(Dataset[tuple[Tensor, Tensor]]):
    """Whole chests on the coarse grid: input [4,s,s,s], and the shares of right and left lung [2,s,s,s].

    Item `index` is drawn by (seed, index) alone, so an interrupted run goes on with the very same ones. Chests are cut
    at random above, below and at the sides, as fields of view differ. The scanner's variety is drawn on the coarse
    voxels: what it does between them is lost in their means.
    """

    def __init__(self, files: Sequence[Path], side: int, amount: int, seed: int, varied: bool = True) -> None:
        """Serve `amount` chests of `side` coarse voxels from these cases; `varied` is the scanner's variety."""
        self.files, self.side, self.amount, self.seed, self.varied = list(files), side, amount, seed, varied

    def __len__(self) -> int:
        """Return how many are served."""
        return self.amount

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw one."""
        random = _random(self.seed, index)
        case = read_case(self.files[_whole(len(self.files), random)])
        case = _field_of_view(case, random)
        arrays = np.stack([case.hu, case.right / np.float32(FULL_SHARE), case.left / np.float32(FULL_SHARE)])
        volume = coarsened(torch.from_numpy(arrays)[None])[0]
        if self.varied:
            volume = torch.cat([acquire(volume[:1], random).hu, volume[1:]])
        cube = _in_cube(volume, self.side, random)
        return placed(cube[None, :1])[0], cube[1:]


class Patches(Dataset[tuple[Tensor, Tensor]]):
    """Patches of the working grid: input [7,s,s,s], and the shares of lungs and infection [2,s,s,s].

    Item `index` is drawn by (seed, index) alone. More than half of them are centred on infection, where there is some,
    the others anywhere round the lungs. They are mirrored and turned at random. What the coarse network says of them is
    a little beside it, and in half of them takes the hilum's arteries for lung.
    """

    def __init__(self, cases: Sequence[Overview], side: int, amount: int, seed: int, varied: bool = True) -> None:
        """Serve `amount` patches of `side` voxels from these cases; `varied` is the scanner's variety."""
        self.cases, self.side, self.amount, self.seed, self.varied = list(cases), side, amount, seed, varied

    def __len__(self) -> int:
        """Return how many are served."""
        return self.amount

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw one."""
        random = _random(self.seed, index)
        seen = self.cases[_whole(len(self.cases), random)]
        chest = _mistaken(seen.chest, random)
        guide = read_guide(seen.guides, seen.case)
        volume = _cut(read_case(seen.case), guide, chest, _centre(seen, random), self.side, random)
        if torch.rand((), generator=random) < 0.2:
            volume = _turned(volume, random)
        volume = _mirrored(volume, random)
        if torch.rand((), generator=random) < HOLLOWS_TAKEN:
            volume[1] = closed(volume[None, 1:2], HOLLOW_VOXELS)[0, 0]
        volume[3] = raised(volume[3])
        shown = acquire(volume[:1], random) if self.varied else Acquired(volume[:1])
        image = guided(shown.hu[None], volume[None, 1:2], shown.scaled(chest.healthy_hu), volume[4:])[0]
        return image, volume[2:4]


def raised(shares: Tensor) -> Tensor:
    """Raise the shares [d,h,w] of lesions smaller than a voxel or two to a peak of 1; larger ones stay as they are.

    A nodule of 3 mm fills no voxel of 2 mm. Its border still lies where its blurred image falls to half of its peak,
    as that of a large lesion does, and half is what the segmenter cuts at.
    """
    return shares / highest(shares[None, None], 5)[0, 0].clamp(min=LEAST_PEAK)


def _random(seed: int, index: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000_003 * seed + index)


def _whole(below: int, random: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=random))


def _field_of_view(case: SegmentationCase, random: torch.Generator) -> SegmentationCase:
    """Cut up to a sixth off the ends, and more of what lies outside the lungs' box, in half of the cases."""
    if torch.rand((), generator=random) < 0.5:
        return case
    inside = case.lungs > 0
    part = []
    for axis in range(3):
        where = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high, size = int(where[0]), int(where[-1]) + 1, inside.shape[axis]
        into = (high - low) // 6 if axis == 0 and torch.rand((), generator=random) < 0.3 else 0
        part.append(slice(_whole(low + into + 1, random), size - _whole(size - high + into + 1, random)))
    return case.cut(tuple(part))


def _in_cube(volume: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Lay [c,d,h,w] at a random place of a cube of `side` voxels; what is too large is cut there."""
    result = torch.zeros(len(volume), side, side, side)
    result[0] = AIR_HU
    source, target = [slice(None)], [slice(None)]
    for size in volume.shape[1:]:
        room = side - size
        start = _whole(abs(room) + 1, random)
        source.append(slice(0, size) if room >= 0 else slice(start, start + side))
        target.append(slice(start, start + size) if room >= 0 else slice(0, side))
    result[tuple(target)] = volume[tuple(source)]
    return result


def _centre(seen: Overview, random: torch.Generator) -> list[int]:
    """Draw a patch's centre voxel (k, j, i)."""
    if torch.rand((), generator=random) < ON_INFECTION and len(seen.infected):
        return [int(n) for n in seen.infected[_whole(len(seen.infected), random)]]
    return [low + _whole(high - low + 1, random) for low, high in seen.ends]


def _mistaken(chest: Bearings, random: torch.Generator) -> Bearings:
    """Move the bearings' healthy lung and the box's ends a little, as people's fields of view and lungs would."""
    low = [end + _whole(2 * LARGEST_SHIFT + 1, random) - LARGEST_SHIFT for end in chest.low]
    high = [end + _whole(2 * LARGEST_SHIFT + 1, random) - LARGEST_SHIFT for end in chest.high]
    if torch.rand((), generator=random) < CUT_OFF:
        by = _whole((high[0] - low[0]) // 6 + 1, random)
        low[0], high[0] = (low[0] + by, high[0]) if torch.rand((), generator=random) < 0.5 else (low[0], high[0] - by)
    healthy_hu = chest.healthy_hu + MISTAKEN_HU * float(torch.randn((), generator=random))
    return Bearings(healthy_hu, tuple(low), tuple(high))


def _cut(
    case: SegmentationCase, guide: Guide, chest: Bearings, centre: list[int], side: int, random: torch.Generator
) -> Tensor:
    """Cut a cube out of a case: HU, guide, shares of lungs and infection, position [7,s,s,s]; inside where it can be.

    The guide is cut a few voxels beside it.
    """
    result = np.zeros((4, side, side, side), np.float32)
    result[0] = AIR_HU
    starts = [
        min(max(middle - side // 2, 0), max(size - side, 0)) for middle, size in zip(centre, case.hu.shape, strict=True)
    ]
    part = tuple(slice(start, start + side) for start in starts)
    shift = [_whole(2 * LARGEST_SHIFT + 1, random) - LARGEST_SHIFT for _ in starts]
    beside = tuple(
        slice(max(min(start + by, size - side), 0), max(min(start + by, size - side), 0) + side)
        for start, by, size in zip(starts, shift, case.hu.shape, strict=True)
    )
    case = case.cut(part)
    k, j, i = case.hu.shape
    result[0, :k, :j, :i] = case.hu
    for channel, shares in enumerate((guide[beside], case.lungs, case.infection), start=1):
        result[channel, :k, :j, :i] = shares / np.float32(FULL_SHARE)
    return torch.cat([torch.from_numpy(result), position(chest, starts, (side, side, side))])


def _mirrored(volume: Tensor, random: torch.Generator) -> Tensor:
    axes = [axis for axis in (1, 2, 3) if torch.rand((), generator=random) < (0.5 if axis == 3 else 0.15)]
    return volume.flip(axes).contiguous() if axes else volume


def _turned(volume: Tensor, random: torch.Generator) -> Tensor:
    """Turn a cube [c,s,s,s] by up to 15 degrees about each axis and stretch it by up to 15 %, linear; edges repeat."""
    angles = (torch.rand(3, generator=random) * 2 - 1) * LARGEST_TURN
    stretch = 1 + (torch.rand(3, generator=random) * 2 - 1) * LARGEST_STRETCH
    matrix = torch.diag(stretch)
    for axis, angle in enumerate(angles):
        turn = torch.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = torch.cos(angle)
        turn[first, second], turn[second, first] = -torch.sin(angle), torch.sin(angle)
        matrix = turn @ matrix
    grid = F.affine_grid(F.pad(matrix, (0, 1))[None], [1, *volume.shape], align_corners=False)
    return F.grid_sample(volume[None], grid, padding_mode="border", align_corners=False)[0]
