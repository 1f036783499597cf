"""More out of few cases: mirrored and shifted copies, on the network grid."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_VOXELS = 5


def mirror_and_shift(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the cases left to right, and shift each by up to `MOST_VOXELS` along every axis.

    Args:
        images: [N,1,D,H,W], 0 outside the lungs.
        masks: the infection, [N,1,D,H,W]; it moves with its image.
        random: decides; the same state gives the same copies.

    Returns:
        New images and masks; what moves in from outside is 0.
    """
    both = torch.cat([images, masks], dim=1)
    mirrored = torch.rand(len(both), generator=random) < 0.5
    offsets = torch.randint(-MOST_VOXELS, MOST_VOXELS + 1, (len(both), 3), generator=random)
    moved = torch.stack(
        [
            _shifted(case.flip(-1) if bool(mirror) else case, offset.tolist())
            for case, mirror, offset in zip(both, mirrored, offsets, strict=True)
        ]
    )
    return moved[:, :1], moved[:, 1:]


def _shifted(case: Tensor, offset: list[int]) -> Tensor:
    """Shift [C,D,H,W] by whole voxels (k, j, i)."""
    result = torch.roll(case, offset, (1, 2, 3))
    for axis, step in enumerate(offset, start=1):
        if step:
            result.narrow(axis, 0 if step > 0 else result.shape[axis] + step, abs(step)).zero_()
    return result
