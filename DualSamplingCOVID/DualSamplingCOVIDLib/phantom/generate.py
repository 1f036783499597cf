"""One phantom from one seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..cohort import NORMAL
from ..diagnosis import CAP, COVID
from .acquisition import Nuisances, draw_nuisances, scan
from .anatomy import draw_body, shape_chest
from .extent import draw_extent
from .fields import Grid
from .lesions import LesionKind, infect, pour_effusion
from .tissue import paint_healthy
from .variety import FULL, Variety


@dataclass(frozen=True)
class Phantom:
    """A synthetic chest CT and the truth about it.

    `ct` is int16 HU with axes L, P, S; the masks are uint8 of 0 and 1 in its geometry, and the lungs INCLUDE the
    infection. `kinds` is 0 where not infected, else the `LesionKind` there. `label` is "COVID-19", "CAP" or "normal";
    `ratio` is infected volume / lung volume of these masks.
    """

    ct: sitk.Image
    right_lung: sitk.Image
    left_lung: sitk.Image
    infection: sitk.Image
    kinds: sitk.Image
    label: str
    ratio: float
    nuisances: Nuisances


def make_phantom(
    seed: int,
    label: str,
    *,
    ratio: float | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    max_size: tuple[int, int, int] = (240, 220, 220),
    kind: LesionKind | None = None,
    variety: Variety = FULL,
) -> Phantom:
    """Make the phantom of this seed: the same arguments give the same voxels.

    Args:
        seed: not negative; decides person, scanner and lesions.
        label: "COVID-19", "CAP" or "normal".
        ratio: wanted infection ratio in (0, 1); drawn from the label's strata when None. Normal lungs have none.
        spacing_mm: voxel size (x, y, z) in mm; drawn when None.
        max_size: most voxels along x, y and z; the voxels grow where the body would not fit.
        kind: the only kind of lesion there is; the mix of the disease when None.
        variety: what the phantom may show; everything by default.

    Raises:
        ValueError: an unknown label, or a ratio outside (0, 1).
    """
    if label not in (COVID, CAP, NORMAL):
        raise ValueError(f"label must be {COVID!r}, {CAP!r} or {NORMAL!r}, got {label!r}")
    if ratio is not None and not 0 < ratio < 1:
        raise ValueError(f"ratio must lie between 0 and 1, got {ratio}")
    nuisances = draw_nuisances(seed)
    plan = draw_body(nuisances.body_scale, nuisances.fat_mm, np.random.default_rng([seed, 2]))
    if not variety.hila:
        plan = dataclasses.replace(plan, hilar=0.0)
    stream = np.random.default_rng([seed, 3])
    view = draw_extent(plan, spacing_mm or nuisances.spacing_mm, max_size, stream, variety)
    grid, seen = view.grid, view.seen
    nuisances = dataclasses.replace(nuisances, spacing_mm=grid.spacing)
    rng = np.random.default_rng([seed, 4])
    chest = shape_chest(plan, grid, rng, seen)
    healthy = paint_healthy(chest, rng, variety)
    if variety.distractors:
        chest, healthy = pour_effusion(chest, healthy, label, np.random.default_rng([seed, 9]))
    hu, kinds = healthy.hu, np.zeros(grid.shape, np.uint8)
    if label != NORMAL:
        wanted = ratio if ratio is not None else draw_ratio(label, np.random.default_rng([seed, 5]))
        hu, kinds = infect(chest, healthy, label, wanted, np.random.default_rng([seed, 6]), variety, kind)
    ct = scan(hu, grid, nuisances, np.random.default_rng([seed, 7]), seen)
    true_ratio = float(np.count_nonzero(kinds) / chest.lungs.sum())
    right, left, infection = (_image(mask.astype(np.uint8), grid) for mask in (chest.right, chest.left, kinds > 0))
    return Phantom(_image(ct, grid), right, left, infection, _image(kinds, grid), label, true_ratio, nuisances)


Strata = dict[str, tuple[tuple[float, float, int], ...]]
"""Label -> strata of the infection ratio: lower bound, upper bound, weight."""

STRATA: Strata = {
    COVID: ((0.0005, 0.005, 151), (0.005, 0.030, 318), (0.030, 0.40, 625)),
    CAP: ((0.0005, 0.005, 838), (0.005, 0.030, 183), (0.030, 0.20, 71)),
}
"""Bounds of the infection ratio, and how many scans of the paper's training set lie between them (Table III, TV)."""


def draw_ratio(label: str, rng: np.random.Generator) -> float:
    """Draw an infection ratio as the paper's Table III has them: a stratum by its count, log-uniform inside it."""
    strata = STRATA[label]
    counts = np.array([count for _, _, count in strata])
    low, high, _ = strata[int(rng.choice(len(strata), p=counts / counts.sum()))]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _image(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Wrap an array [k, j, i] as an image with the grid's geometry (axes L, P, S)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin((float(grid.x[0]), float(grid.y[0]), float(grid.z[0])))
    return image
