"""VB-Net as a segmenter: a coarse network finds right and left lung, a fine one lungs and infection inside them.

Both work on the patient's axes (LPS): the fine one on 2 mm voxels, the coarse one on means of 3 x 3 x 3 of them.
Arrays are [k, j, i]; the patient's right lung lies at smaller i.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .. import weights
from ..diagnosis import Segmentation, SegmenterCard
from ..errors import ResourceError
from ..progress import Progress, silent
from . import trained, working_grid
from .morphology import (
    VOXEL_ML,
    box,
    connected,
    distance,
    filled,
    grown_by_cube,
    larger_than,
    opened_by_cube,
    with_neighbours,
)
from .working_grid import AIR_HU, BoolArray, FloatArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..network.vbnet import VBNet

SHIPPED = "Bundles/vbnet-synthetic"
MARGIN = 5
"""Voxels of the fine grid that are kept round the coarse lungs, at least: so far the opened contrast looks."""
LEAST_LUNG_ML, LEAST_LUNG_SHARE = 30.0, 0.08
"""A part of the coarse lungs counts from this size on, and from this share of the largest part: air beside an arm."""
REACH_MM = 12.0
"""How far the fine lungs may leave the coarse ones: gas in the bowel lies behind a thin wall."""
LEAST_PART_ML = 1.0
RECESS_REACH_MM = 30.0
"""How far a recess may lie from the coarse lungs that overlooked it."""
THINNER, DENSER = 60.0, 350.0
"""Gas is so many HU thinner than this patient's healthy lung, and a recess at most so many denser."""
GAS_HU, FAT_HU = (-950.0, -850.0), -450.0
"""The limit of gas is kept between the first two, whatever healthy lung is; denser than the last is no aerated lung."""
LEAST_RECESS_ML, LEAST_GAS_ML = 2.0, 1.0
LEAST_INFECTION_ML = 0.05
INFECTED, SURE = 0.27, 0.7
"""Infection is more probable than the first; it is kept where its component reaches the second."""
LUNG_FROM_AFAR, LEAST_SHARE_IN_LUNG = 0.7, 0.25
"""It is kept where at least this share of its component is lung to the coarse network, with this probability: from
near, the vessels of the hilum and stool in the colon look like consolidation."""
WHOLE_VOXELS = 6_000_000
"""Larger regions are asked piece by piece (they do not occur in people)."""


class Found(NamedTuple):
    """Probabilities in [0, 1] of right lung, left lung and infection, [k, j, i] on the working grid."""

    right: FloatArray
    left: FloatArray
    infection: FloatArray


class VBNetSegmenter:
    """Lungs and infection by the networks of a folder that `train-segmenter` wrote."""

    def __init__(self, folder: Path | None = None, device: str = "auto") -> None:
        """Load the networks of `folder`, the shipped ones when None.

        Args:
            folder: a trained segmenter.
            device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

        Raises:
            BundleError: the folder is missing, altered or of another architecture.
        """
        self._trained = trained.load(folder or shipped())
        self._device = device
        self._loaded: tuple[VBNet, VBNet] | None = None

    @property
    def card(self) -> SegmenterCard:
        """Name, version, calibrated cut-offs and detection limit."""
        return self._trained.card

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT (see `Segmenter.segment`).

        Raises:
            BundleError: the weights cannot be read.
            ResourceError: memory ran out, or there is no such device.
        """
        progress("segmenting lungs and infection", 0.0)
        coarse, fine = self._networks()
        grid = working_grid.from_ct(ct)
        progress("segmenting lungs and infection", 0.1)
        found = find(working_grid.array(grid), coarse, fine, progress)
        right, left = (working_grid.cut_on_ct(level, 0.5, grid, ct) for level in (found.right, found.left))
        left = sitk.And(left, sitk.Equal(right, 0))
        infection = working_grid.cut_on_ct(found.infection, INFECTED, grid, ct)
        infection = sitk.And(infection, sitk.Or(right, left))
        progress("segmenting lungs and infection", 1.0)
        return Segmentation(right, left, infection, self.card)

    def _networks(self) -> tuple[VBNet, VBNet]:
        """Both networks on their device; read with the first CT and kept for the next."""
        if self._loaded is None:
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> tuple[VBNet, VBNet]:
        import torch

        from ..network.device import choose_device
        from ..network.vbnet import VBNet, quickened

        device = choose_device(self._device)
        networks = []
        for described in (self._trained.coarse, self._trained.fine):
            with torch.device("meta"):
                network = VBNet(described.inputs, described.outputs, described.width)
            network.load_state_dict(self._trained.tensors(described), assign=True)
            networks.append(quickened(network).to(device))
        return networks[0], networks[1]


def shipped() -> Path:
    """Return the folder of the networks that ship.

    Raises:
        BundleError: none ships with this version.
    """
    return weights.shipped(SHIPPED, "choose --segmenter threshold, or vbnet:FOLDER of train-segmenter")


def find(hu: FloatArray, coarse: VBNet, fine: VBNet, progress: Progress = silent) -> Found:
    """Find lungs and infection.

    Args:
        hu: CT [k, j, i] in HU on the working grid.
        coarse: finds right and left lung on the coarse grid.
        fine: finds lungs and infection on the working grid.
        progress: told how far the work is.

    Raises:
        ResourceError: memory ran out.
    """
    import torch

    from ..network.device import exact
    from ..network.vbnet import COARSE_SIDE, bearings, coarsened, guided, padded, placed, position, refined

    nothing = np.zeros(hu.shape, np.float32)
    found = Found(nothing, nothing.copy(), nothing.copy())
    try:
        with torch.inference_mode(), exact():
            volume = torch.from_numpy(hu)[None, None].to(next(fine.parameters()).device)
            small = coarsened(volume)
            seen = _asked(coarse, placed(padded(small, AIR_HU, COARSE_SIDE)), small.shape).cpu()
            summary = torch.stack([seen[0].amax(0), torch.from_numpy(_rightness(seen[0].numpy()))])
            lung, rightness = refined(summary[None], hu.shape)[0].numpy()  # type: ignore[arg-type]
            sure = main_parts(lung > 0.5)
            if not sure.any():
                return found
            progress("segmenting lungs and infection", 0.3)
            part = _region(sure)
            k, j, i = part
            hu_there = volume[:, :, k, j, i]
            guide = torch.from_numpy(lung[part])[None, None].to(volume.device)
            near = padded(hu_there, AIR_HU)
            chest = bearings(hu, sure)
            place = position(chest, [side.start for side in part], near.shape[2:]).to(volume.device)
            image = guided(near, padded(guide, 0.0), chest.healthy_hu, place)
            answer = _asked(fine, image, hu_there.shape)[0].cpu().numpy()
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise ResourceError("memory ran out while lungs and infection were sought") from None
    progress("segmenting lungs and infection", 0.7)
    lungs = _lungs(answer[0], answer[1], sure[part], hu[part], chest.healthy_hu)
    is_right = rightness[part] >= 0
    found.right[part] = np.where(lungs & is_right, answer[0], 0)
    found.left[part] = np.where(lungs & ~is_right, answer[0], 0)
    found.infection[part] = _infection(answer[1], lungs, lung[part])
    return found


def _rightness(sides: FloatArray) -> FloatArray:
    """Above 0 to the right, below to the left: the probabilities' difference [k, j, i] of [2, k, j, i].

    Where the coarse network sees neither lung (a consolidation), the nearest place counts where it does.
    """
    difference = sides[0] - sides[1]
    unsure = sides.max(0) <= 0.5
    if unsure.all():
        return difference
    nearest = ndimage.distance_transform_edt(unsure, return_distances=False, return_indices=True)
    return np.asarray(difference[tuple(nearest)])


def main_parts(lung: BoolArray) -> BoolArray:
    """Return the components of the coarse lungs that are large enough, in ml and beside the largest."""
    labels, count = ndimage.label(lung)
    if not count:
        return lung
    sizes = np.bincount(labels.ravel())[1:]
    least = max(LEAST_LUNG_ML / VOXEL_ML, LEAST_LUNG_SHARE * sizes.max())
    return np.concatenate([[False], sizes >= least])[labels]


def _region(sure: BoolArray) -> tuple[slice, ...]:
    """The box round the coarse lungs with a margin, widened where there is room to sides that the network can halve."""
    from ..network.vbnet import STRIDE

    sides = []
    for side, size in zip(box(sure, margin=MARGIN), sure.shape, strict=True):
        missing = -(side.stop - side.start) % STRIDE
        start = max(side.start - missing // 2, 0)
        stop = min(start + side.stop - side.start + missing, size)
        sides.append(slice(max(stop - (side.stop - side.start) - missing, 0), stop))
    return tuple(sides)


def _asked(network: VBNet, image: Tensor, shape: torch.Size) -> Tensor:
    """Return the network's probabilities [1,C,D,H,W] of a padded input, cut to `shape`; whole where that is usual."""
    import torch

    if shape[2:].numel() <= WHOLE_VOXELS:
        logits = network(image)
    else:
        try:
            from monai.inferers import sliding_window_inference
        except ImportError:
            million = shape[2:].numel() / 1e6
            raise ResourceError(f"lungs in a box of {million:.0f} million voxels need the package monai") from None

        logits = sliding_window_inference(image, (128, 128, 128), 1, network, overlap=0.25, mode="gaussian")
    answer: torch.Tensor = torch.sigmoid(logits.float())[..., : shape[2], : shape[3], : shape[4]]
    return answer


def _lungs(
    probability: FloatArray, infection: FloatArray, coarse: BoolArray, hu: FloatArray, healthy_hu: float
) -> BoolArray:
    """The fine lungs' components that the coarse lungs share, holes filled, and a rim for the edge between voxels.

    What the coarse network counts as lung and the fine one as infection is lung too: dense consolidation looks like
    the chest wall from near. Densities decide what both networks overlook: gas outside the lungs, and recesses of them.
    `probability` is put right where it was not heeded.
    """
    np.copyto(probability, np.maximum(probability, infection), where=coarse)
    away_mm = distance(coarse)
    inside = larger_than((probability > 0.5) & (away_mm <= REACH_MM), LEAST_PART_ML)
    gas_hu = float(np.clip(healthy_hu - THINNER, *GAS_HU))
    kept = connected(inside, coarse)
    gas = grown_by_cube(_gas_outside(hu < gas_hu, kept | coarse))
    kept = connected(kept & ~gas, coarse, LEAST_PART_ML)
    tissue = (hu > gas_hu) & (hu < min(healthy_hu + DENSER, FAT_HU)) & (away_mm <= RECESS_REACH_MM)
    kept = filled(kept | _recesses(tissue, kept))
    probability[kept & ~inside] = 1.0
    return np.asarray(with_neighbours(kept) & ~((inside | gas) & ~kept))


def _recesses(tissue: BoolArray, lungs: BoolArray) -> BoolArray:
    """What has the density of lung, is three voxels wide and touches the lungs."""
    return connected(opened_by_cube(tissue & ~lungs), with_neighbours(lungs), LEAST_RECESS_ML)


def _gas_outside(gas: BoolArray, lungs: BoolArray) -> BoolArray:
    """Gas three voxels wide of which most lies outside the lungs: the airways, and bowel that opens into them.

    The small bronchi and what they lead to, emphysema for one, are not part of it.
    """
    labels, count = ndimage.label(opened_by_cube(gas))
    whole, inside = (np.bincount(labels[where].ravel(), minlength=count + 1) for where in (slice(None), lungs))
    outside = (whole > 2 * inside) & (whole * VOXEL_ML >= LEAST_GAS_ML)
    outside[0] = False
    return outside[labels]


def _infection(probability: FloatArray, lungs: BoolArray, from_afar: FloatArray) -> FloatArray:
    """The probability where its component (above `INFECTED`, in the lungs) is large and sure enough, else 0.

    Enough of it must be lung `from_afar` as well, by the coarse network's probability.
    """
    candidates = (probability > INFECTED) & lungs
    labels, count = ndimage.label(candidates, np.ones((3, 3, 3)))
    if not count:
        return np.zeros_like(probability)
    component = labels[candidates]
    size, sure, inside = (
        np.bincount(component[counted], minlength=count + 1)
        for counted in (slice(None), probability[candidates] >= SURE, from_afar[candidates] >= LUNG_FROM_AFAR)
    )
    good = (size * VOXEL_ML >= LEAST_INFECTION_ML) & (sure > 0) & (inside >= LEAST_SHARE_IN_LUNG * size)
    kept = good[labels]
    near = grown_by_cube(kept) & ~(candidates & ~kept)
    return np.where(near, probability, np.float32(0))
