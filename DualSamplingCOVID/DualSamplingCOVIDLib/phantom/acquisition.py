"""The scanner: voxel size, sharpness, noise and field of view, drawn without regard to the disease."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .fields import Floats, Grid


@dataclass(frozen=True)
class Nuisances:
    """What varies between people and scanners and says nothing of the disease.

    `spacing_mm` is (x, y, z); `noise_hu` the noise's standard deviation; `kernel` < 0 smooths and > 0 sharpens;
    `body_scale` is the size of the person (1 = average) and `fat_mm` the fat under the skin.
    """

    spacing_mm: tuple[float, float, float]
    noise_hu: float
    kernel: float
    body_scale: float
    fat_mm: float


def draw_nuisances(seed: int) -> Nuisances:
    """Draw the nuisance factors of the phantom with this seed; they do not depend on its label."""
    rng = np.random.default_rng([seed, 1])
    plane, slices = float(rng.uniform(1.4, 2.2)), float(rng.uniform(1.5, 3.0))
    return Nuisances(
        spacing_mm=(plane, plane, slices),
        noise_hu=float(np.exp(rng.uniform(np.log(6), np.log(32)))),
        kernel=float(rng.uniform(-1, 1)),
        body_scale=float(np.clip(rng.normal(1, 0.07), 0.85, 1.15)),
        fat_mm=float(rng.uniform(5, 38)),
    )


def scan(hu: Floats, grid: Grid, nuisances: Nuisances, rng: np.random.Generator) -> np.ndarray:
    """Return what the scanner shows of the tissue: int16 HU [k, j, i], blurred or sharpened, with coloured noise."""
    blur = 0.45 + 0.35 * max(-nuisances.kernel, 0)
    image = ndimage.gaussian_filter(hu, (0.4, blur, blur), truncate=2.5)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, (0.3, 0.7, 0.7), truncate=2.5)
    if nuisances.kernel > 0:
        image += np.float32(0.6 * nuisances.kernel) * (image - ndimage.gaussian_filter(image, (0, 1, 1), truncate=2.5))
        smooth += np.float32(0.5 * nuisances.kernel) * noise
    x, y, _ = grid.axes
    centre = 0.6 + 0.7 * np.exp(-((x / 110) ** 2 + (y / 80) ** 2))
    image += smooth * (centre * np.float32(nuisances.noise_hu / smooth.std())) + np.float32(rng.normal(0, 6))
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)
