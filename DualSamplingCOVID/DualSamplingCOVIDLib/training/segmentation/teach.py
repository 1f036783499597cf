"""The whole run: phantoms, the coarse network, its guides and the fine network."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from ...errors import InputError
from ...network.vbnet import COARSE_INPUTS, FINE_INPUTS, VBNet
from ...progress import Progress, silent
from .cases import plan_phantoms, write_cases
from .fit import FineLoss, Fit, Fitted, SegmentationLoss
from .guides import overviews, write_guides
from .patches import Chests, Patches
from .recipe import Recipe

GUIDES = "guides"


class Taught(NamedTuple):
    """Both networks' fits, the seconds that the phantoms and their guides took, and how many were learned from."""

    coarse: Fitted
    fine: Fitted
    phantom_seconds: float
    guide_seconds: float
    phantoms: int


def teach(recipe: Recipe, folder: Path, device: torch.device, progress: Progress = silent, workers: int = 0) -> Taught:
    """Make the recipe's phantoms in `folder` and fit both networks there; what is already there is gone on from.

    Raises:
        InputError: `folder` holds another recipe's work, or a checkpoint that cannot be read.
    """
    claim(folder, recipe)
    plan = plan_phantoms(recipe.phantoms, recipe.seed, [Path(file) for file in recipe.backgrounds])
    with _spending(folder / "phantoms.json") as phantom_seconds:
        files = write_cases(folder / "cases", plan, recipe.variety, progress)
    coarse = _fit_coarse(recipe, files, folder, device, progress, workers)
    network = VBNet(COARSE_INPUTS, 2, recipe.coarse.width)
    network.load_state_dict(coarse.state)
    with _spending(folder / "guides.json") as guide_seconds:
        write_guides(folder / GUIDES, network.to(device), files, device, progress)
    fine = fit_fine(recipe, files, folder, device, progress, workers)
    return Taught(coarse, fine, phantom_seconds(), guide_seconds(), len(files))


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
    cases: Sequence[Path],
    folder: Path,
    device: torch.device,
    progress: Progress,
    workers: int,
) -> Fitted:
    stage = recipe.coarse
    torch.manual_seed(recipe.seed)
    samples = Chests(cases, stage.patch, stage.steps * stage.batch, recipe.seed, recipe.acquisition)
    network = VBNet(COARSE_INPUTS, 2, stage.width)
    loss = SegmentationLoss()
    fit = Fit("the coarse network", network, samples, stage, loss, folder / "coarse.checkpoint", device, workers)
    return fit.run(progress)


def fit_fine(
    recipe: Recipe,
    cases: Sequence[Path],
    folder: Path,
    device: torch.device,
    progress: Progress,
    workers: int = 0,
) -> Fitted:
    """Fit the fine network on the cases; `folder` holds their guides (see `write_guides`), and gets the checkpoint."""
    stage = recipe.fine
    seen = overviews(cases, folder / GUIDES, progress)
    torch.manual_seed(recipe.seed + 1)
    samples = Patches(seen, stage.patch, stage.steps * stage.batch, recipe.seed + 1, recipe.acquisition)
    network = VBNet(FINE_INPUTS, 2, stage.width)
    loss = FineLoss()
    fit = Fit("the fine network", network, samples, stage, loss, folder / "fine.checkpoint", device, workers)
    return fit.run(progress)
