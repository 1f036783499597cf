"""Fitting one model: 3D ResNet34 with online attention (or the baseline without), US or SS sampling (section IV-C)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..diagnosis import CutOffs
from ..errors import InputError
from ..network.attention import STRIDE
from ..network.device import autocast, exact
from ..network.resnet import Output, ResNet34
from ..progress import Progress, silent
from ..run_folder import Epoch
from .augmentation import AUGMENTATIONS
from .distributed import ALONE, Team
from .loss import DualSamplingLoss
from .muon import Muon
from .prepared import PreparedDataset, as_shares
from .samplers import SizeBalanced, SizeBalancedSampler, UniformSampler
from .settings import Settings

__all__ = ["Fitted", "Settings", "Step", "Trainer", "predict"]

LEAST_CELLS = 3
"""Fewer feature cells than this along an axis, and bfloat16 on a CPU gives gradients that are no numbers."""

Loaded = tuple[Tensor, Tensor, Tensor]
"""One micro-batch as it lies on the disk: images, infections [N,1,D,H,W] and labels [N]."""


class Step(NamedTuple):
    """What one optimiser step showed; the loss parts are the effective batch's."""

    epoch: int
    step: int
    bce: float
    attention: float
    active_fraction: float
    learning_rate: float
    samples_per_second: float


class Fitted(NamedTuple):
    """The best epoch's weights (by validation AUC, then loss), and the history of all."""

    state: dict[str, Tensor]
    best: Epoch
    history: tuple[Epoch, ...]


class Trainer:
    """Fits one model; each step is a method of its own, to be overridden one by one.

    `epoch` is the next epoch to be trained: `state` and `restore` go on from there as if nothing had been between.
    """

    def __init__(
        self,
        settings: Settings,
        training: PreparedDataset,
        validation: PreparedDataset,
        cut_offs: CutOffs,
        device: torch.device,
        team: Team = ALONE,
    ) -> None:
        """Prepare network, sampler, loss and optimiser.

        Raises:
            InputError: training or validation lacks one of the two classes.
        """
        for name, dataset in (("training", training), ("validation", validation)):
            if len(set(dataset.labels)) < 2:
                raise InputError(f"the {len(dataset)} {name} cases need both classes, COVID-19 and CAP")
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.team = settings, device, team
        self.training, self.validation = training, validation
        self.network = ResNet34(settings.width).to(device)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.forward: Callable[[Tensor], Output] = torch.compile(self.network) if settings.compile else self.network
        self.sampler = self.make_sampler(cut_offs)
        weight = settings.attention_weight if settings.kind == "attention" else 0.0
        self.loss = DualSamplingLoss(weight, settings.alpha, settings.beta)
        self.optimiser = self.make_optimiser()
        self.schedule = self.make_schedule()
        self.random = torch.Generator()
        self.epoch = 0
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}

    @property
    def name(self) -> str:
        """What the fit is called to the person who waits."""
        return f"fitting {self.settings.kind} {self.settings.sampling}"

    def make_sampler(self, cut_offs: CutOffs) -> UniformSampler | SizeBalancedSampler:
        """Return the sampler of this model."""
        if self.settings.sampling == "US":
            return UniformSampler(len(self.training), self.settings.seed)
        return SizeBalancedSampler(self.training.labels, self.training.ratios, cut_offs, self.settings.seed)

    @property
    def balance(self) -> SizeBalanced | None:
        """The groups of size-balanced sampling, with their weights and probabilities; None for uniform sampling."""
        return self.sampler.balance if isinstance(self.sampler, SizeBalancedSampler) else None

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Return the optimiser of all weights."""
        settings = self.settings
        if settings.optimiser == "muon":
            betas = (settings.beta_1, settings.beta_2)
            return Muon(self.network, self.network.fc, settings.learning_rate, betas, settings.weight_decay)
        return torch.optim.Adam(
            self.network.parameters(),
            lr=settings.learning_rate,
            betas=(settings.beta_1, settings.beta_2),
            weight_decay=settings.weight_decay,
        )

    def make_schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the learning rate's course; it advances with every optimiser step, and Adam's betas stay."""
        settings = self.settings
        steps = math.ceil(len(self.sampler) / settings.batch)
        if settings.schedule == "one-cycle":
            return torch.optim.lr_scheduler.OneCycleLR(
                self.optimiser,
                settings.learning_rate,
                total_steps=settings.epochs * steps,
                pct_start=0.15,
                cycle_momentum=False,
            )
        every = settings.decay_epochs or math.ceil(settings.epochs / 4)
        return torch.optim.lr_scheduler.StepLR(self.optimiser, every * steps, settings.decay)

    def fit(self, progress: Progress = silent) -> Fitted:
        """Train the epochs that are left and return the best one's weights (those of rank 0, which validates).

        Raises:
            InputError: the loss is no longer a number, or a prepared case cannot be read.
        """
        while self.epoch < self.settings.epochs:
            self.sampler.set_epoch(self.epoch)
            parts = self.train_epoch(_within_fit(progress, self.name, self.epoch, self.settings.epochs))
            self.team.take_running_statistics(self.network)
            if self.team.leads:
                self.judge(Epoch(self.epoch, *parts, *self.validate()))
            self.epoch += 1
            self.epoch_ended()
        best = max(self.history, key=lambda epoch: epoch.quality) if self.history else Epoch(-1, *[math.nan] * 5)
        return Fitted(self.best_weights, best, tuple(self.history))

    def train_epoch(self, told: Callable[[float], None]) -> tuple[float, float, float]:
        """Run one epoch; return the mean BCE, attention loss and active fraction over its batches."""
        self.network.train()
        order = list(self.sampler)
        batches = [order[i : i + self.settings.batch] for i in range(0, len(order), self.settings.batch)]
        loaded = self.load(batches)
        sums = torch.zeros(3, dtype=torch.float64)
        since = time.perf_counter()
        for index, batch in enumerate(batches):
            rate = float(self.schedule.get_last_lr()[0])
            parts = self.step(batch, loaded, index)
            if not torch.isfinite(parts).all():
                advice = "take a lower learning_rate, or mixed_precision = false"
                raise InputError(f"{self.name}: the loss is no number any more in epoch {self.epoch + 1}; {advice}")
            sums += parts
            now = time.perf_counter()
            bce, attention, active = parts.tolist()
            self.step_ended(Step(self.epoch, index, bce, attention, active, rate, len(batch) / (now - since)))
            since = now
            told((index + 1) / len(batches))
        bce, attention, active = (sums / len(batches)).tolist()
        return bce, attention, active

    def load(self, batches: Sequence[Sequence[int]]) -> Iterator[Loaded]:
        """Yield this process's micro-batches of these effective batches, in their order."""
        mine = [part for batch in batches for part in self.team.share(micro_batches(batch, self.settings.micro_batch))]
        yield from load(self.training, mine, self.device, self.settings.workers)

    def step(self, batch: Sequence[int], loaded: Iterator[Loaded], number: int = 0) -> Tensor:
        """Take one optimiser step on an effective batch; return its loss parts [3] (float64, on the CPU).

        Args:
            batch: which cases it is of.
            loaded: yields this process's micro-batches of it.
            number: the step's place in its epoch.
        """
        covid = sum(self.training.labels[index] for index in batch)
        parts = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.optimiser.zero_grad(set_to_none=True)
        places = range(len(micro_batches(batch, self.settings.micro_batch)))
        for place in self.team.share(places):
            images, masks, labels = next(loaded)
            images, masks = self.augment(*self.to_device(images, masks), number, place)
            with self.precision(images):
                output = self.forward(images)
            loss = self.loss(output, self.network.fc.weight, labels.to(self.device), masks, len(batch), covid)
            loss.total.backward()
            parts += torch.stack([loss.bce, loss.attention, loss.active_fraction]).detach().double()
        self.team.add_gradients(self.network)
        self.optimiser.step()
        self.schedule.step()
        return self.team.add(parts.cpu(), self.device)

    def augment(self, images: Tensor, masks: Tensor, step: int, place: int) -> tuple[Tensor, Tensor]:
        """Return other copies of a micro-batch; they depend on seed, epoch, step and place alone."""
        seed = np.random.SeedSequence([self.settings.seed, self.epoch, step, place])
        self.random.manual_seed(int(seed.generate_state(1)[0]))
        return AUGMENTATIONS[self.settings.augmentation](images, masks, self.random)

    def precision(self, images: Tensor) -> AbstractContextManager[object]:
        """Return the context in which the network runs: mixed precision where it is wanted and can be had."""
        cells = min(math.ceil(size / STRIDE) for size in images.shape[2:])
        return autocast(self.device) if self.settings.mixed_precision and cells >= LEAST_CELLS else nullcontext()

    def validate(self) -> tuple[float, float]:
        """Return the validation BCE and AUC."""
        from ..evaluation.metrics import auc

        settings = self.settings
        logits = predict(self.network, self.validation, settings.micro_batch, self.device, settings.workers)
        labels = torch.tensor(self.validation.labels, dtype=torch.float64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return float(loss), auc(torch.sigmoid(logits).numpy(), labels.numpy())

    def judge(self, epoch: Epoch) -> None:
        """Keep an epoch in the history, and its weights where they are the best so far."""
        if not math.isfinite(epoch.validation_loss):
            raise InputError(f"{self.name}: the weights are no numbers any more after epoch {epoch.epoch + 1}")
        self.history.append(epoch)
        if epoch == max(self.history, key=lambda epoch: epoch.quality):
            weights = self.network.state_dict()
            self.best_weights = {key: value.detach().cpu().clone().contiguous() for key, value in weights.items()}

    def step_ended(self, step: Step) -> None:
        """Do nothing: a place to write it down."""

    def epoch_ended(self) -> None:
        """Do nothing: a place to write `history` and `state` down; `epoch` counts the epochs that are done."""

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on, as plain tensors, numbers, lists and dicts."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best_weights": self.best_weights,
            "history": [epoch._asdict() for epoch in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.best_weights = {name: value.cpu() for name, value in state["best_weights"].items()}
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.epoch = int(state["epoch"])

    def to_device(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Bring stored images and infections [N,1,D,H,W] to the device as float32 in [0, 1], images channels last."""
        there = (part.to(self.device, non_blocking=True) for part in (images, masks))
        images, masks = as_shares(*there)
        return images.contiguous(memory_format=torch.channels_last_3d), masks


@torch.no_grad()
def predict(
    network: ResNet34,
    dataset: PreparedDataset,
    batch: int,
    device: torch.device,
    workers: int = 0,
    told: Callable[[float], None] | None = None,
) -> Tensor:
    """Return the logits [N] (float64, on the CPU) of a dataset in its own order, computed in float32 as `ask` does.

    `told` is called with the share of the dataset that is done.
    """
    network.eval()
    parts = [range(i, min(i + batch, len(dataset))) for i in range(0, len(dataset), batch)]
    logits = [torch.empty(0, device=device)]
    with exact():
        for images, masks, _ in load(dataset, parts, device, workers):
            images, _ = as_shares(images.to(device, non_blocking=True), masks)
            logits.append(network(images.contiguous(memory_format=torch.channels_last_3d)).logit)
            if told is not None:
                told((len(logits) - 1) / len(parts))
    return torch.cat(logits).double().cpu()


def load(
    dataset: PreparedDataset, parts: Sequence[Sequence[int]], device: torch.device, workers: int
) -> Iterator[Loaded]:
    """Yield these micro-batches as they lie on the disk; for a GPU, from `workers` processes and in pinned memory.

    Raises:
        InputError: a file is gone or damaged.
    """
    on_gpu = device.type == "cuda"
    loader: DataLoader[Any] = DataLoader(
        dataset.stored,
        batch_sampler=[list(part) for part in parts],
        num_workers=min(workers, len(parts)) if on_gpu else 0,
        pin_memory=on_gpu,
    )
    try:
        yield from loader
    except InputError as error:  # from a process of the loader it comes with a traceback before it
        raise InputError(str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]) from None


def micro_batches(batch: Sequence[int], size: int) -> list[list[int]]:
    """Cut one effective batch; the last part takes a lone rest, as batch statistics need two cases."""
    parts = [list(batch[i : i + size]) for i in range(0, len(batch), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [parts[-2] + parts[-1]]
    return parts


def _within_fit(progress: Progress, name: str, epoch: int, epochs: int) -> Callable[[float], None]:
    """Return what passes an epoch's progress on as that of the whole fit."""

    def told(done: float) -> None:
        progress(name, (epoch + done) / epochs)

    return told
