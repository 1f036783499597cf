"""The 3D ResNet34: golden sizes, the paper's geometry, and a head that ignores the autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from DualSamplingCOVIDLib.network.resnet import ResNet34, fuse


def _meta(width: int = 64) -> ResNet34:
    with torch.device("meta"):
        return ResNet34(width)


def test_the_papers_width_has_63_470_145_parameters() -> None:
    assert sum(parameter.numel() for parameter in _meta().parameters()) == 63_470_145


def test_the_papers_grid_gives_the_golden_features_at_318_gmac() -> None:
    model, macs = _meta(), [0]

    def count(module: nn.Conv3d, _: tuple[Tensor, ...], output: Tensor) -> None:
        macs[0] += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(count)  # type: ignore[arg-type]
    features = model.features(torch.empty(1, 1, 138, 256, 256, device="meta"))
    assert features.shape == (1, 512, 9, 16, 16)
    assert (macs[0] + model.fc.weight.numel()) / 1e9 == pytest.approx(318.2, abs=0.05)


def test_parameters_carry_haras_names() -> None:
    names = set(_meta().state_dict())
    assert {name.split(".")[0] for name in names} == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight", "layer3.5.conv2.weight"} <= names
    assert not any("layer1" in name and "downsample" in name for name in names)
    assert "layer4.0.downsample.0.bias" not in names


def test_layer4_keeps_the_grid_and_widens_it_by_a_convolved_shortcut() -> None:
    convolutions = [module for module in _meta().layer4.modules() if isinstance(module, nn.Conv3d)]
    assert {(module.stride, module.dilation) for module in convolutions} == {((1, 1, 1), (1, 1, 1))}
    assert [module.weight.shape for module in convolutions if module.kernel_size == (1, 1, 1)] == [(512, 256, 1, 1, 1)]


def test_a_slim_width_scales_every_channel() -> None:
    features = _meta(8).features(torch.empty(2, 1, 64, 96, 80, device="meta"))
    assert features.shape == (2, 64, 4, 6, 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_logit_is_float32_under_autocast_and_no_sum_overflows(dtype: torch.dtype) -> None:
    model = ResNet34(2)
    features = torch.full((1, 16, 9, 16, 16), 6e4 if dtype == torch.float16 else 1e30, dtype=dtype)
    nn.init.ones_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    with torch.autocast("cpu", dtype=dtype):
        logit = model.classify(features)
    assert logit.dtype == torch.float32
    assert logit.item() == pytest.approx(16 * features.flatten()[0].item(), rel=1e-5)


def test_forward_returns_one_logit_a_case_with_its_features() -> None:
    torch.manual_seed(0)
    model = ResNet34(2).eval()
    with torch.no_grad():
        output = model(torch.rand(3, 1, 33, 48, 32))
    assert output.logit.shape == (3,) and output.features.shape == (3, 16, 3, 3, 2)
    expected = output.features.mean((2, 3, 4)) @ model.fc.weight[0] + model.fc.bias
    torch.testing.assert_close(output.logit, expected)


def test_feature_cell_i_is_centred_on_input_voxel_16_i() -> None:
    """With linear, equal weights the gradient of a cell is its receptive field; the shortcuts alone keep it inside."""
    model = ResNet34(1).eval()
    model.maxpool = nn.AvgPool3d(3, 2, 1, count_include_pad=True)  # type: ignore[assignment]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.fill_(0.0 if module.kernel_size == (3, 3, 3) else 1.0)
    x = torch.ones(1, 1, 80, 96, 112, requires_grad=True)
    cell = (2, 3, 4)
    (gradient,) = torch.autograd.grad(model.features(x)[0, :, *cell].sum(), x)
    seen = (gradient[0, 0] > 0).nonzero()
    for axis in range(3):
        assert (seen[:, axis].min() + seen[:, axis].max()).item() / 2 == 16 * cell[axis]


def test_a_fused_network_says_the_same() -> None:
    torch.manual_seed(0)
    model = ResNet34(4)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
        model.eval()
        volume = torch.rand(2, 1, 33, 48, 32)
        expected = model(volume)
        output = fuse(model)(volume)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in model.modules())
    torch.testing.assert_close(output.features, expected.features, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output.logit, expected.logit, rtol=1e-4, atol=1e-4)
