"""Reading a result: axial and coronal side by side, the attention layer over the CT, at the finding.

Only MRML nodes are touched: in Slicer the application's views follow, on slicer-core a written scene does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

from ..segments import INFECTION
from . import geometry
from .result import DECISION, Result

READING_LAYOUT = 597
FOUR_UP = 3
"""Slicer's own `SlicerLayoutFourUpView`."""
DEFAULT_LAYOUT = FOUR_UP
"""What is shown after one of our layouts where the user's own is not known."""
AXIAL_VIEW, CORONAL_VIEW, SAGITTAL_VIEW = "Red", "Green", "Yellow"
SLICE_AXES = {AXIAL_VIEW: ("Axial", 2), CORONAL_VIEW: ("Coronal", 1), SAGITTAL_VIEW: ("Sagittal", 0)}
_LAYOUT_ITEM = (
    '<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
    '<property name="orientation" action="default">{orientation}</property>'
    '<property name="viewlabel" action="default">{label}</property>'
    '<property name="viewcolor" action="default">{color}</property></view></item>'
)
_LAYOUT = (
    '<layout type="horizontal" split="true">'
    + _LAYOUT_ITEM.format(tag=AXIAL_VIEW, orientation="Axial", label="R", color="#F34A33")
    + _LAYOUT_ITEM.format(tag=CORONAL_VIEW, orientation="Coronal", label="G", color="#6EB04B")
    + "</layout>"
)


def registerLayout(scene: Any) -> None:
    """Make the reading layout known, so that a scene which was saved in it opens with its views."""
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None and not layout.IsLayoutDescription(READING_LAYOUT):
        layout.AddLayoutDescription(READING_LAYOUT, _LAYOUT)


def useReadingLayout(scene: Any) -> None:
    """Show axial and coronal side by side."""
    registerLayout(scene)
    useLayout(scene, READING_LAYOUT)


def currentLayout(scene: Any) -> int:
    """Return the number of the layout that is shown."""
    return int(scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement())


def useLayout(scene: Any, layout: int) -> None:
    """Show a layout by its number."""
    scene.GetFirstNodeByClass("vtkMRMLLayoutNode").SetViewArrangement(layout)


def showResult(scene: Any, result: Result, focus: np.ndarray | None = None) -> None:
    """Show CT and attention layer in the slice views, linked, fitted to the CT and cut at `focus` (RAS mm).

    Where it is None, `focusPoint` is taken. The sagittal view, hidden in the reading layout, follows too. Views that
    the scene does not have are left out.
    """
    focus = focusPoint(result) if focus is None else focus
    bounds = np.zeros(6)
    result.ct.GetRASBounds(bounds)
    for tag, (orientation, normal) in SLICE_AXES.items():
        composite, sliceNode = compositeNode(scene, tag), scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        if composite is not None and sliceNode is not None:
            showLayers(composite, result)
            sliceNode.SetOrientation(orientation)
            placeSlice(sliceNode, normal, bounds, focus)


def refit(scene: Any, result: Result) -> None:
    """Show the whole CT in every view of it that has got another size; where it is cut stays."""
    bounds = np.zeros(6)
    result.ct.GetRASBounds(bounds)
    normals = dict(SLICE_AXES.values())
    for composite in compositeNodes(scene):
        sliceNode = scene.GetSingletonNode(composite.GetLayoutName(), "vtkMRMLSliceNode")
        normal = normals.get(sliceNode.GetOrientation()) if sliceNode is not None else None
        if normal is not None and composite.GetBackgroundVolumeID() == result.ct.GetID():
            matrix = sliceNode.GetSliceToRAS()
            placeSlice(sliceNode, normal, bounds, np.array([matrix.GetElement(row, 3) for row in range(3)]))


def jumpTo(scene: Any, ras: np.ndarray) -> None:
    """Cut every axial, coronal and sagittal slice view at a point (RAS mm); what they show beside it stays."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        scene.GetNthNodeByClass(index, "vtkMRMLSliceNode").JumpSliceByOffsetting(*(float(value) for value in ras))


def focusPoint(result: Result) -> np.ndarray:
    """Return where to look first, RAS mm [3]: the largest infection, else the attention's peak, else the middle."""
    point = largestInfection(result)
    if point is None and DECISION in result.mapNames:
        point = attentionPeak(result, DECISION, opposite=False)
    if point is not None:
        return point
    bounds = np.zeros(6)
    result.ct.GetRASBounds(bounds)
    return (bounds[0::2] + bounds[1::2]) / 2


def peakPoint(result: Result) -> np.ndarray:
    """Return where a case of a run is first looked at, RAS mm [3]: the decision map's peak, else `focusPoint`."""
    peak = attentionPeak(result, DECISION, opposite=False) if DECISION in result.mapNames else None
    return focusPoint(result) if peak is None else peak


def largestInfection(result: Result) -> np.ndarray | None:
    """Return the voxel (RAS mm) of the largest infected region that lies nearest its centre; None without infection."""
    infection = geometry.segmentImage(result.segmentation, INFECTION.identifier)
    if infection is None:
        return None
    regions = sitk.RelabelComponent(sitk.ConnectedComponent(infection, True))
    largest = np.argwhere(sitk.GetArrayViewFromImage(regions) == 1)
    offsets = (largest - largest.mean(axis=0)) * np.asarray(infection.GetSpacing()[::-1])
    return _ras(infection, largest[np.argmin((offsets**2).sum(axis=1))])


def attentionPeak(result: Result, name: str, opposite: bool) -> np.ndarray | None:
    """Return the point (RAS mm) where a member's or the decision's map is highest; None where the map is dead.

    Raises:
        KeyError: the scene does not hold that map any more.
    """
    attention = result.map(name, opposite)
    array = sitk.GetArrayViewFromImage(attention)
    if array.max() <= 0:
        return None
    return _ras(attention, np.asarray(np.unravel_index(np.argmax(array), array.shape)))


def compositeNode(scene: Any, layoutName: str) -> Any:
    """Return the composite node of a slice view, None where the scene has no such view."""
    for node in compositeNodes(scene):
        if node.GetLayoutName() == layoutName:
            return node
    return None


def compositeNodes(scene: Any) -> list[Any]:
    """Return the nodes that say which volumes each slice view shows."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode") for index in range(count)]


def showLayers(composite: Any, result: Result) -> None:
    """Show the attention labels over the CT, and link the view."""
    composite.SetBackgroundVolumeID(result.ct.GetID())
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(result.attention.GetID())
    composite.SetLabelOpacity(1.0)
    composite.SetLinkedControl(True)


def _ras(image: sitk.Image, kji: np.ndarray) -> np.ndarray:
    """Return the RAS millimetres of the voxel [k, j, i] of an image."""
    lps = image.TransformIndexToPhysicalPoint([int(index) for index in kji[::-1]])
    return np.array([-lps[0], -lps[1], lps[2]])


def placeSlice(sliceNode: Any, normal: int, bounds: np.ndarray, focus: np.ndarray) -> None:
    """Cut at the focus, and show the whole CT around its centre with the view's own aspect.

    `normal` is the RAS axis across the slice, `bounds` the CT's RAS box (low, high of each axis) in mm.
    """
    low, high = bounds[0::2], bounds[1::2]
    centre = (low + high) / 2.0
    centre[normal] = focus[normal]
    for row in range(3):
        sliceNode.GetSliceToRAS().SetElement(row, 3, float(centre[row]))
    width_pixels, height_pixels, _ = sliceNode.GetDimensions()
    width_mm, height_mm = np.delete(high - low, normal)
    millimetres = max(width_mm / max(width_pixels, 1), height_mm / max(height_pixels, 1))
    thickness = float(sliceNode.GetFieldOfView()[2])
    sliceNode.SetXYZOrigin(0.0, 0.0, 0.0)
    sliceNode.SetFieldOfView(float(millimetres * width_pixels), float(millimetres * height_pixels), thickness)
    sliceNode.UpdateMatrices()
