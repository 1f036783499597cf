"""The loss: Eq. 3 against Dice, the effective batch, and that its narrow gradient still trains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from DualSamplingCOVIDLib.network.attention import online_attention, soft_mask
from DualSamplingCOVIDLib.network.resnet import Output, ResNet34
from DualSamplingCOVIDLib.training.loss import DualSamplingLoss, LossParts, active_fraction, attention_loss

SHAPE = (48, 48, 48)


def _batch(labels: list[int], seed: int = 0) -> tuple[ResNet34, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    masks = torch.zeros(len(labels), 1, *SHAPE)
    masks[..., 8:24, 20:40, 8:24] = 1
    return ResNet34(2).eval(), torch.rand(len(labels), 1, *SHAPE), torch.tensor(labels), masks


def _parts(model: ResNet34, x: Tensor, labels: Tensor, masks: Tensor, **totals: int) -> LossParts:
    totals = totals or {"batch_size": len(labels), "covid_count": int(labels.sum())}
    return DualSamplingLoss()(model(x), model.fc.weight, labels, masks, **totals)


def test_for_binary_masks_the_attention_loss_is_1_minus_dice() -> None:
    torch.manual_seed(0)
    t, m = (torch.rand(3, 1, 9, 10, 11) < 0.3).float(), (torch.rand(3, 1, 9, 10, 11) < 0.2).float()
    dice = 2 * (t * m).sum((1, 2, 3, 4)) / (t.sum((1, 2, 3, 4)) + m.sum((1, 2, 3, 4)))
    torch.testing.assert_close(attention_loss(t, m), 1 - dice)
    assert attention_loss(m, m).tolist() == [0, 0, 0]


def test_two_empty_masks_cost_nothing() -> None:
    assert attention_loss(torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4)).item() == 0


def test_a_fractional_mask_enters_as_it_is() -> None:
    t, m = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.25, 1.0]])
    assert attention_loss(t, m).item() == pytest.approx((0.25 + 0.0625) / 3.75, rel=1e-5)


def test_the_total_is_bce_plus_half_the_attention_loss_of_the_covid_cases() -> None:
    model, x, labels, masks = _batch([1, 0, 1])
    output = model(x)
    parts = DualSamplingLoss()(output, model.fc.weight, labels, masks, 3, 2)
    bce = functional.binary_cross_entropy_with_logits(output.logit, labels.float())
    a_hat = online_attention(output.features[[0, 2]], model.fc.weight, SHAPE).normalised
    attention = attention_loss(soft_mask(a_hat), masks[[0, 2]]).mean()
    torch.testing.assert_close(parts.total, bce + 0.5 * attention)
    assert parts.bce.item() == pytest.approx(bce.item()) and parts.attention.item() == pytest.approx(attention.item())
    assert parts.active_fraction.item() == pytest.approx(active_fraction(a_hat).mean().item())


def test_micro_batches_add_up_to_the_one_big_batch() -> None:
    model, x, labels, masks = _batch([1, 0, 0, 1, 1, 0])
    whole = _parts(model, x, labels, masks)
    whole.total.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    shares = []
    for part in (slice(0, 3), slice(3, 5), slice(5, 6)):
        shares.append(_parts(model, x[part], labels[part], masks[part], batch_size=6, covid_count=3))
        shares[-1].total.backward()
    for sums, value in zip(zip(*shares, strict=True), whole, strict=True):
        torch.testing.assert_close(sum(sums), value)
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for gradient, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max().item() + 1e-7)


def test_cap_cases_and_empty_masks_add_no_attention_loss() -> None:
    model, x, labels, masks = _batch([1, 0])
    masks[0] = 0
    parts = _parts(model, x, labels, masks)
    assert parts.attention.item() == 0 and parts.active_fraction.item() == 0
    assert parts.total.item() == parts.bce.item()


def test_a_batch_without_covid_cases_has_a_loss() -> None:
    model, x, labels, masks = _batch([0, 0])
    parts = _parts(model, x, labels, masks)
    parts.total.backward()
    assert torch.isfinite(parts.total) and parts.attention.item() == 0


def test_the_baseline_has_the_cross_entropy_alone() -> None:
    model, x, labels, masks = _batch([1, 0])
    parts = DualSamplingLoss(attention_weight=0.0)(model(x), model.fc.weight, labels, masks, 2, 1)
    assert parts.total.item() == parts.bce.item() and parts.attention.item() == 0


def test_the_classifier_learns_from_the_cross_entropy_alone() -> None:
    model, x, labels, masks = _batch([1, 1])
    _parts(model, x, labels, masks).total.backward()
    assert model.fc.weight.grad is not None
    both = model.fc.weight.grad.clone()
    model.zero_grad()
    DualSamplingLoss(attention_weight=0.0)(model(x), model.fc.weight, labels, masks, 2, 2).total.backward()
    torch.testing.assert_close(both, model.fc.weight.grad)


def test_the_active_fraction_counts_the_voxels_that_have_a_gradient() -> None:
    a_hat = torch.tensor([0.0, 0.33, 0.35, 0.4, 0.45, 0.47, 0.9, 1.0]).reshape(1, 1, 2, 2, 2)
    assert active_fraction(a_hat).tolist() == [0.375]
    assert active_fraction(a_hat, beta=0.9).tolist() == [0.125]
    assert active_fraction(a_hat, alpha=13.0).tolist() == [0.75]


def test_a_dead_attention_leaves_the_gradients_finite() -> None:
    features = torch.rand(1, 4, 3, 3, 3, requires_grad=True)
    weight = -torch.ones(1, 4)
    output = Output(features.mean((2, 3, 4)) @ weight[0], features)
    mask = torch.zeros(1, 1, *SHAPE)
    mask[..., :9, :9, :9] = 1
    parts = DualSamplingLoss()(output, weight, torch.tensor([1]), mask, 1, 1)
    parts.total.backward()
    assert parts.attention.item() == pytest.approx(1.0, abs=1e-4)
    assert features.grad is not None and torch.isfinite(features.grad).all()


def test_the_attention_loss_trains_a_small_network_to_attend_to_the_lesion() -> None:
    torch.manual_seed(0)
    grid = torch.stack(torch.meshgrid(*[torch.arange(64.0)] * 3, indexing="ij"))
    centres = ((16.0, 16.0, 32.0), (32.0, 48.0, 16.0), (48.0, 32.0, 32.0), (16.0, 32.0, 48.0))
    lesions = torch.stack([((grid - torch.tensor(c)[:, None, None, None]).norm(dim=0) < 11).float() for c in centres])
    masks = lesions[:, None]
    x = 0.1 * torch.rand(4, 1, 64, 64, 64) + 0.8 * masks
    labels = torch.tensor([1, 1, 1, 1])
    model = ResNet34(4)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        parts = _parts(model, x, labels, masks)
        parts.total.backward()
        optimiser.step()
        losses.append(parts.attention.item())

    assert losses[0] > 0.8 and max(losses[-5:]) < 0.4
