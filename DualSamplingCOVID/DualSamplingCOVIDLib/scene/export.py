"""A CT and masks out of a scene, where they lie in the world: what the networks read must be what the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..diagnosis import Finding
from . import geometry

RESAMPLED = Finding(
    "transform-resampled",
    "the CT lies under a transform that bends or shears it and was resampled on its own grid for the analysis",
)
_AIR_HU = -500.0
_LEAST_VOXELS = 32


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


def _resampled(ctNode: Any, transform: Any) -> sitk.Image:
    """Return the CT as it lies in the world, on the grid that its node has without the transform."""
    import slicer
    import vtk

    copy, to_world = slicer.vtkMRMLScalarVolumeNode(), vtk.vtkGeneralTransform()
    copy.SetAndObserveImageData(ctNode.GetImageData())
    copy.SetIJKToRASMatrix(geometry.toMatrix(geometry.volumeMatrix(ctNode)))
    transform.GetTransformToWorld(to_world)
    copy.ApplyNonLinearTransform(to_world)
    return geometry.volumeImage(copy)


def _worldMatrix(transform: Any) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return geometry.fromMatrix(matrix)
