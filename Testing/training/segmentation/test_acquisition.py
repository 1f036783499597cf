"""The scanner's variety: each effect does what a scanner does, and nothing else."""

from __future__ import annotations

import pytest
import torch

from DualSamplingCOVIDLib.training.segmentation.acquisition import acquire, blurred, kernel, noise, thick_slices


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("voxels", [1.5, 2.0, 3.7])
@pytest.mark.parametrize("phase", [0.0, 0.4, 1.0])
def test_thick_slices_keep_a_ramp_along_z_and_all_that_does_not_change_along_it(voxels: float, phase: float) -> None:
    k, j, i = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in (40, 6, 5)), indexing="ij")
    hu = (10 * k + 3 * j - 2 * i)[None]
    found = thick_slices(hu, voxels, phase)
    # a voxel is one value, so a slice that cuts it may be off by a tenth of a voxel's rise
    torch.testing.assert_close(found[:, 5:-5], hu[:, 5:-5], rtol=0, atol=1.3)


def test_a_thin_plate_is_spread_over_the_thickness_and_its_amount_is_kept() -> None:
    hu = torch.zeros(1, 40, 3, 3)
    hu[:, 20] = 900
    found = thick_slices(hu, 4.0, 0.0)
    # the slice's middle lies between two voxels: each takes an eighth of its neighbour slice, which is empty
    assert found.max() == pytest.approx(900 / 4 * 7 / 8)
    assert found.sum() == pytest.approx(900 * 9, rel=0.02)


def test_slices_of_one_voxel_change_nothing() -> None:
    hu = torch.randn(1, 17, 4, 4, generator=_generator())
    torch.testing.assert_close(thick_slices(hu, 1.0, 0.0), hu)


def test_a_soft_kernel_blurs_and_a_sharp_one_overshoots_at_an_edge() -> None:
    hu = torch.full((1, 12, 12, 24), -900.0)
    hu[..., 12:] = 50.0
    soft, sharp = kernel(hu, -1.0), kernel(hu, 1.0)
    torch.testing.assert_close(soft, blurred(hu))
    assert -900 < soft[0, 6, 6, 11] < -500 and soft.min() >= -900 and soft.max() <= 50
    assert sharp[0, 6, 6, 12] > 100 and sharp[0, 6, 6, 11] < -950
    torch.testing.assert_close(kernel(hu, 0.0), hu)


def test_blur_keeps_the_mean_and_has_the_variance_of_its_kernel() -> None:
    impulse = torch.zeros(1, 15, 15, 15)
    impulse[0, 7, 7, 7] = 1
    profile = blurred(impulse)[0].sum((1, 2))
    position = torch.arange(15) - 7
    assert profile.sum() == pytest.approx(1)
    assert (profile * position**2).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_the_asked_deviation_whatever_its_texture(seed: int) -> None:
    drawn = noise(torch.Size((1, 32, 32, 32)), 25.0, _generator(seed))
    assert drawn.std() == pytest.approx(25.0, rel=1e-4)
    assert abs(drawn.mean()) < 2


def test_the_same_seed_shows_the_same_and_another_one_another() -> None:
    hu = torch.full((1, 20, 20, 20), -850.0)
    first, again, other = (acquire(hu, _generator(seed)).hu for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_hu_stay_in_range_and_near_what_they_were() -> None:
    hu = torch.full((1, 20, 20, 20), -850.0)
    shown = torch.stack([acquire(hu, _generator(seed)).hu for seed in range(40)])
    assert shown.min() >= -1024 and shown.max() <= 1000
    means = shown.mean(dim=(1, 2, 3, 4))
    assert (means + 850).abs().max() < 80 and means.std() > 8


def test_another_hu_is_taken_for_what_its_tissue_is_shown_as() -> None:
    """Noise, slices and rounding move the mean by a few HU."""
    hu = torch.full((1, 20, 20, 20), -850.0)
    for seed in range(40):
        shown = acquire(hu, _generator(seed))
        assert shown.scaled(-850) == pytest.approx(float(shown.hu.mean()), abs=8)
    assert len({shown.scaled(-850) for shown in (acquire(hu, _generator(seed)) for seed in range(40))}) > 20
