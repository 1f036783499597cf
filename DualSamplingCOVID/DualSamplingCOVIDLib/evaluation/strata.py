"""The cut-offs of the infection ratio, refitted for other segmenters than the paper's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..diagnosis import CutOffs


@dataclass(frozen=True)
class Proportions:
    """Which share of a pneumonia cohort has a ratio below `minimal`, below `small` and above `large`."""

    below_minimal: float
    below_small: float
    above_large: float

    def __post_init__(self) -> None:
        if not 0 < self.below_minimal < self.below_small < 1 - self.above_large < 1:
            raise ValueError(f"the shares leave a stratum empty: {self}")


PAPER_PROPORTIONS = Proportions(below_minimal=0.30, below_small=989 / 2186, above_large=696 / 2186)
"""The TV set's: strata from Table III's counts; below `minimal` derived from "approximately 1.5" (section III-C), which
makes 60 % of the 1092 CAP smaller (the few COVID-19 cases there are not reported)."""


def proportions(ratios: ArrayLike, cut_offs: CutOffs) -> Proportions:
    """Return the shares of a cohort whose ratios are trusted, such as a phantom's true ones.

    Raises:
        ValueError: a stratum is empty.
    """
    r = np.asarray(ratios, dtype=np.float64)
    if not len(r):
        raise ValueError("there are no ratios")
    return Proportions(
        below_minimal=float(np.mean(r < cut_offs.minimal)),
        below_small=float(np.mean(r < cut_offs.small)),
        above_large=float(np.mean(r > cut_offs.large)),
    )


def fit_cut_offs(ratios_found: ArrayLike, reference: Proportions = PAPER_PROPORTIONS) -> CutOffs:
    """Return cut-offs at which a segmenter's ratios fall into strata of the reference's proportions.

    Args:
        ratios_found: infection ratios [case] of the pneumonia cases, as the segmenter finds them (normals left out).
        reference: the shares to keep: the paper's, or `proportions` of the true ratios.

    Ties (many ratios of 0) are parted just above them, since cut-offs must rise between 0 and 1.

    Raises:
        ValueError: no ratio is above 0, or the largest are 1.
    """
    found = np.asarray(ratios_found, dtype=np.float64)
    positive = found[found > 0]
    if not len(positive):
        raise ValueError("no case has an infection ratio above 0: cut-offs cannot be fitted")
    shares = [reference.below_minimal, reference.below_small, 1 - reference.above_large]
    minimal, small, large = (float(cut) for cut in np.quantile(found, shares))
    minimal = max(minimal, float(positive.min()) / 2)
    small = max(small, minimal * (1 + 1e-6))
    large = max(large, small * (1 + 1e-6))
    if large >= 1:
        raise ValueError("the largest infection ratios are 1: do lungs and infection name the same mask?")
    return CutOffs(minimal, small, large)
