"""The field of view: how much of the person is imaged, and the circle that the scanner reconstructs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import BodyPlan, Masks
from .fields import Grid
from .variety import FULL, Variety


@dataclass(frozen=True)
class FieldOfView:
    """The voxel grid, and the reconstructed circle: centre (x, y) and radius in mm, infinite where all is seen."""

    grid: Grid
    centre: tuple[float, float]
    radius: float

    @property
    def seen(self) -> Masks | None:
        """Voxels inside the circle, shaped to broadcast to [k, j, i]; None where all are."""
        if not np.isfinite(self.radius):
            return None
        x, y, _ = self.grid.axes
        seen = np.hypot(x - np.float32(self.centre[0]), y - np.float32(self.centre[1])) < self.radius
        return None if seen.all() else seen


_MOST_MM3 = 36e6


def draw_extent(
    plan: BodyPlan,
    spacing: tuple[float, float, float],
    max_size: tuple[int, int, int],
    rng: np.random.Generator,
    variety: Variety = FULL,
) -> FieldOfView:
    """Draw the field of view round the lungs: tight, the body's width, or a wide square with air around.

    The voxels of `spacing` mm grow where more than `max_size` of them would be needed. A few tight fields cut the
    lungs at the sides by some mm; the others never do.
    """
    low, high = _lung_box(plan)
    kind = rng.random() if variety.surroundings else 0.5
    centre = (low[:2] + high[:2]) / 2 + rng.uniform(-6, 6, 2)
    flesh = plan.wall + plan.fat
    if kind < 0.3:
        margin = -rng.uniform(6, 12) if variety.surroundings and rng.random() < 0.12 else rng.uniform(9, 22)
        half = (high - low)[:2] / 2 + [margin, max(margin, 9)]
        half[1] = max(half[1], rng.uniform(0.7, 1.0) * half[0])
    elif kind < 0.75:
        half = (high - low)[:2] / 2 + [rng.uniform(0.4, 1.0) * flesh + 12, flesh + rng.uniform(12, 30)]
        centre[1] += rng.uniform(0, 18)
    else:
        half = np.full(2, min(max(rng.uniform(165, 225), (high - low)[0] / 2 + 14), 225.0))
        half[1] = max(rng.uniform(0.65, 0.9) * half[0], (high - low)[1] / 2 + 20)
        centre[1] += rng.uniform(-5, 20)
    below, above = _below(rng, variety), _above(rng, variety)
    # wide fields are not tall as well: that keeps every phantom quick to make
    spare = max(_MOST_MM3 / float(np.prod(2 * half)) - (high - low)[2], 6.0)
    less = min(1.0, spare / (below + above))
    bottom, top = low[2] - less * below, high[2] + less * above
    start = np.array([*(centre - half), bottom])
    stop = np.array([*(centre + half), top])
    step = np.maximum(np.array(spacing), (stop - start) / np.array(max_size))
    # the last voxel's centre lies up to two steps short of the end
    step = np.maximum(step, (stop + 2 * step - start) / np.array(max_size))
    grid = Grid.between(tuple(start), tuple(stop + 2 * step * (1 - 1e-6)), tuple(step))
    return FieldOfView(grid, (float(centre[0]), float(centre[1])), _circle(half, low, high, centre, rng, variety))


def _lung_box(plan: BodyPlan) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest patient position (x, y, z) in mm that the lungs reach."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = []
    for t in (0.0, 0.1, 0.22, 0.4, 0.6, 0.8, 0.95):
        taper = np.sqrt(1 - max((t - 0.22) / 0.78, 0) ** plan.taper)
        shift = plan.apex_shift * max(t - 0.4, 0)
        x, y = taper * plan.half_width * np.cos(turn), taper * plan.half_depth * np.sin(turn) + shift
        z = np.full(len(turn), t * plan.height)
        if t == 0:
            x, y = 0.93 * x, 0.93 * y
            z = np.minimum(plan.dome_z(x, y), 0)
        rings.append(np.stack([x, y, z], axis=1))
    rings.append(np.array([[0.0, plan.apex_shift * 0.6, plan.height]]))
    points = plan.place(np.vstack(rings))
    # the surface is a rounded square and irregular: it bulges over the rings
    return points.min(0) - np.array([7, 7, 14]), points.max(0) + np.array([7, 7, 12])


def _below(rng: np.random.Generator, variety: Variety) -> float:
    """How far in mm the scan goes on below the lungs: to their end, over the liver, or to the kidneys."""
    kind = rng.random() if variety.surroundings else 0.3
    return float(rng.uniform(1, 12) if kind < 0.4 else rng.uniform(12, 60) if kind < 0.85 else rng.uniform(60, 170))


def _above(rng: np.random.Generator, variety: Variety) -> float:
    """How far in mm the scan goes on above the lungs: to the apex or up to the neck."""
    kind = rng.random() if variety.surroundings else 0.3
    return float(rng.uniform(2, 15) if kind < 0.5 else rng.uniform(15, 40) if kind < 0.85 else rng.uniform(40, 90))


def _circle(
    half: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    centre: np.ndarray,
    rng: np.random.Generator,
    variety: Variety,
) -> float:
    """Draw the radius in mm of the reconstructed circle: it holds the lungs, and in half the scans it is seen."""
    if not variety.surroundings or rng.random() < 0.5:
        return float("inf")
    corner = np.maximum(high[:2] - centre, centre - low[:2])
    return float(max(half.max() * rng.uniform(0.97, 1.02), 0.88 * np.hypot(*corner)))
