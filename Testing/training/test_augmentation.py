"""Mirrored and shifted copies: image and mask move together, and nothing comes in from the other side."""

import pytest
import torch

from DualSamplingCOVIDLib.training.augmentation import AUGMENTATIONS, MOST_VOXELS, mirror_and_shift


def _copies(image: torch.Tensor, count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    return mirror_and_shift(image.repeat(count, 1, 1, 1, 1), image.repeat(count, 1, 1, 1, 1), _seeded())


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_a_voxel_lands_within_reach_of_itself_or_its_mirror_image() -> None:
    image = torch.zeros(1, 1, 24, 26, 30)
    image[0, 0, 11, 12, 8] = 1.0
    images, masks = _copies(image)
    assert torch.equal(images, masks)
    places = images.nonzero()[:, 2:]
    assert len(places) == 64
    assert (places[:, :2] - torch.tensor([11, 12])).abs().max() == MOST_VOXELS
    as_it_was, mirrored = ((places[:, 2] - i).abs() <= MOST_VOXELS for i in (8, 21))
    assert bool((as_it_was | mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_what_leaves_on_one_side_does_not_come_in_on_the_other() -> None:
    image = torch.zeros(1, 1, 16, 16, 32)
    image[..., :MOST_VOXELS] = 1.0
    images, _ = _copies(image)
    reach = 2 * MOST_VOXELS
    left, right = (part.amax((1, 2, 3, 4)) for part in (images[..., :reach], images[..., -reach:]))
    assert bool((left + right <= 1).all())


def test_the_same_state_gives_the_same_copies() -> None:
    image = torch.rand(1, 1, 8, 8, 8)
    assert torch.equal(_copies(image)[0], _copies(image)[0])


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_every_augmentation_repeats_stays_in_range_and_moves_mask_with_image(name: str) -> None:
    pytest.importorskip("monai")
    image = torch.zeros(2, 1, 24, 26, 30)
    image[:, :, 8:14, 10:16, 6:12] = 1.0
    images, masks = AUGMENTATIONS[name](image, image.clone(), _seeded())
    again, _ = AUGMENTATIONS[name](image, image.clone(), _seeded())
    assert torch.equal(images, again) and images.shape == masks.shape == image.shape
    assert type(images) is torch.Tensor and float(images.min()) >= 0 and float(images.max()) <= 1
    assert ((images > 0.5) == (masks > 0.5)).float().mean() > 0.99
    assert torch.equal(images, image) == (name == "none")


def test_monai_bends_the_contrast_of_the_image_and_leaves_air_and_mask_alone() -> None:
    pytest.importorskip("monai")
    image = torch.zeros(16, 1, 20, 20, 20)
    image[:, :, 6:14, 6:14, 6:14] = 0.5
    image[:, :, 9:11, 9:11, 9:11] = 1.0
    images, masks = AUGMENTATIONS["monai"](image, image.clone(), _seeded())
    assert float(images[masks == 0].abs().max()) == 0
    inside = [(case[mask > 0.4].median(), mask[mask > 0.4].median()) for case, mask in zip(images, masks, strict=True)]
    assert all(abs(float(mask) - 0.5) < 1e-3 for _, mask in inside)
    assert 1 <= sum(abs(float(case) - 0.5) > 1e-3 for case, _ in inside) <= 12


def test_monai_turns_to_either_side_in_the_axial_plane() -> None:
    pytest.importorskip("monai")
    bar = torch.zeros(64, 1, 20, 61, 61)
    bar[:, :, 6:14, 29:32, 16:45] = 1.0
    _, masks = AUGMENTATIONS["monai"](bar, bar.clone(), _seeded())
    plane = masks[:, 0].amax(1)  # [N, j, i]
    filled = masks[:, 0].amax((2, 3))  # [N, k]
    assert torch.equal(masks[:, 0], filled[:, :, None, None].gt(0) * plane[:, None])  # all slices alike
    turns = torch.stack([_turn(case) for case in plane])
    assert float(turns.abs().max()) < 0.18  # 0.15, and what unequal scales of the two axes add
    assert int((turns > 0.03).sum()) > 10 and int((turns < -0.03).sum()) > 10
    assert 4 < int((turns.abs() < 1e-3).sum()) < 26


def _turn(plane: torch.Tensor) -> torch.Tensor:
    """Return the angle (rad) of a bright bar's [j, i] long axis against the i axis."""
    j, i = (torch.arange(n, dtype=torch.float32) for n in plane.shape)
    j, i = ((axis - (axis * plane).sum() / plane.sum()) for axis in (j[:, None], i[None, :]))
    across, along, both = ((a * b * plane).sum() for a, b in ((j, j), (i, i), (i, j)))
    return 0.5 * torch.atan2(2 * both, along - across)
