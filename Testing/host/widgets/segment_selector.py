"""qMRMLSegmentSelectorWidget: a segmentation and one of its segments."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from .mrml_widget import qMRMLWidget
from .node_combo_box import qMRMLNodeComboBox
from .observing import Observers


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """Two combo boxes side by side; unlike in the node selector, `currentNodeID()` is a method here."""

    STANDS_FOR = "slicer"
    SIGNALS: ClassVar = {
        **qMRMLWidget.SIGNALS,
        "currentNodeChanged(vtkMRMLNode*)": "nodeChanged",
        "currentSegmentChanged(QString)": "segmentChanged",
    }
    nodeChanged, segmentChanged = Signal(object), Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes = qMRMLNodeComboBox(self)
        self._nodes.setNodeTypes(["vtkMRMLSegmentationNode"])
        self._nodes.setAddEnabled(False)
        self._nodes.setRemoveEnabled(False)
        self._segments = QComboBox(self)
        self._observers = Observers(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._nodes)
        layout.addWidget(self._segments)
        self.sceneChanged.connect(self._nodes.setMRMLScene)
        self._nodes.nodeChanged.connect(self._onNodeChanged)
        self._segments.currentIndexChanged.connect(lambda _: self.segmentChanged.emit(self.currentSegmentID()))

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, identifier: str) -> None:
        self._nodes.setCurrentNodeID(identifier)

    def currentSegmentID(self) -> str:
        return self._segments.currentData() or ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        self._segments.setCurrentIndex(self._segments.findData(identifier))

    def setNoneEnabled(self, enabled: bool) -> None:
        self._nodes.setNoneEnabled(enabled)

    noneEnabled = Property(bool, lambda self: self._nodes.noneEnabled, setNoneEnabled)

    def setSegmentationNodeSelectorVisible(self, visible: bool) -> None:
        self._nodes.setVisible(visible)

    segmentationNodeSelectorVisible = Property(
        bool, lambda self: not self._nodes.isHidden(), setSegmentationNodeSelectorVisible
    )

    def _onNodeChanged(self, node: Any) -> None:
        self._observers.clear()
        if node is not None:
            events = slicer.vtkSegmentation
            for event in (events.SegmentAdded, events.SegmentRemoved, events.SegmentModified):
                self._observers.add(node.GetSegmentation(), event, self._fill)
        self._fill()
        self.nodeChanged.emit(node)

    def _fill(self) -> None:
        node, current = self.currentNode(), self.currentSegmentID()
        self._segments.blockSignals(True)
        self._segments.clear()
        segmentation = node.GetSegmentation() if node is not None else None
        for identifier in () if segmentation is None else segmentation.GetSegmentIDs():
            assert segmentation is not None
            self._segments.addItem(segmentation.GetSegment(identifier).GetName(), identifier)
        self._segments.setCurrentIndex(max(self._segments.findData(current), 0) if self._segments.count() else -1)
        self._segments.blockSignals(False)
        if self.currentSegmentID() != current:
            self.segmentChanged.emit(self.currentSegmentID())
