"""3D ResNet34 (section III-A): one input channel, one logit, the parameter names of Hara's 3D ResNets.

Strides are 2 (conv1), 2 (max-pool), 1, 2, 2, 1: the features are 16 times coarser than the input in every
dimension, and with these paddings feature cell i is centred on input voxel 16 i.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 1)


class Output(NamedTuple):
    """What the network says of a batch: `logit` [N] float32 (positive = COVID-19) and `features` [N,8w,d,h,w]."""

    logit: Tensor
    features: Tensor


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut, which is a 1x1x1 convolution where the shape changes (type B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build a block from `inputs` to `outputs` channels."""
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,inputs,d,h,w] to [N,outputs,d',h',w'], halved (rounded up) where the stride is 2."""
        y = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(self.bn2(self.conv2(y)) + self.downsample(x))
        return result


class ResNet34(nn.Module):
    """3D ResNet34 with basic blocks 3-4-6-3 of `width` x 1, 2, 4, 8 channels (the paper's width is 64).

    At width 64 it has 63,470,145 parameters, and 138x256x256 voxels give features of 512x9x16x16 (318.2 GMAC).
    """

    def __init__(self, width: int = 64) -> None:
        """Build the network with Kaiming-initialised convolutions."""
        super().__init__()
        self.width = width
        self.conv1 = nn.Conv3d(1, width, 7, 2, 3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        self.layer1 = _stage(width, width, 0)
        self.layer2 = _stage(width, 2 * width, 1)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 3)
        self.fc = nn.Linear(8 * width, 1)
        for module in self.modules():
            # On the meta device there is nothing to fill, and drawing there imports a compiler: a second of waiting.
            if isinstance(module, nn.Conv3d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """Map windowed volumes [N,1,D,H,W] in [0, 1] (axes k, j, i) to layer4's features [N,8w,D/16,H/16,W/16]."""
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        result: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return result

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits [N] of features [N,8w,d,h,w]: w . GAP(f) + b in float32, whatever the autocast."""
        pooled = features.float().mean(dim=(2, 3, 4))
        with torch.autocast(features.device.type, enabled=False):
            logit: Tensor = self.fc(pooled)
        return logit.squeeze(1)

    def forward(self, x: Tensor) -> Output:
        """Classify windowed volumes [N,1,D,H,W] in [0, 1] (axes k, j, i), and keep the features for the attention."""
        features = self.features(x)
        return Output(self.classify(features), features)


def _stage(inputs: int, outputs: int, index: int) -> nn.Sequential:
    """Build stage `index` (0..3): its first block changes channels and stride."""
    first = BasicBlock(inputs, outputs, STRIDES[index])
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(BLOCKS[index] - 1)))


def fuse(network: ResNet34) -> ResNet34:
    """Fold the batch norms of a network in evaluation mode into its convolutions, in place, channels last.

    It says the same, up to rounding, in three quarters of the time; it can no longer be trained or saved.
    """
    for block in network.modules():
        if isinstance(block, ResNet34 | BasicBlock):
            block.conv1, block.bn1 = _folded(block.conv1, block.bn1)
        if isinstance(block, BasicBlock):
            block.conv2, block.bn2 = _folded(block.conv2, block.bn2)
            if isinstance(block.downsample, nn.Sequential):
                block.downsample = _folded(*block.downsample)[0]
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def _folded(convolution: nn.Conv3d, norm: nn.Module) -> tuple[nn.Conv3d, nn.Module]:
    assert isinstance(norm, nn.BatchNorm3d)
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()
