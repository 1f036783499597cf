"""`slicer.app`: the application object."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from PySide6 import QtCore, QtWidgets

from ..pythonqt.conversion import unwrap
from ..pythonqt.proxy import proxy_of
from .facade import Facade, PlainSignal

VERSION = (5, 12)


class Application(Facade):
    """What a panel asks the application. Settings live in a temporary file; `exit` is only recorded."""

    SIGNALS: ClassVar = {
        "startupCompleted()": "startupCompleted",
        "aboutToQuit()": "aboutToQuit",
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
    }

    def __init__(self, folder: Path, applicationLogic: Any, layoutManager: Any, moduleManager: Any, io: Any) -> None:
        self.startupCompleted, self.aboutToQuit, self.mrmlSceneChanged = PlainSignal(), PlainSignal(), PlainSignal()
        self.applicationName, self.applicationVersion = "Slicer", f"{VERSION[0]}.{VERSION[1]}.0"
        self.majorVersion, self.minorVersion = VERSION
        self.revision, self.os, self.arch = "0", "linux", "amd64"
        self.slicerHome = str(folder / "Slicer")
        self.temporaryPath = tempfile.mkdtemp(prefix="temporary-", dir=folder)
        self.slicerUserSettingsFilePath = str(folder / "settings" / "NA-MIC" / "Slicer.ini")
        self.exitStatus: int | None = None
        self._logic, self._layoutManager, self._moduleManager, self._io = (
            applicationLogic,
            layoutManager,
            moduleManager,
            io,
        )
        self._settings = QtCore.QSettings(self.slicerUserSettingsFilePath, QtCore.QSettings.Format.IniFormat)
        self.seal()

    def layoutManager(self) -> Any:
        return self._layoutManager

    def moduleManager(self) -> Any:
        return self._moduleManager

    def coreIOManager(self) -> Any:
        return self._io

    def ioManager(self) -> Any:
        return self._io

    def applicationLogic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return self._logic.GetMRMLScene()

    def settings(self) -> Any:
        return proxy_of(self._settings)

    userSettings = revisionUserSettings = settings

    def testingEnabled(self) -> bool:
        """Return False: Slicer answers its own questions in testing mode, and the tests would see none."""
        return False

    def commandOptions(self) -> SimpleNamespace:
        return SimpleNamespace(noMainWindow=False, testingEnabled=False, runPythonAndExit=False)

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def topLevelWidgets(self) -> tuple[Any, ...]:
        return tuple(proxy_of(widget) for widget in QtWidgets.QApplication.topLevelWidgets())

    def palette(self) -> Any:
        return proxy_of(QtWidgets.QApplication.palette())

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(unwrap(cursor))

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def pauseRender(self) -> None:
        """Do nothing: the host draws when it is asked to."""

    def resumeRender(self) -> None:
        """Do nothing: the host draws when it is asked to."""

    def exit(self, status: int = 0) -> None:
        self.exitStatus = status
