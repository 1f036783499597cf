"""What the fine network is told of a whole chest: the lungs as the coarse network sees them, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...network.vbnet import COARSE_SIDE, Bearings, bearings, coarsened, padded, placed, refined
from ...parallel import spread
from ...progress import Progress, silent
from ...run_folder.volume import FULL_SHARE
from ...segmentation.morphology import box
from ...segmentation.vbnet import main_parts
from ...segmentation.working_grid import AIR_HU
from ...storage import write_whole
from .cases import read_case

Guide = NDArray[np.uint8]
LEAST_PEAK = 0.15
"""The least share of a voxel that a lesion must fill to be learned as one."""
HOLLOW_VOXELS = 15
"""What lies between lung and is up to 28 mm wide is a hollow of it: so wide are the arteries of the hilum."""
MARGIN_VOXELS = 12


class Overview(NamedTuple):
    """A case, the folder of guides, the chest's bearings, and where it is worth a look.

    `infected` are all voxels of infection (N, 3); `ends` the first and last voxel round the lungs along each axis.
    """

    case: Path
    guides: Path
    chest: Bearings
    infected: NDArray[np.int16]
    ends: tuple[tuple[int, int], ...]


def overview(case: Path, guides: Path) -> Overview:
    """Take the overview of a case that has its guide."""
    held, guide = read_case(case), read_guide(guides, case)
    chest = bearings(held.hu, main_parts(guide > FULL_SHARE // 2))
    infected = np.argwhere(held.infection > FULL_SHARE * LEAST_PEAK).astype(np.int16)
    lungs = box(held.lungs > FULL_SHARE // 2, margin=0)
    ends = tuple((side.start - MARGIN_VOXELS, side.stop - 1 + MARGIN_VOXELS) for side in lungs)
    return Overview(case, guides, chest, infected, ends)


def overviews(cases: Sequence[Path], guides: Path, progress: Progress = silent) -> list[Overview]:
    """Take the overviews of all cases, in parallel."""
    return spread(partial(overview, guides=guides), cases, "looking over the phantoms", progress)


def guide_file(folder: Path, case: Path) -> Path:
    """Return where a case's guide lies in the folder of guides."""
    return folder / f"{case.name}.npy"


@torch.inference_mode()
def write_guides(
    folder: Path, network: nn.Module, cases: Sequence[Path], device: torch.device, progress: Progress = silent
) -> None:
    """Ask the coarse network about every case: either lung's probability [k, j, i] on the working grid, as uint8.

    Those already in `folder` are kept; each is written whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.eval()
    for number, case in enumerate(cases):
        progress("asking the coarse network", number / len(cases))
        file = guide_file(folder, case)
        if file.exists():
            continue
        hu = torch.from_numpy(np.array(read_case(case).hu)).to(device).float()[None, None]
        small = coarsened(hu)
        logits = network(placed(padded(small, AIR_HU, COARSE_SIDE))).float()
        k, j, i = small.shape[2:]
        lung = torch.sigmoid(logits)[..., :k, :j, :i].amax(1, keepdim=True)
        guide = refined(lung, hu.shape[2:])[0, 0]  # type: ignore[arg-type]
        shares = (guide * FULL_SHARE).round().to(torch.uint8).cpu().numpy()
        write_whole(file, partial(np.save, arr=shares))


def read_guide(folder: Path, case: Path) -> Guide:
    """Open a case's guide, uint8 shares [k, j, i]; only what is cut out of it is read."""
    guide: Guide = np.load(guide_file(folder, case), mmap_mode="r")
    return guide
