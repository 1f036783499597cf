"""More out of few cases: mirrored and shifted copies, or MONAI's random transforms, on the network grid."""

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
    return moved[:, :1], moved[:, 1:]


def monai_transforms(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror, turn, scale and shift each case, and bend its contrast, with MONAI's transforms.

    Arguments and result are those of `mirror_and_shift`; what is 0 outside the lungs stays 0.
    """
    from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd

    both = ("image", "mask")
    change = Compose(
        [
            RandFlipd(both, prob=0.5, spatial_axis=2),
            RandAffined(
                both,
                prob=0.8,
                rotate_range=(0.15, 0.15, 0.15),
                scale_range=(0.1, 0.1, 0.1),
                translate_range=(MOST_VOXELS, MOST_VOXELS, MOST_VOXELS),
                mode="bilinear",
                padding_mode="zeros",
            ),
            RandAdjustContrastd(("image",), prob=0.3, gamma=(0.8, 1.25)),
        ]
    )
    seeds = torch.randint(2**31 - 1, (len(images),), generator=random).tolist()
    changed = []
    for image, mask, seed in zip(images, masks, seeds, strict=True):
        changed.append(change.set_random_state(seed)({"image": image, "mask": mask}))
    return tuple(torch.stack([one[key].as_tensor() for one in changed]).clamp(0, 1) for key in both)  # type: ignore[return-value]


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
