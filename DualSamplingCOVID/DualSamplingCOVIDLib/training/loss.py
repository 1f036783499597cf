"""The loss of the paper (Eq. 3-4): cross-entropy, plus half the attention's mismatch with the infection mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..network.attention import online_attention, soft_mask
from ..network.resnet import Output

STEP_REACH = 6.0
"""Of Eq. 2's sigmoid: its slope is below 1 % of the steepest where its argument is beyond this."""


class LossParts(NamedTuple):
    """One micro-batch's share of the loss: every part, summed over an effective batch, is that batch's value.

    `total` carries the gradient. `active_fraction` is the share of voxels with A^ near beta (0.34 to 0.46 with the
    paper's alpha), the only ones through which Eq. 2 lets the attention loss act.
    """

    total: Tensor
    bce: Tensor
    attention: Tensor
    active_fraction: Tensor


def attention_loss(soft: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Compute Eq. 3 per case: sum (T-M)^2 / (sum T + sum M), which for binary T and M is 1 - Dice.

    Args:
        soft: T of Eq. 2, [N,1,D,H,W].
        mask: the infection M, [N,1,D,H,W] in [0, 1], fractional where it is an area average.
        epsilon: added to the denominator (voxels), so that two empty masks give 0.

    Returns:
        The losses [N], float32.
    """
    t, m = soft.float().flatten(1), mask.float().flatten(1)
    return (t - m).square().sum(1) / (t.sum(1) + m.sum(1) + epsilon)


@dataclass(frozen=True)
class DualSamplingLoss:
    """Eq. 4: L = BCE + `attention_weight` x L_ex, with L_ex for COVID-19 cases only (weight 0: the baseline).

    `alpha` and `beta` are those of Eq. 2.
    """

    attention_weight: float = 0.5
    alpha: float = 100.0
    beta: float = 0.4

    def __call__(
        self, output: Output, weight: Tensor, labels: Tensor, masks: Tensor, batch_size: int, covid_count: int
    ) -> LossParts:
        """Return a micro-batch's share of the effective batch's loss.

        Gradients add up over accumulation steps; where ranks average theirs, multiply `total` by their number.

        Args:
            output: the network's logits [N] and features [N,C,d,h,w].
            weight: the classifier's weight [1,C] (Eq. 1); L_ex sends it no gradient.
            labels: [N], 1 for COVID-19 and 0 for CAP.
            masks: the infection on the input grid, [N,1,D,H,W] in [0, 1]; a case whose mask is empty adds no L_ex.
            batch_size: cases in the effective batch (all ranks and accumulation steps).
            covid_count: COVID-19 cases among them, those with an empty mask included.
        """
        targets = labels.float()
        bce = functional.binary_cross_entropy_with_logits(output.logit.float(), targets, reduction="sum") / batch_size
        attention = active = torch.zeros_like(bce)
        supervised = (targets > 0) & (masks.flatten(1).amax(1) > 0)
        if self.attention_weight > 0 and bool(supervised.any()):
            masks = masks[supervised]
            a_hat = online_attention(output.features[supervised], weight, masks.shape[2:]).normalised
            attention = attention_loss(soft_mask(a_hat, self.alpha, self.beta), masks).sum() / covid_count
            active = active_fraction(a_hat, self.alpha, self.beta).sum() / covid_count
        total = bce + self.attention_weight * attention
        return LossParts(total, bce.detach(), attention.detach(), active)


def active_fraction(a_hat: Tensor, alpha: float = 100.0, beta: float = 0.4) -> Tensor:
    """Return each case's share of voxels [N] of A^ [N,1,D,H,W] where Eq. 2 has a gradient: beta +- 6 / alpha."""
    values = a_hat.detach().flatten(1)
    return ((values - beta).abs() < STEP_REACH / alpha).float().mean(1)
