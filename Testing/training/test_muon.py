"""Muon: orthogonal steps for convolutions, AdamW's for all else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from DualSamplingCOVIDLib.training.muon import LIKE_ADAM, Muon, orthogonal


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ConvTranspose3d(8, 4, 2, 2), nn.Conv3d(4, 2, 1))


def _learn(network: nn.Sequential, optimiser: torch.optim.Optimizer, seed: int = 1) -> None:
    image = torch.randn(2, 3, 6, 6, 6, generator=torch.Generator().manual_seed(seed))
    optimiser.zero_grad()
    network(image).square().mean().backward()
    optimiser.step()


@pytest.mark.parametrize("shape", [(16, 81), (64, 8), (1, 27), (12, 12)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    made = orthogonal(u * torch.linspace(1.0, 0.2, min(shape)) @ v * 7)
    turned = u.T @ made @ v.T
    values = turned.diag()
    assert values.min() > 0.6 and values.max() < 1.3
    assert (turned - torch.diag(values)).abs().max() < 1e-4


def test_nothing_to_learn_changes_no_convolution() -> None:
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_a_step_along_every_direction_is_about_as_long_and_the_last_layer_takes_adams() -> None:
    network = _network()
    before = copy.deepcopy(network)
    _learn(network, Muon(network, network[3], 0.01))
    for layer in (0, 2):
        moved = (network[layer].weight - before[layer].weight).flatten(1)
        step = torch.linalg.svdvals(moved) / (0.01 * LIKE_ADAM * max(moved.shape) ** 0.5)
        assert step.min() > 0.6 and step.max() < 1.3
    for weight, old in zip(network[3].parameters(), before[3].parameters(), strict=True):
        torch.testing.assert_close((weight - old).abs(), torch.full_like(weight, 0.01), rtol=1e-3, atol=1e-4)
    assert not torch.equal(network[1].weight, before[1].weight)


def test_a_step_goes_downhill() -> None:
    network = _network()
    optimiser, image = Muon(network, network[3], 0.02), torch.randn(2, 3, 6, 6, 6)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = (network(image) - 1).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0] and losses[:10] == sorted(losses[:10], reverse=True)


def test_it_goes_on_from_its_state_as_if_nothing_had_been() -> None:
    one = _network()
    optimiser = Muon(one, one[3], 0.01)
    for seed in range(3):
        _learn(one, optimiser, seed)
    other = copy.deepcopy(one)
    resumed = Muon(other, other[3], 0.01)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    _learn(one, optimiser, 9)
    _learn(other, resumed, 9)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
