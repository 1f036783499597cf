"""From lesions to HU: which voxels they take, and what each kind looks like inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..fields import Floats, blend
from ..vessels import draw_tubes
from .kinds import LesionKind
from .lungs import Indices, Lesion, LungVoxels, cropped
from .shapes import lobules, septa

SOFT_TISSUE, AIR = 45.0, -940.0


@dataclass(frozen=True)
class Extent:
    """Which lesion each of the N lung voxels belongs to (-1: none), and how deep in mm it lies in it (< 0 outside).

    `share` (N,) is the way from the edge (0) to the heart (1), `infected` (N,) what the label says.
    """

    owner: Indices
    inward: Floats
    share: Floats
    infected: NDArray[np.bool_]


@dataclass(frozen=True)
class Noises:
    """Unit fields (N,) with bumps of about 13, 5.5 and 3 mm, for shapes and textures alike."""

    coarse: Floats
    middle: Floats
    fine: Floats

    @classmethod
    def draw(cls, lungs: LungVoxels) -> Noises:
        """Draw the three fields."""
        return cls(lungs.noise(13.0), lungs.noise(5.5), lungs.noise(3.0))


def spread(lungs: LungVoxels, lesions: list[Lesion], noises: Noises, wanted: int) -> Extent:
    """Give exactly `wanted` voxels to the lesions: those with the lowest level, roughened by noise and lobules."""
    rng, count = lungs.rng, len(lungs.position)
    rough = 0.24 * noises.coarse + 0.13 * noises.middle + 0.05 * noises.fine
    if rng.random() < 0.6:
        rough += np.float32(rng.uniform(0.05, 0.3)) * lobules(lungs, rng.uniform(10, 17), noises.coarse)
    if rng.random() < 0.15:
        rough += np.clip(1.0 - lungs.costal / np.float32(rng.uniform(3, 7)), 0, 1)  # subpleural sparing
    level, owner = np.full(count, 50, np.float32), np.full(count, -1, np.int64)
    for number, lesion in enumerate(lesions):
        here = lesion.level + np.float32(lesion.rough) * rough[lesion.near]
        lower = here < level[lesion.near]
        level[lesion.near[lower]] = here[lower]
        owner[lesion.near[lower]] = number
    if np.count_nonzero(owner >= 0) < 1.02 * wanted:
        _reach_out(lungs, lesions, level, owner)
    order = np.argpartition(level, wanted - 1)[:wanted]
    infected = np.zeros(count, bool)
    infected[order] = True
    edge = level[order].max()
    unit = np.array([lesion.unit_mm for lesion in lesions], np.float32)
    return Extent(owner, (edge - level) * unit[owner], (edge - level) / max(edge, np.float32(0.2)), infected)


def _reach_out(lungs: LungVoxels, lesions: list[Lesion], level: Floats, owner: Indices) -> None:
    """Give the voxels no lesion reaches to the nearest one, in place, further away than all others."""
    centres = np.array([lungs.position[lesion.near[np.argmin(lesion.level)]] for lesion in lesions])
    lost = np.nonzero(owner < 0)[0]
    distance, owner[lost] = cKDTree(centres).query(lungs.position[lost])
    level[lost] = 10 + distance / 100


def paint_lesions(lungs: LungVoxels, lesions: list[Lesion], extent: Extent, noises: Noises, edge_hu: float) -> Floats:
    """Return the chest's HU [k, j, i] with the lesions; `edge_hu` is the rise at which infection is labelled."""
    chest, hu = lungs.chest, lungs.healthy.hu.copy()
    touched = np.nonzero((extent.owner >= 0) & (extent.inward > -12))[0]
    if not touched.size:
        return hu
    look = _Look(lungs, lesions, extent, noises, touched)
    before = hu[chest.lungs]
    here = before[touched]
    ramp = look.ramp()
    rise = np.where(
        extent.infected[touched],
        edge_hu + np.clip(look.glass() - edge_hu, 0, None) * ramp,
        edge_hu * look.outside(),
    )
    here = np.maximum(here, np.minimum(here + rise, SOFT_TISSUE + 0.04 * rise))
    solid = look.solid() * ramp
    here = here + (look.soft_tissue() - here) * solid
    before[touched] = np.where(look.hollow(), np.float32(AIR), here)
    hu[chest.lungs] = before
    _draw_bronchi(hu, lungs, lesions, extent)
    _open_airways(hu, lungs, lesions, extent, touched[solid > 0.35])
    return hu


def kinds_of(
    lungs: LungVoxels, lesions: list[Lesion], extent: Extent, noises: Noises, forced: bool
) -> NDArray[np.uint8]:
    """Return the kind (N,) of every lung voxel: its lesion's, but what is mostly consolidated counts as that."""
    inside = np.nonzero(extent.infected)[0]
    look = _Look(lungs, lesions, extent, noises, inside)
    kinds = np.zeros(len(lungs.position), np.uint8)
    own = np.array([lesion.kind for lesion in lesions], np.uint8)[extent.owner[inside]]
    if not forced:
        dense = look.solid() > 0.5
        opacity = own <= LesionKind.CONSOLIDATION
        own[opacity & dense] = LesionKind.CONSOLIDATION
        own[opacity & ~dense & (own == LesionKind.CONSOLIDATION)] = LesionKind.GROUND_GLASS
    kinds[inside] = own
    return kinds


class _Look:
    """What n of the lung voxels look like inside their lesions: every method returns one value per voxel (n,)."""

    def __init__(
        self, lungs: LungVoxels, lesions: list[Lesion], extent: Extent, noises: Noises, voxels: Indices
    ) -> None:
        self.lungs, self.lesions, self.voxels = lungs, lesions, voxels
        self.owner, self.inward, self.share = extent.owner[voxels], extent.inward[voxels], extent.share[voxels]
        self.coarse, self.middle, self.fine = (field[voxels] for field in (noises.coarse, noises.middle, noises.fine))

    def per(self, values: list[float]) -> Floats:
        """Spread one number per lesion over the voxels."""
        return np.array(values, np.float32)[self.owner]

    def ramp(self) -> Floats:
        """Return how far (0..1) the lesion has come from its edge to its full strength."""
        t = np.clip(self.inward / self.per([lesion.soft_mm for lesion in self.lesions]), 0, 1)
        return t * (2 - t)

    def outside(self) -> Floats:
        """Return what is left (0..1) of the rise at the edge, outside it."""
        soft = self.per([0.4 * min(lesion.soft_mm, 10.0) for lesion in self.lesions])
        return (1 + np.clip(self.inward / soft, -1, 0)) ** 2

    def glass(self) -> Floats:
        """Return the rise in HU of ground glass: uneven at several scales, with reticulation or paving."""
        rng = self.lungs.rng
        rise = self.per([lesion.rise for lesion in self.lesions])
        gradient = 0.7 + np.float32(rng.uniform(0.1, 0.8)) * np.clip(self.share, 0, 1)
        rise = rise * gradient * (1 + 0.2 * self.coarse + 0.2 * self.middle + 0.14 * self.fine)
        if rng.random() < 0.5:
            lines = np.clip(1 - np.abs(self.middle + 0.5 * self.fine) * 3.5, 0, 1)
            rise = rise + np.float32(rng.uniform(40, 190)) * lines
        paved = self.per([lesion.kind == LesionKind.CRAZY_PAVING for lesion in self.lesions]) > 0
        if paved.any():
            walls = septa(
                self.lungs.position[self.voxels[paved]],
                rng.uniform(6, 10),
                rng.uniform(1.0, 2.0),
                float(np.mean(self.lungs.chest.grid.spacing)),
                rng,
            )
            rise[paved] = 0.8 * rise[paved] + np.float32(rng.uniform(340, 560)) * walls
        return np.clip(rise, 60, None)

    def solid(self) -> Floats:
        """Return how consolidated (0..1) the tissue is."""
        low, high = (self.per([lesion.dense[end] for lesion in self.lesions]) for end in (0, 1))
        within = np.clip((self.share - low) / 0.2, 0, 1) * np.clip((high - self.share) / 0.15, 0, 1)
        patches = np.clip(2.2 * (self.coarse + 0.3 * self.middle - self.per([le.scarce for le in self.lesions])), 0, 1)
        return np.maximum(within, patches) * (1 - 0.08 * np.clip(self.fine + 0.6, 0, 1))

    def soft_tissue(self) -> Floats:
        """Return the HU of consolidated tissue: 20 to 60."""
        return np.clip(np.float32(self.lungs.rng.uniform(30, 50)) + 7 * self.middle, 20, 60)

    def hollow(self) -> NDArray[np.bool_]:
        """Say which voxels are air in a cavity."""
        wall = self.per([lesion.wall_mm for lesion in self.lesions])
        fluid = self.per([lesion.fluid_y for lesion in self.lesions])
        if not np.isfinite(wall).any():
            return np.zeros(len(wall), bool)
        chest = self.lungs.chest
        # pleura and fissures have a wall in front of them, too
        border = np.minimum(chest.depth, chest.fissure)[chest.lungs][self.voxels]
        deep = np.minimum(self.inward, border) > wall * (1 + 0.15 * self.middle)
        return deep & (self.lungs.position[self.voxels, 1] < fluid)


def _draw_bronchi(hu: Floats, lungs: LungVoxels, lesions: list[Lesion], extent: Extent) -> None:
    """Draw widened bronchi, wall and lumen, where the lungs are infected, in place."""
    parts = [lesion.bronchi for lesion in lesions if lesion.bronchi]
    if not parts:
        return
    start, end, lumen, wall = (np.concatenate(part) for part in zip(*parts, strict=True))
    mask = np.zeros(lungs.chest.lungs.shape, bool)
    mask[lungs.chest.lungs] = extent.infected
    grid, window = cropped(lungs.chest.grid, mask)
    blend(hu[window], 20.0, draw_tubes(grid, start, end, wall) * mask[window])
    blend(hu[window], AIR, draw_tubes(grid, start, end, lumen) * mask[window])


def _open_airways(hu: Floats, lungs: LungVoxels, lesions: list[Lesion], extent: Extent, solid: Indices) -> None:
    """Keep the airways through consolidated lung voxels open, in place: the air bronchogram."""
    is_open = np.array([lesion.open_airways for lesion in lesions])
    solid = solid[is_open[extent.owner[solid]]]
    if not solid.size:
        return
    mask = np.zeros(lungs.chest.lungs.shape, bool)
    inside = np.zeros(len(lungs.position), bool)
    inside[solid] = True
    mask[lungs.chest.lungs] = inside
    grid, window = cropped(lungs.chest.grid, mask)
    low, high = lungs.position[solid].min(0) - 5, lungs.position[solid].max(0) + 5
    share = np.clip(1.4 * lungs.healthy.lumen[window], 0, 1)
    widen = lungs.rng.uniform(0.85, 1.35)
    for tree in lungs.healthy.airways:
        nodes = tree.children(0.65, 1.7)
        nodes = nodes[np.all((tree.position[nodes] > low) & (tree.position[nodes] < high), axis=1)]
        if nodes.size:
            starts, ends = tree.position[tree.parent[nodes]], tree.position[nodes]
            share = np.maximum(share, draw_tubes(grid, starts, ends, widen * np.clip(tree.radius[nodes], 1.0, None)))
    blend(hu[window], AIR, share * mask[window])
