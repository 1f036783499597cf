"""What lies round the body: tables, blankets and gowns, wires, implants and catheters."""

from __future__ import annotations

import numpy as np

from .anatomy import Chest
from .canvas import paint_ellipsoid, paint_path
from .fields import Floats, blend, coverage, smooth_field

METAL = 2600.0


def paint_table(hu: Floats, chest: Chest, rng: np.random.Generator, *, varied: bool) -> None:
    """Paint a table under the body, into the air alone.

    Plain ones are curved shells with foam between them; varied ones also flat, hollow with air, or cushioned.
    """
    plan, grid = chest.plan, chest.grid
    x, y, _ = grid.axes
    depth = plan.half_depth + plan.wall + 0.7 * plan.fat + 4
    top = depth + rng.uniform(3, 12)
    curved = not varied or rng.random() < 0.7
    under = y - np.float32(top) + (x * x / np.float32(rng.uniform(600, 2500)) if curved else np.float32(0) * x)
    thickness = float(rng.uniform(18, 60 if varied else 45))
    hollow = varied and rng.random() < 0.5
    foam = -1000.0 if hollow else float(rng.uniform(-975, -880))
    wall = float(rng.uniform(1.5, 5)) if varied else 3.0
    shell = float(rng.uniform(-600, 250)) if varied else -350.0
    air = hu < -700
    layers = [(0.0, thickness, foam), (0.0, wall, shell), (thickness, thickness + wall, shell)]
    if varied and rng.random() < 0.4:
        layers.insert(0, (-float(rng.uniform(8, 40)), 0.0, float(rng.uniform(-990, -850))))
    if varied and rng.random() < 0.3:
        gap = thickness + float(rng.uniform(15, 50))
        layers.append((gap, gap + 3, float(rng.uniform(-300, 300))))
    reach = np.float32(rng.uniform(190, 260)) - np.abs(x)
    start = int(np.searchsorted(grid.y, top - 45 - 300 * curved * varied)) if curved else 0
    for inner, outer, value in layers:
        share = coverage(np.minimum(np.minimum(under - inner, outer - under), reach), 2.0)[0, start:]
        rows = np.nonzero(share.any(1))[0]
        if len(rows):
            part = slice(start + rows[0], start + rows[-1] + 1)
            blend(hu[:, part], value, share[None, rows[0] : rows[-1] + 1] * air[:, part])


def paint_covers(hu: Floats, chest: Chest, skin: Floats, rng: np.random.Generator) -> None:
    """A gown on the skin and a folded blanket over the chest, with air between them and the body."""
    for chance, near, far, folds in ((0.5, 1.5, 5, 1.5), (0.35, 6, 25, 6.0)):
        if rng.random() > chance:
            continue
        gap = np.float32(rng.uniform(near, far)) + np.float32(folds) * smooth_field(chest.grid, 25.0, rng)
        sheet = np.float32(rng.uniform(0.6, 2.5)) - np.abs(skin + gap)
        front = coverage(np.float32(40) - chest.body[1], 20.0)
        blend(hu, float(rng.uniform(-900, -300)), coverage(sheet, 2.0) * front * (skin < -1))


def paint_devices(hu: Floats, chest: Chest, skin: Floats, rng: np.random.Generator) -> None:
    """ECG leads, tubes, pacemaker, port, catheter and sternal wires, each in a few people."""
    plan = chest.plan
    front = -(plan.half_depth + plan.wall + 0.7 * plan.fat)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            start = np.array([rng.uniform(-0.6, 0.6) * plan.half_width, front - 1, rng.uniform(0.3, 0.9) * plan.height])
            end = start + rng.normal(0, 60, 3) * [1, 0.1, 1]
            end[1] = front - 4
            outside = coverage(1 - skin, 2.0)
            paint_path(hu, chest, [start, (start + end) / 2 + [6, -4, 6], end], 1.0, METAL, outside)
            paint_ellipsoid(hu, chest, start, (5, 2.5, 5), 800.0)
    if rng.random() < 0.05:
        can = np.array([0.6 * plan.half_width, front + 16, 0.82 * plan.height])
        paint_ellipsoid(hu, chest, can, (20, 5, 22), METAL, coverage(-chest.cavity - 8, 2.0))
        path = [
            can,
            (30, -0.3 * plan.half_depth, 0.97 * plan.height),
            (-18, -0.15 * plan.half_depth, plan.carina_z + 25),
        ]
        path += [(-20, -0.1 * plan.half_depth, plan.heart[2] + 15), (15, -0.5 * plan.half_depth, plan.heart[2] - 25)]
        paint_path(hu, chest, path, 1.3, METAL, coverage(-chest.depth, 2.0))
    if rng.random() < 0.08:
        port = np.array([-0.55 * plan.half_width, front + 14, 0.8 * plan.height])
        paint_ellipsoid(hu, chest, port, (12, 6, 12), 1500.0, coverage(-chest.cavity - 8, 2.0))
        path = [port, (-28, -0.3 * plan.half_depth, 0.98 * plan.height), (-20, -0.1 * plan.half_depth, plan.carina_z)]
        paint_path(hu, chest, path, 1.4, 900.0, coverage(-chest.depth, 2.0))
    if rng.random() < 0.08:
        for t in (0.4, 0.5, 0.6, 0.7):
            centre = np.array([0, 8 - plan.half_depth * 1.0, t * plan.height])
            turn = np.linspace(0, 2 * np.pi, 7)
            ring = centre + np.stack([12 * np.cos(turn), 8 * np.sin(turn) - 14, 0 * turn + 2], axis=1)
            paint_path(hu, chest, ring, 0.8, METAL, coverage(-chest.cavity - 1, 2.0))
