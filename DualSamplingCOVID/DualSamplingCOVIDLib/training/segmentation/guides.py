"""What the coarse network says of each case, for the fine one to learn with: the lungs as it will be told them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...network.vbnet import COARSE_SIDE, coarsened, padded, placed, refined
from ...progress import Progress, silent
from ...run_folder.volume import FULL_SHARE
from ...segmentation.working_grid import AIR_HU
from ...storage import write_whole
from .cases import read_case

Guide = NDArray[np.uint8]


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
        hu = torch.from_numpy(read_case(case).hu.astype(np.float32))[None, None]
        small = coarsened(hu)
        logits = network(placed(padded(small.to(device), AIR_HU, COARSE_SIDE))).float().cpu()
        k, j, i = small.shape[2:]
        lung = torch.sigmoid(logits)[..., :k, :j, :i].amax(1, keepdim=True)
        guide = refined(lung, hu.shape[2:])[0, 0].numpy()  # type: ignore[arg-type]
        shares = np.rint(guide * FULL_SHARE).astype(np.uint8)
        write_whole(file, partial(np.save, arr=shares))


def read_guide(folder: Path, case: Path) -> Guide:
    """Open a case's guide, uint8 shares [k, j, i]; only what is cut out of it is read."""
    guide: Guide = np.load(guide_file(folder, case), mmap_mode="r")
    return guide
