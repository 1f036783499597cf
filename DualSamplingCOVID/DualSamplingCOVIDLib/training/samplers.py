"""Which cases an epoch shows, and in which order: uniform and size-balanced sampling (section III-C).

An order depends on the seed and the epoch alone, so that a resumed training sees what an unbroken one would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from ..diagnosis import CutOffs

GROUPS = ("COVID-19 small", "COVID-19 large", "CAP small", "CAP large")


@dataclass(frozen=True)
class SizeBalanced:
    """The four groups of size-balanced sampling, in the order of `GROUPS`.

    `weights` are the paper's ratios, not below 1 and 0 for an empty group; `probabilities` are those over their sum.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    probabilities: tuple[float, ...]


def uniform_order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """Return a permutation of `count` case indices."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def group_of(labels: Sequence[int], ratios: Sequence[float], cut_offs: CutOffs) -> NDArray[np.int64]:
    """Return each case's index into `GROUPS`.

    COVID-19 (label 1) is small where its infection ratio is below `cut_offs.large`, CAP (label 0) is large
    where it is above `cut_offs.minimal`.

    Raises:
        ValueError: no case, unequal lengths, a label other than 0 and 1, or a ratio outside [0, 1].
    """
    covid, ratio = np.asarray(labels), np.asarray(ratios, dtype=np.float64)
    if covid.size == 0 or covid.shape != ratio.shape:
        raise ValueError(f"every case needs a label and a ratio, got {covid.size} labels and {ratio.size} ratios")
    if not np.isin(covid, (0, 1)).all() or not ((ratio >= 0) & (ratio <= 1)).all():
        raise ValueError("labels must be 0 or 1, and infection ratios must lie between 0 and 1")
    return np.where(covid == 1, ratio >= cut_offs.large, 2 + (ratio > cut_offs.minimal)).astype(np.int64)


def group_probabilities(labels: Sequence[int], ratios: Sequence[float], cut_offs: CutOffs) -> SizeBalanced:
    """Weigh the groups: N_large/N_small for small COVID-19, N_small/N_large for large CAP, 1 for the others.

    A weight below 1 is raised to 1, and an empty group gets none. Arguments and errors are those of `group_of`.
    """
    counts = np.bincount(group_of(labels, ratios, cut_offs), minlength=len(GROUPS))
    covid_small, covid_large, cap_small, cap_large = counts
    wanted = np.array([covid_large / max(covid_small, 1), 1.0, 1.0, cap_small / max(cap_large, 1)])
    weights = np.where(counts > 0, np.maximum(wanted, 1.0), 0.0)
    return SizeBalanced(tuple(counts.tolist()), tuple(weights.tolist()), tuple((weights / weights.sum()).tolist()))


class UniformSampler(Sampler[int]):
    """Uniform sampling (US): each case once per epoch, in an order of its own."""

    def __init__(self, count: int, seed: int) -> None:
        """Sample `count` cases, beginning with epoch 0."""
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of cases."""
        return self.count

    def __iter__(self) -> Iterator[int]:
        """Yield the epoch's case indices."""
        return iter(uniform_order(self.count, self.epoch, self.seed).tolist())


class SizeBalancedSampler(Sampler[int]):
    """Size-balanced sampling (SS): a group by its probability, then one of its cases, with replacement.

    An epoch has as many draws as there are cases.
    """

    def __init__(self, labels: Sequence[int], ratios: Sequence[float], cut_offs: CutOffs, seed: int) -> None:
        """Sample cases with these labels and infection ratios, beginning with epoch 0; errors as in `group_of`."""
        self.balance = group_probabilities(labels, ratios, cut_offs)
        group = group_of(labels, ratios, cut_offs)
        self._by_group = np.argsort(group, kind="stable")
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of draws in an epoch."""
        return len(self._by_group)

    def __iter__(self) -> Iterator[int]:
        """Yield the epoch's case indices."""
        rng = np.random.default_rng([self.seed, self.epoch])
        counts = np.array(self.balance.counts)
        drawn = rng.choice(len(GROUPS), size=len(self), p=self.balance.probabilities)
        first = np.cumsum(counts) - counts
        return iter(self._by_group[first[drawn] + rng.integers(counts[drawn])].tolist())
