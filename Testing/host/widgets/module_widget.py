"""qSlicerScriptedLoadableModuleWidget: the C++ widget that holds a scripted module's panel."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QVBoxLayout, QWidget

from .mrml_widget import qMRMLWidget


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """Makes the Python widget class of a module, with itself as its parent."""

    STANDS_FOR = "slicer"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: Any = None
        self._python: Any = None
        self._entered = False
        QVBoxLayout(self)

    def build(self, entry: Any, scene: Any) -> None:
        """Make the panel of a module and let it set itself up; called by the host alone."""
        import slicer

        from ..pythonqt.proxy import proxy_of

        self._entry = entry
        self.setObjectName(f"{entry.name}ModuleWidget")
        self.setMRMLScene(scene)
        self._python = getattr(entry.python, f"{entry.name}Widget")(proxy_of(self))
        vars(slicer.modules)[f"{entry.name}Widget"] = self._python
        self._python.setup()

    def self(this) -> Any:
        return this._python

    def reload(self) -> None:
        import sys

        self._entry.python = sys.modules[self._entry.name]
        self.build(self._entry, self.mrmlScene())

    def enter(self) -> None:
        self._entered = True
        getattr(self._python, "enter", lambda: None)()

    def exit(self) -> None:
        self._entered = False
        getattr(self._python, "exit", lambda: None)()

    def isEntered(self) -> bool:
        return self._entered

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        return layout.minimumSize() if layout is not None else QSize()
