"""Several processes that share each effective batch: PyTorch's own launcher (torchrun) starts them.

Every process holds the whole network and takes its share of a batch's micro-batches. Loss parts are normalised over
the effective batch already, so gradients only have to be added up; the result is that of one process that accumulates
all micro-batches. Batch statistics are those of each micro-batch, running statistics those that rank 0 has seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

Part = TypeVar("Part")

PATIENCE = timedelta(days=2)
"""How long the others wait while rank 0 prepares the cases or validates."""


@dataclass(frozen=True)
class Team:
    """One of `size` processes that train one network together; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0

    def share(self, parts: Sequence[Part]) -> list[Part]:
        """Return which of a batch's micro-batches this process takes; it may be none."""
        return list(parts[self.rank :: self.size])

    def add_gradients(self, network: nn.Module) -> None:
        """Give every process the sum of all gradients; a process without a share adds nothing."""
        if self.size == 1:
            return
        gradients = []
        for parameter in network.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        self._add(gradients)

    def add(self, values: Tensor, device: torch.device) -> Tensor:
        """Return the sum of all processes' values (float64, on the CPU)."""
        if self.size == 1:
            return values
        total = values.to(device)
        distributed.all_reduce(total)
        return total.cpu()

    def take_running_statistics(self, network: nn.Module) -> None:
        """Give every process rank 0's running statistics."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def told(self, number: int, device: torch.device) -> int:
        """Return rank 0's number: what one process alone can know is decided by it."""
        if self.size == 1:
            return number
        value = torch.tensor([number], device=device)
        distributed.broadcast(value, 0)
        return int(value)

    def wait(self) -> None:
        """Go on when all are here."""
        if self.size > 1:
            distributed.barrier()

    def _add(self, gradients: list[Tensor]) -> None:
        """Sum in one message: many small ones would wait for each other."""
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.reshape(gradient.shape))


ALONE = Team()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """Join the processes that torchrun started, and give this one's place and device; alone without torchrun.

    Args:
        device: the kind to compute on; of several GPUs each process of a machine takes its own.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
