"""qMRMLTableView: a table node as a table; read only."""

from __future__ import annotations

from typing import Any, ClassVar

import vtk
from PySide6.QtCore import Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QTableView, QWidget

from .observing import Observers


class qMRMLTableView(QTableView):
    """Follows the table's changes."""

    STANDS_FOR = "slicer"
    SIGNALS: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "sceneChanged"}
    sceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._table: Any = None
        self._observers = Observers(self)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.sceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._table

    def setMRMLTableNode(self, node: Any) -> None:
        self._observers.clear()
        self._table = node
        if node is not None:
            self._observers.add(node, vtk.vtkCommand.ModifiedEvent, self._fill)
        self._fill()

    def _fill(self) -> None:
        model = QStandardItemModel(self)
        table = self._table.GetTable() if self._table is not None else vtk.vtkTable()
        columns = range(table.GetNumberOfColumns())
        model.setHorizontalHeaderLabels([table.GetColumnName(column) or "" for column in columns])
        for row in range(table.GetNumberOfRows()):
            model.appendRow([QStandardItem(table.GetValue(row, column).ToString()) for column in columns])
        self.setModel(model)
