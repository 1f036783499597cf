"""The body wall: skin, fat, muscle and bones, with breasts, shoulders, neck and arms."""

from __future__ import annotations

import numpy as np

from .anatomy import Chest, rounded_square
from .canvas import paint_ellipsoid, paint_path, window
from .fields import Floats, blend, coverage, smooth_field
from .mediastinum import AIR, FAT, MUSCLE


def paint_body(chest: Chest, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the HU [k, j, i] of skin, fat and muscle in air, and the distance in mm below the skin."""
    plan, (x, y, z) = chest.plan, chest.warped
    skin = _skin_distance(chest, rng)
    marbling = smooth_field(chest.grid, 9.0, rng)
    hu = np.full(chest.grid.shape, AIR, np.float32)
    blend(hu, 20.0, coverage(skin, 2.0))
    blend(hu, FAT + 8 * marbling, coverage(skin - 2.5, 2.0))
    t = z * np.float32(1 / plan.height)
    pectoral = 9 * np.clip(4 * (t - 0.4), 0, 1) * np.clip(y * np.float32(-1 / 40), 0, 1)
    pectoral += 6 * np.clip(np.abs(x) * np.float32(1 / (0.3 * plan.half_width)) - 1.6, 0, 1)
    reach = np.float32(plan.wall - 6) + pectoral + np.float32(rng.uniform(14, 40)) * np.clip(5 * (t - 0.7), 0, 1)
    muscle = np.minimum(chest.cavity + reach, skin - np.float32(0.35 * plan.fat + 2))
    planes = np.clip(1.6 - np.abs(chest.cavity + np.float32(plan.wall - 6)), 0, 1) * 0.5 + np.clip(marbling - 1.2, 0, 1)
    blend(hu, MUSCLE - 110 * np.clip(planes, 0, 1), coverage(muscle, 2.0))
    view = window(chest, (-62, plan.spine_y, -400), (62, plan.spine_y + 55, 500))
    if not view.empty:
        back = 1 - np.sqrt(((np.abs(view.x) - 30) / 27) ** 2 + ((view.y - np.float32(plan.spine_y + 30)) / 19) ** 2)
        streaks = 40 * np.clip(marbling[view.box], 0, 1)
        blend(hu[view.box], MUSCLE - streaks, coverage(np.minimum(20 * back, skin[view.box] - 4), 2.0))
    return hu, skin


def _skin_distance(chest: Chest, rng: np.random.Generator) -> Floats:
    """Distance in mm below the skin: a trunk with shoulders, a neck and, above a fat person's waist, a belly."""
    plan, (x, y, z) = chest.plan, chest.warped
    t = z * np.float32(1 / plan.height)
    shoulders = np.exp(-(((t - np.float32(0.98)) / np.float32(0.14)) ** 2)) * np.float32(rng.uniform(0.05, 0.22))
    neck = 1 / (1 + np.exp((t - np.float32(rng.uniform(1.14, 1.24))) * 28))
    waist = np.float32(rng.uniform(-0.12, 0.08) + 0.004 * (plan.fat - 20)) * np.clip(0.35 - t, 0, 0.6)
    shape = np.float32(0.52) + np.float32(0.48) * neck
    width = (np.float32(plan.half_width + plan.wall + plan.fat + 8) * (1 + shoulders + waist)) * shape
    depth = np.float32(plan.half_depth + plan.wall + 0.7 * plan.fat + 4) * (1 + 1.5 * waist) * (0.3 + 0.7 * shape)
    level = rounded_square(x / width, y / depth)
    radius = np.sqrt(x * x + y * y)
    return np.asarray(radius / np.maximum(level, np.float32(0.05)) - radius, np.float32)


def paint_breasts(hu: Floats, chest: Chest, skin: Floats, rng: np.random.Generator) -> None:
    """Breasts of fat and gland, that lie more or less to the sides."""
    plan = chest.plan
    size = float(rng.uniform(35, 80))
    flat = float(rng.uniform(0.4, 0.75))
    gland = float(rng.uniform(-90, 20))
    for side in (-1, 1):
        out = float(rng.uniform(0.45, 0.75)) * plan.half_width
        front = -(plan.half_depth + plan.wall + 0.7 * plan.fat) * np.sqrt(
            max(1 - (out / (1.3 * plan.half_width)) ** 2, 0)
        )
        centre = np.array([side * out, front + 12, float(rng.uniform(0.36, 0.52)) * plan.height])
        radii = np.array([size, size * flat, size])
        outside = coverage(3 - skin, 2.0)
        paint_ellipsoid(hu, chest, centre, radii, 20.0, outside)
        outside = coverage(8 - skin, 2.0)
        paint_ellipsoid(hu, chest, centre, radii - 2, FAT, outside)
        paint_ellipsoid(hu, chest, centre - [0, 0.25 * radii[1], 0], 0.6 * radii, gland, outside)


def paint_arms(hu: Floats, chest: Chest, skin: Floats, rng: np.random.Generator) -> None:
    """Both arms, up beside the head or down along the chest: skin, fat, muscle and humerus."""
    plan = chest.plan
    up = rng.random() < 0.7
    thick = 34 + 0.5 * plan.fat
    shoulder = np.array([plan.half_width + 22, 8.0, 0.93 * plan.height])
    if up:
        elbow = shoulder + np.array([rng.uniform(-20, 60), rng.uniform(-60, 0), 170.0])
    else:
        elbow = shoulder + np.array([rng.uniform(20, 45) + plan.fat, rng.uniform(-10, 30), -280.0])
    outside = coverage(3 - skin, 2.0)
    for side in (-1, 1):
        path = np.array([shoulder, elbow]) * [side, 1, 1]
        paint_path(hu, chest, path, [thick + 6, thick], 20.0, outside)
        paint_path(hu, chest, path, [thick + 4, thick - 2], FAT, outside)
        paint_path(hu, chest, path, 0.78 * thick, MUSCLE, coverage(-chest.cavity - 12, 2.0))
        outer = coverage(-chest.cavity - 14, 2.0)
        paint_ellipsoid(hu, chest, path[0], (22, 22, 22), 420.0, outer)
        paint_path(hu, chest, path, 11.5, 900.0, outer)
        paint_path(hu, chest, path, 6.0, 60.0, outer)


def paint_bones(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Ribs that slope down to the front, spine with its canal, sternum, scapulae and clavicles."""
    density = float(rng.uniform(0.7, 1.25))
    _paint_ribs(hu, chest, density)
    _paint_spine(hu, chest, density)
    _paint_girdle(hu, chest, density, rng)


def _paint_ribs(hu: Floats, chest: Chest, density: float) -> None:
    plan = chest.plan
    x, y, z = chest.warped
    slope = (z + np.float32(0.55) * y) * np.float32(1 / plan.rib_pitch)
    phase = (slope - np.round(slope)) * np.float32(plan.rib_pitch / 6.5)
    across = (chest.cavity + np.float32(7.5)) * np.float32(1 / 5.0)
    rib = 5 - 5 * np.sqrt(phase * phase + across * across)
    wide = np.abs(x)
    lateral = (wide > 24) & ((y > -0.72 * plan.half_depth) | (wide > 62)) & (z < plan.height * 1.08)
    # the lowest ribs end in the flanks
    present = lateral & ((z > -25) | (y > np.float32(0.2 * plan.half_depth) - z - 40)) & (z > -95)
    cartilage = (wide > 14) & (y < -0.6 * plan.half_depth) & ~present & (z < 0.8 * plan.height) & (z > 0)
    blend(hu, 110.0, coverage(rib, 2.0) * cartilage)
    blend(hu, 520.0 * density, coverage(rib, 2.0) * present)
    blend(hu, 200.0 * density, coverage(rib - np.float32(1.6), 2.0) * present)


def _paint_spine(hu: Floats, chest: Chest, density: float) -> None:
    """Vertebrae with discs, canal, processes and laminae."""
    plan = chest.plan
    view = window(chest, (-50, plan.spine_y - 25, -500), (50, plan.spine_y + 60, 800))
    if view.empty:
        return
    x, y, z, part = view.x, view.y, view.z, hu[view.box]
    vertebra = np.hypot(x * np.float32(1 / 1.15), y - np.float32(plan.spine_y)) - 17
    canal = np.hypot(x, y - np.float32(plan.spine_y + 25)) - 8
    level = np.mod(z, 26)
    process = np.maximum(np.abs(x) - 3.5, np.abs(y - np.float32(plan.spine_y + 33)) - 6)
    lamina = np.maximum(np.hypot(x / 1.3, y - np.float32(plan.spine_y + 25)) - 13, -canal)
    transverse = np.maximum(np.abs(x) - 32, np.hypot(y - np.float32(plan.spine_y + 24), level - 10) - 5.5)
    joint = np.abs(level - 13) > 10
    for outer in (process, lamina, transverse):
        blend(part, 380.0 * density, coverage(-outer, 2.0))
    blend(part, 430.0 * density, coverage(-vertebra, 2.0) * ~joint)
    blend(part, 170.0 * density, coverage(-vertebra - 1.8, 2.0) * ~joint)
    blend(part, 85.0, coverage(-vertebra, 2.0) * joint)
    blend(part, 30.0, coverage(-canal, 2.0))


def _paint_girdle(hu: Floats, chest: Chest, density: float, rng: np.random.Generator) -> None:
    """Sternum, scapulae and clavicles."""
    plan = chest.plan
    d, w = plan.half_depth, plan.half_width
    view = window(chest, (-30, -1.3 * d, 0.2 * plan.height), (30, -0.3 * d, plan.height))
    if not view.empty:
        cavity, z = chest.cavity[view.box], view.z
        sternum = np.minimum(
            np.minimum(19 - np.abs(view.x), 5.5 - np.abs(cavity + 8)), z - np.float32(0.25 * plan.height)
        )
        front = (view.y < -0.5 * d) & (z < 0.92 * plan.height)
        blend(hu[view.box], 380.0 * density, coverage(sternum, 2.0) * front)
        blend(hu[view.box], 130.0 * density, coverage(sternum - 1.8, 2.0) * front)
    turn = float(rng.uniform(-10, 25))
    for side in (-1, 1):
        ends = sorted((side * 50.0, side * (w + 45)))
        view = window(chest, (ends[0], -10, 0.5 * plan.height), (ends[1], d + 60, 1.1 * plan.height))
        if not view.empty:
            cavity = chest.cavity[view.box]
            t = view.z * np.float32(1 / plan.height)
            reach = np.abs(view.x) - np.float32(62 + turn) - 90 * np.clip(0.75 - t, 0, 1)
            blade = np.minimum(np.minimum(reach, 3.2 - np.abs(cavity + np.float32(plan.wall + 3))), 200 * (t - 0.55))
            blade = np.minimum(blade, np.minimum(view.y - 8, np.float32(1.04 * plan.height) - view.z))
            blend(hu[view.box], 560.0 * density, coverage(blade, 2.0))
        clavicle = [(side * 16, -0.72 * d, 0.9 * plan.height), (side * 0.95 * w, -12, 1.02 * plan.height)]
        paint_path(hu, chest, clavicle, 6.5, 480.0 * density, coverage(-chest.cavity - 4, 2.0))
