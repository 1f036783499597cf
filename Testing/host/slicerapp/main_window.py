"""The main window: module panel on the left, as in Slicer; the views are drawn by `host.screenshot`."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from ..pythonqt.proxy import proxy_of
from ..widgets.collapsible_button import ctkCollapsibleButton

PANEL_WIDTH = 520


class MainWindow(QMainWindow):
    """Holds the module panel, the data probe under it and a status bar, under the names that Slicer's have."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        dock = QDockWidget(self)
        dock.setObjectName("PanelDockWidget")
        content = QWidget(dock)
        column = QVBoxLayout(content)
        self._area = QScrollArea(content)
        self._area.setObjectName("ModulePanel")
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        probe = ctkCollapsibleButton("Data Probe", content)
        probe.setObjectName("DataProbeCollapsibleWidget")
        column.addWidget(self._area)
        column.addWidget(probe)
        dock.setWidget(content)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self.setCentralWidget(QWidget(self))
        self.statusBar()
        self.resize(PANEL_WIDTH + 900, 900)
        self.resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
        self.selector: Any = None

    def moduleSelector(self) -> Any:
        return self.selector

    def showPanel(self, widget: QWidget | None) -> None:
        """Show a panel in place of the one before; that one is kept, hidden."""
        previous = self._area.takeWidget()
        if previous is not None:
            previous.setParent(self)
            previous.hide()
        if widget is not None:
            self._area.setWidget(widget)
            widget.show()


def wrapped(window: MainWindow) -> Any:
    """Return the window as `slicer.util.mainWindow()` gives it."""
    return proxy_of(window)
