"""The fold's networks as makers of maps: A^ or Grad-CAM, the probability, and the same after randomising weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..run_folder import BASELINE_US, MODELS
from .attention_quality import Volume

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..network.resnet import ResNet34

STAGES = ("fc", "layer4", "layer3", "layer2", "layer1", "conv1")
"""The network's layers from the last one on (conv1 with its batch norm), in the order in which they are randomised."""


class SeenMap(NamedTuple):
    """A^ on the input grid [k, j, i], and its largest value before min-max."""

    a_hat: Volume
    raw_peak: float


class MapModel:
    """One trained network of a fold, in evaluation mode."""

    def __init__(self, state: Mapping[str, Tensor], model: str, device: str = "cpu") -> None:
        """Build the network of these weights; `model` is one of `MODELS`: the baseline's map is Grad-CAM."""
        import torch

        from ..network.resnet import fuse

        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
        self.state, self.model, self.device = dict(state), model, torch.device(device)
        self._network = fuse(_network(self.state)).to(self.device)

    def map(self, image: Volume) -> SeenMap:
        """Return where the network sees evidence of COVID-19 in its input [k, j, i]."""
        return _map(self._network, self.model, image, self.device)

    def probability(self, image: Volume) -> float:
        """Return the probability of COVID-19 of an input [k, j, i]."""
        import torch

        from ..network.device import exact

        with torch.no_grad(), exact():
            logit = self._network(_batch(image, self.device)).logit[0]
        return float(torch.sigmoid(logit.double()))

    def randomised_maps(self, image: Volume, seed: int) -> Iterator[tuple[str, SeenMap]]:
        """Yield each stage and the map after it and all stages behind it were drawn anew (Adebayo et al. 2018).

        The weights are those of one network fresh from its constructor, batch statistics included.
        """
        for stage, state in randomised(self.state, seed):
            yield stage, _map(_network(state).to(self.device), self.model, image, self.device)


def randomised(state: Mapping[str, Tensor], seed: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each of `STAGES` with the weights in which it and all later layers are those of an untrained network."""
    import torch

    from ..network.resnet import ResNet34

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = ResNet34(_width(state)).state_dict()
    mixed = dict(state)
    for stage in STAGES:
        parts = ("conv1.", "bn1.") if stage == "conv1" else (f"{stage}.",)
        mixed.update({name: tensor for name, tensor in fresh.items() if name.startswith(parts)})
        yield stage, dict(mixed)


def _width(state: Mapping[str, Tensor]) -> int:
    return int(state["conv1.weight"].shape[0])


def _network(state: Mapping[str, Tensor]) -> ResNet34:
    import torch

    from ..network.resnet import ResNet34

    with torch.device("meta"):
        network = ResNet34(_width(state))
    network.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    return network.eval()


def _batch(image: Volume, device: torch.device) -> Tensor:
    import torch

    batch = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))[None, None]
    return batch.to(device, memory_format=torch.channels_last_3d)


def _map(network: ResNet34, model: str, image: Volume, device: torch.device) -> SeenMap:
    import torch

    from ..network.attention import grad_cam, online_attention
    from ..network.device import exact

    with torch.no_grad(), exact():
        features = network.features(_batch(image, device))
        if model == BASELINE_US:
            maps = grad_cam(network.classify, features, image.shape)
        else:
            maps = online_attention(features, network.fc.weight, image.shape)
    a_hat = maps.normalised[0, 0].cpu().numpy()
    return SeenMap(np.clip(a_hat, 0.0, 1.0).astype(np.float32), float(maps.raw_peak[0]))
