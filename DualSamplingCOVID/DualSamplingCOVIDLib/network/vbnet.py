"""VB-Net: V-Net (Milletari et al., 3DV 2016) with bottleneck blocks, after the description in Shan et al., 2020.

An encoder that halves the grid four times by 2x2x2 convolutions of stride 2, a decoder that doubles it again, and
concatenated skips between them. At each level a stack of convolutions learns a residual: bottlenecks (1x1x1 to a
quarter of the channels, 3x3x3, 1x1x1 back) where channels are many, plain 3x3x3 ones as in V-Net on the finer levels,
where a quarter of the channels is too few to tell a nodule from a vessel. Heads are logits of their own (sigmoid),
not exclusive classes: infection lies inside the lungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (1, 2, 3, 3)
"""Convolutions of the residual stacks on the four coarser levels, in the encoder and again in the decoder."""
STRIDE = 2 ** len(CONVOLUTIONS)
"""Volumes must have sides that this divides."""
BOTTLENECKS_FROM = 128
"""Channels from which on a stack is of bottlenecks."""
MOMENTUM = 0.02
"""Of the running statistics: batches are of few patches, which differ."""
RARE = -2.0
"""What a head says before it has learned: most voxels are neither lung nor infection."""


class Bottleneck(nn.Module):
    """1x1x1 to a quarter of the channels, 3x3x3, 1x1x1 back; each followed by batch norm, and ReLU but for the last."""

    def __init__(self, channels: int) -> None:
        """Build the block for `channels` channels."""
        super().__init__()
        narrow = channels // 4
        self.reduce = Normed(nn.Conv3d(channels, narrow, 1, bias=False))
        self.convolve = Normed(nn.Conv3d(narrow, narrow, 3, padding=1, bias=False))
        self.expand = Normed(nn.Conv3d(narrow, channels, 1, bias=False))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,channels,d,h,w] to the same shape."""
        result: Tensor = self.expand(self.relu(self.convolve(self.relu(self.reduce(x)))))
        return result


class Residual(nn.Module):
    """A stack of convolutions beside a shortcut (V-Net's residual function)."""

    def __init__(self, channels: int, convolutions: int) -> None:
        """Build `convolutions` of `channels` channels, bottlenecks where these are many."""
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(convolutions):
            parts += [nn.ReLU(inplace=True)] if parts else []
            parts.append(_convolution(channels))
        self.stack = nn.Sequential(*parts)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,channels,d,h,w] to the same shape."""
        result: Tensor = self.relu(self.stack(x) + x)
        return result


def _convolution(channels: int) -> nn.Module:
    if channels >= BOTTLENECKS_FROM:
        return Bottleneck(channels)
    return Normed(nn.Conv3d(channels, channels, 3, padding=1, bias=False))


class Down(nn.Module):
    """Halve the grid and double the channels, then a residual stack."""

    def __init__(self, channels: int, convolutions: int) -> None:
        """Build from `channels` to twice as many."""
        super().__init__()
        self.shrink = Normed(nn.Conv3d(channels, 2 * channels, 2, 2, bias=False))
        self.relu = nn.ReLU(inplace=True)
        self.residual = Residual(2 * channels, convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,channels,d,h,w] to [N,2 channels,d/2,h/2,w/2]."""
        result: Tensor = self.residual(self.relu(self.shrink(x)))
        return result


class Up(nn.Module):
    """Double the grid, put the encoder's features beside it, then a residual stack over both."""

    def __init__(self, inputs: int, skip: int, convolutions: int) -> None:
        """Build from `inputs` channels and `skip` of the encoder to `2 skip`."""
        super().__init__()
        self.enlarge = Normed(nn.ConvTranspose3d(inputs, skip, 2, 2, bias=False))
        self.relu = nn.ReLU(inplace=True)
        self.residual = Residual(2 * skip, convolutions)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map [N,inputs,d,h,w] and [N,skip,2d,2h,2w] to [N,2 skip,2d,2h,2w]."""
        result: Tensor = self.residual(torch.cat([self.relu(self.enlarge(x)), skip], 1))
        return result


class VBNet(nn.Module):
    """VB-Net of `width` x 1, 2, 4, 8, 16 channels (published: 16, so 16 to 256) with `outputs` heads."""

    def __init__(self, inputs: int, outputs: int, width: int = 16) -> None:
        """Build the network."""
        super().__init__()
        self.width, self.inputs, self.outputs = width, inputs, outputs
        self.input = Normed(nn.Conv3d(inputs, width, 3, padding=1, bias=False))
        self.relu = nn.ReLU(inplace=True)
        widths = [width * 2**level for level in range(len(CONVOLUTIONS))]
        self.down = nn.ModuleList(Down(w, n) for w, n in zip(widths, CONVOLUTIONS, strict=True))
        below = [2 * w for w in widths]  # every stage of the decoder leaves twice its skip's channels
        self.up = nn.ModuleList(
            Up(below[level] if level == len(widths) - 1 else below[level + 1], widths[level], CONVOLUTIONS[level])
            for level in reversed(range(len(widths)))
        )
        self.head = nn.Conv3d(2 * width, outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if not self.head.weight.is_meta:
            nn.init.normal_(self.head.weight, std=0.1)
            nn.init.constant_(self.head.bias, RARE)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the heads' logits [N,outputs,D,H,W] of windowed volumes [N,inputs,D,H,W] (axes k, j, i).

        Raises:
            ValueError: sides that 16 does not divide.
        """
        if any(side % STRIDE for side in x.shape[2:]):
            raise ValueError(f"sides must be multiples of {STRIDE}, got {tuple(x.shape[2:])}")
        features = [self.relu(self.input(x))]
        for stage in self.down:
            features.append(stage(features[-1]))
        y = features.pop()
        for stage in self.up:
            y = stage(y, features.pop())
        result: Tensor = self.head(y)
        return result


class Normed(nn.Sequential):
    """A convolution and the batch norm behind it."""

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d) -> None:
        """Put batch norm behind the convolution."""
        super().__init__(convolution, nn.BatchNorm3d(convolution.out_channels, momentum=MOMENTUM))

    def fold(self) -> None:
        """Make the norm, as it stands after learning, a part of the convolution."""
        convolution, norm = self
        turned = isinstance(convolution, nn.ConvTranspose3d)
        self[0] = fuse_conv_bn_eval(convolution, norm, turned)  # type: ignore[arg-type, type-var]
        self[1] = nn.Identity()


class Pointwise(nn.Module):
    """What a 1x1x1 convolution does, as one matrix product: for few outputs that is ten times faster on CPUs."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        """Take over the convolution's weights."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(convolution.weight.flatten(1)), convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,inputs,d,h,w] to [N,outputs,d,h,w]."""
        return F.linear(x.movedim(1, -1), self.weight, self.bias).movedim(-1, 1)


def quickened(network: VBNet) -> VBNet:
    """Return the network, changed in place, as it answers fastest; what it answers stays the same, learning ends."""
    network = network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Normed):
            module.fold()
    network.head = Pointwise(network.head)  # type: ignore[assignment, arg-type]
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]


WINDOWS_HU = ((-1000.0, 300.0), (-1000.0, -450.0))
"""The whole range from air to soft tissue, which both networks see, and the lungs' own, which the coarse one sees."""
COARSE_INPUTS, FINE_INPUTS = 4, 7


def windowed(hu: Tensor) -> Tensor:
    """Return [N,2,D,H,W] of HU [N,1,D,H,W]: each of `WINDOWS_HU` to [-1, 1], clipped."""
    return torch.cat([((hu - low) / (0.5 * (high - low)) - 1).clamp(-1, 1) for low, high in WINDOWS_HU], 1)


TISSUE_HU = -300.0
ACROSS_VOXELS = 10.0


def placed(hu: Tensor) -> Tensor:
    """Return the coarse network's input [N,4,D,H,W] of HU [N,1,D,H,W] (k, j, i; i to the patient's left).

    Beside the windows it has a place: how far a voxel lies to the left of the body's middle (the mean of its tissue),
    once as it is and once for air alone (0 in tissue). Right and left lung look alike to convolutions, and without a
    place a thousand steps do not tell them apart.
    """
    tissue = (hu > TISSUE_HU).float()
    column = torch.arange(hu.shape[-1], dtype=torch.float32, device=hu.device)
    middle = (tissue * column).sum(dim=(1, 2, 3, 4)) / tissue.sum(dim=(1, 2, 3, 4)).clamp(min=1)
    left = ((column - middle.view(-1, 1, 1, 1, 1)) / ACROSS_VOXELS).clamp(-1, 1)
    windows = windowed(hu)
    return torch.cat([windows, left.expand_as(hu), left * (1 - windows[:, 1:]) / 2], 1)


HEALTHY_SHARE = 0.33
CONTRAST_HU = 300.0
VESSEL_VOXELS = 5
"""Brightness of less than this width, as that of vessels and walls, is not seen in the opened contrast."""


class Bearings(NamedTuple):
    """What the fine network is told of the whole chest, wherever it looks.

    `healthy_hu` is the HU below which a third of the lungs lies; `low` and `high` are the ends of the lungs' box, in
    voxels (k, j, i).
    """

    healthy_hu: float
    low: tuple[int, ...]
    high: tuple[int, ...]


def bearings(hu: NDArray[np.int16] | NDArray[np.float32], lungs: NDArray[np.bool_]) -> Bearings:
    """Take the bearings of a chest, HU and lungs [k, j, i]; where there are no lungs, of all that is there."""
    if not lungs.any():
        lungs = np.ones_like(lungs)
    ends = []
    for axis in range(3):
        where = np.flatnonzero(lungs.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((int(where[0]), int(where[-1])))
    low, high = zip(*ends, strict=True)
    return Bearings(float(np.quantile(hu[lungs], HEALTHY_SHARE, method="lower")), low, high)


def position(bearings: Bearings, start: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Return where the voxels of a part lie in the lungs' box [3,D,H,W]: 0 in its middle, 1 at its sides.

    The part begins at voxel `start` and is of this `shape` (k, j, i). Along i right and left count alike.
    """
    along = []
    for first, size, low, high in zip(start, shape, bearings.low, bearings.high, strict=True):
        voxels = torch.arange(first, first + size, dtype=torch.float32)
        along.append((2 * voxels - low - high) / max(high - low, 1))
    along[2] = along[2].abs()
    return torch.stack(torch.meshgrid(*along, indexing="ij"))


def guided(hu: Tensor, lung: Tensor, healthy_hu: float, position: Tensor) -> Tensor:
    """Return the fine network's input [N,7,D,H,W] of HU and the coarse network's lungs in [0, 1], both [N,1,D,H,W].

    Beside the wide window it has the contrast to healthy lung; its opening, which is bright in all that is wider than
    a vessel; the coarse lungs, for from near a heart or a shoulder looks like consolidated lung; and the `position`
    [3,D,H,W] or [N,3,D,H,W] of `position`, for there are vessels at the hilum and lesions at the pleura.
    """
    contrast = (hu - healthy_hu) / CONTRAST_HU
    wide = opened(smoothed(contrast), VESSEL_VOXELS)
    place = position.expand(len(hu), -1, -1, -1, -1)
    return torch.cat([windowed(hu)[:, :1], contrast.clamp(-1, 1), wide.clamp(-1, 1), 2 * lung - 1, place], 1)


def smoothed(x: Tensor) -> Tensor:
    """Smooth [N,C,D,H,W] by (1, 2, 1) / 4 along every axis; edges repeat."""
    for axis in (2, 3, 4):
        wide, size = _widened(x, axis, 1), x.shape[axis]
        x = (wide.narrow(axis, 0, size) + wide.narrow(axis, 2, size)).add_(x, alpha=2).mul_(0.25)
    return x


def opened(x: Tensor, voxels: int) -> Tensor:
    """Return the grey opening of [N,C,D,H,W] by a cube of so many (odd) voxels a side."""
    return highest(-highest(-x, voxels), voxels)


def closed(x: Tensor, voxels: int) -> Tensor:
    """Return the grey closing of [N,C,D,H,W] by a cube of so many (odd) voxels a side, as if round it were 0."""
    reach = voxels // 2
    wide = F.pad(x, [reach] * 6)
    inner = slice(reach, -reach)
    return -highest(-highest(wide, voxels), voxels)[..., inner, inner, inner]


def highest(x: Tensor, voxels: int) -> Tensor:
    """Return the maximum of [N,C,D,H,W] over a cube of so many (odd) voxels a side.

    Axis by axis, and by doubling what was looked at, it is far faster on CPUs than pooling of one channel. Edges
    repeat.
    """
    for axis in (2, 3, 4):
        x, width = _widened(x, axis, voxels // 2), 1
        while width < voxels:
            step = min(width, voxels - width)
            left = x.shape[axis] - step
            x, width = torch.maximum(x.narrow(axis, 0, left), x.narrow(axis, step, left)), width + step
    return x


def _widened(x: Tensor, axis: int, by: int) -> Tensor:
    """Repeat both edges of an axis so many times."""
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.cat([first] * by + [x] + [last] * by, axis)


COARSER = 3
"""How many voxels of the fine grid, along each axis, one of the coarse network's has."""


def coarsened(volume: Tensor) -> Tensor:
    """Average [N,C,D,H,W] over cubes of `COARSER` voxels a side (those at the end may be cut)."""
    return F.avg_pool3d(volume, COARSER, COARSER, ceil_mode=True, count_include_pad=False)


def refined(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate [N,C,d,h,w] of the coarse grid back to the fine one of this shape (k, j, i), linear."""
    fine = F.interpolate(volume, scale_factor=float(COARSER), mode="trilinear", align_corners=False)
    return fine[..., : shape[0], : shape[1], : shape[2]]


COARSE_SIDE = 80
"""Voxels of the cube that a whole chest is laid in before the coarse network sees it, as when it learned."""


def padded(volume: Tensor, value: float, least: int = STRIDE) -> Tensor:
    """Pad [N,C,D,H,W] with `value` behind the end of each axis, to sides of `least` or more that can be halved."""
    sides = [(side, max(side, least)) for side in reversed(volume.shape[2:])]
    missing = [wanted + -wanted % STRIDE - side for side, wanted in sides]
    return F.pad(volume, [n for behind in missing for n in (0, behind)], value=value)
