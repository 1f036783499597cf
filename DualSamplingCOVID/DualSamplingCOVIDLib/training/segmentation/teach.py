"""The whole run: phantoms, the coarse and the fine network, and what held-out phantoms say of them."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import InputError
from ...network.vbnet import (
    COARSE_INPUTS,
    COARSE_SIDE,
    FINE_INPUTS,
    VBNet,
    coarsened,
    guided,
    padded,
    placed,
    position,
)
from ...progress import Progress, silent
from ...run_folder.volume import FULL_SHARE
from ...segmentation.morphology import box
from ...segmentation.working_grid import AIR_HU
from ..memory import keep_freed_memory
from .cases import plan_phantoms, read_case, write_cases
from .fit import FineLoss, Fit, Fitted, SegmentationLoss
from .guides import Overview, overviews, read_guide, write_guides
from .patches import Chests, Patches
from .recipe import Recipe

GUIDES = "guides"
ROUND_THE_LUNGS = 8
"""Voxels beside the lungs of held-out phantoms that the fine network is asked about."""
NORMAL_WEIGHT = 20.0
"""What a false infection ratio in normal lungs costs, against an infection Dice."""


class Taught(NamedTuple):
    """Both networks' fits, the seconds that making the phantoms took, and how many were learned from."""

    coarse: Fitted
    fine: Fitted
    seconds: float
    phantoms: int


def teach(recipe: Recipe, folder: Path, device: torch.device, progress: Progress = silent, workers: int = 0) -> Taught:
    """Make the recipe's phantoms in `folder` and fit both networks there; what is already there is gone on from.

    Raises:
        InputError: `folder` holds another recipe's work, or a checkpoint that cannot be read.
    """
    claim(folder, recipe)
    keep_freed_memory()
    plan = plan_phantoms(recipe.phantoms + recipe.held_out, recipe.seed, [Path(file) for file in recipe.backgrounds])
    with _spending(folder / "phantoms.json") as seconds_so_far:
        files = write_cases(folder / "cases", plan, recipe.variety, progress)
    seconds = seconds_so_far()
    learned, held_out = files[: recipe.phantoms], files[recipe.phantoms :]
    coarse = _fit_coarse(recipe, learned, held_out, folder, device, progress, workers)
    network = VBNet(COARSE_INPUTS, 2, recipe.coarse.width)
    network.load_state_dict(coarse.state)
    write_guides(folder / GUIDES, network.to(device), files, device, progress)
    fine = fit_fine(recipe, learned, held_out, folder, device, progress, workers)
    return Taught(coarse, fine, seconds, len(learned))


@contextmanager
def _spending(note: Path) -> Iterator[Callable[[], float]]:
    """Add the seconds spent inside to those of interrupted runs, kept in `note`; what is given tells the sum."""

    def so_far() -> float:
        return float(json.loads(note.read_text(encoding="utf-8"))["seconds"]) if note.exists() else 0.0

    start = time.perf_counter()
    try:
        yield so_far
    finally:
        note.write_text(json.dumps({"seconds": so_far() + time.perf_counter() - start}), encoding="utf-8")


def claim(folder: Path, recipe: Recipe) -> None:
    """Write the recipe into the folder, or hold it against the one that is there.

    Raises:
        InputError: the folder holds another recipe's work.
    """
    note, text = folder / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise InputError(f"{note}: of another recipe or seed; choose another folder for --work")
    note.write_text(text, encoding="utf-8")


def _fit_coarse(
    recipe: Recipe,
    learned: Sequence[Path],
    held_out: Sequence[Path],
    folder: Path,
    device: torch.device,
    progress: Progress,
    workers: int,
) -> Fitted:
    stage = recipe.coarse
    torch.manual_seed(recipe.seed)
    samples = Chests(learned, stage.patch, stage.steps * stage.batch, recipe.seed, recipe.acquisition)
    network = VBNet(COARSE_INPUTS, 2, stage.width)
    loss = SegmentationLoss()
    fit = Fit("the coarse network", network, samples, stage, loss, folder / "coarse.checkpoint", device, workers)
    return fit.run(lambda network: _coarse_score(network, held_out, device), recipe.checks, progress)


def fit_fine(
    recipe: Recipe,
    learned: Sequence[Path],
    held_out: Sequence[Path],
    folder: Path,
    device: torch.device,
    progress: Progress,
    workers: int = 0,
) -> Fitted:
    """Fit the fine network on the cases in `learned`; `held_out` ones choose among its looks.

    `folder` holds their guides (see `write_guides`) in `GUIDES`, and gets the checkpoint.
    """
    stage = recipe.fine
    seen = overviews([*learned, *held_out], folder / GUIDES, progress)
    learned_from, judged_by = seen[: len(learned)], seen[len(learned) :]
    torch.manual_seed(recipe.seed + 1)
    samples = Patches(learned_from, stage.patch, stage.steps * stage.batch, recipe.seed + 1, recipe.acquisition)
    network = VBNet(FINE_INPUTS, 2, stage.width)
    loss = FineLoss()
    fit = Fit("the fine network", network, samples, stage, loss, folder / "fine.checkpoint", device, workers)
    return fit.run(lambda network: _fine_score(network, judged_by, device), recipe.checks, progress)


@torch.inference_mode()
def _coarse_score(network: nn.Module, files: Sequence[Path], device: torch.device) -> float:
    """Mean Dice of the right and the left lung over the held-out phantoms."""
    scores = []
    for file in files:
        case = read_case(file)
        truth = coarsened(_shown(np.stack([case.right, case.left]), device) / FULL_SHARE)
        hu = coarsened(_shown(case.hu[None], device))
        found = _answer(network, placed(padded(hu, AIR_HU, COARSE_SIDE)), hu.shape)
        scores += [_dice(found[0, side] > 0.5, truth[0, side] > 0.5) for side in (0, 1)]
    return float(np.mean(scores))


@torch.inference_mode()
def _fine_score(network: nn.Module, cases: Sequence[Overview], device: torch.device) -> float:
    """Mean Dice of lungs and of infection, less what is taken for infection in normal lungs."""
    lungs, infections, false = [], [], []
    for seen in cases:
        case = read_case(seen.case)
        part = box(case.lungs > 0, margin=ROUND_THE_LUNGS)
        hu = _shown(case.hu[part][None], device)
        guide = _shown(read_guide(seen.guides, seen.case)[part][None], device) / FULL_SHARE
        near = padded(hu, AIR_HU)
        place = position(seen.chest, [side.start for side in part], near.shape[2:]).to(device)
        image = guided(near, padded(guide, 0.0), seen.chest.healthy_hu, place)
        found = _answer(network, image, hu.shape)[0] > 0.5
        inside = _shown(case.lungs[part], device) > FULL_SHARE // 2
        infected = _shown(case.infection[part], device) > FULL_SHARE // 2
        lungs.append(_dice(found[0], inside))
        if infected.any():
            infections.append(_dice(found[1] & found[0], infected))
        else:
            false.append(float((found[1] & found[0]).sum() / inside.sum()))
    return float(np.mean(lungs) + np.mean(infections or [0.0]) - NORMAL_WEIGHT * np.mean(false or [0.0]))


def _shown(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Bring an array to the device, as float32; one with channels first (4 axes) as a batch of one."""
    there = torch.from_numpy(np.array(array)).to(device).float()
    return there[None] if there.ndim == 4 else there


def _answer(network: nn.Module, image: Tensor, shape: torch.Size) -> Tensor:
    """Probabilities [1,C,D,H,W] of a padded input, cut to `shape`."""
    logits = network(image)
    return torch.sigmoid(logits.float())[..., : shape[2], : shape[3], : shape[4]]


def _dice(found: Tensor, truth: Tensor) -> float:
    total = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0
