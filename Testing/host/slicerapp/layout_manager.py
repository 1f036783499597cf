"""`slicer.app.layoutManager()`: views follow the layout node, as the real one makes them."""

from __future__ import annotations

from typing import Any, ClassVar
from xml.etree import ElementTree

import slicer
import vtk
from PySide6.QtCore import QObject

from ..widgets.observing import Observers
from .facade import Facade, PlainSignal
from .plots import PlotWidget
from .views import SliceWidget, ThreeDWidget


class LayoutManager(Facade):
    """One widget for each view node that the scene has; the ones in the current layout are the visible ones."""

    SIGNALS: ClassVar = {"layoutChanged(int)": "layoutChanged"}

    def __init__(self, applicationLogic: Any, layoutLogic: Any) -> None:
        self.layoutChanged = PlainSignal()
        self._applicationLogic, self._layoutLogic = applicationLogic, layoutLogic
        self._scene = applicationLogic.GetMRMLScene()
        self._slices: dict[str, SliceWidget] = {}
        self._threeD: dict[str, ThreeDWidget] = {}
        self._plots: dict[str, PlotWidget] = {}
        self._anchor = QObject()
        self._observers = Observers(self._anchor)
        self._shown, self._following = -1, False
        layoutNode = layoutLogic.GetLayoutNode()
        self._observers.add(layoutNode, vtk.vtkCommand.ModifiedEvent, self._follow)
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            self._observers.addNodes(self._scene, event, self._onNode)
        self._observers.add(self._scene, slicer.vtkMRMLScene.EndBatchProcessEvent, self._follow)
        self.seal()
        layoutNode.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._follow()

    @property
    def layout(self) -> int:
        return int(self.layoutLogic().GetLayoutNode().GetViewArrangement())

    @layout.setter
    def layout(self, identifier: int) -> None:
        self.setLayout(identifier)

    def setLayout(self, identifier: int) -> None:
        self.layoutLogic().GetLayoutNode().SetViewArrangement(identifier)

    def layoutLogic(self) -> Any:
        return self._layoutLogic

    def mrmlScene(self) -> Any:
        return self._scene

    def mrmlSliceLogics(self) -> Any:
        return self._applicationLogic.GetSliceLogics()

    def sliceViewNames(self) -> tuple[str, ...]:
        """Return the slice views that were ever made; hidden ones stay, as in Slicer."""
        return tuple(self._slices)

    def shownSliceViewNames(self) -> tuple[str, ...]:
        """Return the slice views of the current layout, in its order; the host's own."""
        return tuple(name for name in self._layoutNames("vtkMRMLSliceNode") if name in self._slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._slices.get(name)

    @property
    def threeDViewCount(self) -> int:
        return len(self._threeD)

    @property
    def tableViewCount(self) -> int:
        return 0

    @property
    def plotViewCount(self) -> int:
        return len(self._plots)

    def plotWidget(self, which: int | str) -> PlotWidget | None:
        if isinstance(which, str):
            return self._plots.get(which)
        widgets = list(self._plots.values())
        return widgets[which] if 0 <= which < len(widgets) else None

    def shownPlotViewNames(self) -> tuple[str, ...]:
        """Return the plot views of the current layout, in its order; the host's own."""
        return tuple(name for name in self._layoutNames("vtkMRMLPlotViewNode") if name in self._plots)

    def threeDWidget(self, which: int | str) -> ThreeDWidget | None:
        if isinstance(which, str):
            return self._threeD.get(which)
        widgets = list(self._threeD.values())
        return widgets[which] if 0 <= which < len(widgets) else None

    def shows3D(self) -> bool:
        """Return whether the current layout has a 3D view; the host's own."""
        return bool(self._layoutNames("vtkMRMLViewNode"))

    def resetSliceViews(self) -> None:
        for widget in self._slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for widget in self._threeD.values():
            widget.threeDView().resetFocalPoint()

    def close(self) -> None:
        self._observers.clear()
        for widgets in (self._slices, self._threeD, self._plots):
            for widget in widgets.values():
                widget.close()
        self._slices.clear()
        self._threeD.clear()
        self._plots.clear()

    def _follow(self) -> None:
        """Make the views that are new, drop the ones whose node is gone, and say when the layout is another."""
        if self._scene.IsBatchProcessing() or self._following:
            return
        self._following = True  # a new slice view adds nodes of its own
        try:
            self._makeViews()
        finally:
            self._following = False
        if self._shown != self.layout:
            self._shown = self.layout
            self.layoutChanged.emit(self._shown)

    def _onNode(self, node: Any) -> None:
        if node.IsA("vtkMRMLAbstractViewNode"):
            self._follow()

    def _makeViews(self) -> None:
        """Make the widgets of new view nodes, drop those whose node is gone."""
        makers: tuple[tuple[dict[str, Any], str, type], ...] = (
            (self._slices, "vtkMRMLSliceNode", SliceWidget),
            (self._threeD, "vtkMRMLViewNode", ThreeDWidget),
            (self._plots, "vtkMRMLPlotViewNode", PlotWidget),
        )
        for widgets, kind, make in makers:
            nodes = [self._scene.GetNthNodeByClass(i, kind) for i in range(self._scene.GetNumberOfNodesByClass(kind))]
            present = {node.GetLayoutName(): node for node in nodes}
            for name in [name for name in widgets if name not in present]:
                widgets.pop(name).close()
            for name, node in present.items():
                if name not in widgets:
                    widgets[name] = make(node, self._applicationLogic)

    def _layoutNames(self, kind: str) -> list[str]:
        description = self.layoutLogic().GetLayoutNode().GetLayoutDescription(self.layout)
        if not description:
            return []
        views = ElementTree.fromstring(description).iter("view")
        return [each.get("singletontag", "") for each in views if each.get("class") == kind]
