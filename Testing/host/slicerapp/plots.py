"""Plot views, as `layoutManager().plotWidget(index)` gives them: a chart node drawn by VTK's own charts."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .facade import Facade

WIDTH, HEIGHT = 400, 300
_LEGEND_SIZE, _FONT_SIZE = 11, 12


class PlotView(Facade):
    """The drawn part of a plot widget."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.seal()

    def mrmlPlotViewNode(self) -> Any:
        return self._node

    def fitToContent(self) -> None:
        """Do nothing: a picture is fitted when it is drawn."""

    def pixels(self, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
        """Return the view as uint8 [row from the top, column, RGB]; the host's own."""
        view = vtk.vtkContextView()
        window = view.GetRenderWindow()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        window.SetSize(width, height)
        view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
        node = self._node.GetPlotChartNode()
        if node is not None:
            view.GetScene().AddItem(_chart(node))
        window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.Update()
        values = numpy_support.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        picture = values.reshape(height, width, 3)[::-1].copy()
        window.Finalize()
        return picture


class PlotWidget(Facade):
    """A plot view with its node."""

    def __init__(self, node: Any, _applicationLogic: Any) -> None:
        self._view = PlotView(node)
        self.seal()

    def plotView(self) -> PlotView:
        return self._view

    def mrmlPlotViewNode(self) -> Any:
        return self._view.mrmlPlotViewNode()

    def close(self) -> None:
        """Do nothing: no window stays open between pictures."""


def _chart(node: Any) -> Any:
    """Return VTK's chart of a chart node."""
    chart = vtk.vtkChartXY()
    chart.SetTitle(node.GetTitle() or "")
    chart.GetTitleProperties().SetFontSize(_FONT_SIZE + 2)
    chart.SetShowLegend(node.GetLegendVisibility())
    chart.GetLegend().SetLabelSize(_LEGEND_SIZE)
    chart.GetLegend().SetHorizontalAlignment(vtk.vtkChartLegend.RIGHT)
    for place, title in ((vtk.vtkAxis.BOTTOM, node.GetXAxisTitle()), (vtk.vtkAxis.LEFT, node.GetYAxisTitle())):
        axis = chart.GetAxis(place)
        axis.SetTitle(title or "")
        axis.SetGridVisible(node.GetGridVisibility())
        for properties in (axis.GetTitleProperties(), axis.GetLabelProperties()):
            properties.SetFontSize(_FONT_SIZE)
            properties.SetBold(0)
    for index in range(node.GetNumberOfPlotSeriesNodes()):
        _addSeries(chart, node.GetNthPlotSeriesNode(index))
    if not node.GetYAxisRangeAuto():
        axis = chart.GetAxis(vtk.vtkAxis.LEFT)
        axis.SetBehavior(vtk.vtkAxis.FIXED)
        axis.SetRange(*node.GetYAxisRange())
    return chart


def _addSeries(chart: Any, series: Any) -> None:
    """Add a series of points; one of no points would be an error of VTK."""
    table = series.GetTableNode().GetTable() if series.GetTableNode() is not None else None
    if table is None or table.GetNumberOfRows() < 1:
        return
    plot = chart.AddPlot(vtk.vtkChart.LINE)
    plot.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
    plot.SetLabel(series.GetName())
    plot.SetColorF(*series.GetColor())
    plot.SetWidth(series.GetLineWidth())
    plot.GetPen().SetLineType(series.GetLineStyle())
    plot.SetMarkerStyle(series.GetMarkerStyle())
    plot.SetMarkerSize(series.GetMarkerSize())


assert slicer.vtkMRMLPlotSeriesNode.LineStyleSolid == vtk.vtkPen.SOLID_LINE
