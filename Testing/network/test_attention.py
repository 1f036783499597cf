"""The online attention and Grad-CAM: Eq. 1-2, true cell centres, and what a dead map does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from DualSamplingCOVIDLib.network.attention import (
    class_activation,
    evidence,
    grad_cam,
    online_attention,
    soft_mask,
    upsample_centred,
)
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.training.loss import attention_loss

PAPER_GRID, PAPER_CELLS = (138, 256, 256), (9, 16, 16)


def _head(seed: int = 0, width: int = 2) -> tuple[ResNet34, Tensor]:
    torch.manual_seed(seed)
    return ResNet34(width).eval(), torch.rand(2, 8 * width, 3, 4, 2)


@pytest.mark.parametrize("cell", [(0, 0, 0), (4, 7, 9), (8, 15, 15), (3, 15, 0)])
def test_an_impulse_in_cell_i_peaks_at_voxel_16_i_on_every_axis(cell: tuple[int, int, int]) -> None:
    cells = torch.zeros(1, 1, *PAPER_CELLS)
    cells[0, 0, *cell] = 1.0
    grid = upsample_centred(cells, PAPER_GRID)[0, 0]
    peak = (grid == grid.max()).nonzero()
    assert grid.max() == 1.0
    for axis, (index, last) in enumerate(zip(cell, PAPER_CELLS, strict=True)):
        at_end = index == last - 1
        assert peak[:, axis].min() == 16 * index
        assert peak[:, axis].max() == (PAPER_GRID[axis] - 1 if at_end else 16 * index)


def test_upsampling_is_trilinear_between_centres_and_constant_beyond_the_last() -> None:
    k, j, i = torch.meshgrid(torch.arange(3.0), torch.arange(2.0), torch.arange(4.0), indexing="ij")
    grid = upsample_centred((16 * (k + 10 * j + 100 * i))[None, None], (40, 25, 64))[0, 0]
    position = [torch.arange(size).clamp(max=16 * (count - 1)) for size, count in ((40, 3), (25, 2), (64, 4))]
    expected = position[0][:, None, None] + 10 * position[1][:, None] + 100 * position[2]
    torch.testing.assert_close(grid, expected.float())


def test_upsampling_refuses_a_grid_that_the_cells_do_not_belong_to() -> None:
    with pytest.raises(ValueError, match="138, 256, 256"):
        upsample_centred(torch.zeros(1, 1, 9, 16, 15), PAPER_GRID)


def test_the_mean_activation_plus_bias_is_the_logit() -> None:
    model, features = _head()
    logit = model.classify(features)
    torch.testing.assert_close(class_activation(features, model.fc.weight).mean((1, 2, 3, 4)) + model.fc.bias, logit)


def test_the_evidence_adds_up_to_the_logit() -> None:
    model, features = _head()
    found = evidence(features, model.fc.weight, model.fc.bias)
    assert (found.positive > 0).all() and (found.negative > 0).all() and found.bias.shape == ()
    torch.testing.assert_close(found.positive - found.negative + found.bias, model.classify(features))


def test_min_max_is_that_of_the_upsampled_map() -> None:
    model, features = _head()
    shape = (40, 60, 32)
    a = upsample_centred(torch.relu(class_activation(features, model.fc.weight)), shape)
    low, high = a.amin((1, 2, 3, 4), keepdim=True), a.amax((1, 2, 3, 4), keepdim=True)
    maps = online_attention(features, model.fc.weight, shape)
    torch.testing.assert_close(maps.normalised, (a - low) / (high - low))
    torch.testing.assert_close(maps.raw_peak, high.flatten())


def test_each_volume_of_a_batch_is_normalised_alone() -> None:
    model, features = _head()
    features[1] *= 100
    maps = online_attention(features, model.fc.weight, (40, 60, 32))
    assert maps.normalised.amax((1, 2, 3, 4)).tolist() == pytest.approx([1.0, 1.0])
    assert maps.raw_peak[1] > 10 * maps.raw_peak[0]


def test_grad_cam_of_this_head_equals_the_online_attention() -> None:
    model, features = _head()
    shape = (40, 60, 32)
    cam, online = grad_cam(model.classify, features, shape), online_attention(features, model.fc.weight, shape)
    torch.testing.assert_close(cam.normalised, online.normalised)
    torch.testing.assert_close(cam.raw_peak, online.raw_peak)


def test_grad_cam_works_in_inference_mode_and_leaves_no_gradient() -> None:
    model, features = _head()
    with torch.inference_mode():
        features = features * 1.0
        maps = grad_cam(model.classify, features, (40, 60, 32))
    assert maps.normalised.max() == pytest.approx(1.0)
    assert model.fc.weight.grad is None and not maps.normalised.requires_grad


def test_grad_cam_follows_a_head_that_is_not_linear() -> None:
    _, features = _head()
    maps = grad_cam(lambda f: f[:, 3].square().mean((1, 2, 3)), features, (40, 60, 32))
    cells = features[:, 3:4] * (2 * features[:, 3:4]).mean((2, 3, 4), keepdim=True)
    torch.testing.assert_close(maps.raw_peak, cells.amax((1, 2, 3, 4)))


def test_the_opposite_map_is_that_of_the_negated_head() -> None:
    model, features = _head()
    shape = (40, 60, 32)
    opposite = online_attention(features, -model.fc.weight, shape)
    assert torch.equal(opposite.raw_peak, torch.relu(-class_activation(features, model.fc.weight)).amax((1, 2, 3, 4)))
    cam = grad_cam(lambda f: -model.classify(f), features, shape)
    torch.testing.assert_close(cam.normalised, opposite.normalised)
    torch.testing.assert_close(cam.raw_peak, opposite.raw_peak)


def test_a_dead_map_is_zeros_with_peak_0_and_finite_gradients() -> None:
    features = torch.rand(1, 4, 2, 2, 2, requires_grad=True)
    maps = online_attention(features, -torch.ones(1, 4), (32, 32, 32))
    assert not maps.normalised.any() and maps.raw_peak.item() == 0
    attention_loss(soft_mask(maps.normalised), torch.ones(1, 1, 32, 32, 32)).sum().backward()
    assert features.grad is not None and torch.isfinite(features.grad).all()


def test_a_constant_map_is_zeros_but_keeps_its_peak() -> None:
    maps = online_attention(torch.ones(1, 4, 2, 2, 2), torch.ones(1, 4), (32, 32, 32))
    assert not maps.normalised.any() and maps.raw_peak.item() == 4


def test_the_soft_mask_is_half_at_beta_and_almost_binary_around_it() -> None:
    t = soft_mask(torch.tensor([0.0, 0.34, 0.4, 0.46, 1.0]))
    assert t.tolist() == pytest.approx([0.0, 0.00247, 0.5, 0.99753, 1.0], abs=1e-5)


def test_the_attention_loss_teaches_the_trunk_and_leaves_the_classifier_alone() -> None:
    torch.manual_seed(0)
    model = ResNet34(2)
    x, mask = torch.rand(2, 1, 48, 48, 48), torch.zeros(2, 1, 48, 48, 48)
    mask[..., 8:24, 8:24, 8:24] = 1
    maps = online_attention(model.features(x), model.fc.weight, (48, 48, 48))
    attention_loss(soft_mask(maps.normalised), mask).sum().backward()
    assert model.fc.weight.grad is None or not model.fc.weight.grad.any()
    gradient = model.conv1.weight.grad
    assert gradient is not None and torch.isfinite(gradient).all() and gradient.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nine_million_voxels_stay_finite_and_float32_under_autocast(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    features = nn.Parameter(torch.rand(1, 8, *PAPER_CELLS))
    mask = torch.ones(1, 1, *PAPER_GRID)
    with torch.autocast("cpu", dtype=dtype):
        maps = online_attention(features.to(dtype), torch.ones(1, 8), PAPER_GRID)
        loss = attention_loss(soft_mask(maps.normalised), mask)
        loss.sum().backward()
    assert maps.normalised.dtype == torch.float32 and loss.dtype == torch.float32
    assert 0 < loss.item() < 1 and maps.normalised.max() <= 1 + 1e-6
    assert features.grad is not None and torch.isfinite(features.grad).all() and features.grad.abs().max() > 0
