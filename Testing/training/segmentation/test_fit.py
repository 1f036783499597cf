"""The fit of a segmentation network: a resumed run ends bit for bit as an undisturbed one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.network.vbnet import VBNet
from DualSamplingCOVIDLib.training.segmentation.fit import FineLoss, Fit, SegmentationLoss
from DualSamplingCOVIDLib.training.segmentation.recipe import Stage

STAGE = Stage(width=8, patch=48, batch=1, steps=12, learning_rate=3e-3)


class _Cubes(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __len__(self) -> int:
        return self.amount

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(index)
        shares = torch.zeros(2, 48, 48, 48)
        shares[0, 8:40, 8:40, 8:40] = 1
        shares[1, 16:30, 16:30, 16:30] = 1
        image = 0.1 * torch.randn(2, 48, 48, 48, generator=random)
        return image + shares, shares


def _fit(folder: Path, steps: int = STAGE.steps) -> Fit:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    loss = SegmentationLoss()
    stage, samples = replace(STAGE, steps=steps), _Cubes(steps * STAGE.batch)
    return Fit("the network", VBNet(2, 2, 8), samples, stage, loss, folder / "a.checkpoint", torch.device("cpu"))


class _Interrupted(Exception):
    pass


@pytest.mark.parametrize(("stop_at", "kept"), [(1, 0), (5, 4), (9, 8), (11, 10)])
def test_an_interrupted_fit_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch, stop_at: int, kept: int) -> None:
    """What is kept is every second step, and the last."""
    monkeypatch.setattr("DualSamplingCOVIDLib.training.segmentation.fit.SAVE_EVERY", 2)
    whole = _fit(tmp_path / "whole").run()

    def stop(stage: str, fraction: float) -> None:
        if fraction >= stop_at / STAGE.steps:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        _fit(tmp_path / "parts").run(stop)
    resumed = _fit(tmp_path / "parts")
    assert resumed.steps == kept
    ended = resumed.run()
    assert all(torch.equal(ended.state[name], tensor) for name, tensor in whole.state.items())


def test_a_finished_fit_is_not_done_again(tmp_path: Path, monkeypatch) -> None:
    first = _fit(tmp_path).run()
    again = _fit(tmp_path)
    monkeypatch.setattr(again, "step", lambda *_: pytest.fail("a step was taken"))
    assert all(torch.equal(again.run().state[name], tensor) for name, tensor in first.state.items())


def test_what_is_given_is_the_mean_of_the_weights_over_the_steps(tmp_path: Path) -> None:
    """Over an eighth of them: here two of sixteen."""
    fit, seen = _fit(tmp_path, 16), []
    fitted = fit.run(lambda *_: seen.append(fit.network.head.bias.detach().clone()))
    mean = seen[0]
    for bias in seen[1:]:
        mean = (mean + bias) / 2
    torch.testing.assert_close(fitted.state["head.bias"], mean)
    assert not torch.equal(mean, seen[-1])


def test_the_log_has_a_line_a_step(tmp_path: Path) -> None:
    _fit(tmp_path).run()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(losses) == STAGE.steps and losses[-1] < losses[0]


def test_the_learning_rate_rises_over_a_fiftieth_of_the_steps_and_falls_over_the_rest(tmp_path: Path) -> None:
    fit = _fit(tmp_path)
    fit.stage = Stage(8, 48, 1, 1000)
    assert [round(fit.rate(step), 3) for step in (0, 9, 19, 264, 509, 999)] == [0.05, 0.5, 1.0, 0.75, 0.5, 0.01]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half of one"])
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.checkpoint").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.checkpoint: cannot be gone on from .*delete it"):
        _fit(tmp_path)


def test_a_loss_that_is_no_number_ends_the_fit_with_a_sentence(tmp_path: Path) -> None:
    fit = _fit(tmp_path)
    with torch.no_grad():
        fit.network.head.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers any more"):
        fit.run()


def test_each_head_has_its_own_dice_and_cross_entropy() -> None:
    """MONAI's loss takes several channels for exclusive classes; these are not: by hand for two voxels."""
    logits = torch.tensor([2.0, -1.0, 0.5, 3.0]).view(1, 2, 1, 1, 2)
    shares = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 2, 1, 1, 2)
    p = torch.sigmoid(logits).view(2, 2)
    s, parts = shares.view(2, 2), []
    for head in (0, 1):
        dice = 1 - 2 * (p[head] * s[head]).sum() / (p[head].sum() + s[head].sum())
        entropy = -(s[head] * p[head].log() + (1 - s[head]) * (1 - p[head]).log()).mean()
        parts.append(dice + entropy)
    torch.testing.assert_close(SegmentationLoss()(logits, shares), torch.stack(parts).mean(), rtol=1e-4, atol=0)


def _cost(found: Tensor, shares: Tensor) -> float:
    """Dice's part of the loss of a mask that is sure of itself."""
    logits = 40 * found - 20
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, shares)
    return float(SegmentationLoss()(logits, shares) - entropy)


@pytest.fixture
def two_patches() -> Tensor:
    """A lesion of 60800 voxels in one, of 1000 in the other."""
    shares = torch.zeros(2, 1, 48, 48, 48)
    shares[0, 0, 4:44, 4:44, 4:42] = 1
    shares[1, 0, 8:18, 8:18, 8:18] = 1
    return shares


def test_dice_is_that_of_the_whole_step(two_patches: Tensor) -> None:
    missed = two_patches.clone()
    missed[1] = 0
    assert _cost(missed, two_patches) == pytest.approx(1 - 2 * 60800 / (2 * 60800 + 1000), abs=1e-3)
    assert _cost(two_patches, two_patches) == pytest.approx(0.0, abs=1e-3)


def test_infection_counts_in_the_lungs_and_in_their_hollows() -> None:
    shares = torch.zeros(1, 2, 48, 48, 48)
    shares[:, 0, 10:30, 10:30, 10:40] = 1
    shares[:, 0, 17:24] = 0
    shares[:, 1, 12:16, 12:18, 12:18] = 1
    right, costs = 40 * shares - 20, []
    for where in (None, 40, 26, 20):  # nowhere; in the heart; in the lungs; between them, as the hilum's arteries are
        logits = right.clone()
        if where:
            logits[0, 1, where : where + 1, 12:30, 12:30] = 20
        costs.append(float(FineLoss()(logits, shares)))
    assert costs[1] == pytest.approx(costs[0], abs=1e-6) and min(costs[2:]) > costs[0] + 0.1
