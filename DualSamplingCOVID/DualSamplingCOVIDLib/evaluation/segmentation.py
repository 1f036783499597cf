"""How good masks are: against true masks (phantoms), and against what radiologists say of slices and lobes (real CTs).

Slices are counted from the feet up (slice 0 is the lowest), however the image is stored. Volumes, not voxels, are
pooled over cases, since each has a voxel size of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import CutOffs, Segmentation
from .metrics import auc
from .strata import fit_cut_offs, proportions

SMALL_RATIO = 0.005
LOWER_LOBES = ("RLL", "LLL")

Voxels = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """Volumes in ml of a found mask, a true one and what is in both; a figure without volume to stand on is NaN."""

    both: float = 0.0
    found: float = 0.0
    truth: float = 0.0

    def __add__(self, other: Overlap) -> Overlap:
        """Return the volumes of both cases together."""
        return Overlap(self.both + other.both, self.found + other.found, self.truth + other.truth)

    @property
    def dice(self) -> float:
        """Twice what is in both, over the sum of the two."""
        total = self.found + self.truth
        return 2 * self.both / total if total else math.nan

    @property
    def sensitivity(self) -> float:
        """Share of the true volume that was found."""
        return self.both / self.truth if self.truth else math.nan


@dataclass(frozen=True)
class SliceFigures:
    """One CT against its slice labels.

    The AUCs are over the lung-bearing slices: of the infected fraction, and of the lung's area alone, which a claim
    must beat. `labelled_found` is the share of all labelled slices that carry some infection, `others_found` that of
    the lung-bearing slices without a label.
    """

    fraction_auc: float
    area_auc: float
    labelled_found: float
    others_found: float


@dataclass(frozen=True)
class LowerShare:
    """Where in the lungs' height the infection lies; all are shares of its volume.

    `lowest_third` and `lower_half` are of the height between the lungs' lowest and highest slice; `labelled_lower` is
    what lies on that side and in those slices where a radiologist marked a lower lobe.
    """

    lowest_third: float
    lower_half: float
    labelled_lower: float


@dataclass(frozen=True)
class CaseFigures:
    """One phantom: overlaps with the true masks, and the infection ratios (truth on true lungs, found on found ones).

    `kinds` has the overlap of the FOUND INFECTION with each kind of lesion that the phantom shows (only its
    sensitivity means anything); `infection_in_lungs` is that of the FOUND LUNGS with the true infection.
    """

    lungs: Overlap
    infection: Overlap
    infection_in_lungs: Overlap
    kinds: Mapping[str, Overlap]
    true_ratio: float
    found_ratio: float


@dataclass(frozen=True)
class Averaged:
    """A figure over `cases` cases in both ways: of their volumes pooled, and as the mean of the single cases'."""

    pooled: float
    mean: float
    cases: int


@dataclass(frozen=True)
class FalseInfection:
    """The infection ratio found in lungs that have none; `limit` is its 95th percentile, the detection limit."""

    mean: float
    limit: float
    worst: float
    cases: int


def overlap(found: sitk.Image, truth: sitk.Image) -> Overlap:
    """Compare two masks (nonzero = inside) on one grid.

    Raises:
        ValueError: their sizes differ.
    """
    if found.GetSize() != truth.GetSize():
        raise ValueError(f"found {found.GetSize()} and truth {truth.GetSize()} must lie on one grid")
    a, b = (sitk.GetArrayViewFromImage(mask) != 0 for mask in (found, truth))
    return _overlap(a, b, truth)


def dice(found: sitk.Image, truth: sitk.Image) -> float:
    """Return the Dice of two masks on one grid; NaN where both are empty."""
    return overlap(found, truth).dice


def axial(mask: sitk.Image) -> Voxels:
    """Return a mask's voxels [k, j, i] with k rising to the head, j to the back and i to the patient's left."""
    return sitk.GetArrayFromImage(sitk.DICOMOrient(mask, "LPS")) != 0


def labelled_slices(slices: Iterable[int], count: int) -> Voxels:
    """Return whether each of `count` slices is in the list of slice numbers (lowest slice = 0)."""
    return np.isin(np.arange(count), list(slices))


def infected_fraction(lungs: Voxels, infection: Voxels) -> Floats:
    """Return the infected share of the lung in each slice, [k]; NaN where the slice bears no lung."""
    area = np.count_nonzero(lungs, axis=(1, 2))
    infected = np.count_nonzero(infection & lungs, axis=(1, 2))
    return np.where(area > 0, infected / np.maximum(area, 1), np.nan)


def slice_figures(lungs: Voxels, infection: Voxels, labelled: ArrayLike) -> SliceFigures:
    """Compare masks [k, j, i] with the slices that a radiologist labelled as infected, bool [k].

    Raises:
        ValueError: not one label a slice.
    """
    truth = np.asarray(labelled, dtype=bool)
    if truth.shape != lungs.shape[:1]:
        raise ValueError(f"labels {truth.shape} must be one for each of the {len(lungs)} slices")
    fraction = infected_fraction(lungs, infection)
    area = np.count_nonzero(lungs, axis=(1, 2))
    bearing = area > 0
    carries = np.nan_to_num(fraction) > 0
    return SliceFigures(
        fraction_auc=auc(fraction[bearing], truth[bearing]),
        area_auc=auc(area[bearing] / max(area.max(), 1), truth[bearing]),
        labelled_found=_mean(carries[truth]),
        others_found=_mean(carries[bearing & ~truth]),
    )


def share_below(lungs: Voxels, infection: Voxels, part: float) -> float:
    """Return the infection's share in the lowest `part` (0..1) of the lungs' height; masks [k, j, i].

    A slice that the limit cuts counts in proportion. NaN without lungs or infection.
    """
    bearing = np.flatnonzero(lungs.any(axis=(1, 2)))
    infected = np.count_nonzero(infection, axis=(1, 2))
    if not len(bearing) or not infected.any():
        return math.nan
    limit = bearing[0] + part * (bearing[-1] + 1 - bearing[0])
    within = np.clip(limit - np.arange(len(infected)), 0, 1)
    return float(infected @ within / infected.sum())


def lower_share(found: Segmentation, lobes: Mapping[str, Iterable[int]]) -> LowerShare:
    """Tell how much of the infection lies low, by height and by the labelled lobes.

    Args:
        found: Masks of one CT.
        lobes: Slice numbers (lowest slice = 0) that a radiologist marked for RUL, RML, RLL, LUL and LLL.
    """
    lungs, infection = axial(found.lungs), axial(found.infection)
    sides = (axial(found.right_lung), axial(found.left_lung))
    total = np.count_nonzero(infection)
    lower = 0
    for lobe, side in zip(LOWER_LOBES, sides, strict=True):
        marked = labelled_slices(lobes.get(lobe, ()), len(infection))
        lower += int(np.count_nonzero(infection[marked] & side[marked]))
    return LowerShare(
        lowest_third=share_below(lungs, infection, 1 / 3),
        lower_half=share_below(lungs, infection, 1 / 2),
        labelled_lower=lower / total if total else math.nan,
    )


def lower_marks(lobes: Mapping[str, Sequence[int]]) -> float:
    """Return the share of a radiologist's marks (one a lobe and slice) that are for a lower lobe; NaN without marks."""
    total = sum(len(slices) for slices in lobes.values())
    return sum(len(lobes.get(lobe, ())) for lobe in LOWER_LOBES) / total if total else math.nan


def by_kind(found: sitk.Image, kinds: sitk.Image, names: Mapping[int, str]) -> dict[str, Overlap]:
    """Compare the found infection with each kind of lesion.

    Args:
        found: Found infection (nonzero = inside).
        kinds: Label image on the same grid; 0 is no lesion.
        names: What each value of `kinds` is called.

    Returns:
        Overlap by name, only of the kinds that occur.

    Raises:
        ValueError: the sizes differ, or a value has no name.
    """
    if found.GetSize() != kinds.GetSize():
        raise ValueError(f"found {found.GetSize()} and kinds {kinds.GetSize()} must lie on one grid")
    labels = sitk.GetArrayViewFromImage(kinds)
    present = [int(value) for value in np.unique(labels) if value]
    if not set(present) <= set(names):
        raise ValueError(f"kinds holds {sorted(set(present) - set(names))}, which have no name")
    inside = sitk.GetArrayViewFromImage(found) != 0
    return {names[value]: _overlap(inside, labels == value, kinds) for value in present}


def case_figures(
    found: Segmentation,
    lungs: sitk.Image,
    infection: sitk.Image,
    kinds: sitk.Image | None = None,
    names: Mapping[int, str] | None = None,
) -> CaseFigures:
    """Compare a segmentation with true masks on its grid; `kinds` and `names` as in `by_kind`, None where unknown."""
    whole, infected = overlap(found.lungs, lungs), overlap(found.infection, infection)
    return CaseFigures(
        lungs=whole,
        infection=infected,
        infection_in_lungs=overlap(found.lungs, infection),
        kinds=by_kind(found.infection, kinds, names or {}) if kinds is not None else {},
        true_ratio=infected.truth / whole.truth if whole.truth else 0.0,
        found_ratio=found.ratio,
    )


def averaged_dice(cases: Sequence[Overlap]) -> Averaged:
    """Return the Dice over the cases that have something to find (those without are left out)."""
    real = [case for case in cases if case.truth > 0]
    return Averaged(sum(real, Overlap()).dice, _mean([case.dice for case in real]), len(real))


def averaged_sensitivity(cases: Sequence[Overlap]) -> Averaged:
    """Return the sensitivity over the cases that have something to find (those without are left out)."""
    real = [case for case in cases if case.truth > 0]
    return Averaged(sum(real, Overlap()).sensitivity, _mean([case.sensitivity for case in real]), len(real))


def infection_dice(cases: Sequence[CaseFigures], below_ratio: float = 1.0) -> Averaged:
    """Return the Dice of the infection over the diseased cases whose true ratio lies below `below_ratio`."""
    return averaged_dice([case.infection for case in cases if case.true_ratio < below_ratio])


def kind_sensitivity(cases: Sequence[CaseFigures]) -> dict[str, Averaged]:
    """Return the sensitivity for each kind of lesion over the cases that show it, by the kind's name."""
    names = sorted({name for case in cases for name in case.kinds})
    return {name: averaged_sensitivity([case.kinds[name] for case in cases if name in case.kinds]) for name in names}


def false_infection(ratios: ArrayLike) -> FalseInfection:
    """Summarize the infection ratios [case] that were found in lungs without infection."""
    found = np.asarray(ratios, dtype=np.float64)
    if not len(found):
        return FalseInfection(math.nan, math.nan, math.nan, 0)
    return FalseInfection(float(found.mean()), float(np.quantile(found, 0.95)), float(found.max()), len(found))


def calibrated_cut_offs(cases: Sequence[CaseFigures]) -> CutOffs:
    """Return the cut-offs that part the found ratios of the diseased cases as the paper's part their true ratios.

    Raises:
        ValueError: a stratum of the true ratios is empty, or nothing was found (see `strata.fit_cut_offs`).
    """
    diseased = [case for case in cases if case.true_ratio > 0]
    reference = proportions([case.true_ratio for case in diseased], CutOffs())
    return fit_cut_offs([case.found_ratio for case in diseased], reference)


def _overlap(found: Voxels, truth: Voxels, grid: sitk.Image) -> Overlap:
    voxel_ml = float(np.prod(grid.GetSpacing())) / 1000.0
    counts = (np.count_nonzero(found & truth), np.count_nonzero(found), np.count_nonzero(truth))
    return Overlap(*(count * voxel_ml for count in counts))


def _mean(values: ArrayLike) -> float:
    listed = np.asarray(values, dtype=np.float64)
    return float(listed.mean()) if len(listed) else math.nan
