"""How well one map points at the infection: measures of A^ against the masks on the network grid, without a network.

Arrays are [k, j, i] on one grid. `a_hat` is A^ in [0, 1]; `infection` and `lungs` are the shares of each voxel's volume
that are infected and lung, in [0, 1] (lungs include infection). Overlaps, energies and precision weigh voxels by these
shares, so that a lesion smaller than a voxel counts by its true volume.

A dead map (no value above 0) has no peak, no energy and no order: its measures are NaN. A case without infection has
nothing to point at: NaN as well, except for the energy inside the lungs and the two curves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Probability = Callable[[Volume], float]
"""The network's input [k, j, i] -> the probability of COVID-19; the array is reused, so it must not be kept."""

BETA = 0.4
"""A^ at which Eq. 2's T is 0.5, in the paper."""

TOLERANCE_MM = 10.0
"""How far beside the infection the peak may lie to count as a hit."""

_SAME_PEAK = 1e-6
"""Values this close to the maximum belong to its plateau: beyond the last cell's centre the map is constant."""


@dataclass(frozen=True)
class MapMeasures:
    """One map against one case's masks; NaN where a figure is not defined.

    `pointing` is 1 where the peak lies at most the tolerance from the infection, else 0. `prevalence` is the
    infection's share of the lungs on this grid: what `auprc` gives a map without knowledge, and what `energy_infection`
    gives a map that fills the lungs evenly.
    """

    dead: bool
    prevalence: float
    pointing: float
    peak_distance_mm: float
    energy_infection: float
    energy_lungs: float
    dice: float
    iou: float
    auprc: float


@dataclass(frozen=True)
class Curves:
    """The probability as lung voxels are shown (insertion) or taken away (deletion), the most important ones first.

    `fractions` are shares of the lung's voxels, from 0 to 1; all three have one value a step, and one for the start.
    """

    fractions: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion: tuple[float, ...]

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, in [0, 1]: high where few voxels suffice for the answer."""
        return _area(self.insertion, self.fractions)

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, in [0, 1]: low where the answer falls with few voxels."""
        return _area(self.deletion, self.fractions)


def measure(
    a_hat: Volume,
    infection: Volume,
    lungs: Volume,
    spacing_xyz: tuple[float, float, float],
    tolerance_mm: float = TOLERANCE_MM,
    voxels: int = 200_000,
    seed: int = 0,
    beta: float = BETA,
) -> MapMeasures:
    """Return all measures of one map that need no network.

    Args:
        a_hat: A^ in [0, 1], [k, j, i].
        infection: infected share of each voxel, [k, j, i].
        lungs: lung share of each voxel, [k, j, i].
        spacing_xyz: the grid's spacing in mm.
        tolerance_mm: see `pointing`.
        voxels: how many voxels without infection `average_precision` draws at most.
        seed: of that draw.
        beta: of Eq. 2, as the network learned with it.

    Raises:
        ValueError: the arrays do not share one shape, or a value lies outside [0, 1].
    """
    _check(a_hat=a_hat, infection=infection, lungs=lungs)
    distance = peak_distance_mm(a_hat, infection, spacing_xyz)
    dice, iou = overlap(a_hat, infection, beta)
    infected = float(infection.sum(dtype=np.float64))
    return MapMeasures(
        dead=is_dead(a_hat),
        prevalence=_ratio(infected, float(lungs.sum(dtype=np.float64))),
        pointing=math.nan if math.isnan(distance) else float(distance <= tolerance_mm),
        peak_distance_mm=distance,
        energy_infection=energy_inside(a_hat, infection) if infected else math.nan,
        energy_lungs=energy_inside(a_hat, lungs),
        dice=dice,
        iou=iou,
        auprc=average_precision(a_hat, infection, lungs, voxels, seed),
    )


def is_dead(a_hat: Volume) -> bool:
    """Whether a map has no value above 0."""
    return not bool(np.any(a_hat > 0))


def peak(a_hat: Volume) -> tuple[int, int, int] | None:
    """Return the index (k, j, i) of the largest value, the first one of a plateau; None for a dead map.

    First is nearest to the true centre of the cell: the map's plateaus lie beyond the last cells' centres.
    """
    if is_dead(a_hat):
        return None
    k, j, i = np.unravel_index(int(np.argmax(a_hat >= a_hat.max() - _SAME_PEAK)), a_hat.shape)
    return int(k), int(j), int(i)


def peak_distance_mm(a_hat: Volume, infection: Volume, spacing_xyz: tuple[float, float, float]) -> float:
    """Return the distance in mm from the peak to the nearest voxel with any infection, between centres; 0 inside."""
    top = peak(a_hat)
    infected = np.argwhere(infection > 0)
    if top is None or not len(infected):
        return math.nan
    offsets = (infected - np.array(top)) * np.array(spacing_xyz[::-1])
    return float(np.sqrt(np.square(offsets).sum(axis=1).min()))


def energy_inside(a_hat: Volume, region: Volume) -> float:
    """Return the share of the map's sum that lies in a region given as shares of voxels [k, j, i]."""
    total = float(a_hat.sum(dtype=np.float64))
    return _ratio(float(np.sum(a_hat * region, dtype=np.float64)), total)


def overlap(a_hat: Volume, infection: Volume, beta: float = BETA) -> tuple[float, float]:
    """Return Dice and IoU of the attended voxels (Eq. 2: T at least 0.5, so A^ at least beta) with the infection."""
    infected = float(infection.sum(dtype=np.float64))
    if is_dead(a_hat) or not infected:
        return math.nan, math.nan
    attended = a_hat >= beta
    both = float(infection[attended].sum(dtype=np.float64))
    union = float(np.count_nonzero(attended)) + infected - both
    return 2 * both / (union + both), both / union


def average_precision(a_hat: Volume, infection: Volume, lungs: Volume, voxels: int = 200_000, seed: int = 0) -> float:
    """Return the area under the precision-recall curve of A^ over the lungs (scikit-learn's average precision).

    A voxel is positive by its infected share and negative by the rest of its lung share. Where more than `voxels` have
    no infection at all, as many of them are drawn at random (seeded) and stand for all: precision stays unbiased.
    """
    from sklearn.metrics import average_precision_score

    inside = (lungs > 0) | (infection > 0)
    score, infected = a_hat[inside], infection[inside].astype(np.float64)
    healthy = np.maximum(lungs[inside] - infected, 0.0)
    if is_dead(a_hat) or not infected.any():
        return math.nan
    positive, partly, clean = infected > 0, (infected > 0) & (healthy > 0), np.flatnonzero(infected == 0)
    stands_for = 1.0
    if len(clean) > voxels:
        stands_for = len(clean) / voxels
        clean = np.sort(np.random.default_rng(seed).choice(clean, voxels, replace=False))
    truth = np.repeat([True, False], [np.count_nonzero(positive), np.count_nonzero(partly) + len(clean)])
    scores = np.concatenate([score[positive], score[partly], score[clean]])
    weights = np.concatenate([infected[positive], healthy[partly], healthy[clean] * stands_for])
    return float(average_precision_score(truth, scores, sample_weight=weights))


def lung_background(image: Volume, infection: Volume, lungs: Volume) -> Volume:
    """Return the case with nothing in its lungs: the median of its uninfected lung, times each voxel's lung share."""
    for chosen in ((lungs >= 0.5) & (infection == 0), lungs >= 0.5, lungs > 0):
        if chosen.any():
            value = np.float32(np.median(image[chosen] / lungs[chosen]))
            return np.asarray(value * lungs, dtype=np.float32)
    return np.zeros_like(image, dtype=np.float32)


def insertion_deletion(
    probability: Probability, image: Volume, background: Volume, a_hat: Volume, lungs: Volume, steps: int
) -> Curves | None:
    """Show and take away the lung's voxels in the order of their importance; None for a dead map, which has no order.

    Voxels of equal importance follow the array's order. Outside the lungs image and background are both 0, so nothing
    is lost by leaving that out.

    Args:
        probability: the network, or the ensemble whose map it is; asked 2 x `steps` times.
        image: the network's input, [k, j, i].
        background: what stands where a voxel is not shown (see `lung_background`).
        a_hat: the map that orders the voxels.
        lungs: lung share; the voxels above 0 take part.
        steps: how many equal portions the voxels come in.

    Raises:
        ValueError: `steps` is not at least 1, or there are no lungs.
    """
    taking_part = np.flatnonzero(lungs > 0)
    if steps < 1 or not len(taking_part):
        raise ValueError(f"curves need at least one step and one lung voxel, got {steps} and {len(taking_part)}")
    if is_dead(a_hat):
        return None
    order = taking_part[np.argsort(-a_hat.ravel()[taking_part], kind="stable")]
    bounds = np.round(np.linspace(0, len(order), steps + 1)).astype(int)
    nothing, everything = probability(background.copy()), probability(image.copy())
    insertion = _portions(probability, background, image, order, bounds)
    deletion = _portions(probability, image, background, order, bounds)
    return Curves(
        fractions=tuple((bounds / len(order)).tolist()),
        insertion=(nothing, *insertion, everything),
        deletion=(everything, *deletion, nothing),
    )


def rank_correlation(first: Volume, second: Volume, lungs: Volume) -> float:
    """Return Spearman's correlation of two maps over the lungs; NaN where one of them is constant there."""
    from scipy.stats import rankdata

    inside = lungs > 0
    a, b = (rankdata(values[inside]) for values in (first, second))
    if not len(a) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _portions(
    probability: Probability, start: Volume, goal: Volume, order: NDArray[np.int64], bounds: NDArray[np.int64]
) -> list[float]:
    """Return the probability after each portion but the last, on the way from `start` to `goal`."""
    volume, wanted = np.array(start, dtype=np.float32, order="C"), goal.ravel()
    found = []
    for begin, end in itertools.pairwise(bounds[:-1]):
        portion = order[begin:end]
        volume.reshape(-1)[portion] = wanted[portion]
        found.append(probability(volume))
    return found


def _area(values: tuple[float, ...], positions: tuple[float, ...]) -> float:
    y = np.asarray(values)
    return float(np.diff(positions) @ (y[1:] + y[:-1]) / 2)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _check(**arrays: Volume) -> None:
    if len({array.shape for array in arrays.values()}) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"the arrays must share one grid, got {shapes}")
    for name, array in arrays.items():
        if array.size and not (array.min() >= 0 and array.max() <= 1 + 1e-5):
            raise ValueError(f"{name} must lie in [0, 1], got {array.min()} to {array.max()}")
