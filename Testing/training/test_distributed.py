"""Two processes that share a batch find the gradients of one that accumulates its micro-batches."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.training.distributed import ALONE, Team, joined
from DualSamplingCOVIDLib.training.fit import Trainer, micro_batches
from DualSamplingCOVIDLib.training.prepared import PreparedDataset
from training.runs import CPU, a_run

BATCH = [0, 1, 2, 3, 4]


def _trainer(folder: Path, team: Team) -> Trainer:
    from DualSamplingCOVIDLib.training.run import load_run

    run = load_run(folder)
    training, validation, _ = (PreparedDataset(cases) for cases in run.split(0))
    settings = run.config.changed(batch=5).settings("attention-us", 0)
    return Trainer(settings, training, validation, CutOffs(), CPU, team)


def _stepped(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Take one step and return gradients, loss parts, the weights after it and the running statistics."""
    trainer.network.train()
    parts = trainer.step(BATCH, trainer.load([BATCH]))
    trainer.team.take_running_statistics(trainer.network)
    found = {f"gradient {name}": p.grad for name, p in trainer.network.named_parameters() if p.grad is not None}
    return {**found, **trainer.network.state_dict(), "parts": parts}


def _work(rank: int, size: int, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with joined(CPU) as (team, device):
        assert (team.rank, team.size, device) == (rank, size, CPU)
        assert team.told(7 + rank, device) == 7
        torch.save(_stepped(_trainer(folder, team)), folder / f"rank-{rank}.pt")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are rounded in the order of the threads that take part."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_two_processes_find_the_gradients_of_one(one_thread: None, tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_work, (2, tmp_path / "run", port), nprocs=2)
    alone = _stepped(_trainer(tmp_path / "run", ALONE))
    first, second = (torch.load(tmp_path / "run" / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    largest = 0.0
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        if name.startswith("gradient") or name == "parts":
            largest = max(largest, float((value - alone[name]).abs().max()))
            torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-5)
    seen_by_rank_0 = _trainer(tmp_path / "run", ALONE)
    images, masks, _ = next(seen_by_rank_0.load([BATCH]))
    images, _ = seen_by_rank_0.augment(*seen_by_rank_0.to_device(images, masks), 0, 0)
    seen_by_rank_0.network.train()(images)
    torch.testing.assert_close(first["bn1.running_mean"], seen_by_rank_0.network.state_dict()["bn1.running_mean"])
    assert not torch.allclose(first["bn1.running_mean"], alone["bn1.running_mean"])
    print(f"largest difference between one process and two: {largest:.1e}")


def test_micro_batches_are_dealt_out_and_one_process_may_get_none() -> None:
    parts = micro_batches(BATCH, 2)
    assert parts == [[0, 1], [2, 3, 4]]
    assert [Team(rank, 2).share(parts) for rank in range(2)] == [[[0, 1]], [[2, 3, 4]]]
    assert Team(1, 2).share(parts[:1]) == []


def test_without_the_launcher_a_process_is_alone() -> None:
    with joined(CPU) as (team, device):
        assert team == ALONE and device == CPU
