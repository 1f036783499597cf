"""Below the diaphragm: liver, spleen, stomach, colon, kidneys and bowel, with gas near the lungs."""

from __future__ import annotations

import numpy as np

from .anatomy import Chest
from .canvas import ellipsoid, paint_ellipsoid, window
from .fields import Floats, blend, coverage, smooth_field
from .mediastinum import AIR, FAT


def paint_abdomen(hu: Floats, chest: Chest, blood: float, rng: np.random.Generator, *, gas: bool) -> None:
    """Paint the organs; `gas` adds stomach and colon gas of every size under both domes, and bowel loops."""
    plan = chest.plan
    x, _, z = chest.warped
    below = coverage(np.minimum(chest.cavity, -chest.above_diaphragm), 2.0)
    if not below.any():
        return
    enhanced = 0.3 * (blood - 42)
    soft = smooth_field(chest.grid, 22.0, rng)
    blend(hu, np.where(soft > np.float32(0.9), np.float32(20), np.float32(FAT)), below)
    reach = np.float32(rng.uniform(-15, 50)) + 10 * soft - x - 0.25 * np.clip(-z - 30, 0, None)
    depth = np.minimum(reach, z + np.float32(rng.uniform(40, 110)))
    blend(hu, float(rng.uniform(35, 65)) + enhanced, coverage(depth, 3.0) * below)
    width, d = plan.half_width, plan.half_depth
    spleen = np.array([0.62 * width, 0.45 * d, plan.dome_z(0.62 * width, 0.45 * d) - 40])
    paint_ellipsoid(hu, chest, spleen, rng.uniform(0.8, 1.15) * np.array([34, 40, 46]), 50.0 + enhanced, below)
    for side in (-1, 1):
        kidney = np.array([side * 55.0, 0.5 * d, -50 - 8 * (side < 0)])
        paint_ellipsoid(hu, chest, kidney, (30, 30, 58), FAT, below)
        paint_ellipsoid(hu, chest, kidney, (24, 24, 50), 35.0 + 2 * enhanced, below)
        paint_ellipsoid(hu, chest, kidney, (9, 9, 26), FAT + 30, below)
    _paint_stomach(hu, chest, below, rng, gas=gas)
    if gas:
        _paint_bowel(hu, chest, below, rng)


def _paint_stomach(hu: Floats, chest: Chest, below: Floats, rng: np.random.Generator, *, gas: bool) -> None:
    """A stomach under the left dome: fluid or food, and in front of it a bubble of gas, large or none."""
    plan = chest.plan
    at = (0.42 * plan.half_width, -0.2 * plan.half_depth)
    size = float(rng.uniform(0.5, 1.35)) if gas else 0.8
    radii = np.array([36.0, 36.0, 30.0]) * size
    wall = float(rng.uniform(2.5, 8)) if gas else 6.0
    centre = np.array([*at, plan.dome_z(*at) - radii[2] - float(rng.uniform(0, 22) if gas else 8)])
    view = window(chest, centre - radii - wall - 3, centre + radii + wall + 3)
    if view.empty:
        return
    rough = smooth_field(view.grid, 16.0, rng)
    inside = ellipsoid(view, centre, radii) * np.float32(radii.min()) + 3 * rough
    limit = below[view.box]
    blend(hu[view.box], 38.0, coverage(inside + np.float32(wall), 2.0) * limit)
    food = smooth_field(view.grid, 7.0, rng)
    mottled = gas and rng.random() < 0.35
    content: float | Floats = np.clip(10 + 60 * food, -400, 60) if mottled else float(rng.uniform(0, 45))
    blend(hu[view.box], content, coverage(inside, 2.0) * limit)
    if gas and rng.random() < 0.15:
        return
    level = np.float32(centre[1] + (rng.uniform(-0.6, 0.9) * radii[1] if gas else 0)) + 0.5 * rough
    bubble = np.minimum(np.minimum(inside, level - view.grid.axes[1]), -chest.above_diaphragm[view.box] - wall)
    blend(hu[view.box], AIR, coverage(bubble, 2.0) * limit)


def _paint_bowel(hu: Floats, chest: Chest, below: Floats, rng: np.random.Generator) -> None:
    """Colon flexures that touch the diaphragm, more often the left, and loops of bowel further down."""
    plan = chest.plan
    for side, chance in ((1, 0.65), (-1, 0.15)):
        if rng.random() < chance:
            radius = float(rng.uniform(10, 28))
            x = side * rng.uniform(0.35, 0.92) * plan.half_width
            y = float(rng.uniform(-0.6, 0.2)) * plan.half_depth
            top = np.array([x, y, float(plan.dome_z(x, y)) - radius - rng.uniform(2, 10)])
            turn = rng.uniform(-0.6, 0.6)
            steps = np.arange(-2, 3)[:, None] * [0.8 * radius * np.cos(turn), 0.8 * radius * np.sin(turn), 0.0]
            drop = np.array([0, 0, -1.0]) * (np.arange(-2, 3)[:, None] ** 2) * radius * 0.22
            _paint_loop(hu, chest, top + steps + drop, radius, below, rng)
    for _ in range(int(rng.integers(4, 14))):
        centre = np.array([rng.uniform(-0.7, 0.8) * plan.half_width, rng.uniform(-0.8, 0.1) * plan.half_depth, 0.0])
        centre[2] = rng.uniform(-180, -35)
        steps = np.arange(3)[:, None] * rng.normal(0, 14, 3)
        _paint_loop(hu, chest, centre + steps, float(rng.uniform(8, 20)), below, rng)


def _paint_loop(
    hu: Floats, chest: Chest, centres: np.ndarray, radius: float, below: Floats, rng: np.random.Generator
) -> None:
    """A haustrated loop: spheres in a row with a wall, filled with gas, fluid or stool mottled by gas."""
    view = window(chest, centres.min(0) - radius - 5, centres.max(0) + radius + 5)
    if view.empty:
        return
    spheres = [
        ellipsoid(view, c, (r, r, r)) * np.float32(r)
        for c, r in ((c, radius * rng.uniform(0.75, 1.0)) for c in centres)
    ]
    inside = np.max(spheres, axis=0)
    limit = below[view.box]
    blend(hu[view.box], 35.0, coverage(inside + np.float32(rng.uniform(1.5, 4)), 2.0) * limit)
    kind = rng.random()
    if kind < 0.4:
        value: float | Floats = AIR
    elif kind < 0.85:
        value = np.clip(-150 + 330 * smooth_field(view.grid, 5.0, rng), -900, 60)
    else:
        value = float(rng.uniform(0, 200))
    blend(hu[view.box], value, coverage(inside, 2.0) * limit)
