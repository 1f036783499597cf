"""Images between SimpleITK and MRML, with exact geometry.

Arrays are [k, j, i]. SimpleITK speaks LPS millimetres, MRML speaks RAS: the first two world axes change sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
_ORTHOGONAL = 1e-4
"""How far (cosine) axes may be from right angles and still count as a rotation."""


def ijkToRas(image: sitk.Image) -> np.ndarray:
    """Return the 4 x 4 matrix from voxel indices (i, j, k) of an LPS image to RAS millimetres."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return _FLIP @ lps


def setVolumeImage(node: Any, image: sitk.Image) -> None:
    """Give a volume node the voxels (copied) and the geometry of an image, scalar or of several components."""
    node.SetAndObserveImageData(imageData(sitk.GetArrayViewFromImage(image), image.GetNumberOfComponentsPerPixel()))
    node.SetIJKToRASMatrix(toMatrix(ijkToRas(image)))


def volumeImage(node: Any) -> sitk.Image:
    """Return a volume node's voxels (copied) with its own geometry, parent transforms not applied."""
    return _image(node.GetImageData(), volumeMatrix(node))


def volumeMatrix(node: Any) -> np.ndarray:
    """Return a volume node's 4 x 4 IJK-to-RAS matrix."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return fromMatrix(matrix)


def volumeGrid(node: Any) -> sitk.Image:
    """Return an image without meaningful voxels that has the geometry of a volume node: what to resample onto."""
    grid = sitk.Image([int(n) for n in node.GetImageData().GetDimensions()], sitk.sitkUInt8)
    setGeometry(grid, volumeMatrix(node))
    return grid


def setGeometry(image: sitk.Image, ijk_to_ras: np.ndarray) -> None:
    """Give an image the LPS geometry of an IJK-to-RAS matrix with axes at right angles."""
    lps = _FLIP @ ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(value) for value in spacing])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    image.SetDirection([float(value) for value in (lps[:3, :3] / spacing).ravel()])


def isRigidGrid(ijk_to_ras: np.ndarray) -> bool:
    """Whether the axes of an IJK-to-RAS matrix stand at right angles, as an image file needs."""
    axes = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _ORTHOGONAL)


def orientedMask(mask: sitk.Image) -> Any:
    """Return a mask as `vtkOrientedImageData` in RAS, cropped to its nonzero box (extents keep the mask's indices)."""
    import slicer

    array = sitk.GetArrayViewFromImage(mask)
    k, j, i = box = _nonzeroBox(array)
    data = _fill(slicer.vtkOrientedImageData(), np.ascontiguousarray(array[box]))
    data.SetExtent(i.start, i.stop - 1, j.start, j.stop - 1, k.start, k.stop - 1)
    data.SetImageToWorldMatrix(toMatrix(ijkToRas(mask)))
    return data


def segmentImage(segmentationNode: Any, identifier: str) -> sitk.Image | None:
    """Return a segment on its own grid, uint8 of 0 and 1, parent transforms not applied; None where it is empty.

    Raises:
        KeyError: the segmentation has no such segment, or no labelmap of it.
    """
    import slicer
    import vtk

    labelmap, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    if not segmentationNode.GetBinaryLabelmapRepresentation(identifier, labelmap):
        raise KeyError(f"the segmentation has no segment {identifier}")
    low, high = np.asarray(labelmap.GetExtent()).reshape(3, 2).T
    if (high < low).any():
        return None
    labelmap.GetImageToWorldMatrix(matrix)
    own = fromMatrix(matrix)
    own[:3, 3] += own[:3, :3] @ low
    mask = sitk.Cast(_image(labelmap, own) != 0, sitk.sitkUInt8)
    return mask if sitk.GetArrayViewFromImage(mask).any() else None


def segmentMask(segmentationNode: Any, identifier: str, grid: sitk.Image) -> sitk.Image:
    """Return a segment on a grid, uint8 of 0 and 1, nearest neighbour; see `segmentImage`."""
    mask = segmentImage(segmentationNode, identifier)
    if mask is None:
        mask = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    return sitk.Resample(mask, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)


def imageData(array: np.ndarray, components: int = 1) -> Any:
    """Return a [k, j, i] (or [k, j, i, component]) array as `vtkImageData`; voxels are copied."""
    import vtk

    return _fill(vtk.vtkImageData(), array, components)


def toMatrix(values: np.ndarray) -> Any:
    """Return a 4 x 4 array as `vtkMatrix4x4`."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(value) for value in values.ravel()])
    return matrix


def fromMatrix(matrix: Any) -> np.ndarray:
    """Return a `vtkMatrix4x4` as a 4 x 4 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _image(data: Any, ijk_to_ras: np.ndarray) -> sitk.Image:
    from vtk.util import numpy_support

    scalars = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    shape = tuple(reversed(data.GetDimensions()))
    components = scalars.shape[1:] if scalars.ndim > 1 else ()
    image = sitk.GetImageFromArray(scalars.reshape(*shape, *components), isVector=bool(components))
    setGeometry(image, ijk_to_ras)
    return image


def _fill(data: Any, array: np.ndarray, components: int = 1) -> Any:
    """Give a `vtkImageData` the voxels (copied) of an array; origin 0 and spacing 1, as MRML wants."""
    from vtk.util import numpy_support

    data.SetDimensions(*reversed(array.shape[:3]))
    scalars = numpy_support.numpy_to_vtk(array.reshape(-1, components), deep=True)
    scalars.SetName("ImageScalars")
    data.GetPointData().SetScalars(scalars)
    return data


def _nonzeroBox(array: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the slices (k, j, i) of a [k, j, i] mask's nonzero box; of one voxel where the mask is empty."""
    box = []
    for axis in range(3):
        present = np.flatnonzero(array.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(present[0]), int(present[-1]) + 1) if present.size else slice(0, 1))
    return box[0], box[1], box[2]
