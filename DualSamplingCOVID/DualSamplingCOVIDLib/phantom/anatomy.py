"""The shape of a chest: two lungs, mediastinum, diaphragm and body, as implicit functions on warped coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Floats, Grid, capsule, smooth_field

Masks = NDArray[np.bool_]

HILAR_REACH_MM = 25.0
"""So far from a hilar vessel its distance is measured."""


@dataclass(frozen=True)
class BodyPlan:
    """One person's proportions in mm. The chest's axis is x = y = 0; z = 0 is the costophrenic recess.

    `taper` is how late the chest narrows to its apex; `pose_deg` how the body lies on the table (about x, y and z);
    `scoliosis` the spine's sideways swing (mm) and its phase; `kyphosis` how far (mm) apex and recess lie forward;
    `hilar` is the radius of the widest artery at the right hilum, 0 where the hila are bare.
    """

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
    left_rise: float = 0.0
    taper: float = 1.9
    pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scoliosis: tuple[float, float] = (0.0, 0.0)
    kyphosis: float = 0.0
    hilar: float = 0.0

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

    def hilar_vessels(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return the vessels beside the mediastinum that no lung covers: positions (N, 3) and radii (N,) in mm of each.

        On either side an artery, and a vein before it. The arteries run down beside the bronchi, the right one from
        before its main bronchus, the left one, higher and wider, from above it.
        """
        vessels = []
        for side, wide in ((-1, self.hilar), (1, 1.2 * self.hilar)):
            down = [(10 + 0.85 * wide, -4, -17), (8 + 0.6 * wide, 12, -38)]
            before, above = [(0.4 * wide, -6 - 0.8 * wide, -4)], [(0.4 * wide, 0, 4 + wide), (10 + 0.7 * wide, -6, 6)]
            artery = np.array((before if side < 0 else above) + down) * [side, 1, 1]
            vein = np.array([(1.2 * wide, -8 - 1.1 * wide, 3), (-8, -8, -22)]) * [side, 1, 1]
            vessels.append((self.hilum(side) + artery, wide * np.linspace(1.0, 0.6, len(artery))))
            vessels.append((self.hilum(side) + vein, wide * np.array([0.6, 0.75])))
        return vessels if self.hilar else []

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Matrix that turns patient directions into the body's own (x, y, z)."""
        turn = np.eye(3)
        for axis, angle in enumerate(np.radians(self.pose_deg)):
            first, second = [other for other in range(3) if other != axis]
            step = np.eye(3)
            step[first, first] = step[second, second] = np.cos(angle)
            step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
            turn = step @ turn
        return turn

    @property
    def pivot(self) -> NDArray[np.float64]:
        """The point (mm) that the pose leaves where it is: between the hila."""
        return np.array([0.0, 0.0, 0.55 * self.height])

    def bend(self, z: Any) -> tuple[Any, Any]:
        """How far (mm) spine and chest are shifted in x and y at the body's height z."""
        t = z / self.height - 0.5
        swing, phase = self.scoliosis
        return swing * np.sin(5.0 * t + phase), -self.kyphosis * t * t

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn body positions (N, 3) in mm into patient positions: those of the CT."""
        dx, dy = self.bend(points[:, 2])
        bent = points + np.stack([dx, dy, np.zeros(len(points))], axis=1)
        return (bent - self.pivot) @ self.rotation + self.pivot

    def body_axes(self, grid: Grid) -> tuple[Floats, Floats, Floats]:
        """Return the body coordinates x, y and z in mm of every voxel, each [k, j, i]."""
        turn, pivot = self.rotation, self.pivot
        centred = [axis - np.float32(shift) for axis, shift in zip(grid.axes, pivot, strict=True)]
        x, y, z = (
            np.float32(row[0]) * centred[0] + (np.float32(row[1]) * centred[1] + np.float32(row[2]) * centred[2])
            for row in turn
        )
        z += np.float32(pivot[2])
        if self.scoliosis[0] or self.kyphosis:
            dx, dy = self.bend(z)
            x, y = (x - dx).astype(np.float32), (y - dy).astype(np.float32)
        return x, y, z

    def box(self, grid: Grid, low: Any, high: Any) -> tuple[slice, slice, slice]:
        """Return the slices [k, j, i] of the voxels between the body positions `low` and `high` (x, y, z in mm)."""
        bits = np.array(list(np.ndindex(2, 2, 2)))
        # the body may be bent between the ends: a third layer of corners
        corners = np.where(bits, np.asarray(high, float), np.asarray(low, float))
        middle = corners * [1, 1, 0] + [0, 0, (low[2] + high[2]) / 2]
        placed = self.place(np.vstack([corners, middle]))
        slices = [
            slice(int(np.searchsorted(axis, least - 2)), int(np.searchsorted(axis, most + 2)))
            for axis, least, most in zip((grid.x, grid.y, grid.z), placed.min(0), placed.max(0), strict=True)
        ]
        return slices[2], slices[1], slices[0]

    def dome_z(self, x: Any, y: Any) -> Any:
        """Height in mm of the diaphragm over the body position x, y."""
        side = np.abs(x) / np.float32(self.half_width) - np.float32(0.46)
        side = np.where(side < 0, 0.5 * side, side)
        front = (y + np.float32(0.25 * self.half_depth)) / np.float32(self.half_depth)
        rise = np.float32(self.dome) + np.where(x < 0, np.float32(self.right_rise), np.float32(self.left_rise))
        return rise * (np.float32(1.05) - (side / np.float32(0.56)) ** 2 - np.float32(0.75) * front * front)


def draw_body(body_scale: float, fat_mm: float, rng: np.random.Generator) -> BodyPlan:
    """Draw a person of this size (1 = average adult) and subcutaneous fat (mm)."""

    def about(value: float, spread: float = 0.06) -> float:
        return float(value * np.clip(1 + spread * rng.standard_normal(), 1 - 2 * spread, 1 + 2 * spread))

    # thin flat chests to barrel chests
    half_depth = about(94.0 * body_scale, 0.10)
    height = about(228.0 * body_scale, 0.09)
    radius = about(51.0 * body_scale, 0.10)
    tilted = 1.0 if rng.random() < 0.15 else 0.3
    raised = float(rng.uniform(15, 45)) if rng.random() < 0.12 else 0.0
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
        right_rise=float(rng.uniform(0.0, 20.0)) + raised * (raised > 25),
        left_rise=raised * (raised <= 25) * 2,
        rib_pitch=about(27.0, 0.08),
        apex_shift=float(rng.uniform(5.0, 22.0)),
        taper=float(rng.uniform(1.9, 4.2)),
        pose_deg=tuple(np.clip(tilted * 7 * rng.standard_normal(3), -12, 12).tolist()),
        scoliosis=(float(rng.uniform(-12, 12)) if rng.random() < 0.2 else 0.0, float(rng.uniform(0, 6.3))),
        kyphosis=float(rng.uniform(10, 70)) if rng.random() < 0.25 else 0.0,
        hilar=body_scale * float(rng.spawn(1)[0].uniform(6.0, 11.5)),
    )


@dataclass(frozen=True)
class Chest:
    """The drawn shape: signed distances in mm ([k, j, i], positive inside), and the lungs as masks.

    `body` are the body coordinates (x, y, z) of every voxel, and `warped` the same with this person's irregularities;
    `depth` is the distance below the lung's surface, `costal` below the chest wall or diaphragm only,
    `cavity` below the chest wall (negative in the wall), `above_diaphragm` the height over the diaphragm;
    `lobe` numbers the lobes 1 RUL, 2 RML, 3 RLL, 4 LUL, 5 LLL; `fissure` is the distance to the nearest one.
    """

    plan: BodyPlan
    grid: Grid
    body: tuple[Floats, Floats, Floats]
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


def shape_chest(plan: BodyPlan, grid: Grid, rng: np.random.Generator, seen: Masks | None = None) -> Chest:
    """Shape the lungs of one person on the grid; `seen` (broadcast to [k, j, i]) is what the scanner reconstructs."""
    body = plan.body_axes(grid)
    x, y, z = (
        axis + np.float32(amplitude) * smooth_field(grid, 55.0, rng)
        for axis, amplitude in zip(body, (2.5, 3.0, 4.0), strict=True)
    )
    cavity = chest_wall_distance(plan, x, y, z)
    heart = _heart_distance(plan, x, y, z, _bulges(plan, rng))
    heart += np.float32(rng.uniform(2, 5)) * smooth_field(grid, float(rng.uniform(20, 40)), rng)
    above = _diaphragm_height(plan, x, y, z)
    costal = np.minimum(cavity, 0.8 * above)
    depth = np.minimum(costal, heart)
    # the mediastinum is narrow: nothing of it lies 75 mm beside the midline
    middle = plan.box(grid, (-75, -300, -600), (75, 300, 900))
    narrow = _mediastinum_distance(plan, x[middle], body[1][middle], body[2][middle])
    depth[middle] = np.minimum(depth[middle], narrow)
    fat = np.float32(rng.spawn(1)[0].uniform(0.0, 3.0))
    for points, radii in plan.hilar_vessels():
        for start, end, first, last in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            reach = max(first, last) + HILAR_REACH_MM
            near = plan.box(grid, np.minimum(start, end) - reach, np.maximum(start, end) + reach)
            within = capsule((body[0][near], body[1][near], body[2][near]), start, end, first, last)
            depth[near] = np.minimum(depth[near], -within - fat)
    inside = depth > 0
    if seen is not None:
        inside &= seen
    right, left = _largest_part(inside & (x < 0)), _largest_part(inside & (x >= 0))
    lobe, fissure = divide_lobes(plan, right, left, x, y, z, rng)
    return Chest(plan, grid, body, (x, y, z), depth, costal, cavity, heart, above, right, left, lobe, fissure)


def chest_wall_distance(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Distance in mm to the inner chest wall, positive inside: a superellipse that closes at the apex."""
    t = z / np.float32(plan.height)
    taper = np.sqrt(np.clip(1 - np.clip((t - 0.22) / 0.78, 0, 1) ** np.float32(plan.taper), 0.004, 1))
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


def _bulges(plan: BodyPlan, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Draw spheres (x, y, z, radius in mm) that round the heart's outline: ventricle, atria, auricle, fat pads."""
    bulges = []
    for _ in range(int(rng.integers(0, 4))):
        direction = rng.normal(0, 1, 3)
        away = rng.uniform(0.5, 0.9) * plan.heart_radius
        radius = rng.uniform(0.35, 0.65) * plan.heart_radius
        bulges.append(np.append(plan.heart + away * direction / np.linalg.norm(direction), radius))
    return bulges


def _heart_distance(plan: BodyPlan, x: Floats, y: Floats, z: Floats, bulges: list[NDArray[np.float64]]) -> Floats:
    """Distance in mm outside the heart, an ellipsoid with `bulges` whose apex points left, forward and down."""
    cx, cy, cz = plan.heart
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    long = 0.80 * dx - 0.35 * dy - 0.45 * dz
    square = dx * dx + dy * dy + dz * dz
    level = np.sqrt(np.maximum((square - long * long), 0) / 0.95**2 + (long / 1.32) ** 2)
    distance = np.asarray(level - np.float32(plan.heart_radius), np.float32)
    for bx, by, bz, radius in bulges:
        away = np.sqrt((x - np.float32(bx)) ** 2 + (y - np.float32(by)) ** 2 + (z - np.float32(bz)) ** 2)
        np.minimum(distance, away - np.float32(radius), out=distance)
    return distance


def _diaphragm_height(plan: BodyPlan, x: Floats, y: Floats, z: Floats) -> Floats:
    """Height in mm above the two domes, higher in front of the posterior recess and on the right."""
    return np.asarray(z - plan.dome_z(x, y), np.float32)


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


def divide_lobes(
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
