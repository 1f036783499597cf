"""ctkColorPickerButton: a button that shows a colour and asks for another."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtCore import Property, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QPushButton, QWidget

from ..answers import Asked, answers


class ctkColorPickerButton(QPushButton):
    """A click asks the test for a `qt.QColor`."""

    STANDS_FOR = "ctk"
    SIGNALS: ClassVar = {"colorChanged(QColor)": "changed"}
    changed = Signal(QColor)

    def __init__(self, *arguments: Any) -> None:
        parent = next((each for each in arguments if isinstance(each, QWidget)), None)
        super().__init__(next((each for each in arguments if isinstance(each, str)), ""), parent)
        self._color = QColor()
        self.setColor(next((each for each in arguments if isinstance(each, QColor)), QColor(0, 0, 0)))
        self.clicked.connect(self._ask)

    def setColor(self, color: QColor) -> None:
        if color == self._color:
            return
        self._color = QColor(color)
        swatch = QPixmap(16, 16)
        swatch.fill(color)
        self.setIcon(QIcon(swatch))
        self.changed.emit(color)

    color = Property(QColor, lambda self: self._color, setColor)

    def _ask(self) -> None:
        answer = answers.ask(Asked("color", self.text()))
        self.setColor(getattr(answer, "_native", answer))
