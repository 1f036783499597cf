"""How one model is fitted: every hyperparameter, checked; the defaults are the paper's (section IV-C)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .augmentation import AUGMENTATIONS

SAMPLINGS = ("US", "SS")
KINDS = ("attention", "baseline")
OPTIMISERS = ("adam", "muon")
SCHEDULES = ("steps", "one-cycle")
OF_THE_MACHINE = frozenset({"threads", "workers", "compile"})
"""Settings that may differ from one sitting to the next, and from one computer to another that shares the run."""


@dataclass(frozen=True)
class Settings:
    """How one model is fitted; the defaults are the paper's.

    `optimiser` is "adam" or "muon", which gets further in few epochs (with a `learning_rate` of 1e-2); `beta_1`,
    `beta_2` and `weight_decay` are Adam's, or AdamW's, to which Muon leaves the last layer, biases and norms.
    `schedule` is "steps" (the learning rate falls by `decay` after every `decay_epochs` epochs; 0 is a quarter of all:
    every 5 of the paper's 20) or "one-cycle" (it rises to `learning_rate` and falls again: for few cases).
    `augmentation` is one of `AUGMENTATIONS`. `micro_batch` cases go through the network at a time; gradients add up to
    `batch`. `attention_weight` is Eq. 4's, `alpha` and `beta` are Eq. 2's. `mixed_precision` computes in bfloat16 where
    the hardware does; `workers` processes load cases for a GPU.
    """

    sampling: str = "US"
    kind: str = "attention"
    width: int = 64
    epochs: int = 20
    batch: int = 20
    micro_batch: int = 4
    optimiser: str = "adam"
    learning_rate: float = 2e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    weight_decay: float = 1e-4
    schedule: str = "steps"
    decay: float = 0.1
    decay_epochs: int = 0
    attention_weight: float = 0.5
    alpha: float = 100.0
    beta: float = 0.4
    augmentation: str = "none"
    mixed_precision: bool = True
    compile: bool = False
    workers: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("sampling", SAMPLINGS),
            ("kind", KINDS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("augmentation", tuple(AUGMENTATIONS)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("width", "epochs", "batch", "micro_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("decay_epochs", "workers", "seed", "weight_decay", "attention_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("learning_rate", "alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("beta_1", "beta_2", "beta"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {self.decay}")
