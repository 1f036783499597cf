"""The shape of a chest: two lungs, mediastinum, diaphragm and body, as implicit functions on warped coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Floats, Grid, smooth_field

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class BodyPlan:
    """One person's proportions in mm. The chest's axis is x = y = 0; z = 0 is the costophrenic recess."""

    half_width: float
    half_depth: float
    height: float
    wall: float
    fat: float
    mediastinum: float
    heart: tuple[float, float, float]
    heart_radius: float
    dome: float
    right_rise: float
    rib_pitch: float
    apex_shift: float

    @property
    def carina_z(self) -> float:
        """Height of the carina in mm."""
        return 0.63 * self.height

    @property
    def spine_y(self) -> float:
        """Centre of the vertebral bodies in mm (posterior)."""
        return self.half_depth - 22.0

    def hilum(self, side: int) -> NDArray[np.float64]:
        """Where vessels enter the lung on this side (-1 right, +1 left), (x, y, z) in mm."""
        return np.array([side * (self.mediastinum + 8.0), 6.0, self.carina_z - 24.0 + 5.0 * side])


def draw_body(body_scale: float, fat_mm: float, rng: np.random.Generator) -> BodyPlan:
    """Draw a person of this size (1 = average adult) and subcutaneous fat (mm)."""

    def about(value: float, spread: float = 0.06) -> float:
        return float(value * np.clip(1 + spread * rng.standard_normal(), 1 - 2 * spread, 1 + 2 * spread))

    half_depth = about(94.0 * body_scale)
    height = about(228.0 * body_scale, 0.08)
    radius = about(50.0 * body_scale, 0.08)
    return BodyPlan(
        half_width=about(132.0 * body_scale),
        half_depth=half_depth,
        height=height,
        wall=about(20.0, 0.12),
        fat=fat_mm,
        mediastinum=about(26.0, 0.12),
        heart=(about(17.0, 0.25), -0.28 * half_depth, about(0.34 * height, 0.08)),
        heart_radius=radius,
        dome=about(58.0, 0.15),
        right_rise=float(rng.uniform(0.0, 20.0)),
        rib_pitch=about(27.0, 0.08),
        apex_shift=float(rng.uniform(5.0, 22.0)),
    )


@dataclass(frozen=True)
class Chest:
    """The drawn shape: signed distances in mm ([k, j, i], positive inside), and the lungs as masks.

    `depth` is the distance below the lung's surface, `costal` below the chest wall or diaphragm only,
    `cavity` below the chest wall (negative in the wall), `above_diaphragm` the height over the diaphragm;
    `lobe` numbers the lobes 1 RUL, 2 RML, 3 RLL, 4 LUL, 5 LLL; `fissure` is the distance to the nearest one.
    """

    plan: BodyPlan
    grid: Grid
    warped: tuple[Floats, Floats, Floats]
    depth: Floats
    costal: Floats
    cavity: Floats
    heart: Floats
    above_diaphragm: Floats
    right: Masks
    left: Masks
    lobe: NDArray[np.uint8]
    fissure: Floats

    @property
    def lungs(self) -> Masks:
        """Both lungs."""
        return self.right | self.left


def shape_chest(plan: BodyPlan, grid: Grid, rng: np.random.Generator) -> Chest:
    """Shape the lungs of one person on the grid."""
    x, y, z = (
        axis + np.float32(amplitude) * smooth_field(grid, 55.0, rng)
        for axis, amplitude in zip(grid.axes, (2.5, 3.0, 4.0), strict=True)
    )
    cavity = chest_wall_distance(plan, x, y, z)
    heart = _heart_distance(plan, x, y, z) + 2.5 * smooth_field(grid, 28.0, rng)
    above = _diaphragm_height(plan, x, y, z)
    costal = np.minimum(cavity, 0.8 * above)
    depth = np.minimum(costal, np.minimum(_mediastinum_distance(plan, x, *grid.axes[1:]), heart))
    inside = depth > 0
    right, left = _largest_part(inside & (x < 0)), _largest_part(inside & (x >= 0))
    lobe, fissure = _lobes(plan, right, left, x, y, z, rng)
    return Chest(plan, grid, (x, y, z), depth, costal, cavity, heart, above, right, left, lobe, fissure)


def chest_wall_distance(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Distance in mm to the inner chest wall, positive inside: a superellipse that closes at the apex."""
    t = z / np.float32(plan.height)
    taper = np.sqrt(np.clip(1 - np.clip((t - 0.22) / 0.78, 0, 1) ** 1.9, 0.004, 1))
    taper *= 1 - 0.10 * np.clip((0.45 - t) / 0.45, -0.3, 1) ** 2
    centred = y - np.float32(plan.apex_shift) * np.clip(t - 0.4, 0, 1)
    across = x / (np.float32(plan.half_width) * taper)
    along = centred / (np.float32(plan.half_depth) * np.sqrt(taper) * np.sqrt(taper + 0.08))
    radius = np.sqrt(x * x + centred * centred)
    level = rounded_square(across, along)
    return radius / np.maximum(level, np.float32(0.02)) - radius


def rounded_square(across: Floats, along: Floats) -> Floats:
    """Return the level of a superellipse between circle and square: 1 on its outline, in proportion to the radius."""
    a, b = across * across, along * along
    return np.asarray(np.sqrt(np.sqrt(a * a + b * b + np.float32(1.5) * a * b)), np.float32)


def _heart_distance(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Distance in mm outside the heart, an ellipsoid whose apex points left, forward and down."""
    cx, cy, cz = plan.heart
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    long = 0.80 * dx - 0.35 * dy - 0.45 * dz
    square = dx * dx + dy * dy + dz * dz
    level = np.sqrt(np.maximum((square - long * long), 0) / 0.95**2 + (long / 1.32) ** 2)
    return np.asarray(level - np.float32(plan.heart_radius), np.float32)


def _diaphragm_height(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Height in mm above the two domes, higher in front of the posterior recess and on the right."""
    side = np.abs(x) / np.float32(plan.half_width) - 0.46
    side = np.where(side < 0, 0.5 * side, side)
    front = (y + 0.25 * np.float32(plan.half_depth)) / np.float32(plan.half_depth)
    rise = np.float32(plan.dome) + np.float32(plan.right_rise) * (x < 0)
    return np.asarray(z - rise * (1.05 - (side / 0.56) ** 2 - 0.75 * front * front), np.float32)


def _mediastinum_distance(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Distance in mm outside mediastinum, great vessels and spine; `y` and `z` may broadcast."""
    t = z / np.float32(plan.height)
    profile = np.exp(-((np.abs(y + 2) / (0.62 * plan.half_depth)) ** 4))
    waist = 1 - 0.18 * np.clip((t - 0.75) * 4, 0, 1) - 0.22 * np.exp(-(((z - plan.carina_z - 8) / 16) ** 2)) * (x < 0)
    hila = 8 * np.exp(-(((z - plan.carina_z + 24) / 20) ** 2) - ((y - 6) / 20) ** 2)
    half = 3 + np.float32(plan.mediastinum) * profile * waist + hila
    outside = np.abs(x - 3 * np.clip(1 - t, 0, 1)) - half.astype(np.float32)
    spine = np.hypot(x, y - np.float32(plan.spine_y)) - 25
    aorta = np.hypot(x - 20, y - np.float32(plan.spine_y - 30)) - 15
    aorta = aorta + 0.4 * np.clip(z - np.float32(plan.carina_z + 4), 0, 90)
    knob = np.sqrt((x - 17) ** 2 + (y - 8) ** 2 + (z - np.float32(plan.carina_z + 22)) ** 2) - 24
    return np.minimum(np.minimum(outside, spine), np.minimum(aorta, knob)).astype(np.float32)


def _largest_part(mask: Masks) -> Masks:
    """Keep the largest connected part: the heart can cut slivers off a lung."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def _lobes(
    plan: BodyPlan, right: Masks, left: Masks, x: Floats, y: Floats, z: Floats, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Floats]:
    """Number the lobes and measure the distance in mm to the nearest fissure."""
    tilt = np.float32(rng.uniform(0.75, 1.05))
    middle = np.float32(plan.height * rng.uniform(0.42, 0.50))
    oblique = (z - middle - tilt * y) / np.sqrt(1 + tilt * tilt)
    horizontal = z - np.float32(plan.height * rng.uniform(0.48, 0.56)) + 0.1 * np.abs(x)
    lower, upper_middle = oblique < 0, horizontal > 0
    lobe = np.zeros(x.shape, np.uint8)
    lobe[right] = np.where(lower, 3, np.where(upper_middle, 1, 2))[right]
    lobe[left] = np.where(lower, 5, 4)[left]
    across = np.where(right & ~lower, np.abs(horizontal), np.float32(99))
    return lobe, np.minimum(np.abs(oblique), across)
