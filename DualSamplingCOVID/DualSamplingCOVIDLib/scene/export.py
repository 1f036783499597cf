"""A CT and masks out of a scene, where they lie in the world: what the networks read must be what the user sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..diagnosis import Finding
from . import geometry

RESAMPLED = Finding(
    "transform-resampled",
    "the CT lies under a transform that bends or shears it and was resampled along its own axes for the analysis",
)
_AIR_HU = -500.0
_LEAST_VOXELS = 32
_OUTSIDE_HU = -1024.0
_MOVED_MM = 0.05
_LARGEST_GROWTH = 4.0
"""How many times as many voxels a resampled CT may have."""


@dataclass(frozen=True)
class ExportedCt:
    """A CT in HU at its place in the world (parent transforms applied), and what the reader should know of that."""

    image: sitk.Image
    findings: tuple[Finding, ...]


def exportCt(ctNode: Any) -> ExportedCt:
    """Return a CT volume as an image; the node is only read.

    Rigid parent transforms and scaling change the image's geometry alone; where a transform shears or bends, as that
    of a tilted gantry or of uneven slices does, the voxels are interpolated.
    """
    transform = ctNode.GetParentTransformNode()
    if transform is None:
        return ExportedCt(geometry.volumeImage(ctNode), ())
    if transform.IsTransformToWorldLinear():
        in_world = _worldMatrix(transform) @ geometry.volumeMatrix(ctNode)
        if geometry.isRigidGrid(in_world):
            image = geometry.volumeImage(ctNode)
            geometry.setGeometry(image, in_world)
            return ExportedCt(image, ())
    return ExportedCt(_resampled(ctNode, transform), (RESAMPLED,))


def exportSegment(segmentationNode: Any, identifier: str, ct: sitk.Image) -> sitk.Image:
    """Return a segment on the grid of an exported CT, uint8 of 0 and 1; linear parent transforms are applied.

    Raises:
        KeyError: the segmentation has no such segment.
        ValueError: it lies under a transform that bends it.
    """
    mask = geometry.segmentImage(segmentationNode, identifier)
    if mask is None:
        mask = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    to_world = sitk.AffineTransform(3)
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise ValueError("the segmentation lies under a transform that bends it: harden the transform first")
        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        lps = flip @ np.linalg.inv(_worldMatrix(transform)) @ flip
        to_world.SetMatrix(lps[:3, :3].ravel().tolist())
        to_world.SetTranslation(lps[:3, 3].tolist())
    return sitk.Resample(mask, ct, to_world, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)


def looksLikeChestCt(volumeNode: Any) -> bool:
    """Whether a volume may be a chest CT: three-dimensional, with air in it. Quick; the analysis decides."""
    image = volumeNode.GetImageData()
    if image is None or min(image.GetDimensions()) < _LEAST_VOXELS or image.GetNumberOfScalarComponents() != 1:
        return False
    return float(image.GetScalarRange()[0]) < _AIR_HU


def placeInWorld(ctNode: Any) -> tuple[float, ...]:
    """Return where a CT lies in the world: RAS mm of 27 points of its box, transforms applied; see `isMoved`."""
    points = _toWorld(ctNode, _boxPoints(ctNode, 3))
    return tuple(round(float(value), 3) for value in points.ravel())


def isMoved(ctNode: Any, place: Sequence[float]) -> bool:
    """Whether a CT lies elsewhere than `placeInWorld` told before."""
    return not np.allclose(placeInWorld(ctNode), place, atol=_MOVED_MM)


def _resampled(ctNode: Any, transform: Any) -> sitk.Image:
    """Return the CT as it lies in the world, along its own axes, on a grid that holds all of it.

    Raises:
        ValueError: the transform spreads the CT over too large a part of the world.
    """
    import slicer
    import vtk

    image, own = geometry.volumeImage(ctNode), geometry.volumeMatrix(ctNode)
    reached = _toWorld(ctNode, _boxPoints(ctNode, 7))
    indices = (np.linalg.inv(own) @ np.c_[reached, np.ones(len(reached))].T)[:3]
    low, high = np.floor(indices.min(axis=1)).astype(int), np.ceil(indices.max(axis=1)).astype(int) + 1
    size = np.array(image.GetSize())
    if np.prod((high - low).astype(float)) > _LARGEST_GROWTH * np.prod(size.astype(float)):
        raise ValueError("the CT's transform spreads it too far: harden or remove the transform, and try again")
    before, after = np.maximum(-low, 0), np.maximum(high - size, 0)
    padded = sitk.ConstantPad(image, before.tolist(), after.tolist(), _OUTSIDE_HU)
    copy, to_world = slicer.vtkMRMLScalarVolumeNode(), vtk.vtkGeneralTransform()
    geometry.setVolumeImage(copy, padded)
    transform.GetTransformToWorld(to_world)
    copy.ApplyNonLinearTransform(to_world)
    moved = geometry.volumeImage(copy)
    moved.CopyInformation(padded)
    return sitk.RegionOfInterest(moved, (high - low).tolist(), (low + before).tolist())


def _boxPoints(ctNode: Any, aside: int) -> np.ndarray:
    """Return `aside` ** 3 points (own RAS mm [n, 3]) spread over a CT's box, its faces included."""
    size = np.array(ctNode.GetImageData().GetDimensions())
    sides = [np.linspace(-0.5, n - 0.5, aside) for n in size]
    ijk = np.array(np.meshgrid(*sides, indexing="ij")).reshape(3, -1)
    return (geometry.volumeMatrix(ctNode) @ np.vstack([ijk, np.ones(ijk.shape[1])]))[:3].T


def _toWorld(ctNode: Any, points: np.ndarray) -> np.ndarray:
    """Return own RAS points [n, 3] of a node in the world."""
    import vtk

    transform = ctNode.GetParentTransformNode()
    if transform is None:
        return points
    to_world = vtk.vtkGeneralTransform()
    transform.GetTransformToWorld(to_world)
    return np.array([to_world.TransformPoint(point) for point in points.tolist()])


def _worldMatrix(transform: Any) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return geometry.fromMatrix(matrix)
