"""The scanner: voxel size, slices, sharpness, noise and values, drawn without regard to the disease."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .anatomy import Masks
from .fields import Floats, Grid


@dataclass(frozen=True)
class Nuisances:
    """What varies between people and scanners and says nothing of the disease.

    `spacing_mm` is (x, y, z) and `slice_mm` the thickness over which a slice is averaged; `noise_hu` the noise's
    standard deviation; `kernel` < 0 smooths and > 0 sharpens (-1..1); `body_scale` is the size of the person
    (1 = average) and `fat_mm` the fat under the skin. Tissue of h HU is shown as scale (h + 1000) - 1000 + offset_hu,
    in steps of `step_hu`; `starvation` (0..1) is how much streaks grow where a wide body takes the photons, and
    `padding_hu` the value outside the reconstructed circle.
    """

    spacing_mm: tuple[float, float, float]
    noise_hu: float
    kernel: float
    body_scale: float
    fat_mm: float
    slice_mm: float = 1.5
    offset_hu: float = 0.0
    scale: float = 1.0
    step_hu: int = 1
    starvation: float = 0.0
    padding_hu: int = -1024


def draw_nuisances(seed: int) -> Nuisances:
    """Draw the nuisance factors of the phantom with this seed; they do not depend on its label."""
    rng = np.random.default_rng([seed, 1])
    plane = float(rng.uniform(1.3, 2.4))
    slices = float(rng.uniform(3.0, 5.0) if rng.random() < 0.25 else rng.uniform(1.3, 3.0))
    overlap = float(rng.uniform(1.0, 2.0)) if rng.random() < 0.4 else 1.0
    off = 3 if rng.random() < 0.2 else 1
    return Nuisances(
        spacing_mm=(plane, plane, slices),
        noise_hu=float(4 * 10 ** (rng.random() ** 1.3)),
        kernel=float(rng.uniform(-1, 1)),
        body_scale=float(np.clip(rng.normal(1, 0.08), 0.82, 1.18)),
        fat_mm=float(rng.uniform(4, 30) if rng.random() < 0.8 else rng.uniform(30, 55)),
        slice_mm=float(rng.uniform(0.5, 1.5)) if rng.random() < 0.25 else min(slices * overlap, 6.0),
        offset_hu=float(np.clip(off * rng.normal(0, 8), -40, 40)),
        scale=float(1 + np.clip(off * rng.normal(0, 0.008), -0.04, 0.04)),
        step_hu=8 if rng.random() < 0.04 else 1,
        starvation=float(rng.uniform(0.2, 1) if rng.random() < 0.35 else 0),
        padding_hu=(-1024, -1024, -1024, -2000, -2000, int(rng.integers(-2000, -1024)))[int(rng.integers(6))],
    )


def scan(
    hu: Floats, grid: Grid, nuisances: Nuisances, rng: np.random.Generator, seen: Masks | None = None
) -> NDArray[np.int16]:
    """Return what the scanner shows of the tissue: int16 HU [k, j, i].

    The tissue is averaged over each slice, blurred or sharpened, streaked by metal, and given noise of the kernel's
    texture; outside `seen` (broadcast to [k, j, i]) stands the padding.
    """
    kernel = nuisances.kernel
    image = _average_slices(hu, nuisances.slice_mm / grid.spacing[2])
    blur = 0.40 + 0.45 * max(-kernel, 0)
    image = ndimage.gaussian_filter(image, (0, blur, blur), truncate=2.5)
    if kernel > 0:
        image += np.float32(0.8 * kernel) * (image - ndimage.gaussian_filter(image, (0, 1, 1), truncate=2.5))
    _add_metal_streaks(image, hu)
    image += _noise(hu, grid, nuisances, rng)
    image = (image + 1000) * np.float32(nuisances.scale) + np.float32(nuisances.offset_hu - 1000)
    if nuisances.step_hu > 1:
        # an export of 256 grey values
        step = np.float32(nuisances.step_hu)
        image = np.clip(np.rint(image / step) * step, -1024, -1024 + 255 * step)
    image = np.clip(np.rint(image), -1024, 3071)
    if seen is not None:
        image[np.broadcast_to(~seen, image.shape)] = nuisances.padding_hu
    return image.astype(np.int16)


def _average_slices(image: Floats, slices: float) -> Floats:
    """Average [k, j, i] along k over a slice profile that is `slices` voxels thick."""
    if slices <= 1:
        return image.copy()
    reach = int(np.ceil((slices - 1) / 2))
    weight = np.ones(2 * reach + 1)
    weight[0] = weight[-1] = (slices - (2 * reach - 1)) / 2
    return np.asarray(ndimage.correlate1d(image, weight / slices, axis=0, mode="nearest"), np.float32)


def _noise(hu: Floats, grid: Grid, nuisances: Nuisances, rng: np.random.Generator) -> Floats:
    """Draw noise: smooth and blotchy for soft kernels, with little at low frequencies for sharp ones.

    It is strongest in the middle of the body; its standard deviation over the middle 200 x 150 mm is `noise_hu`.
    """
    kernel = nuisances.kernel
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    width = 0.85 - 0.45 * kernel if kernel < 0.6 else 0.0
    noise = ndimage.gaussian_filter(white, (0, width, width), truncate=2.5) if width else white
    low = ndimage.gaussian_filter(noise, (0, 1.6, 1.6), truncate=2.0)
    noise = noise - np.float32(0.65 + 0.25 * kernel) * low
    noise = _average_slices(noise, max(nuisances.slice_mm / grid.spacing[2], 1.0))
    noise *= np.float32(1 / noise.std())
    x, y, _ = grid.axes
    across = np.float32(0.6) + np.float32(0.75) * np.exp(-((x / 115) ** 2 + (y / 85) ** 2))
    middle = across[(np.abs(y) < 75) & (np.abs(x) < 100)]
    across = across * np.float32(nuisances.noise_hu / (np.sqrt(np.mean(middle**2)) if middle.size else 1))
    if not nuisances.starvation:
        return np.asarray(noise * across)
    streaks = ndimage.uniform_filter1d(white, 9, axis=2) * np.float32(3)
    path_mm = (np.clip(hu, -1000, 1500) + 1000).sum(2, keepdims=True) * np.float32(0.001 * grid.spacing[0])
    gain = np.float32(1.5 * nuisances.starvation) * np.clip((path_mm - 260) / 120, 0, 2)
    return np.asarray((noise * (1 + 0.3 * gain) + streaks * gain) * across)


def _add_metal_streaks(image: Floats, hu: Floats) -> None:
    """Add bright and dark streaks along rows and columns through metal, in place."""
    slices = np.nonzero((hu > 1500).any((1, 2)))[0]
    for k in slices:
        metal = np.clip(hu[k] - 1500, 0, 1200)
        row, column = (ndimage.uniform_filter1d(metal, 61, axis=axis) for axis in (1, 0))
        image[k] += np.clip(1.5 * column - 1.5 * row, -250, 250)
