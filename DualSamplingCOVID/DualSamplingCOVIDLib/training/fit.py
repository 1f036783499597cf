"""Fitting one model: 3D ResNet34 with online attention (or the baseline without), US or SS sampling (section IV-C)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..diagnosis import CutOffs
from ..errors import InputError
from ..network.resnet import ResNet34
from ..progress import Progress, silent
from .augmentation import mirror_and_shift
from .loss import DualSamplingLoss
from .prepared import PreparedDataset
from .samplers import SizeBalanced, SizeBalancedSampler, UniformSampler


@dataclass(frozen=True)
class Settings:
    """How one model is fitted; the defaults are the paper's.

    `schedule` is "steps" (the learning rate falls by ten after every quarter of the epochs: every 5 of the paper's 20)
    or "one-cycle" (it rises to `learning_rate` and falls again: for few cases). `augment` shows the cases mirrored and
    shifted. `micro_batch` cases go through the network at a time; gradients add up to `batch`.
    """

    sampling: str = "US"
    kind: str = "attention"
    width: int = 64
    epochs: int = 20
    batch: int = 20
    micro_batch: int = 4
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    schedule: str = "steps"
    augment: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampling not in ("US", "SS") or self.kind not in ("attention", "baseline"):
            raise ValueError(f"sampling is US or SS and kind attention or baseline, got {self.sampling}, {self.kind}")
        if self.schedule not in ("steps", "one-cycle"):
            raise ValueError(f"schedule is steps or one-cycle, got {self.schedule}")
        if min(self.width, self.epochs, self.batch, self.micro_batch) < 1:
            raise ValueError("width, epochs, batch and micro_batch are at least 1")


class Epoch(NamedTuple):
    """What one epoch showed: mean training loss parts, and validation loss and AUC."""

    epoch: int
    bce: float
    attention: float
    active_fraction: float
    validation_loss: float
    validation_auc: float


class Fitted(NamedTuple):
    """The best epoch's weights (by validation AUC, then loss), and the history of all."""

    state: dict[str, Tensor]
    best: Epoch
    history: tuple[Epoch, ...]


class Trainer:
    """Fits one model; each step is a method of its own, to be overridden one by one."""

    def __init__(
        self,
        settings: Settings,
        training: PreparedDataset,
        validation: PreparedDataset,
        cut_offs: CutOffs,
        device: torch.device,
    ) -> None:
        """Prepare network, sampler, loss and optimiser.

        Raises:
            InputError: training or validation lacks one of the two classes.
        """
        for name, dataset in (("training", training), ("validation", validation)):
            if len(set(dataset.labels)) < 2:
                raise InputError(f"the {len(dataset)} {name} cases need both classes, COVID-19 and CAP")
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, device
        self.training, self.validation = training, validation
        self.network = ResNet34(settings.width).to(device)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.sampler = self.make_sampler(cut_offs)
        self.loss = DualSamplingLoss(0.5 if settings.kind == "attention" else 0.0)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = self.make_schedule()
        self.random = torch.Generator()

    def make_sampler(self, cut_offs: CutOffs) -> UniformSampler | SizeBalancedSampler:
        """Return the sampler of this model."""
        if self.settings.sampling == "US":
            return UniformSampler(len(self.training), self.settings.seed)
        return SizeBalancedSampler(self.training.labels, self.training.ratios, cut_offs, self.settings.seed)

    @property
    def balance(self) -> SizeBalanced | None:
        """The groups of size-balanced sampling, with their weights and probabilities; None for uniform sampling."""
        return self.sampler.balance if isinstance(self.sampler, SizeBalancedSampler) else None

    def make_schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the learning rate's course; it advances with every optimiser step."""
        steps, rate = math.ceil(len(self.sampler) / self.settings.batch), self.settings.learning_rate
        if self.settings.schedule == "one-cycle":
            total = self.settings.epochs * steps
            return torch.optim.lr_scheduler.OneCycleLR(self.optimiser, rate, total_steps=total, pct_start=0.15)
        return torch.optim.lr_scheduler.StepLR(self.optimiser, math.ceil(self.settings.epochs / 4) * steps, 0.1)

    def fit(self, progress: Progress = silent) -> Fitted:
        """Train all epochs and return the best one's weights."""
        history: list[Epoch] = []
        state: dict[str, Tensor] = {}
        name = f"fitting {self.settings.kind} {self.settings.sampling}"
        for epoch in range(self.settings.epochs):
            self.sampler.set_epoch(epoch)
            self.random.manual_seed(1_000_003 * self.settings.seed + epoch)
            parts = self.train_epoch(_within_fit(progress, name, epoch, self.settings.epochs))
            history.append(Epoch(epoch, *parts, *self.validate()))
            if history[-1] == max(history, key=_quality):
                weights = self.network.state_dict()
                state = {key: value.detach().cpu().clone().contiguous() for key, value in weights.items()}
        return Fitted(state, max(history, key=_quality), tuple(history))

    def train_epoch(self, told: Callable[[float], None]) -> tuple[float, float, float]:
        """Run one epoch; return the mean BCE, attention loss and active fraction over its batches."""
        self.network.train()
        order = list(self.sampler)
        batches = [order[i : i + self.settings.batch] for i in range(0, len(order), self.settings.batch)]
        sums = torch.zeros(3, dtype=torch.float64)
        for index, batch in enumerate(batches):
            sums += self.step(batch)
            told((index + 1) / len(batches))
        bce, attention, active = (sums / len(batches)).tolist()
        return bce, attention, active

    def step(self, batch: list[int]) -> Tensor:
        """Take one optimiser step on an effective batch, micro-batch by micro-batch; return its loss parts [3]."""
        covid = sum(self.training.labels[index] for index in batch)
        parts = torch.zeros(3, dtype=torch.float64)
        self.optimiser.zero_grad(set_to_none=True)
        loader = DataLoader(self.training, batch_sampler=_MicroBatches(batch, self.settings.micro_batch))
        for images, masks, labels in loader:
            if self.settings.augment:
                images, masks = mirror_and_shift(images, masks, self.random)
            output = self.network(self.to_device(images))
            loss = self.loss(
                output, self.network.fc.weight, labels.to(self.device), masks.to(self.device), len(batch), covid
            )
            loss.total.backward()
            parts += torch.stack([loss.bce, loss.attention, loss.active_fraction]).detach().double().cpu()
        self.optimiser.step()
        self.schedule.step()
        return parts

    def validate(self) -> tuple[float, float]:
        """Return the validation BCE and AUC."""
        from ..evaluation.metrics import auc

        logits = predict(self.network, self.validation, self.settings.micro_batch, self.device)
        labels = torch.tensor(self.validation.labels, dtype=torch.float64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return float(loss), auc(torch.sigmoid(logits).numpy(), labels.numpy())

    def to_device(self, images: Tensor) -> Tensor:
        """Move images [N,1,D,H,W] to the device, channels last."""
        return images.to(self.device, memory_format=torch.channels_last_3d)


@torch.no_grad()
def predict(network: ResNet34, dataset: PreparedDataset, batch: int, device: torch.device) -> Tensor:
    """Return the logits [N] (float64, on the CPU) of a dataset in its own order."""
    network.eval()
    loader = DataLoader(dataset, batch_size=batch)
    logits = [network(images.to(device, memory_format=torch.channels_last_3d)).logit for images, _, _ in loader]
    return torch.cat(logits).double().cpu()


def _quality(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_auc, -epoch.validation_loss


def _within_fit(progress: Progress, name: str, epoch: int, epochs: int) -> Callable[[float], None]:
    """Return what passes an epoch's progress on as that of the whole fit."""

    def told(done: float) -> None:
        progress(name, (epoch + done) / epochs)

    return told


class _MicroBatches(Sampler[list[int]]):
    """Cuts one effective batch into micro-batches; the last takes a lone rest, as batch statistics need two cases."""

    def __init__(self, batch: list[int], size: int) -> None:
        self._parts = [batch[i : i + size] for i in range(0, len(batch), size)]
        if len(self._parts) > 1 and len(self._parts[-1]) == 1:
            self._parts[-2:] = [self._parts[-2] + self._parts[-1]]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._parts)
