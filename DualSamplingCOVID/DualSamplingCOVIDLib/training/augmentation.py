"""More out of few cases: mirrored and shifted copies, or those turned, scaled and bent too, on the network grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MOST_VOXELS = 5

Augmentation = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""(images, masks, random) -> new images and masks, all [N,1,D,H,W] in [0, 1]; the same state gives the same copies."""


def unchanged(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Show every case as it is: the paper names no augmentation."""
    return images, masks


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
    return moved[:, :1].contiguous(), moved[:, 1:].contiguous()


def monai_transforms(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror and shift each case, turn and scale it in the axial plane, and bend its contrast, with MONAI's transforms.

    A patient on a table is turned about the body's axis alone; one plane for all slices also costs a sixth of a turn
    in space. Arguments and result are those of `mirror_and_shift`; what is 0 outside the lungs stays 0.
    """
    from monai.transforms import RandAdjustContrast, RandAffine, Randomizable
    from monai.utils import convert_to_tensor

    turn = RandAffine(
        prob=0.8,
        rotate_range=0.15,
        scale_range=(0.1, 0.1),
        mode="bilinear",
        padding_mode="zeros",
    )
    bend = RandAdjustContrast(prob=0.3, gamma=(0.8, 1.25))
    drawing: tuple[Randomizable, ...] = (turn, turn.rand_affine_grid, bend)
    both = torch.cat(mirror_and_shift(images, masks, random), dim=1)
    seeds = torch.randint(2**31 - 1, (len(both), 3), generator=random).tolist()
    for case, own in zip(both, seeds, strict=True):
        for change, seed in zip(drawing, own, strict=True):
            change.set_random_state(seed)  # one for all would turn each case by what decided that it is turned
        slices = turn(case.flatten(0, 1))  # [C D, H, W]: slices as channels of one plane
        case[:] = convert_to_tensor(slices, track_meta=False).view_as(case)
        case[:1] = convert_to_tensor(bend(case[:1]), track_meta=False)
    both.clamp_(0, 1)
    return both[:, :1].contiguous(), both[:, 1:].contiguous()


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": unchanged,
    "mirror-and-shift": mirror_and_shift,
    "monai": monai_transforms,
}


def _shifted(case: Tensor, offset: list[int]) -> Tensor:
    """Shift [C,D,H,W] by whole voxels (k, j, i)."""
    result = torch.roll(case, offset, (1, 2, 3))
    for axis, step in enumerate(offset, start=1):
        if step:
            result.narrow(axis, 0 if step > 0 else result.shape[axis] + step, abs(step)).zero_()
    return result
