"""Healthy tissue in HU: body wall, bones, mediastinum, abdomen, table, lungs with vessels, airways and distractors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Chest, rounded_square
from .fields import Floats, Grid, blend, coverage, smooth_field
from .vessels import Points, Tree, draw_branches, draw_tubes, grow_tree

AIR, FAT, MUSCLE, BLOOD, LIVER = -1000.0, -100.0, 52.0, 42.0, 60.0


@dataclass(frozen=True)
class Healthy:
    """A healthy chest: HU [k, j, i] before the scanner, the airway lumen (shares), and the trees (right, left)."""

    hu: Floats
    lumen: Floats
    arteries: tuple[Tree, Tree]
    airways: tuple[Tree, Tree]


def paint_healthy(chest: Chest, rng: np.random.Generator) -> Healthy:
    """Paint one person's chest without disease, with unlabelled distractors drawn at random."""
    hu = _paint_body(chest, rng)
    _paint_mediastinum(hu, chest, rng)
    _paint_abdomen(hu, chest, rng)
    _paint_bones(hu, chest)
    parenchyma = _parenchyma(chest, rng)
    share = coverage(chest.depth, 0.7 * min(chest.grid.spacing)) * chest.lungs
    blend(hu, parenchyma, share)
    arteries, airways, vessels, wall, lumen = _trees(chest, rng)
    blend(hu, BLOOD, vessels)
    blend(hu, -20.0, wall)
    blend(hu, -960.0, lumen)
    return Healthy(hu, lumen, arteries, airways)


def _paint_body(chest: Chest, rng: np.random.Generator) -> Floats:
    """Skin, fat and muscle in air above a table."""
    plan, (x, y, z) = chest.plan, chest.warped
    width = plan.half_width + plan.wall + plan.fat + 8
    depth = plan.half_depth + plan.wall + 0.7 * plan.fat + 4
    radius = np.hypot(x, y)
    level = rounded_square(x / np.float32(width), y / np.float32(depth))
    skin = np.asarray(radius / np.maximum(level, np.float32(0.05)) - radius, np.float32)
    marbling = smooth_field(chest.grid, 9.0, rng)
    hu = np.full(chest.grid.shape, AIR, np.float32)
    blend(hu, 20.0, coverage(skin, 2.0))
    blend(hu, FAT + 8 * marbling, coverage(skin - 2.5, 2.0))
    t = z / np.float32(plan.height)
    pectoral = 9 * np.clip(4 * (t - 0.4), 0, 1) * np.clip(-y / 40, 0, 1) + 6 * np.clip(
        np.abs(x) / np.float32(0.3 * plan.half_width) - 1.6, 0, 1
    )
    shoulder = 22 * np.clip(5 * (t - 0.7), 0, 1)
    reach = np.float32(plan.wall - 6) + pectoral + shoulder
    muscle = np.minimum(chest.cavity + reach, skin - 0.35 * np.float32(plan.fat))
    planes = np.clip(1.6 - np.abs(chest.cavity + plan.wall - 6), 0, 1) * 0.5 + np.clip(marbling - 1.2, 0, 1)
    blend(hu, MUSCLE - 110 * np.clip(planes, 0, 1), coverage(muscle, 2.0))
    back = 1 - np.sqrt(((np.abs(x) - 30) / 27) ** 2 + ((y - np.float32(plan.spine_y + 30)) / 19) ** 2)
    blend(hu, MUSCLE - 40 * np.clip(marbling, 0, 1), coverage(np.minimum(20 * back, skin - 4), 2.0))
    _paint_table(hu, chest.grid, depth, rng)
    return hu


def _paint_table(hu: Floats, grid: Grid, body_depth: float, rng: np.random.Generator) -> None:
    """A curved table under the body: two hard shells with foam between them."""
    x, y, _ = grid.axes
    under = y - np.float32(body_depth + rng.uniform(3, 12)) + x * x / np.float32(rng.uniform(700, 2500))
    thickness, foam = rng.uniform(18, 45), rng.uniform(-975, -900)
    outside = hu < -700
    for inner, outer, value in ((0.0, thickness, foam), (0.0, 3.0, -350.0), (thickness, thickness + 3, -350.0)):
        shell = np.broadcast_to(np.minimum(under - inner, outer - under), hu.shape)
        blend(hu, float(value), coverage(shell, 2.0) * outside)


def _paint_mediastinum(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Fat between the lungs, with heart, great vessels, oesophagus and trachea."""
    plan, grid = chest.plan, chest.grid
    x, y, z = grid.axes
    inside = chest.cavity > -2
    ragged = 2.0 * smooth_field(grid, 14.0, rng)
    blend(hu, np.clip(15 + 45 * ragged, FAT, 40), coverage(chest.cavity, 2.0))
    blend(hu, BLOOD, coverage(ragged - 4 - chest.heart, 2.0) * inside)
    back = plan.spine_y
    arch = plan.carina_z + 22
    tubes = (
        (20.0, back - 30, 11.5, -np.inf, arch),
        (-14.0, -0.22 * plan.half_depth, 15.0, plan.heart[2] + 20, arch + 4),
        (-19.0, -0.12 * plan.half_depth, 9.0, plan.heart[2] + 25, plan.height),
        (4.0, back - 32, 6.5, -np.inf, np.inf),
        (6.0, -0.05 * plan.half_depth, 14.0, plan.carina_z - 50, plan.carina_z - 8),
        (12.0, -0.20 * plan.half_depth, 6.0, arch, np.inf),
        (-8.0, -0.15 * plan.half_depth, 6.5, arch, np.inf),
        (-0.0, 0.02 * plan.half_depth - 22, 15.0, arch + 45, np.inf),
    )
    for cx, cy, radius, low, high in tubes:
        tube = np.float32(radius) - np.hypot(x - np.float32(cx), y - np.float32(cy)) + 0.6 * ragged
        blend(hu, BLOOD, coverage(tube, 2.0) * ((z > low) & (z < high)) * inside)
    along = np.clip((y - np.float32(-0.22 * plan.half_depth)) / np.float32(back - 30 + 0.22 * plan.half_depth), 0, 1)
    bend = np.hypot(x - (-10 + 30 * along), z - np.float32(arch - 4) - 10 * along * (1 - along) * 4 + 8)
    blend(hu, BLOOD, coverage(13 - bend, 2.0) * ((along > 0) & (along < 1)))
    _paint_airway(hu, chest)


def _paint_airway(hu: Floats, chest: Chest) -> None:
    """Trachea and main bronchi with their walls."""
    plan, grid = chest.plan, chest.grid
    carina = np.array([0.0, 8.0, plan.carina_z])
    top = np.array([0.0, -2.0, max(float(grid.z[-1]), plan.carina_z + 10) + 10])
    start, end = [top], [carina]
    for side in (-1, 1):
        start.append(carina)
        end.append(plan.hilum(side) + np.array([side * 6.0, 0.0, -4.0]))
    radius = np.array([8.5, 6.5, 5.8])
    starts, ends = np.array(start), np.array(end)
    blend(hu, 20.0, draw_tubes(grid, starts, ends, radius + 1.6))
    blend(hu, AIR, draw_tubes(grid, starts, ends, radius))


def _paint_abdomen(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Liver, spleen, fat and a gas bubble in the stomach, all below the diaphragm."""
    plan, grid = chest.plan, chest.grid
    x = chest.warped[0]
    below = coverage(np.minimum(chest.cavity, -chest.above_diaphragm), 2.0)
    soft = smooth_field(grid, 22.0, rng)
    blend(hu, LIVER, below)
    left = coverage(x - 25 + 8 * soft, 3.0) * coverage(-chest.above_diaphragm - 6, 3.0)
    blend(hu, np.where(soft > -0.2, np.float32(FAT), np.float32(45)), left * below)
    spleen = _ellipsoid(chest.warped, (0.62 * plan.half_width, 0.45 * plan.half_depth, 0.0), (42.0, 38.0, 55.0))
    blend(hu, 50.0, coverage(30 * spleen, 2.0) * below)
    centre = (0.45 * plan.half_width, -0.2 * plan.half_depth, 0.35 * plan.dome * float(rng.uniform(0.4, 1)))
    size = float(rng.uniform(0.6, 1.2))
    stomach = _ellipsoid(chest.warped, centre, (36 * size, 34 * size, 26 * size))
    blend(hu, 35.0, coverage(30 * stomach + 4, 2.0) * below)
    level = grid.axes[1] < centre[1] + np.float32(rng.uniform(-25, 20))
    blend(hu, AIR, coverage(30 * stomach, 2.0) * below * level * coverage(-chest.above_diaphragm - 5, 2.0))


def _ellipsoid(
    position: tuple[Floats, Floats, Floats], centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Floats:
    """Return 1 at the ellipsoid's centre, 0 on its surface and less outside; all lengths in mm."""
    squares = [((p - np.float32(c)) / np.float32(r)) ** 2 for p, c, r in zip(position, centre, radii, strict=True)]
    return np.asarray(1 - np.sqrt(squares[0] + squares[1] + squares[2]), np.float32)


def _paint_bones(hu: Floats, chest: Chest) -> None:
    """Ribs that slope down to the front, spine with its canal, and sternum: cortex around marrow."""
    plan = chest.plan
    x, y, z = chest.warped
    slope = (z + 0.55 * y) / np.float32(plan.rib_pitch)
    phase = np.abs(slope - np.round(slope)) * np.float32(plan.rib_pitch)
    rib = np.asarray(1 - np.sqrt((phase / 6.5) ** 2 + ((chest.cavity + 7.5) / 5.0) ** 2), np.float32)
    present = (np.abs(x) > 24) & ((y > -0.72 * plan.half_depth) | (np.abs(x) > 62)) & (z < plan.height * 1.08)
    cartilage = (np.abs(x) > 14) & (y < -0.6 * plan.half_depth) & ~present & (z < 0.8 * plan.height)
    blend(hu, 110.0, coverage(5 * rib, 2.0) * cartilage)
    blend(hu, 520.0, coverage(5 * rib, 2.0) * present)
    blend(hu, 200.0, coverage(5 * rib - 1.6, 2.0) * present)
    gx, gy, gz = chest.grid.axes
    vertebra = np.hypot(gx / 1.15, gy - np.float32(plan.spine_y)) - 17
    canal = np.hypot(gx, gy - np.float32(plan.spine_y + 25)) - 8
    process = np.maximum(np.abs(gx) - 3.5, np.abs(gy - np.float32(plan.spine_y + 33)) - 6)
    lamina = np.maximum(np.hypot(gx / 1.3, gy - np.float32(plan.spine_y + 25)) - 13, -canal)
    joint = np.abs(np.mod(gz, 26) - 13) > 10
    transverse = np.maximum(np.abs(gx) - 32, np.hypot(gy - np.float32(plan.spine_y + 24), np.mod(gz, 26) - 10) - 5.5)
    for outer in (process, lamina, transverse):
        blend(hu, 380.0, coverage(-outer, 2.0) + 0 * gz)
    blend(hu, 430.0, coverage(-vertebra, 2.0) * ~joint)
    blend(hu, 170.0, coverage(-vertebra - 1.8, 2.0) * ~joint)
    blend(hu, 85.0, coverage(-vertebra, 2.0) * joint)
    blend(hu, 30.0, coverage(-canal, 2.0) + 0 * gz)
    sternum = np.minimum(np.minimum(19 - np.abs(x), 5.5 - np.abs(chest.cavity + 8)), z - np.float32(0.25 * plan.height))
    front = (y < -0.5 * plan.half_depth) & (z < 0.92 * plan.height)
    blend(hu, 380.0, coverage(sternum, 2.0) * front)
    blend(hu, 130.0, coverage(sternum - 1.8, 2.0) * front)


def _parenchyma(chest: Chest, rng: np.random.Generator) -> Floats:
    """Lung tissue in HU: a level, a gradient to the back, texture, fissures and the distractors."""
    plan, grid = chest.plan, chest.grid
    _, y, z = chest.warped
    hu = np.float32(rng.uniform(-885, -815)) + np.float32(rng.uniform(10, 45)) * (y / np.float32(plan.half_depth))
    mosaic = rng.uniform(5, 14) if rng.random() < 0.75 else rng.uniform(18, 32)
    hu = hu + np.float32(mosaic) * smooth_field(grid, 20.0, rng)
    hu += np.float32(rng.uniform(6, 16)) * smooth_field(grid, 4.5, rng)
    thick = np.clip(1.6 - chest.fissure, 0, 1) * (smooth_field(grid, 30.0, rng) > -0.3)
    hu += np.float32(rng.uniform(60, 170)) * thick
    if rng.random() < 0.55:
        strength, reach = 30 + 170 * rng.random() ** 3, rng.uniform(4, 11)
        back = np.clip((y - 0.35 * plan.half_depth) / (0.4 * plan.half_depth), 0, 1)
        fade = np.exp(-np.clip(chest.cavity, 0, None) / np.float32(reach)) * np.clip(1.2 - z / plan.height, 0, 1)
        hu += np.float32(strength) * back * fade * np.clip(0.8 + 0.5 * smooth_field(grid, 18.0, rng), 0, 1.5)
    if rng.random() < 0.2:
        holes = smooth_field(grid, rng.uniform(5, 9), rng) + 0.7 * smooth_field(grid, 45.0, rng)
        hu -= 90 * np.clip(2 * (holes - 1.3), 0, 1)
    if rng.random() < 0.2:
        band = np.abs(chest.above_diaphragm - np.float32(rng.uniform(8, 25)) + 5 * smooth_field(grid, 30.0, rng))
        hu += 350 * np.clip(1.8 - band, 0, 1) * (smooth_field(grid, 40.0, rng) > 0.9)
    return np.clip(hu, -980, 60)


def _trees(
    chest: Chest, rng: np.random.Generator
) -> tuple[tuple[Tree, Tree], tuple[Tree, Tree], Floats, Floats, Floats]:
    """Grow arteries, veins, airways; return both sides' arteries, airways; shares of vessel, airway wall and lumen."""
    grid, plan = chest.grid, chest.plan
    vessels = np.zeros(grid.shape, np.float32)
    wall, lumen = vessels.copy(), vessels.copy()
    arteries, airways = [], []
    for side, lung in ((-1, chest.right), (1, chest.left)):
        room = grid.points(lung & (chest.depth > 3)).astype(np.float64)
        hilum = plan.hilum(side)
        artery = grow_tree(hilum, _spread(room, 1500, rng), rng.uniform(0.48, 0.64), rng)
        vein = grow_tree(hilum - [side * 6.0, 4.0, 16.0], _spread(room, 900, rng), rng.uniform(0.48, 0.64), rng)
        for tree in (artery, vein):
            vessels += draw_branches(grid, tree, tree.children(0.0))
        airway = artery.children(1.7)
        shifted = artery.position + [1.8 * side, 2.2, 0.6] * artery.radius[:, None]
        beside = Tree(shifted, artery.parent, artery.radius, artery.leaf)
        wall += draw_branches(grid, beside, airway, 1.12)
        lumen += draw_branches(grid, beside, airway, 0.8)
        arteries.append(artery)
        airways.append(beside)
    shares = np.minimum(vessels, 1), np.minimum(wall, 1), np.minimum(lumen, 1)
    return (arteries[0], arteries[1]), (airways[0], airways[1]), *shares


def _spread(room: Points, count: int, rng: np.random.Generator) -> Points:
    """Choose `count` of the positions (N, 3) at random, moved by up to a voxel so that no grid shows."""
    chosen = room[rng.integers(0, len(room), count)]
    return chosen + rng.uniform(-1, 1, chosen.shape)
