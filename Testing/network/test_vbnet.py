"""VB-Net: the published widths level by level, its size, and the geometry between the two grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from DualSamplingCOVIDLib.network.vbnet import (
    COARSE_INPUTS,
    COARSER,
    FINE_INPUTS,
    WINDOWS_HU,
    Bottleneck,
    Residual,
    VBNet,
    bearings,
    closed,
    coarsened,
    guided,
    opened,
    padded,
    placed,
    position,
    quickened,
    refined,
    smoothed,
    windowed,
)


def _meta(width: int = 16, outputs: int = 2) -> VBNet:
    with torch.device("meta"):
        return VBNet(len(WINDOWS_HU), outputs, width)


def test_the_encoder_has_the_published_channels_on_grids_halved_four_times() -> None:
    network, shapes = _meta(), []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for stage in (network.input, *network.down, *network.up):
        stage.register_forward_hook(keep)  # type: ignore[arg-type]
    answer = network(torch.empty(1, 2, 96, 80, 112, device="meta"))
    assert shapes == [
        (16, 96, 80, 112),
        (32, 48, 40, 56),
        (64, 24, 20, 28),
        (128, 12, 10, 14),
        (256, 6, 5, 7),
        (256, 12, 10, 14),
        (128, 24, 20, 28),
        (64, 48, 40, 56),
        (32, 96, 80, 112),
    ]
    assert answer.shape == (1, 2, 96, 80, 112)


def test_each_level_has_its_published_number_of_convolutions_bottlenecks_where_channels_are_many() -> None:
    stacks = [
        [type(part).__name__ for part in m.stack if not isinstance(part, nn.ReLU)]
        for m in _meta().modules()
        if isinstance(m, Residual)
    ]
    plain, bottleneck = "Normed", "Bottleneck"
    encoder = [[plain], [plain] * 2, [bottleneck] * 3, [bottleneck] * 3]
    assert stacks == [*encoder, [bottleneck] * 3, [bottleneck] * 3, [plain] * 2, [plain]]


@pytest.mark.parametrize(("width", "parameters"), [(8, 1_203_186), (16, 2_365_154), (24, 5_314_130)])
def test_the_number_of_parameters(width: int, parameters: int) -> None:
    assert sum(p.numel() for p in _meta(width).parameters()) == parameters


def test_a_bottleneck_convolves_a_quarter_of_the_channels() -> None:
    kernels = [tuple(m.weight.shape[:2]) + m.kernel_size for m in Bottleneck(64).modules() if isinstance(m, nn.Conv3d)]
    assert kernels == [(16, 64, 1, 1, 1), (16, 16, 3, 3, 3), (64, 16, 1, 1, 1)]


def test_an_untaught_network_finds_next_to_nothing() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        answer = torch.sigmoid(VBNet(2, 2, 8).eval()(torch.zeros(1, 2, 16, 16, 16)))
    assert answer.max() < 0.3


@pytest.mark.parametrize("inputs", [COARSE_INPUTS, FINE_INPUTS])
def test_the_quickened_network_answers_the_same_without_a_norm(inputs: int) -> None:
    torch.manual_seed(0)
    network = VBNet(inputs, 2, 8)
    with torch.inference_mode():
        for _ in range(3):  # running statistics that are not those of the start
            network(3 * torch.randn(1, inputs, 32, 32, 32) + 1)
        image = torch.randn(1, inputs, 32, 48, 16)
        before = network.eval()(image)
        quick = quickened(network)
        torch.testing.assert_close(quick(image), before, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm3d) for m in quick.modules()) and before.std() > 0.01


def test_sides_that_cannot_be_halved_four_times_are_refused_and_padding_makes_them_so() -> None:
    volume = torch.zeros(1, 2, 16, 24, 33)
    with pytest.raises(ValueError, match="multiples of 16"):
        _meta()(volume)
    assert padded(volume, -1.0).shape == (1, 2, 16, 32, 48)
    assert padded(volume, -1.0, 40).shape == (1, 2, 48, 48, 48)
    assert padded(volume, -1.0)[0, 0, 0, 30, 0] == -1 and padded(volume, -1.0)[0, 0, 0, 0, 32] == 0


def test_windows_map_their_ends_to_minus_one_and_one_and_clip() -> None:
    hu = torch.tensor([-3024.0, -1000, -725, -450, -350, 300, 2000]).view(1, 1, 1, 1, 7)
    whole, lung = windowed(hu)[0, :, 0, 0]
    torch.testing.assert_close(whole, torch.tensor([-1.0, -1, -0.5769231, -0.1538462, 0, 1, 1]))
    torch.testing.assert_close(lung, torch.tensor([-1.0, -1, 0, 1, 1, 1, 1]))


def test_the_place_is_that_of_the_bodys_middle_wherever_the_body_lies() -> None:
    hu = torch.full((2, 1, 4, 4, 60), -1000.0)
    hu[0, ..., 10:21], hu[1, ..., 30:41] = 40, 40
    place = placed(hu)[:, 2, 0, 0]
    assert place[0, 15] == 0 and place[1, 35] == 0
    assert place[0, 18] == pytest.approx(3 / 10) and place[1, 5] == -1
    assert torch.equal(placed(hu)[:, :2], windowed(hu))


def test_the_place_of_air_is_nothing_in_tissue() -> None:
    hu = torch.full((1, 1, 2, 2, 101), 40.0)
    hu[..., 10], hu[..., 90] = -1000.0, -1000.0
    assert placed(hu)[0, 3, 0, 0, [10, 50, 90]].tolist() == [-1.0, 0.0, 1.0]


def _chest() -> tuple[np.ndarray, np.ndarray]:
    """HU and lungs: a third of them at -900 HU, the rest brighter."""
    hu, lungs = np.full((20, 30, 40), 40, np.int16), np.zeros((20, 30, 40), bool)
    lungs[5:16, 10:21, 4:35] = True
    hu[lungs], hu[5:9, 10:21, 4:35] = -700, -900
    return hu, lungs


def test_bearings_are_healthy_lung_and_the_lungs_box() -> None:
    hu, lungs = _chest()
    assert bearings(hu, lungs) == (-900.0, (5, 10, 4), (15, 20, 34))
    hu[5:6] = -700
    assert bearings(hu, lungs).healthy_hu == -700
    assert bearings(hu, np.zeros_like(lungs)) == (40.0, (0, 0, 0), (19, 29, 39))


def test_a_position_is_nothing_in_the_boxs_middle_and_one_at_its_sides_in_whatever_part() -> None:
    chest = bearings(*_chest())
    whole, part = position(chest, (0, 0, 0), (20, 30, 40)), position(chest, (8, 2, 9), (16, 4, 8))
    assert whole[:, 10, 15, 19].tolist() == [0, 0, 0]
    assert whole[:, 5, 20, 4].tolist() == [-1, 1, 1] and whole[:, 15, 10, 34].tolist() == [1, -1, 1]
    torch.testing.assert_close(part[:, :12], whole[:, 8:20, 2:6, 9:17])
    assert part.shape == (3, 16, 4, 8)


def test_the_fine_input_is_window_contrast_opened_contrast_lungs_and_position() -> None:
    hu = torch.full((2, 1, 16, 16, 16), -900.0)
    hu[1] += 50
    hu[:, :, 4:12, 4:12, 4:12] += 150
    lung, place = torch.rand(2, 1, 16, 16, 16), torch.rand(3, 16, 16, 16)
    image = guided(hu, lung, -900.0, place)
    assert image.shape == (2, FINE_INPUTS, 16, 16, 16)
    torch.testing.assert_close(image[:, :1], windowed(hu)[:, :1])
    assert image[0, 1, 0, 0, 0] == 0 and image[0, 1, 8, 8, 8] == pytest.approx(0.5)
    assert image[1, 1, 8, 8, 8] == pytest.approx(200 / 300)
    torch.testing.assert_close(image[:, 3:4], 2 * lung - 1)
    torch.testing.assert_close(image[1, 4:], place)
    assert torch.equal(image[1], guided(hu[1:], lung[1:], -900.0, place)[0])


def test_opening_leaves_what_is_wide_and_takes_away_vessels_and_noise() -> None:
    x = torch.zeros(1, 1, 24, 24, 24)
    x[..., 3:10, 3:10, 3:10] = 1.0
    x[..., 16:20, 16:20, :] = 1.0
    x[..., 12, 12, 12] = 1.0
    kept = opened(x, 5)
    assert torch.equal(kept[..., :11, :11, :11], x[..., :11, :11, :11])
    assert kept[..., 11:, 11:, 11:].max() == 0
    assert smoothed(x)[0, 0, 12, 12, 12] == 1 / 8 and smoothed(x).sum() == pytest.approx(float(x.sum()))


@pytest.mark.parametrize(("gap", "is_filled"), [(4, True), (5, False)])
def test_closing_fills_what_is_narrow_between_two_parts_and_nothing_beside_them(gap: int, is_filled: bool) -> None:
    """A part 1 voxel from the end does not reach it, and a soft edge stays as it is."""
    x = torch.zeros(1, 1, 24, 24, 24)
    x[..., 1:20, 1:20, 1:6] = x[..., 1:20, 1:20, 6 + gap : 22] = 0.8
    x[..., 20, 1:20, 1:6] = 0.3
    expected = x.clone()
    if is_filled:
        expected[..., 1:20, 1:20, 6 : 6 + gap] = 0.8
    assert torch.equal(closed(x, 5)[..., :20, :, :], expected[..., :20, :, :])
    assert torch.equal(closed(x, 5)[..., 20, :, :6], x[..., 20, :, :6])


@pytest.mark.parametrize("shape", [(30, 33, 36), (31, 35, 40)])
def test_a_coarse_voxel_lies_on_the_middle_one_of_its_fine_voxels(shape: tuple[int, int, int]) -> None:
    """A linear ramp stays the same ramp on the way there and back, away from the ends."""
    ramps = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in shape), indexing="ij"))[None]
    coarse = coarsened(ramps)
    assert coarse[0, 0, 3, 0, 0] == 3 * COARSER + 1
    back = refined(coarse, shape)
    assert back.shape == ramps.shape
    inner = (..., slice(2, -4), slice(2, -4), slice(2, -4))
    torch.testing.assert_close(back[inner], ramps[inner])


def test_it_learns_to_tell_a_bright_cube_and_its_core_apart() -> None:
    torch.manual_seed(0)
    network = VBNet(1, 2, 8)
    volume, target = torch.full((1, 1, 32, 32, 32), -1.0), torch.zeros(1, 2, 32, 32, 32)
    volume[..., 8:24, 8:24, 8:24], target[:, 0, 8:24, 8:24, 8:24] = 0.2, 1
    volume[..., 13:19, 13:19, 13:19], target[:, 1, 13:19, 13:19, 13:19] = 0.9, 1
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(80):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(volume), target)
        loss.backward()
        optimiser.step()
    found = network(volume) > 0
    assert ((found == (target > 0)).float().mean(dim=(0, 2, 3, 4)) > 0.99).all()
