"""ctkPathLineEdit: a path to type or to browse for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from PySide6.QtCore import Property, QSettings, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QWidget

from .. import contract
from ..answers import Asked, answers

_FILTER = contract.ENUMERATORS["ctkPathLineEdit"]


class ctkPathLineEdit(QWidget):
    """The browse button asks for a folder unless `filters` has Files; the history is kept in the settings."""

    STANDS_FOR = "ctk"
    SIGNALS: ClassVar = {"currentPathChanged(QString)": "pathChanged", "validInputChanged(bool)": "validityChanged"}
    pathChanged, validityChanged = Signal(str), Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        parent = next((each for each in arguments if isinstance(each, QWidget)), None)
        super().__init__(parent)
        self._filters = _FILTER["AllEntries"] | _FILTER["NoDotAndDotDot"] | _FILTER["Readable"]
        self._nameFilters: list[str] = []
        self._label, self._settingKey = "", ""
        self._browseVisible, self._historyVisible = True, True
        self._box = QComboBox(self)
        self._box.setEditable(True)
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._button = QToolButton(self)
        self._button.setText("…")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box, 1)
        layout.addWidget(self._button)
        self._button.clicked.connect(self.browse)
        self._valid = False
        self._box.editTextChanged.connect(self._onEdited)

    def setCurrentPath(self, path: str) -> None:
        self._box.setEditText(path)

    currentPath = Property(str, lambda self: self._box.currentText(), setCurrentPath)

    def setFilters(self, filters: int) -> None:
        self._filters = int(filters)

    filters = Property(int, lambda self: self._filters, setFilters)

    def setNameFilters(self, filters: list[str]) -> None:
        self._nameFilters = list(filters)

    nameFilters = Property("QStringList", lambda self: self._nameFilters, setNameFilters)

    def setLabel(self, label: str) -> None:
        self._label = label

    label = Property(str, lambda self: self._label, setLabel)

    def setSettingKey(self, key: str) -> None:
        self._settingKey = key
        self.retrieveHistory()

    settingKey = Property(str, lambda self: self._settingKey, setSettingKey)

    def setShowBrowseButton(self, visible: bool) -> None:
        self._button.setVisible(visible)
        self._browseVisible = visible

    showBrowseButton = Property(bool, lambda self: self._browseVisible, setShowBrowseButton)

    def setShowHistoryButton(self, visible: bool) -> None:
        self._historyVisible = visible

    showHistoryButton = Property(bool, lambda self: self._historyVisible, setShowHistoryButton)

    def browse(self) -> None:
        """Ask for a path; an empty answer changes nothing."""
        kind = "folder"
        if self._filters & _FILTER["Files"]:
            kind = "save file" if self._filters & _FILTER["Writable"] else "open file"
        path = answers.ask(Asked(kind, self._label, self._label, ";;".join(self._nameFilters)))
        if path:
            self.setCurrentPath(str(path))

    def retrieveHistory(self) -> None:
        current = self._box.currentText()
        self._box.clear()
        self._box.addItems(self._history())
        self._box.setCurrentIndex(-1)
        self._box.setEditText(current)

    def addCurrentPathToHistory(self) -> None:
        current = self._box.currentText()
        paths = [current, *(each for each in self._history() if each != current)]
        QSettings().setValue(self._key(), [each for each in paths if each][:10])
        self.retrieveHistory()

    def _history(self) -> list[str]:
        found = QSettings().value(self._key())
        return [found] if isinstance(found, str) else list(found or [])

    def _key(self) -> str:
        return f"ctkPathLineEdit/{self._settingKey or self.objectName()}"

    def _onEdited(self, text: str) -> None:
        path = Path(text)
        wanted = self._filters & _FILTER["AllEntries"]
        valid = bool(text) and (
            bool(wanted & _FILTER["Files"] and path.is_file()) or bool(wanted & _FILTER["Dirs"] and path.is_dir())
        )
        self.pathChanged.emit(text)
        if valid != self._valid:
            self._valid = valid
            self.validityChanged.emit(valid)
