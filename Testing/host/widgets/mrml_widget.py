"""qMRMLWidget: a widget that knows the scene and tells its children."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget


class qMRMLWidget(QWidget):
    """Base of panels; `mrmlSceneChanged` reaches the selectors of a .ui file."""

    STANDS_FOR = "slicer"
    SIGNALS: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "sceneChanged"}
    sceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.sceneChanged.emit(scene)
