"""The six rows of the paper's Fig. 5 for one CT, live: each in an axial and a coronal view, all linked.

Original, lungs, infection, the baseline's Grad-CAM, and the attention with uniform and with size-balanced sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import diagnosis_folder
from ..summary import NO_EVIDENCE, Summary
from . import geometry, overlays, views
from .result import Result, removeNodes

LAYOUT = 598
_PREFIX = "DualSampling"
_PLANES = (("Axial", 2), ("Coronal", 1))
_MARK = "DualSamplingCOVID.Compare"
_RESTRICTED = "DualSamplingCOVID.ViewsBeforeCompare"
_MAP_STEP_MM = 2.0
"""Label layers are not interpolated: the maps are, once, to cubes too small to be seen as such."""


@dataclass(frozen=True)
class Row:
    """One row: its title, the segments it shows, and the member whose map it shows (None: no map)."""

    tag: str
    title: str
    segments: tuple[str, ...] = ()
    member: str | None = None


def rows(summary: Summary) -> tuple[Row, ...]:
    """Return the rows of the paper's Fig. 5 that a bundle's members can fill, in its order."""
    found = [
        Row("Original", "CT"),
        Row("Lungs", "Lungs", overlays.LUNGS),
        Row("Infection", "Infection", overlays.INFECTED),
    ]
    wanted = (
        ("Baseline", "Baseline US, Grad-CAM", "baseline", "US"),
        ("US", "Attention US", "attention", "US"),
        ("SS", "Attention SS", "attention", "SS"),
    )
    for tag, title, kind, sampling in wanted:
        members = [n for n in summary.networks if (n.kind, n.sampling) == (kind, sampling)]
        if members:
            peak = NO_EVIDENCE if members[0].raw_peak <= 0 else f"raw peak {members[0].raw_peak:.3g}"
            found.append(Row(tag, f"{title}: {peak}", member=members[0].name))
    return tuple(found)


def show(scene: Any, result: Result, focus: np.ndarray | None = None) -> int:
    """Show the comparison, cut at `focus` (see `fit`); return the layout that was shown before, for `hide`.

    The maps are shown by label volumes of their own, which are not saved and go with `hide`.
    """
    removeNodes(scene, _ownNodes(scene))
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    previous = int(layout.GetViewArrangement())
    shown = rows(result.summary)
    description = _layout(shown)
    if layout.IsLayoutDescription(LAYOUT):
        layout.SetLayoutDescription(LAYOUT, description)
    else:
        layout.AddLayoutDescription(LAYOUT, description)
    layout.SetViewArrangement(LAYOUT)
    _restrictSegmentations(scene)
    for row in shown:
        mapNode = None if row.member is None else _mapNode(scene, result, row.member)
        for plane, _ in _PLANES:
            tag = _tag(row, plane)
            composite, sliceNode = views.compositeNode(scene, tag), scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
            if composite is None or sliceNode is None:
                continue
            composite.SetBackgroundVolumeID(result.ct.GetID())
            composite.SetForegroundVolumeID(None)
            composite.SetLabelVolumeID(mapNode.GetID() if mapNode is not None else None)
            composite.SetLabelOpacity(1.0)
            composite.SetLinkedControl(True)
            sliceNode.SetOrientation(plane)
        if row.segments:
            _showSegments(scene, result, row)
    fit(scene, result, focus)
    return previous if previous != LAYOUT else views.READING_LAYOUT


def fit(scene: Any, result: Result, focus: np.ndarray | None = None) -> None:
    """Show the whole CT in each view, cut at `focus` (RAS mm; the finding where it is None)."""
    focus = views.focusPoint(result) if focus is None else focus
    bounds = np.zeros(6)
    result.ct.GetRASBounds(bounds)
    for row in rows(result.summary):
        for plane, normal in _PLANES:
            sliceNode = scene.GetSingletonNode(_tag(row, plane), "vtkMRMLSliceNode")
            if sliceNode is not None:
                views.placeSlice(sliceNode, normal, bounds, focus)


def hide(scene: Any, previous: int) -> None:
    """Bring the user's layout back, unless they have chosen another one since, and take back what `show` did.

    The views themselves stay in the scene, as Slicer keeps those of every layout, but they show nothing.
    """
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None and layout.GetViewArrangement() == LAYOUT:
        layout.SetViewArrangement(previous)
    removeNodes(scene, _ownNodes(scene))
    for display in _nodes(scene, "vtkMRMLSegmentationDisplayNode"):
        before = display.GetAttribute(_RESTRICTED)
        if before is not None:
            _setViews(display, before.split())
            display.RemoveAttribute(_RESTRICTED)
    for composite in views.compositeNodes(scene):
        if str(composite.GetLayoutName()).startswith(_PREFIX):
            composite.SetBackgroundVolumeID(None)
            composite.SetLabelVolumeID(None)


def _layout(shown: tuple[Row, ...]) -> str:
    """Two rows of Fig. 5 beside each other, each as its axial and its coronal view: wide screens have the room."""
    lines = []
    for start in range(0, len(shown), 2):
        cells = "".join(_cell(row, plane) for row in shown[start : start + 2] for plane, _ in _PLANES)
        lines.append(f'<item><layout type="horizontal">{cells}</layout></item>')
    return f'<layout type="vertical">{"".join(lines)}</layout>'


def _cell(row: Row, plane: str) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{_tag(row, plane)}">'
        f'<property name="orientation" action="default">{plane}</property>'
        f'<property name="viewlabel" action="default">{row.title}</property>'
        '<property name="viewcolor" action="default">#8A8A8A</property></view></item>'
    )


def _tag(row: Row, plane: str) -> str:
    return f"{_PREFIX}{row.tag}{plane}"


def _nodes(scene: Any, className: str) -> list[Any]:
    return [scene.GetNthNodeByClass(index, className) for index in range(scene.GetNumberOfNodesByClass(className))]


def _restrictSegmentations(scene: Any) -> None:
    """Keep every segmentation of the scene out of the comparison's views; what it was restricted to is remembered."""
    shown = _nodes(scene, "vtkMRMLSliceNode") + _nodes(scene, "vtkMRMLViewNode")
    others = [node.GetID() for node in shown if not str(node.GetLayoutName()).startswith(_PREFIX)]
    for display in _nodes(scene, "vtkMRMLSegmentationDisplayNode"):
        if display.GetAttribute(_MARK) or display.GetAttribute(_RESTRICTED) is not None:
            continue
        before = [display.GetNthViewNodeID(index) for index in range(display.GetNumberOfViewNodeIDs())]
        display.SetAttribute(_RESTRICTED, " ".join(before))
        _setViews(display, before or others)


def _setViews(display: Any, identifiers: list[str]) -> None:
    display.RemoveAllViewNodeIDs()
    for identifier in identifiers:
        display.AddViewNodeID(identifier)


def _ownNodes(scene: Any) -> list[Any]:
    found = _nodes(scene, "vtkMRMLLabelMapVolumeNode") + _nodes(scene, "vtkMRMLSegmentationDisplayNode")
    return [node for node in found if node.GetAttribute(_MARK)]


def _mapNode(scene: Any, result: Result, member: str) -> Any:
    """Add a member's map as a label volume of small cubes, in the attention layer's colours."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", f"compared map {member}")
    node.SetAttribute(_MARK, "1")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    attention = result.map(member, opposite=False)
    geometry.setVolumeImage(node, diagnosis_folder.attention_label(attention, _fine(attention)))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    node.GetDisplayNode().SetAndObserveColorNodeID(result.attention.GetDisplayNode().GetColorNodeID())
    return node


def _fine(image: sitk.Image) -> sitk.Image:
    """Return a grid of cubes of `_MAP_STEP_MM` between the outermost points of a map."""
    extent = (np.array(image.GetSize()) - 1) * np.array(image.GetSpacing())
    grid = sitk.Image((np.floor(extent / _MAP_STEP_MM) + 1).astype(int).tolist(), sitk.sitkUInt8)
    grid.SetSpacing([_MAP_STEP_MM] * 3)
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    return grid


def _showSegments(scene: Any, result: Result, row: Row) -> None:
    """Show some segments, filled, in the views of one row alone."""
    display = scene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode")
    display.SetAttribute(_MARK, "1")
    display.SetSaveWithScene(False)
    result.segmentation.AddAndObserveDisplayNodeID(display.GetID())
    for index in range(result.segmentation.GetSegmentation().GetNumberOfSegments()):
        identifier = result.segmentation.GetSegmentation().GetNthSegmentID(index)
        display.SetSegmentVisibility(identifier, identifier in row.segments)
        display.SetSegmentOpacity2DFill(identifier, 0.5)
    display.SetVisibility3D(False)
    for plane, _ in _PLANES:
        sliceNode = scene.GetSingletonNode(_tag(row, plane), "vtkMRMLSliceNode")
        if sliceNode is not None:
            display.AddViewNodeID(sliceNode.GetID())
