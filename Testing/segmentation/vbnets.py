"""Stand-ins for trained VB-Nets, and folders that hold them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DualSamplingCOVIDLib.diagnosis import CutOffs, SegmenterCard
from DualSamplingCOVIDLib.network.vbnet import COARSE_INPUTS, FINE_INPUTS, WINDOWS_HU, VBNet
from DualSamplingCOVIDLib.segmentation.trained import Network, TrainedSegmenter, save

LOW_HU, WIDTH_HU = WINDOWS_HU[0][0], WINDOWS_HU[0][1] - WINDOWS_HU[0][0]


def hu_of(image: Tensor) -> Tensor:
    """Return HU [N,D,H,W] of a network's input, between the ends of the wide window."""
    return (image[:, 0] + 1) * WIDTH_HU / 2 + LOW_HU


class Sides(nn.Module):
    """In place of the coarse network: lung is what is under -300 HU; right is the first half of the array."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of right and left."""
        lung = torch.where(hu_of(image) < -300, 8.0, -8.0)
        column = torch.arange(lung.shape[-1]) < self.middle
        return torch.stack([torch.where(column, lung, -8.0), torch.where(column, -8.0, lung)], 1)

    middle = 15


class Densities(nn.Module):
    """In place of the fine network: lung is what is between -950 and -200 HU, infection what is above -650 of it."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of lungs and infection."""
        assert not any(side % 16 for side in image.shape[2:])
        hu = hu_of(image)
        lung = torch.minimum(hu + 950, -200 - hu) / 20
        return torch.stack([lung, torch.minimum(lung, (hu + 650) / 20)], 1).clamp(-12, 12)


def a_folder(folder: Path, seed: int = 0) -> TrainedSegmenter:
    """Write a segmenter with networks as they are before any training."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    coarse, fine = VBNet(COARSE_INPUTS, 2, 8), VBNet(FINE_INPUTS, 2, 8)
    described = TrainedSegmenter(
        folder,
        SegmenterCard("untrained", "7", CutOffs(0.002, 0.006, 0.04), 0.0015),
        Network(COARSE_INPUTS, 2, 8, "coarse.safetensors", ""),
        Network(FINE_INPUTS, 2, 8, "fine.safetensors", ""),
        learned_from="nothing",
        intended_use="Tests. Research use only.",
        evaluation={"command": "none"},
    )
    return save(folder, described, coarse.state_dict(), fine.state_dict())


def blurred(hu: Tensor) -> Tensor:
    """Smooth a CT [D,H,W] a little, so that its edges lie between voxels."""
    return F.avg_pool3d(hu[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
