"""A CT and its diagnosis as MRML nodes, on any scene: Slicer's own or one of slicer-core.

Masks, attention layer and maps are nodes of their own; a result node holds them together (`result.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import diagnosis_folder
from ..diagnosis import RESEARCH_USE_ONLY, Diagnosis
from ..progress import finished, named
from ..segments import INFECTION, SEGMENTS, Segment
from ..summary import Summary
from . import geometry
from .colors import TABLE_NAME, attentionColorNode
from .result import Result, createResult, removeNodes

LUNG_WINDOW, LUNG_LEVEL = 1500.0, -600.0
STUDY_NAME = "Dual-sampling diagnosis"
_SLICES_A_STEP = 64
INFECTION_FILL = 0.1
"""Opacity of the infection's fill in slice views; the lungs are outlines alone, so that the CT stays readable."""


def addDiagnosis(scene: Any, ctNode: Any, diagnosis: Diagnosis) -> Result:
    """Add all that was found in a CT to a scene, under the study of the CT (see `addingDiagnosis`)."""
    return finished(addingDiagnosis(scene, ctNode, diagnosis))


def addingDiagnosis(scene: Any, ctNode: Any, diagnosis: Diagnosis) -> Generator[str, None, Result]:
    """Add a diagnosis in steps, so that an application can draw in between; where it is closed, nothing stays.

    Args:
        scene: a `vtkMRMLScene`.
        ctNode: the analysed CT, a `vtkMRMLScalarVolumeNode` of that scene; only its window and its place in the
            subject hierarchy may change.
        diagnosis: what `analyze` found; its masks lie on the CT's grid in the world.

    Yields:
        What the next step does.

    Returns:
        The `Result`, as the iterator's value.
    """
    added: list[Any] = []
    whole = False
    try:
        yield "adding lungs and infection"
        segmentation = _add(scene, added, "vtkMRMLSegmentationNode", "lungs and infection")
        _prepareSegmentation(segmentation, ctNode)
        found = diagnosis.segmentation
        for segment, mask in zip(SEGMENTS, (found.right_lung, found.left_lung, found.infection), strict=True):
            _addSegment(segmentation, segment, mask)
            yield "adding lungs and infection"
        attention = _add(scene, added, "vtkMRMLLabelMapVolumeNode", "attention")
        labelling = _labelling(diagnosis.attention, found.infection)
        attention.SetAndObserveImageData(geometry.imageData((yield from named(labelling, "adding attention"))))
        attention.SetIJKToRASMatrix(geometry.toMatrix(geometry.ijkToRas(found.infection)))
        attention.CreateDefaultDisplayNodes()
        hasColors = scene.GetFirstNodeByName(TABLE_NAME) is not None
        colors = attentionColorNode(scene)
        added += [] if hasColors else [colors]
        attention.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
        yield "adding maps and table"
        maps = {}
        for name, pair in _maps(diagnosis).items():
            maps[name] = _add(scene, added, "vtkMRMLVectorVolumeNode", f"attention map {name}")
            maps[name].CreateDefaultDisplayNodes()
            geometry.setVolumeImage(maps[name], pair)
        table = _add(scene, added, "vtkMRMLTableNode", "lung volumes")
        result = createResult(scene, ctNode, diagnosis, segmentation, attention, table, maps)
        added.append(result.node)
        _fillTable(table, result.summary)
        showLungWindow(ctNode)
        _describe(added, diagnosis)
        placeUnderStudy(scene, ctNode, [segmentation, attention, table, *maps.values()])
        whole = True
        return result
    finally:
        if not whole:
            removeNodes(scene, added)


def addCt(scene: Any, ct: sitk.Image) -> Any:
    """Add a CT in HU as the volume ``CT`` (a neutral name: files are often named after the patient), lung window."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    showLungWindow(node)
    geometry.setVolumeImage(node, ct)
    return node


def showLungWindow(ctNode: Any) -> None:
    """Show a volume in grey with the lung window (width 1500 HU, level -600 HU)."""
    ctNode.CreateDefaultDisplayNodes()
    display = ctNode.GetDisplayNode()
    display.AutoWindowLevelOff()  # before it has voxels, this spares the search for a window of their own
    display.SetWindowLevel(LUNG_WINDOW, LUNG_LEVEL)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")


def refillAttention(attentionNode: Any, attention: sitk.Image) -> None:
    """Show another map in the attention layer: A^ in [0, 1] on any grid, resampled linearly to the layer's.

    Voxels outside the map's grid become 0.
    """
    labels = finished(_labelling(attention, geometry.volumeGrid(attentionNode)))
    attentionNode.SetAndObserveImageData(geometry.imageData(labels))


def _labelling(attention: sitk.Image, grid: sitk.Image) -> Generator[None, None, np.ndarray]:
    """Compute round(100 A^) as uint8 [k, j, i] on a grid, some slices a step; the array is the generator's value.

    Only the part that the map's box reaches is computed.
    """
    labels = np.zeros(grid.GetSize()[::-1], np.uint8)
    start, size = _reach(attention, grid)
    if min(size) > 0:
        i, j = (slice(a, a + n) for a, n in zip(start[:2], size[:2], strict=True))
        for k in range(start[2], start[2] + size[2], _SLICES_A_STEP):
            count = min(_SLICES_A_STEP, start[2] + size[2] - k)
            slab = sitk.Image([*size[:2], count], sitk.sitkUInt8)
            slab.SetSpacing(grid.GetSpacing())
            slab.SetDirection(grid.GetDirection())
            slab.SetOrigin(grid.TransformIndexToPhysicalPoint([*start[:2], k]))
            labels[k : k + count, j, i] = sitk.GetArrayFromImage(diagnosis_folder.attention_label(attention, slab))
            yield
    return labels


def _reach(image: sitk.Image, grid: sitk.Image) -> tuple[list[int], list[int]]:
    """Start and size (i, j, k) of the part of `grid` that the box of `image` reaches, within the grid."""
    low, high = np.full(3, -0.5), np.array(image.GetSize()) - 0.5
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    points = [image.TransformContinuousIndexToPhysicalPoint(corner) for corner in corners.tolist()]
    reached = np.array([grid.TransformPhysicalPointToContinuousIndex(point) for point in points])
    start = np.maximum(np.floor(reached.min(axis=0)), 0).astype(int)
    stop = np.minimum(np.ceil(reached.max(axis=0)) + 1, grid.GetSize()).astype(int)
    return start.tolist(), (stop - start).tolist()


def _add(scene: Any, added: list[Any], className: str, name: str) -> Any:
    """Add a node under a name of its own; `added` remembers it."""
    node = scene.AddNewNodeByClass(className, scene.GenerateUniqueName(name))
    added.append(node)
    return node


def _maps(diagnosis: Diagnosis) -> dict[str, sitk.Image]:
    """Return the continuous maps as colour volumes on their lattices: red for COVID-19, green for CAP.

    As vector volumes they stay out of the selectors that ask for a CT.
    """
    lattice = diagnosis.members[0].attention.image if diagnosis.members else diagnosis.attention

    def pair(attention: sitk.Image, opposite: sitk.Image) -> sitk.Image:
        on_lattice = [
            sitk.Resample(image, lattice, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
            for image in (attention, opposite)
        ]
        return sitk.Compose(*on_lattice, on_lattice[0] * 0)

    own = {member.name: pair(member.attention.image, member.opposite.image) for member in diagnosis.members}
    return {"decision": pair(diagnosis.attention, diagnosis.opposite), **own}


def _prepareSegmentation(node: Any, ctNode: Any) -> None:
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ctNode)
    node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), ctNode.GetID())


def _addSegment(node: Any, segment: Segment, mask: sitk.Image) -> None:
    """Add one mask (uint8 of 0 and 1, CT grid) as a segment of its own layer."""
    identifier, filled = segment.identifier, segment is INFECTION
    labelmap = geometry.orientedMask(mask)
    node.AddSegmentFromBinaryLabelmapRepresentation(labelmap, segment.name, segment.color, identifier)
    added = node.GetSegmentation().GetSegment(identifier)
    added.SetTerminology(segment.terminology)
    added.SetNameAutoGenerated(False)
    added.SetColorAutoGenerated(False)
    display = node.GetDisplayNode()
    display.SetSegmentVisibility2DOutline(identifier, True)
    display.SetSegmentVisibility2DFill(identifier, filled)
    display.SetSegmentOpacity2DFill(identifier, INFECTION_FILL if filled else 0.0)
    display.SetSegmentOpacity3D(identifier, 1.0 if filled else 0.3)


def _fillTable(node: Any, summary: Summary) -> None:
    """Give a table node the volumes of `summary.sides`, one row a side."""
    import vtk

    names = vtk.vtkStringArray()
    columns = [names, *(vtk.vtkDoubleArray() for _ in range(3))]
    for column, title in zip(columns, ("side", "lung (ml)", "infection (ml)", "infected (%)"), strict=True):
        column.SetName(title)
    for side in summary.sides:
        names.InsertNextValue(side.name)
        for column, value in zip(columns[1:], (side.lung_ml, side.infected_ml, 100 * side.share), strict=True):
            column.InsertNextValue(value)
    for column in columns:
        node.AddColumn(column)


def _describe(nodes: list[Any], diagnosis: Diagnosis) -> None:
    """Write on each node what it may be used for and what the bundle behind it learned from."""
    bundle = diagnosis.bundle
    text = f"{RESEARCH_USE_ONLY}. Bundle {bundle.name} {bundle.version}, learned from: {bundle.learned_from}"
    for node in nodes:
        node.SetDescription(text)


def _studyOf(scene: Any, ctNode: Any) -> int:
    """Return the subject hierarchy's study of the CT; the CT moves under a new one where it has none."""
    hierarchy, item = _hierarchyItem(scene, ctNode)
    study = int(hierarchy.GetItemAncestorAtLevel(item, "Study"))
    if not study:
        study = int(hierarchy.CreateStudyItem(hierarchy.GetItemParent(item), STUDY_NAME))
        hierarchy.SetItemParent(item, study)
    return study


def placeUnderStudy(scene: Any, ctNode: Any, nodes: list[Any]) -> None:
    """Put nodes under the study of their CT in the subject hierarchy."""
    study = _studyOf(scene, ctNode)
    for node in nodes:
        hierarchy, item = _hierarchyItem(scene, node)
        hierarchy.SetItemParent(item, study)


def _hierarchyItem(scene: Any, node: Any) -> tuple[Any, int]:
    """Return the subject hierarchy and a node's item in it, made where the application did not (headless)."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = int(hierarchy.GetItemByDataNode(node))
    return hierarchy, item or int(hierarchy.CreateItem(hierarchy.GetSceneItemID(), node))
