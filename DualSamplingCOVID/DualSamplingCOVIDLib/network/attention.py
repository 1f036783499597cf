"""Where the evidence lies: the online attention (section III-B, Eq. 1-2) and Grad-CAM, on the input grid.

Everything after the features runs in float32 whatever the autocast: a half-precision sum over nine million
voxels overflows. Both maps share one geometry, in which feature cell i is centred on input voxel 16 i.

The evidence for the other class (CAP, ReLU(-w.f)) is the same map of the negated head: pass ``-weight`` to
`online_attention`, or the negated logit to `grad_cam`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

STRIDE = 16
"""Voxels of the input grid from one feature cell's centre to the next."""


class AttentionMaps(NamedTuple):
    """`normalised`: A^ [N,1,D,H,W] in [0, 1] on the input grid; `raw_peak` [N]: the largest value of A before min-max.

    A dead map (no positive evidence anywhere) is all zeros with `raw_peak` 0.
    """

    normalised: Tensor
    raw_peak: Tensor


class Evidence(NamedTuple):
    """The logit's contributions: logit = `positive` [N] - `negative` [N] + `bias` (a scalar)."""

    positive: Tensor
    negative: Tensor
    bias: Tensor


def online_attention(features: Tensor, weight: Tensor, shape: Sequence[int], stride: int = STRIDE) -> AttentionMaps:
    """Compute Eq. 1: A = ReLU(w.f) upsampled to the input grid and min-max normalised per volume.

    Args:
        features: layer4's features [N,C,d,h,w]; gradients flow back through them.
        weight: the classifier's weight [1,C]; detached here, since the BCE loss alone updates it.
        shape: the input grid (D, H, W), or a lattice of it.
        stride: voxels of that grid between the centres of two feature cells.
    """
    return _on_grid(torch.relu(class_activation(features, weight.detach())), shape, stride)


def grad_cam(
    logit_of: Callable[[Tensor], Tensor], features: Tensor, shape: Sequence[int], stride: int = STRIDE
) -> AttentionMaps:
    """Compute Grad-CAM at the features (Selvaraju et al. 2017), by automatic differentiation.

    Its weights are the gradients' sum over the cells (the customary mean, times their number), so that with a linear
    head on the average of the features it equals `online_attention`, raw peak included.

    Args:
        logit_of: maps features to logits [N], such as `ResNet34.classify`.
        features: layer4's features [N,C,d,h,w], also those computed in inference mode; no gradient flows back.
        shape: the input grid (D, H, W), or a lattice of it.
        stride: voxels of that grid between the centres of two feature cells.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = features.detach().to(torch.float32, copy=True).requires_grad_()
        (gradient,) = torch.autograd.grad(logit_of(leaf).sum(), leaf)
    importance = gradient.sum(dim=(2, 3, 4), keepdim=True)
    cam = (importance * leaf.detach()).sum(dim=1, keepdim=True)
    return _on_grid(torch.relu(cam), shape, stride)


def evidence(features: Tensor, weight: Tensor, bias: Tensor) -> Evidence:
    """Split the logit of features [N,C,d,h,w] into the means of ReLU(w.f) and ReLU(-w.f), and the bias.

    Args:
        features: layer4's features [N,C,d,h,w].
        weight: the classifier's weight [1,C].
        bias: the classifier's bias [1].
    """
    activation = class_activation(features, weight)
    positive, negative = (torch.relu(sign * activation).mean(dim=(1, 2, 3, 4)) for sign in (1.0, -1.0))
    return Evidence(positive, negative, bias.float().reshape(()))


def class_activation(features: Tensor, weight: Tensor) -> Tensor:
    """Return w.f without bias as [N,1,d,h,w] float32: the 1x1x1 convolution of features [N,C,d,h,w] with [1,C]."""
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("ncdhw,oc->nodhw", features.float(), weight.float())


def soft_mask(a_hat: Tensor, alpha: float = 100.0, beta: float = 0.4) -> Tensor:
    """Compute Eq. 2: T = sigmoid(alpha (A^ - beta)), a nearly binary mask of the attended voxels, float32."""
    return torch.sigmoid(alpha * (a_hat.float() - beta))


def upsample_centred(cells: Tensor, shape: Sequence[int], stride: int = STRIDE) -> Tensor:
    """Interpolate cells [N,C,d,h,w] trilinearly onto `shape` (D, H, W), float32.

    Cell i is centred on voxel `stride` x i, as it is in the network; beyond the last centre its value holds.

    Raises:
        ValueError: `shape` ends before the last cell's centre, or beyond where one more cell would be.
    """
    counts = tuple(cells.shape[2:])
    if not all((count - 1) * stride < size <= count * stride + 1 for count, size in zip(counts, shape, strict=True)):
        raise ValueError(f"{counts} cells of {stride} voxels do not make a grid of {tuple(shape)}")
    depth, height, width = (
        _interpolation(size, stride, count, cells.device) for size, count in zip(shape, counts, strict=True)
    )
    with torch.autocast(cells.device.type, enabled=False):
        slices = height @ (cells.float() @ width.T)
        return (depth @ slices.flatten(3)).unflatten(3, slices.shape[3:])


def _interpolation(size: int, stride: int, cells: int, device: torch.device) -> Tensor:
    """Return the [size, cells] matrix that interpolates one axis linearly; each row sums to one."""
    position = (torch.arange(size, device=device) / stride).clamp(max=cells - 1)
    distance = position[:, None] - torch.arange(cells, device=device)[None, :]
    return (1.0 - distance.abs()).clamp(min=0.0)


def _on_grid(cells: Tensor, shape: Sequence[int], stride: int) -> AttentionMaps:
    """Normalise a non-negative map [N,1,d,h,w] per volume and put it on the input grid.

    Every cell's centre is a voxel and no voxel lies outside its cells' range, so that min-max before the
    interpolation equals min-max after it, without the nine million voxels. A constant map has no range: zeros.
    """
    low, peak = cells.amin(dim=(1, 2, 3, 4), keepdim=True), cells.amax(dim=(1, 2, 3, 4), keepdim=True)
    span = peak - low
    normalised = (cells - low) / torch.where(span > 0, span, torch.ones_like(span))
    return AttentionMaps(upsample_centred(normalised, shape, stride), peak.reshape(-1))
