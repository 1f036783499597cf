"""Lung tissue between the vessels, in HU, with the densities that a reader does not call pneumonia."""

from __future__ import annotations

import numpy as np

from .anatomy import Chest
from .canvas import ellipsoid, paint_ellipsoid, window
from .fields import Floats, blend, coverage, smooth_field


def paint_parenchyma(chest: Chest, rng: np.random.Generator, *, distractors: bool) -> Floats:
    """Return the HU [k, j, i] of lung tissue: a level, a slight gradient to the back, texture and fissures."""
    _, y, _ = chest.warped
    back = y * np.float32(1 / chest.plan.half_depth)
    # one in eight breathes out: the whole lung is denser, most of all at the back
    expired = distractors and rng.random() < 0.12
    level = rng.uniform(-770, -650) if expired else rng.uniform(-925, -825)
    gradient = rng.uniform(40, 120) if expired else rng.uniform(5, 50)
    hu = np.asarray(np.float32(level) + np.float32(gradient) * back, np.float32)
    hu += np.float32(rng.uniform(5, 14)) * smooth_field(chest.grid, 20.0, rng)
    hu += np.float32(rng.uniform(6, 22)) * smooth_field(chest.grid, 4.5, rng)
    thick = distractors and rng.random() < 0.25
    width = np.float32(rng.uniform(1.6, 3.0) if thick else 1.3)
    shown = smooth_field(chest.grid, 30.0, rng) > -0.6
    hu += np.float32(rng.uniform(60, 170)) * np.clip(width - chest.fissure, 0, 1) * shown
    if distractors:
        for chance, draw in _DISTRACTORS:
            if rng.random() < chance:
                draw(hu, chest, rng)
    return np.clip(hu, -990, 300)


def _dependent(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Dense lung under the pleura at the back and the base: up to +200 HU, in one of ten more."""
    plan = chest.plan
    _, y, z = chest.warped
    strength = rng.uniform(150, 330) if rng.random() < 0.1 else 20 + 180 * rng.random() ** 2
    back = np.clip((y - np.float32(0.3 * plan.half_depth)) * np.float32(2.5 / plan.half_depth), 0, 1)
    fade = np.exp(np.clip(chest.cavity, 0, None) * np.float32(-1 / rng.uniform(3, 11)))
    fade *= np.clip(np.float32(rng.uniform(0.9, 1.5)) - z * np.float32(1 / plan.height), 0, 1)
    hu += np.float32(strength) * back * fade * np.clip(0.8 + 0.5 * smooth_field(chest.grid, 18.0, rng), 0, 1.5)


def _basal(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """A thin denser layer on the diaphragm."""
    fade = np.exp(np.clip(chest.above_diaphragm, 0, None) * np.float32(-1 / rng.uniform(2, 8)))
    hu += np.float32(rng.uniform(40, 200)) * fade * np.clip(0.3 + smooth_field(chest.grid, 30.0, rng), 0, 1.2)


def _mosaic(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Patches of trapped air, with soft or with lobular edges."""
    patches = smooth_field(chest.grid, float(rng.uniform(12, 35)), rng)
    sharp = np.float32(rng.uniform(1, 4))
    hu += np.float32(rng.uniform(20, 60)) * np.clip(sharp * patches, -1, 1)


def _emphysema(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Centrilobular holes, more in the upper lungs."""
    z = chest.body[2] * np.float32(1 / chest.plan.height)
    holes = smooth_field(chest.grid, float(rng.uniform(4.5, 9)), rng) + 0.7 * smooth_field(chest.grid, 45.0, rng)
    holes += np.float32(rng.uniform(0, 1.2)) * (z - np.float32(0.5))
    hu -= np.float32(rng.uniform(50, 110)) * np.clip(2 * (holes - np.float32(rng.uniform(0.7, 1.5))), 0, 1)


def _paraseptal(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """A row of holes with thin walls under the pleura of the upper lungs."""
    cells = smooth_field(chest.grid, float(rng.uniform(6, 10)), rng)
    upper = np.clip(4 * (chest.body[2] * np.float32(1 / chest.plan.height) - np.float32(rng.uniform(0.4, 0.7))), 0, 1)
    shell = coverage(np.float32(rng.uniform(6, 14)) - chest.costal, 3.0) * upper
    blend(hu, -970.0, shell * np.clip(3 * cells, 0, 1))
    hu += 150 * shell * np.clip(1 - 6 * np.abs(cells), 0, 1)


def _bullae(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """A few bullae of up to 40 mm, most at the apex, with hairline walls."""
    for _ in range(int(rng.integers(1, 5))):
        radius = float(rng.uniform(6, 20))
        centre = _somewhere(chest, rng, 0.4)
        paint_ellipsoid(hu, chest, centre, (radius + 0.8,) * 3, -700.0)
        paint_ellipsoid(hu, chest, centre, (radius,) * 3, -985.0)


def _apical(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Scars that cap the apices."""
    z = chest.body[2] * np.float32(1 / chest.plan.height)
    rough = smooth_field(chest.grid, 7.0, rng)
    cap = coverage(np.float32(rng.uniform(0, 4)) + 2.5 * rough - chest.costal, 2.0)
    cap *= np.clip(12 * (z - np.float32(rng.uniform(0.84, 0.93))), 0, 1)
    blend(hu, -50.0, cap * np.clip(0.5 + smooth_field(chest.grid, 30.0, rng), 0, 1))


def _bands(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Linear atelectasis: plates above the diaphragm, and scars elsewhere."""
    for _ in range(int(rng.integers(1, 4))):
        centre = _somewhere(chest, rng, 0.0 if rng.random() < 0.8 else 0.5)
        length, thick = rng.uniform(12, 35), rng.uniform(0.8, 2.5)
        view = window(chest, centre - length, centre + length)
        if view.empty:
            continue
        normal = rng.normal(0, 1, 3) * [0.5, 0.5, 1.0]
        normal /= np.linalg.norm(normal)
        wave = 2.5 * smooth_field(view.grid, 20.0, rng)
        away = sum(
            np.float32(n) * (axis - np.float32(c))
            for n, axis, c in zip(normal, (view.x, view.y, view.z), centre, strict=True)
        )
        plate = coverage(np.float32(thick) - np.abs(away + wave), 2.0)
        plate *= np.clip(2 * ellipsoid(view, centre, (length, length, length)), 0, 1)
        blend(hu[view.box], float(rng.uniform(-500, 0)), plate)


def _septa(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Fine lines of thickened septa at the bases."""
    view = window(chest, (-200, -150, -80), (200, 150, 0.4 * chest.plan.height))
    cells = smooth_field(view.grid, float(rng.uniform(9, 14)), rng)
    lines = np.clip(1 - np.abs(cells) * 7, 0, 1) * np.exp(-np.clip(chest.costal[view.box], 0, None) / 12)
    hu[view.box] += np.float32(rng.uniform(40, 130)) * lines


def _granulomas(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Small nodules, calcified in most."""
    for _ in range(int(rng.integers(1, 6))):
        radius = float(rng.uniform(1.0, 2.8))
        value = rng.uniform(200, 900) if rng.random() < 0.7 else rng.uniform(-100, 60)
        paint_ellipsoid(hu, chest, _somewhere(chest, rng, 0.0), (radius,) * 3, value)


_DISTRACTORS = (
    (0.65, _dependent),
    (0.30, _basal),
    (0.30, _mosaic),
    (0.20, _emphysema),
    (0.10, _paraseptal),
    (0.10, _bullae),
    (0.25, _apical),
    (0.35, _bands),
    (0.15, _septa),
    (0.30, _granulomas),
)


def _somewhere(chest: Chest, rng: np.random.Generator, lowest: float) -> np.ndarray:
    """Draw a body position (mm) in the chest above `lowest` (share of its height), near its wall."""
    plan = chest.plan
    turn, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.95)
    t = rng.uniform(lowest, 0.92) if lowest else rng.uniform(0.08, 0.8)
    out *= np.sqrt(max(1 - max((t - 0.22) / 0.78, 0) ** plan.taper, 0.05))
    return np.array([out * plan.half_width * np.cos(turn), out * plan.half_depth * np.sin(turn), t * plan.height])


def blur_motion(hu: Floats, chest: Chest, rng: np.random.Generator) -> None:
    """Blur the heart's border, the diaphragm or both: a second contour a few mm beside the first, in place."""
    step_z, step_x = chest.grid.spacing[2], chest.grid.spacing[0]
    if rng.random() < 0.7:
        near = np.exp(np.abs(chest.above_diaphragm) * np.float32(-1 / rng.uniform(6, 16)))
        moved = _shifted(hu, float(rng.uniform(2, 9)) / step_z, 0)
        hu += np.float32(rng.uniform(0.25, 0.5)) * near * (moved - hu)
    if rng.random() < 0.7:
        view = window(chest, (-90, -110, -20), (130, 70, 0.75 * chest.plan.height))
        if view.empty:
            return
        near = np.exp(np.abs(chest.heart[view.box]) * np.float32(-1 / rng.uniform(4, 12)))
        moved = _shifted(hu[view.box], float(rng.uniform(1.5, 5)) / step_x, 2)
        hu[view.box] += np.float32(rng.uniform(0.25, 0.5)) * near * (moved - hu[view.box])


def _shifted(image: Floats, voxels: float, axis: int) -> Floats:
    """Return the image moved by a number of voxels along the axis, with linear interpolation."""
    whole = int(voxels)
    part = np.float32(voxels - whole)
    size = image.shape[axis]
    near, far = (np.clip(np.arange(size) + whole + extra, 0, size - 1) for extra in (0, 1))
    return np.asarray((1 - part) * np.take(image, near, axis) + part * np.take(image, far, axis))
