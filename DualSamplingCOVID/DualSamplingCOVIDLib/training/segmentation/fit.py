"""Fitting one VB-Net: Dice and cross-entropy for each head, averaged weights, resumable at any step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Subset

from ...errors import InputError
from ...network.device import autocast
from ...network.vbnet import VBNet, closed
from ...progress import Progress, silent
from ...storage import write_whole
from ..muon import Muon
from .guides import HOLLOW_VOXELS
from .recipe import Stage

WARM = 0.02
"""The share of the steps over which the learning rate rises; from then on it falls to `LEAST_RATE`."""
LEAST_RATE = 0.01
AVERAGED_OVER = 100
"""The mean of the weights over about so many steps, or an eighth of them where they are few, is what a fit gives."""
SAVE_EVERY = 50
LARGEST_GRADIENT = 2.0
NEVER = -30.0
"""The logit of what is not there."""


class Fitted(NamedTuple):
    """The averaged weights, and the seconds that the fit took in all its runs."""

    state: dict[str, Tensor]
    seconds: float


class SegmentationLoss(nn.Module):
    """Dice (MONAI) + cross-entropy for each head by itself, in float32.

    Dice is that of the whole step: counted patch by patch, learning took twice as long. A loss that was strict about
    small false findings taught the network to overlook small lesions of people.
    """

    def __init__(self) -> None:
        """Build the loss."""
        super().__init__()
        from monai.losses import DiceLoss

        self.dice = DiceLoss(sigmoid=True, batch=True, reduction="none")

    def forward(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Return the mean over the heads of logits [N,C,D,H,W] against shares in [0, 1] of the same shape."""
        return self.dice(logits, shares).mean() + _cross_entropy(logits, shares)


class FineLoss(SegmentationLoss):
    """The same for lungs and infection, which counts in the lungs and in their hollows (up to 28 mm wide).

    Elsewhere the segmenter does not look for it: what is lung and what is heart, the lungs' head says. Made to tell
    consolidation from a heart or a chest wall, a network learns hardly anything of lesions; never told of the hilum's
    arteries, it takes them for lesions.
    """

    def forward(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Count infection (the second head) where there is lung, and between it."""
        inside = closed((shares[:, :1] > 0).float(), HOLLOW_VOXELS) > 0
        infection = torch.where(inside, logits[:, 1:], NEVER)
        return super().forward(torch.cat([logits[:, :1], infection], 1), shares)


def _cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the mean over the heads; of each over the voxels that count."""
    entropy = F.binary_cross_entropy_with_logits(logits, shares, reduction="none").transpose(0, 1).flatten(1)
    counted = (logits > NEVER).transpose(0, 1).flatten(1).sum(1)
    return (entropy.sum(1) / counted.clamp(min=1)).mean()


class Fit:
    """One network's fit; each step is a method of its own, to be overridden one by one.

    All that it needs to go on is in `checkpoint`, plain tensors and numbers, written whole or not at all.
    """

    def __init__(
        self,
        name: str,
        network: VBNet,
        samples: Dataset[tuple[Tensor, Tensor]],
        stage: Stage,
        loss: SegmentationLoss,
        checkpoint: Path,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        """Prepare the fit; `samples` holds `stage.steps * stage.batch` items, in the order they are learned from."""
        self.name, self.stage, self.samples, self.checkpoint = name, stage, samples, checkpoint
        self.device, self.workers = device, workers
        self.network = network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.loss = loss.to(device)
        over = min(AVERAGED_OVER, max(1, stage.steps // 8))
        self.averaged = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(1 - 1 / over))
        self.optimiser = Muon(self.network, network.head, stage.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self.rate)
        self.steps, self.seconds = 0, 0.0
        if checkpoint.exists():
            self.resume()

    def rate(self, step: int) -> float:
        """Return the learning rate's share at a step: it rises, and falls."""
        done = (step + 1) / self.stage.steps
        return min(done / WARM, max(LEAST_RATE, (1 - done) / (1 - WARM)))

    def run(self, progress: Progress = silent) -> Fitted:
        """Fit to the end.

        Raises:
            InputError: the loss is no longer a number.
        """
        since = time.perf_counter()
        self.network.train()
        for image, shares in self.batches():
            loss = self.step(image, shares)
            self.steps += 1
            self.note(loss)
            if self.steps % SAVE_EVERY == 0 or self.steps == self.stage.steps:
                self.seconds, since = self.seconds + time.perf_counter() - since, time.perf_counter()
                self.save()
            progress(f"fitting {self.name}", self.steps / self.stage.steps)
        state = {key: value.detach().cpu().contiguous() for key, value in self.averaged.module.state_dict().items()}
        return Fitted(state, self.seconds)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches that are left, in their order."""
        left = range(self.steps * self.stage.batch, self.stage.steps * self.stage.batch)
        yield from DataLoader(
            Subset(self.samples, left),
            batch_size=self.stage.batch,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )

    def step(self, image: Tensor, shares: Tensor) -> float:
        """Take one step on input [N,inputs,D,H,W] and shares [N,C,D,H,W]; return the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(self.device):
            logits = self.network(image.to(self.device, non_blocking=True))
        loss = self.loss(logits.float(), shares.to(self.device, non_blocking=True))
        loss.backward()
        gradient = nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        if not torch.isfinite(loss + gradient):
            raise InputError(
                f"fitting {self.name}: loss or gradients are no numbers any more; try another seed, in another folder"
            )
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.network)
        return float(loss.detach())

    def note(self, loss: float) -> None:
        """Append a line of JSON to the log beside the checkpoint."""
        line = {"step": self.steps, "loss": round(loss, 5), "learning_rate": self.schedule.get_last_lr()[0]}
        with self.checkpoint.with_suffix(".jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write all that is needed to go on."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "steps": self.steps,
            "seconds": self.seconds,
        }
        write_whole(self.checkpoint, lambda path: torch.save(state, path))

    def resume(self) -> None:
        """Go on where the checkpoint stands.

        Raises:
            InputError: it cannot be read, or is of another recipe.
        """
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.last_epoch = state["schedule"]["last_epoch"]
            self.schedule._last_lr = [group["lr"] for group in self.optimiser.param_groups]
            self.steps, self.seconds = state["steps"], state["seconds"]
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise InputError(f"{self.checkpoint}: cannot be gone on from ({reason}); delete it to start anew") from None
