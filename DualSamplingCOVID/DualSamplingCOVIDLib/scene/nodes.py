"""A CT and its diagnosis as MRML nodes, on any scene: Slicer's own or one of slicer-core.

Arrays are [k, j, i]. SimpleITK speaks LPS millimetres, MRML speaks RAS: the first two world axes change sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..diagnosis import RESEARCH_USE_ONLY, Diagnosis, MemberResult
from ..segments import INFECTION, SEGMENTS, Segment
from .colors import LEVELS, attentionColorNode

LUNG_WINDOW, LUNG_LEVEL = 1500.0, -600.0
STUDY_NAME = "Dual-sampling diagnosis"
_INFECTION_FILL = 0.1
"""Opacity of the infection's fill in slice views; the lungs are outlines alone, so that the CT stays readable."""


@dataclass(frozen=True)
class DiagnosisNodes:
    """The nodes of one diagnosis: MRML node objects, and the subject hierarchy item of their study.

    `memberMaps` follow the order of `Diagnosis.members`; `opposite` is the decision's evidence for CAP.
    """

    ct: Any
    segmentation: Any
    attention: Any
    colors: Any
    memberMaps: tuple[Any, ...]
    opposite: Any
    studyItem: int


def addDiagnosis(scene: Any, ctNode: Any, diagnosis: Diagnosis) -> DiagnosisNodes:
    """Add all that was found in a CT to a scene, under the study of the CT.

    Args:
        scene: a `vtkMRMLScene`.
        ctNode: the analysed CT, a `vtkMRMLScalarVolumeNode` of that scene; only its window and its place in the
            subject hierarchy may change.
        diagnosis: what `analyze` found; its masks and maps are on the CT's grid.
    """
    showLungWindow(ctNode)
    colors = attentionColorNode(scene)
    attention = _addAttentionLayer(scene, diagnosis.attention, colors)
    memberMaps = tuple(_addMemberMap(scene, member) for member in diagnosis.members)
    opposite = _addMap(scene, _oppositeMap(diagnosis), "opposite evidence (CAP)")
    nodes = DiagnosisNodes(
        ct=ctNode,
        segmentation=_addSegmentation(scene, ctNode, diagnosis),
        attention=attention,
        colors=colors,
        memberMaps=memberMaps,
        opposite=opposite,
        studyItem=_studyOf(scene, ctNode),
    )
    derived = (nodes.segmentation, attention, *memberMaps, opposite)
    _describe(derived, diagnosis)
    _placeUnderStudy(scene, nodes.studyItem, derived)
    return nodes


def addCt(scene: Any, ct: sitk.Image) -> Any:
    """Add a CT in HU as the volume ``CT`` (a neutral name: files are often named after the patient), lung window."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    showLungWindow(node)
    setVolumeImage(node, ct)
    return node


def showLungWindow(ctNode: Any) -> None:
    """Show a volume in grey with the lung window (width 1500 HU, level -600 HU)."""
    _showWindow(ctNode, LUNG_WINDOW, LUNG_LEVEL)


def setVolumeImage(node: Any, image: sitk.Image) -> None:
    """Give a volume node the voxels (copied) and the geometry of a scalar image."""
    node.SetAndObserveImageData(_imageData(sitk.GetArrayViewFromImage(image)))
    node.SetIJKToRASMatrix(_matrix(ijkToRas(image)))


def refillAttention(attentionNode: Any, attention: sitk.Image) -> None:
    """Show another map in the attention layer: A^ in [0, 1] on any grid, resampled linearly to the layer's.

    Voxels outside the map's grid become 0.
    """
    reference = sitk.Image(list(attentionNode.GetImageData().GetDimensions()), sitk.sitkUInt8)
    _setGeometry(reference, attentionNode)
    on_layer = sitk.Resample(attention, reference, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    attentionNode.SetAndObserveImageData(_imageData(labelValues(on_layer)))


def labelValues(attention: sitk.Image) -> np.ndarray:
    """Return round(100 A^) of a map as uint8 [k, j, i]."""
    array = sitk.GetArrayViewFromImage(attention)
    labels = np.empty(array.shape, np.uint8)
    for target, plane in zip(labels, array, strict=True):  # plane by plane stays in the cache: five times as fast
        target[...] = np.rint(plane * np.float32(LEVELS)).clip(0, LEVELS)
    return labels


def ijkToRas(image: sitk.Image) -> np.ndarray:
    """Return the 4 x 4 matrix from voxel indices (i, j, k) of an LPS image to RAS millimetres."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _setGeometry(image: sitk.Image, node: Any) -> None:
    """Give an image the LPS geometry of a volume node."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(value) for value in spacing])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    image.SetDirection([float(value) for value in (lps[:3, :3] / spacing).ravel()])


def _matrix(values: np.ndarray) -> Any:
    """Return a 4 x 4 array as `vtkMatrix4x4`."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(value) for value in values.ravel()])
    return matrix


def _fill(data: Any, array: np.ndarray) -> Any:
    """Give a `vtkImageData` the voxels (copied) of a [k, j, i] array; origin 0 and spacing 1, as MRML wants."""
    from vtk.util import numpy_support

    data.SetDimensions(*reversed(array.shape))
    scalars = numpy_support.numpy_to_vtk(array.ravel(), deep=True)
    scalars.SetName("ImageScalars")
    data.GetPointData().SetScalars(scalars)
    return data


def _imageData(array: np.ndarray) -> Any:
    """Return a [k, j, i] array as `vtkImageData`; voxels are copied."""
    import vtk

    return _fill(vtk.vtkImageData(), array)


def _addAttentionLayer(scene: Any, attention: sitk.Image, colors: Any) -> Any:
    """Add A^ of the decision as the label volume of the slice views, value round(100 A^)."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "attention")
    node.SetAndObserveImageData(_imageData(labelValues(attention)))
    node.SetIJKToRASMatrix(_matrix(ijkToRas(attention)))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def _showWindow(node: Any, window: float, level: float) -> None:
    """Show a scalar volume in grey; before it has voxels, this spares the search for a window of their own."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(window, level)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")


def _addMap(scene: Any, image: sitk.Image, name: str) -> Any:
    """Add a continuous map in [0, 1] as a grey scalar volume, shown from 0 to 1."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    _showWindow(node, window=1.0, level=0.5)
    setVolumeImage(node, image)
    return node


def _addMemberMap(scene: Any, member: MemberResult) -> Any:
    """Add one member's continuous map on its lattice; an attribute carries the peak that min-max hides."""
    node = _addMap(scene, member.attention.image, f"attention {member.name}")
    node.SetAttribute("DualSamplingCOVID.RawPeak", repr(member.attention.raw_peak))
    return node


def _oppositeMap(diagnosis: Diagnosis) -> sitk.Image:
    """Return the decision's opposite map on the members' lattice: on the CT's it would be many times larger."""
    if not diagnosis.members:
        return diagnosis.opposite
    grid = diagnosis.members[0].attention.image
    return sitk.Resample(diagnosis.opposite, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)


def _addSegmentation(scene: Any, ctNode: Any, diagnosis: Diagnosis) -> Any:
    """Add lungs and infection as overlapping segments on the CT's geometry."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs and infection")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ctNode)
    node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), ctNode.GetID())
    found = diagnosis.segmentation
    for segment, mask in zip(SEGMENTS, (found.right_lung, found.left_lung, found.infection), strict=True):
        _addSegment(node, segment, mask)
    return node


def _addSegment(node: Any, segment: Segment, mask: sitk.Image) -> None:
    """Add one mask (uint8 of 0 and 1, CT grid) as a segment of its own layer."""
    identifier, filled = segment.identifier, segment is INFECTION
    node.AddSegmentFromBinaryLabelmapRepresentation(_orientedMask(mask), segment.name, segment.color, identifier)
    added = node.GetSegmentation().GetSegment(identifier)
    added.SetTerminology(segment.terminology)
    added.SetNameAutoGenerated(False)
    added.SetColorAutoGenerated(False)
    display = node.GetDisplayNode()
    display.SetSegmentVisibility2DOutline(identifier, True)
    display.SetSegmentVisibility2DFill(identifier, filled)
    display.SetSegmentOpacity2DFill(identifier, _INFECTION_FILL if filled else 0.0)
    display.SetSegmentOpacity3D(identifier, 1.0 if filled else 0.3)


def _orientedMask(mask: sitk.Image) -> Any:
    """Return a mask as `vtkOrientedImageData` in RAS, cropped to its nonzero box (extents keep the CT's indices)."""
    import slicer

    array = sitk.GetArrayViewFromImage(mask)
    box = _nonzeroBox(array)
    data = _fill(slicer.vtkOrientedImageData(), np.ascontiguousarray(array[box]))
    k, j, i = box
    data.SetExtent(i.start, i.stop - 1, j.start, j.stop - 1, k.start, k.stop - 1)
    data.SetImageToWorldMatrix(_matrix(ijkToRas(mask)))
    return data


def _nonzeroBox(array: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the slices (k, j, i) of a [k, j, i] mask's nonzero box; of one voxel where the mask is empty."""
    box = []
    for axis in range(3):
        present = np.flatnonzero(array.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(present[0]), int(present[-1]) + 1) if present.size else slice(0, 1))
    return box[0], box[1], box[2]


def _describe(derived: tuple[Any, ...], diagnosis: Diagnosis) -> None:
    """Write on each node what it may be used for and what the bundle behind it learned from."""
    bundle = diagnosis.bundle
    text = f"{RESEARCH_USE_ONLY}. Bundle {bundle.name} {bundle.version}, learned from: {bundle.learned_from}"
    for node in derived:
        node.SetDescription(text)


def _studyOf(scene: Any, ctNode: Any) -> int:
    """Return the subject hierarchy's study of the CT; the CT moves under a new one where it has none."""
    hierarchy, item = _hierarchyItem(scene, ctNode)
    study = int(hierarchy.GetItemAncestorAtLevel(item, "Study"))
    if not study:
        study = int(hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), STUDY_NAME))
        hierarchy.SetItemParent(item, study)
    return study


def _placeUnderStudy(scene: Any, study: int, derived: tuple[Any, ...]) -> None:
    """Put nodes under a study in the subject hierarchy."""
    for node in derived:
        hierarchy, item = _hierarchyItem(scene, node)
        hierarchy.SetItemParent(item, study)


def _hierarchyItem(scene: Any, node: Any) -> tuple[Any, int]:
    """Return the subject hierarchy and a node's item in it, made where the application did not (headless)."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = int(hierarchy.GetItemByDataNode(node))
    return hierarchy, item or int(hierarchy.CreateItem(hierarchy.GetSceneItemID(), node))
