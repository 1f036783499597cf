"""Between the lungs: heart, great vessels, airway, oesophagus and fat, with or without contrast medium."""

from __future__ import annotations

import numpy as np

from .anatomy import Chest
from .canvas import ellipsoid, paint_ellipsoid, paint_path, window
from .fields import Floats, blend, coverage, smooth_field

AIR, FAT, MUSCLE = -1000.0, -100.0, 52.0


def draw_blood(rng: np.random.Generator, *, contrast: bool) -> float:
    """Draw the HU of blood: 35..50, or +60..+350 with contrast medium in a third where `contrast` is allowed."""
    plain = float(rng.uniform(35, 50))
    return float(rng.uniform(60, 350)) if contrast and rng.random() < 0.33 else plain


def paint_mediastinum(hu: Floats, chest: Chest, blood: float, rng: np.random.Generator) -> None:
    """Paint everything between the lungs; lung tissue is painted over it afterwards."""
    inside = coverage(chest.cavity, 2.0)
    ragged = 2.0 * smooth_field(chest.grid, 14.0, rng)
    blend(hu, np.clip(np.float32(rng.uniform(-40, 20)) + 30 * ragged, FAT, 40), inside)
    _paint_heart(hu, chest, ragged, inside, blood, rng)
    _paint_vessels(hu, chest, inside, blood, rng)
    _paint_oesophagus(hu, chest, rng)
    paint_airway(hu, chest, rng)


def _paint_heart(
    hu: Floats, chest: Chest, ragged: Floats, inside: Floats, blood: float, rng: np.random.Generator
) -> None:
    """The heart under a rim of fat; contrast medium shows its chambers."""
    plan = chest.plan
    fat = np.float32(rng.uniform(1, 7))
    blend(hu, FAT, coverage(-1 - chest.heart, 2.0) * inside)
    blend(hu, min(blood, 45.0 + 0.25 * blood), coverage(0.8 * ragged - fat - chest.heart, 2.0) * inside)
    if blood < 60:
        return
    centre, size = np.array(plan.heart), plan.heart_radius
    chambers = ((0.42, -0.12, -0.25, 0.40), (0.05, -0.55, -0.1, 0.42), (-0.45, 0.0, 0.15, 0.42), (0.05, 0.45, 0.3, 0.4))
    for x, y, z, radius in chambers:
        radii = np.array([0.95, 0.95, 1.25]) * radius * size
        paint_ellipsoid(hu, chest, centre + np.array([x, y, z]) * size, radii, blood * rng.uniform(0.75, 1.05), inside)


def _paint_vessels(hu: Floats, chest: Chest, inside: Floats, blood: float, rng: np.random.Generator) -> None:
    """Aorta with its arch, caval and azygos veins, pulmonary trunk and arteries, and the vessels of the neck."""
    plan, back = chest.plan, chest.plan.spine_y
    d, arch, top = plan.half_depth, plan.carina_z + 22, plan.height
    root = plan.heart[2] + 25
    hila = {side: plan.hilum(side) for side in (-1, 1)}
    low = plan.carina_z - 20
    wide = rng.uniform(0.9, 1.25)
    aorta = [(-2, -0.25 * d, root), (-12, -0.24 * d, low), (-10, -0.2 * d, arch - 14), (-2, -0.12 * d, arch - 1)]
    aorta += [(11, 6, arch), (19, back - 42, arch - 9), (21, back - 31, arch - 30)]
    aorta += [(17, back - 33, 60), (6, back - 32, -150)]
    paths = (
        (aorta, [15 * wide, 15 * wide, 14, 13, 12.5, 12.5, 12 * wide, 11.5, 10.5]),
        ([(-20, -0.05 * d, plan.heart[2] + 10), (-21, -0.1 * d, arch), (-15, -0.25 * d, arch + 25)], 9),
        ([(-15, -0.25 * d, arch + 25), (-38, -0.3 * d, top - 8)], 7),
        ([(-17, -0.22 * d, arch + 12), (10, -0.35 * d, arch + 26), (36, -0.3 * d, top - 8)], 6.5),
        ([(5, -0.45 * d, root), (10, -0.3 * d, low + 4), (16, -0.05 * d, low + 8)], 13.5),
        ([(14, -0.12 * d, low + 4), (-8, -0.02 * d, low - 2), hila[-1]], [12, 11, 9.5]),
        ([(14, -0.06 * d, low + 8), hila[1] + [-4, 0, 12], hila[1]], [12, 10.5, 9]),
        ([(0, 0.3 * d, low - 20), hila[-1] - [0, 2, 22]], [10, 6]),
        ([(0, 0.3 * d, low - 20), hila[1] - [0, 2, 26]], [10, 6]),
        ([(-9, back - 20, -100), (-9, back - 20, plan.carina_z), (-18, 20, plan.carina_z + 9)], [3.5, 4.5, 5]),
        ([(-18, 20, plan.carina_z + 9), (-20, -0.05 * d, plan.carina_z + 8)], 5),
        ([(-6, -0.15 * d, arch), (-14, -0.12 * d, arch + 35), (-22, -0.2 * d, top + 90)], [6.5, 6, 4]),
        ([(4, -0.08 * d, arch), (14, -0.05 * d, arch + 35), (22, -0.2 * d, top + 90)], 4.2),
        ([(12, 0.02 * d, arch), (22, 0.05 * d, arch + 35), (60, 0.02 * d, top + 5)], 5),
        ([(-22, -0.1 * d, -120), (-22, -0.12 * d, 20), (-16, -0.1 * d, plan.heart[2])], 11),
    )
    for points, radii in (*paths, *plan.hilar_vessels()):
        paint_path(hu, chest, points, radii, blood * float(rng.uniform(0.85, 1.05)), inside)
    if rng.random() < 0.3:
        _paint_calcium(hu, chest, np.array(aorta[4:8]), rng)


def _paint_calcium(hu: Floats, chest: Chest, path: np.ndarray, rng: np.random.Generator) -> None:
    """Flecks of calcium in the wall of the aorta, and in the coronary arteries."""
    for _ in range(int(rng.integers(2, 12))):
        segment, share = int(rng.integers(0, len(path) - 1)), rng.random()
        centre = path[segment] + share * (path[segment + 1] - path[segment]) + rng.normal(0, 7, 3)
        paint_ellipsoid(hu, chest, centre, rng.uniform(1, 4, 3), float(rng.uniform(300, 1100)))
    heart = np.array(chest.plan.heart)
    for _ in range(int(rng.integers(0, 5))):
        paint_ellipsoid(hu, chest, heart + rng.normal(0, 25, 3) + [0, -25, 15], rng.uniform(1, 3, 3), 500.0)


def _paint_oesophagus(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """The oesophagus before the spine, with air in it in a third; rarely with a hiatal hernia."""
    plan = chest.plan
    back = plan.spine_y - 29
    path = [(14, back - 8, -10), (8, back, 30), (3, back, plan.carina_z), (2, back - 8, plan.height + 100)]
    paint_path(hu, chest, path, 7.5, 40.0)
    if rng.random() < 0.35:
        low = rng.uniform(0.1, 0.9) * plan.height
        bubble = [(4, back, low), (3, back - 1, low + rng.uniform(10, 60))]
        paint_path(hu, chest, bubble, float(rng.uniform(1.5, 4.5)), -950.0)
    if rng.random() < 0.05:
        size = float(rng.uniform(14, 26))
        centre = (10.0, back - 6, 0.9 * plan.dome + size)
        paint_ellipsoid(hu, chest, centre, (size,) * 3, 40.0, coverage(4 - chest.depth, 2.0))
        paint_ellipsoid(hu, chest, (10.0, back - 14, centre[2] + 4), (size - 9,) * 3, AIR, coverage(-chest.depth, 2.0))


def paint_airway(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Trachea up to the neck and main bronchi, with their walls."""
    plan = chest.plan
    carina = np.array([0.0, 8.0, plan.carina_z])
    shift = float(rng.normal(2, 4))
    trachea = [carina, (shift, 0.0, plan.carina_z + 50), (0.3 * shift, -8.0, plan.height + 10)]
    trachea.append((0.0, -22.0, plan.height + 140))
    width = float(rng.uniform(7, 10))
    bronchi = [[carina, plan.hilum(side) + np.array([side * 7.0, 2.0, -4.0])] for side in (-1, 1)]
    cut = coverage(3 - chest.depth, 2.0)
    for outer, value in ((1.6, 20.0), (0.0, AIR)):
        paint_path(hu, chest, trachea, width + outer, value, cut)
        for path, radius in zip(bronchi, (0.8 * width, 0.7 * width), strict=True):
            paint_path(hu, chest, path, [radius + outer, 0.85 * radius + outer], value, cut)
    if rng.random() < 0.5:
        # the bronchus intermedius and the left lower one lie in the hila's fat
        for side in (-1, 1):
            path = plan.hilum(side) + np.array([[side * 2.0, 2.0, -4.0], [side * 2.0, 12.0, -34.0]])
            paint_path(hu, chest, path, 6.3, 20.0, cut)
            paint_path(hu, chest, path, 4.6, AIR, cut)
    view = window(chest, (-40, -70, plan.height + 20), (40, 40, plan.height + 90))
    if not view.empty:
        thyroid = np.maximum(
            ellipsoid(view, (-19, -24, plan.height + 45), (11, 11, 24)),
            ellipsoid(view, (19, -24, plan.height + 45), (11, 11, 24)),
        )
        blend(hu[view.box], 100.0, coverage(10 * thyroid, 2.0))
