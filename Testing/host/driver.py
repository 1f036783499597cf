"""The host: one scene with its views, one main window, the modules that a test loads, and a person's hands."""

from __future__ import annotations

import gc
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
import shiboken6
import slicer
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QSettings, QTimer
from PySide6.QtWidgets import QApplication, QStyleFactory, QWidget

from DualSamplingCOVIDLib.scene import headless

from . import mouse, screenshot
from .answers import answers
from .environment import rendering_problem
from .installation import install
from .pythonqt.proxy import native_of, proxy_of
from .slicerapp import main_window, sample_data
from .slicerapp.application import Application
from .slicerapp.core_io import CoreIO
from .slicerapp.layout_manager import LayoutManager
from .slicerapp.modules import LogicModule, ModuleManager, Modules, ModuleSelector, ScriptedModule
from .slicerapp.subject_hierarchy import SubjectHierarchy
from .slicerapp.utilities import packages
from .watchdog import watchdog

_HEARTBEAT_MILLISECONDS = 10


class Host:
    """A running "Slicer" without a screen, with an empty scene in the four-up layout.

    Attributes:
        dialogs: what dialogs were opened, and the answers to come (`dialogs.will(...)`).
        packages: what was to be installed; nothing ever is.
        samples: what registered at SampleData, and `samples.click(name)`.
        watchdog: how long slots took, and how long the event loop stood still.
        failures: exceptions from slots; `close` raises them.
    """

    click, choose, drag, write = (staticmethod(each) for each in (mouse.click, mouse.choose, mouse.drag, mouse.write))
    setSlider = drag

    def __init__(self) -> None:
        self.application, self._closed = qApplication(), False
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-host-")
        folder = Path(self._folder.name)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder / "settings"))
        self.dialogs, self.packages, self.watchdog = answers, packages, watchdog
        for each in (answers, packages, watchdog):
            each.reset()
        self.samples = sample_data.Samples()
        self.failures: list[BaseException] = []
        self._booted = headless.bootScene()
        self.scene, logic = self._booted.scene, self._booted.applicationLogic
        layoutLogic = next(each for each in self._booted.kept if each.IsA("vtkMRMLLayoutLogic"))
        self.layoutManager = LayoutManager(logic, layoutLogic)
        self._hierarchy = SubjectHierarchy(self.scene)
        self.modules = Modules()
        self.moduleManager = ModuleManager(self.modules)
        for name in ("Volumes", "Segmentations", "SubjectHierarchy"):
            if logic.GetModuleLogic(name) is not None:
                vars(self.modules)[name.lower()] = LogicModule(name, logic.GetModuleLogic(name))
        io = CoreIO(self.scene)
        self.app = Application(folder, logic, self.layoutManager, self.moduleManager, io)
        self.window = main_window.MainWindow()
        selector = ModuleSelector(self.moduleManager, self.window)
        self.window.selector = self._selector = selector
        members = {
            "app": self.app,
            "modules": self.modules,
            "mrmlScene": self.scene,
            "qSlicerScriptedLoadableModule": ScriptedModule,
        }
        self._uninstall = install(members, sample_data.module(self.samples))
        self._excepthook, sys.excepthook = sys.excepthook, self._onException
        self.window.show()

    def load(self, path: Path | str) -> Any:
        """Load a module file; then the application has started. Returns its entry, `slicer.modules.<name>`.

        `startupCompleted` comes once to each who waits for it: several modules may be loaded one after the other.
        """
        entry = self.moduleManager.load(Path(path))
        self.app.startupCompleted.emit()
        self.app.startupCompleted.disconnect()
        self.raiseFailures()
        return entry

    def open(self, name: str) -> Any:
        """Select a module, as a person does, and return its Python widget; its panel is on the screen then."""
        slicer.util.selectModule(name)
        QApplication.processEvents()
        self.raiseFailures()
        return self.moduleManager.module(name).widgetRepresentation().self()

    def wait(self, until: Callable[[], Any] | None = None, seconds: float = 10.0) -> None:
        """Let the window live until a condition holds, or for that long where there is none.

        Raises:
            AssertionError: it did not come true in time.
        """
        loop, beat, end = QEventLoop(), QTimer(), QTimer()
        beat.setInterval(_HEARTBEAT_MILLISECONDS)
        beat.timeout.connect(lambda: self._onBeat(loop, until))
        end.setSingleShot(True)
        end.timeout.connect(loop.quit)
        watchdog.pause()
        beat.start()
        end.start(int(1000 * seconds))
        loop.exec()
        beat.stop()
        end.stop()
        watchdog.pause()
        self.raiseFailures()
        if until is not None and not until():
            raise AssertionError(f"nothing came of it within {seconds:g} s")

    def closeScene(self) -> None:
        """Close the scene, as File > Close Scene does."""
        self.scene.Clear(False)
        QApplication.processEvents()
        self.raiseFailures()

    def render(self, name: str = "Red") -> np.ndarray:
        """Return a view ("Red", "Green", ..., "3D", or a plot view) as uint8 [row from the top, column, RGB].

        The test is skipped, with the reason, where this machine cannot render.
        """
        self.requireRendering()
        if name == "3D":
            threeD = self.layoutManager.threeDWidget(0)
            assert threeD is not None, "the scene has no 3D view"
            return threeD.threeDView().pixels()
        plot = self.layoutManager.plotWidget(name)
        if plot is not None:
            return plot.plotView().pixels()
        widget = self.layoutManager.sliceWidget(name)
        assert widget is not None, f"no slice view {name}: {self.layoutManager.sliceViewNames()}"
        return widget.sliceView().pixels()

    @staticmethod
    def requireRendering() -> None:
        """Skip the test where this machine cannot render."""
        if rendering_problem():
            pytest.skip(rendering_problem())

    def screenshot(self, widget: Any, path: Path | str | None = None, width: int | None = None) -> np.ndarray:
        """Return the picture of a panel or of any widget, and write it to a file; see `screenshot.grab`."""
        return screenshot.grab(widget, Path(path) if path is not None else None, width)

    def windowPicture(
        self, path: Path | str | None = None, size: tuple[int, int] = (1440, 900), panelWidth: int = 520
    ) -> np.ndarray:
        """Return the selected module's panel beside the views of the current layout; see `screenshot.compose`."""
        self.requireRendering()
        panel = self.moduleManager.module(self._selector.selectedModule).widgetRepresentation()
        return screenshot.compose(panel, self.layoutManager, Path(path) if path is not None else None, size, panelWidth)

    def raiseFailures(self) -> None:
        """Raise the first exception that a slot left behind, with its own traceback."""
        if self.failures:
            first, self.failures = self.failures[0], []
            raise first

    def close(self) -> None:
        """End everything: modules, windows, views, scene, settings. Raises what slots left behind.

        A host that is closed already stays closed.
        """
        if self._closed:
            return
        self._closed = True
        self._selector.forget()
        self.moduleManager.unloadAll()
        self.app.aboutToQuit.emit()
        left = self.moduleManager.moduleAboutToBeUnloaded.count
        self._deleteWidgets()
        self.scene.Clear(False)
        self._hierarchy.stop()
        self.layoutManager.close()
        self._uninstall()
        sys.excepthook = self._excepthook
        self._folder.cleanup()
        watchdog.pause()
        self.raiseFailures()
        if left:
            raise AssertionError(f"{left} panels are still connected to moduleAboutToBeUnloaded: were they cleaned up?")

    def _deleteWidgets(self) -> None:
        QApplication.processEvents()
        for widget in QApplication.topLevelWidgets():
            if shiboken6.isValid(widget) and widget.parent() is None:
                shiboken6.delete(widget)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        while QApplication.overrideCursor() is not None:
            QApplication.restoreOverrideCursor()
        gc.collect()

    def _onBeat(self, loop: QEventLoop, until: Callable[[], Any] | None) -> None:
        watchdog.beat()
        if self.failures or (until is not None and until()):
            loop.quit()

    def _onException(self, kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        """Keep an exception that a slot let through; Slicer would print it, and go on."""
        traceback.print_exception(kind, error, where)
        self.failures.append(error)


def qApplication() -> QApplication:
    """Return the process' one QApplication; its settings are never the ones of the person who runs the tests."""
    found = QApplication.instance()
    if isinstance(found, QApplication):
        return found
    QCoreApplication.setOrganizationName("NA-MIC")
    QCoreApplication.setApplicationName("Slicer")
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    made = QApplication(["slicer-host"])
    made.setStyle(QStyleFactory.create("Fusion"))
    made.setQuitOnLastWindowClosed(False)
    return made


def child(panel: Any, name: str) -> Any:
    """Return a widget of a panel by its object name.

    Raises:
        LookupError: there is none.
    """
    found = native_of(panel).findChild(QWidget, name)
    if found is None:
        raise LookupError(f"the panel has no widget '{name}'")
    return proxy_of(found)
