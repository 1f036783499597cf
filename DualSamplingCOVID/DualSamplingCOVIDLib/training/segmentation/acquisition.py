"""The scanner's variety, drawn anew for every patch: slices, kernel, noise, and what the HU scale is off by.

Networks that learned without it take another scanner's noise and sharpness for disease.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FARTHEST_HU = (-1024.0, 1000.0)


class Acquired(NamedTuple):
    """HU [1,D,H,W] as a scanner shows them, and what is wrong with its scale: HU + 1000 times `gain`, plus `offset`."""

    hu: Tensor
    gain: float = 1.0
    offset_hu: float = 0.0

    def scaled(self, hu: float) -> float:
        """Return what the scanner takes `hu` for."""
        return (hu + 1000) * self.gain - 1000 + self.offset_hu


def acquire(hu: Tensor, random: torch.Generator) -> Acquired:
    """Show HU [1,D,H,W] (float32, axes k, j, i on 2 mm voxels) as one of many scanners would."""
    gain, offset = 1.0, 0.0
    if _chance(0.35, random):
        hu = thick_slices(hu, _between(1.2, 4.0, random), _between(0, 1, random))
    if _chance(0.5, random):
        hu = kernel(hu, _between(-1.0, 1.0, random))
    if _chance(0.6, random):
        hu = hu + noise(hu.shape, 35.0 * _between(0, 1, random) ** 2, random)
    if _chance(0.8, random):
        gain, offset = 1 + 0.04 * _normal(random), 22 * _normal(random)
        hu = (hu + 1000) * gain - 1000 + offset
    if _chance(0.05, random):
        step = _between(4, 16, random)
        hu = torch.round(hu / step) * step
    return Acquired(hu.clamp(*FARTHEST_HU), gain, offset)


def thick_slices(hu: Tensor, voxels: float, phase: float) -> Tensor:
    """Average [1,D,H,W] over slices of `voxels` voxels, one next to the other, and lay it on the old grid again.

    `phase` (0..1 of a slice) shifts where the first one begins.
    """
    depth = hu.shape[1]
    edges = torch.arange(-phase * voxels, depth + voxels, voxels).clamp(0, depth)
    edges = torch.unique_consecutive(edges)
    sums = F.pad(hu.double().cumsum(1), (0, 0, 0, 0, 1, 0))
    whole, part = edges.floor().long().clamp(max=depth - 1), edges - edges.floor().clamp(max=depth - 1)
    upto = sums[:, whole] + part.view(1, -1, 1, 1) * hu[:, whole].double()
    means = (upto.diff(dim=1) / edges.diff().view(1, -1, 1, 1)).to(hu.dtype)
    centres = (edges[1:] + edges[:-1]) / 2 - 0.5
    position = torch.arange(depth, dtype=centres.dtype)
    above = torch.searchsorted(centres, position).clamp(1, len(centres) - 1) if len(centres) > 1 else None
    if above is None:
        return means.expand_as(hu).contiguous()
    share = ((position - centres[above - 1]) / (centres[above] - centres[above - 1])).clamp(0, 1)
    return torch.lerp(means[:, above - 1], means[:, above], share.view(1, -1, 1, 1).to(hu.dtype))


def kernel(hu: Tensor, sharpness: float) -> Tensor:
    """Blur (below 0) or sharpen (above 0) [1,D,H,W]; at -1 the blur is that of a Gaussian of about 2 mm."""
    soft = blurred(hu)
    return hu + (hu - soft) * (0.9 * sharpness if sharpness > 0 else sharpness)


def noise(shape: torch.Size, deviation_hu: float, random: torch.Generator) -> Tensor:
    """Draw noise of this standard deviation (HU), between white and as coarse as a soft kernel leaves it."""
    white = torch.randn(shape, generator=random)
    coarse = blurred(white)
    mixed = torch.lerp(white, coarse / 0.3, _between(0, 1, random))
    return mixed * (deviation_hu / mixed.std())


def blurred(x: Tensor) -> Tensor:
    """Smooth [1,D,H,W] by the binomial kernel (1, 2, 1) / 4 twice along every axis (sigma of one voxel)."""
    for axis in (1, 2, 3):
        # a convolution of one channel takes five times as long as these sums
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        wide = torch.cat([first, first, x, last, last], axis)
        a, b, c, d, e = (wide.narrow(axis, shift, x.shape[axis]) for shift in range(5))
        x = (c * 6).add_(b, alpha=4).add_(d, alpha=4).add_(a).add_(e).mul_(1 / 16)
    return x


def _chance(probability: float, random: torch.Generator) -> bool:
    return bool(torch.rand((), generator=random) < probability)


def _between(low: float, high: float, random: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def _normal(random: torch.Generator) -> float:
    return float(torch.randn((), generator=random).clamp(-2.5, 2.5))
