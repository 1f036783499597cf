"""Curves in Slicer's plot views: of a training while it runs. They come from files, so they are not saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from . import views

LAYOUT = 596
LOSS_VIEW, AUC_VIEW = "DualSamplingLoss", "DualSamplingAUC"
_OF = "DualSamplingCOVID.chart"
"""The attribute of a chart that names the view it is for."""
_SLICE = (
    '<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
    '<property name="orientation" action="default">{orientation}</property>'
    '<property name="viewlabel" action="default">{label}</property>'
    '<property name="viewcolor" action="default">{color}</property></view></item>'
)
_PLOT = (
    '<item><view class="vtkMRMLPlotViewNode" singletontag="{tag}">'
    '<property name="viewlabel" action="default">{label}</property></view></item>'
)
_LAYOUT = (
    '<layout type="vertical" split="true"><item><layout type="horizontal" split="true">'
    + _SLICE.format(tag=views.AXIAL_VIEW, orientation="Axial", label="R", color="#F34A33")
    + _SLICE.format(tag=views.CORONAL_VIEW, orientation="Coronal", label="G", color="#6EB04B")
    + '</layout></item><item><layout type="horizontal" split="true">'
    + _PLOT.format(tag=LOSS_VIEW, label="L")
    + _PLOT.format(tag=AUC_VIEW, label="A")
    + "</layout></item></layout>"
)


@dataclass(frozen=True)
class Curve:
    """One curve: its legend, its points, its colour (RGB in [0, 1]), and whether each point is marked."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: tuple[float, float, float]
    isMarked: bool = False


@dataclass(frozen=True)
class Chart:
    """What a plot view shows; `limits` of the vertical axis, None to fit the curves."""

    view: str
    title: str
    xTitle: str
    yTitle: str
    curves: tuple[Curve, ...]
    limits: tuple[float, float] | None = None


def useChartLayout(scene: Any) -> None:
    """Show axial and coronal above both plot views."""
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if not layout.IsLayoutDescription(LAYOUT):
        layout.AddLayoutDescription(LAYOUT, _LAYOUT)
    layout.SetViewArrangement(LAYOUT)


def showChart(scene: Any, chart: Chart) -> None:
    """Draw a chart in its view; nodes of the chart that was there are used again."""
    node = _chartNode(scene, chart.view) or _addChart(scene, chart.view)
    before = node.StartModify()
    node.SetTitle(chart.title)
    node.SetXAxisTitle(chart.xTitle)
    node.SetYAxisTitle(chart.yTitle)
    if chart.limits is not None:
        node.SetYAxisRangeAuto(False)
        node.SetYAxisRange(*chart.limits)
    for index in range(node.GetNumberOfPlotSeriesNodes() - 1, len(chart.curves) - 1, -1):
        _removeSeries(scene, node, index)
    for index, curve in enumerate(chart.curves):
        if index == node.GetNumberOfPlotSeriesNodes():
            _addSeries(scene, node)
        _setCurve(node.GetNthPlotSeriesNode(index), curve)
    node.EndModify(before)
    view = scene.GetSingletonNode(chart.view, "vtkMRMLPlotViewNode")
    if view is not None and view.GetPlotChartNodeID() != node.GetID():
        view.SetPlotChartNodeID(node.GetID())


def hideCharts(scene: Any) -> None:
    """Empty the plot views: a scene that is saved then names no chart that is not in it."""
    for tag in (LOSS_VIEW, AUC_VIEW):
        view = scene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
        if view is not None:
            view.SetPlotChartNodeID(None)


def removeCharts(scene: Any) -> None:
    """Take all charts out of the scene, with their curves."""
    for view in (LOSS_VIEW, AUC_VIEW):
        node = _chartNode(scene, view)
        if node is not None:
            for index in range(node.GetNumberOfPlotSeriesNodes() - 1, -1, -1):
                _removeSeries(scene, node, index)
            scene.RemoveNode(node)


def _chartNode(scene: Any, view: str) -> Any:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLPlotChartNode")
        if node.GetAttribute(_OF) == view:
            return node
    return None


def _addChart(scene: Any, view: str) -> Any:
    node = _add(scene, "vtkMRMLPlotChartNode", view)
    node.SetAttribute(_OF, view)
    node.SetLegendVisibility(True)
    node.SetGridVisibility(True)
    return node


def _addSeries(scene: Any, chart: Any) -> None:
    table = _add(scene, "vtkMRMLTableNode", f"{chart.GetName()} points")
    series = _add(scene, "vtkMRMLPlotSeriesNode", f"{chart.GetName()} curve")
    table.SetAndObserveTable(_table(np.empty((2, 0))))
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("x")
    series.SetYColumnName("y")
    series.SetPlotType(series.PlotTypeScatter)
    chart.AddAndObservePlotSeriesNodeID(series.GetID())


def _removeSeries(scene: Any, chart: Any, index: int) -> None:
    series = chart.GetNthPlotSeriesNode(index)
    chart.RemoveNthPlotSeriesNodeID(index)
    scene.RemoveNode(series.GetTableNode())
    scene.RemoveNode(series)


def _add(scene: Any, kind: str, name: str) -> Any:
    """Add a node that is neither saved nor offered for editing: what it shows lies in the run folder."""
    node = scene.CreateNodeByClass(kind)
    node.UnRegister(None)
    node.SetName(name)
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    return scene.AddNode(node)


def _setCurve(series: Any, curve: Curve) -> None:
    """Fill a series; points that are no numbers are left out, and nothing is touched where nothing is new."""
    points = np.array([curve.x, curve.y], dtype=np.float64)
    points = points[:, np.isfinite(points).all(axis=0)]
    node = series.GetTableNode()
    held = np.array([numpy_support.vtk_to_numpy(node.GetTable().GetColumnByName(name)) for name in ("x", "y")])
    if not np.array_equal(held, points):
        node.SetAndObserveTable(_table(points))
    series.SetName(curve.name)
    series.SetColor(*curve.color)
    series.SetLineStyle(series.LineStyleSolid)
    series.SetMarkerStyle(series.MarkerStyleCircle if curve.isMarked else series.MarkerStyleNone)


def _table(points: np.ndarray) -> Any:
    """Return the table of points [2, n] (x, y), which it copies."""
    table = vtk.vtkTable()
    for name, values in zip(("x", "y"), points, strict=True):
        column = numpy_support.numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    return table
