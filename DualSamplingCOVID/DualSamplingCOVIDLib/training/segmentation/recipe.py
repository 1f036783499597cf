"""What a run of `train-segmenter` is made of."""

from __future__ import annotations

from dataclasses import dataclass

from ...network.vbnet import COARSE_SIDE, STRIDE
from ...phantom.variety import TAUGHT, Variety

LEAST_PATCH = 3 * STRIDE
"""On grids of 2 x 2 x 2 voxels the bfloat16 convolutions of PyTorch 2.13 on CPUs give gradients that are no numbers."""


@dataclass(frozen=True)
class Stage:
    """How one of the two networks is fitted.

    `patch` voxels a side are seen at a time, `batch` of them a step. `width` is VB-Net's.
    """

    width: int
    patch: int
    batch: int
    steps: int
    learning_rate: float = 1.5e-2

    def __post_init__(self) -> None:
        if self.patch % STRIDE or self.patch < LEAST_PATCH:
            raise ValueError(f"patch must be a multiple of {STRIDE} and at least {LEAST_PATCH}, got {self.patch}")


@dataclass(frozen=True)
class Recipe:
    """Phantoms, seeds and both stages; the same recipe on the same machine gives the same weights.

    `calibration` phantoms, never learned from, give cut-offs, figures and the detection limit (of 300, ten normal ones
    lie above it). `variety` and `acquisition` (the scanner's variety on every patch) are switched off in parts by the
    study of what matters. `backgrounds` are real CTs without disease that half of the phantoms are laid into. `edition`
    goes up whenever phantoms or fit change: work that was begun before is then not gone on with.
    """

    phantoms: int
    coarse: Stage
    fine: Stage
    calibration: int = 300
    seed: int = 2020
    variety: Variety = TAUGHT
    acquisition: bool = True
    backgrounds: tuple[str, ...] = ()
    edition: int = 3


RECIPES = {
    "cpu": Recipe(632, Stage(8, COARSE_SIDE, 2, 800), Stage(8, 48, 4, 5000)),
    "gpu": Recipe(2000, Stage(8, COARSE_SIDE, 8, 1000), Stage(8, 64, 8, 20000)),
    "study": Recipe(64, Stage(8, COARSE_SIDE, 2, 120), Stage(8, 48, 4, 360), calibration=30),
    "trial": Recipe(8, Stage(8, 48, 1, 4), Stage(8, 48, 1, 4), calibration=9),
}
"""82 minutes on two CPU cores that compute in bfloat16, two hours on others; an hour on one GPU and 16 cores, which see
19 times as much; a short one for the study of what matters; and one that only shows, in a minute, whether everything is
there. Wider networks learn more, and take longer than a reader waits."""
