"""ctkCollapsibleButton: a header that shows and hides what is laid out under it."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtCore import Property, QChildEvent, QEvent, QObject, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QStyle, QStyleOptionButton, QWidget

_MARGIN = 6


class ctkCollapsibleButton(QAbstractButton):
    """Children that the panel hid itself stay hidden when it is expanded."""

    STANDS_FOR = "ctk"
    SIGNALS: ClassVar = {"contentsCollapsed(bool)": "collapsedChanged"}
    collapsedChanged = Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((each for each in arguments if isinstance(each, QWidget)), None)
        super().__init__(parent)
        self._collapsed = False
        self._height = 10
        self._hidden: list[QWidget] = []
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._setMargins()
        self.toggled.connect(lambda checked: self.setCollapsed(not checked))

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        if collapsed:
            self._hidden = [child for child in self._contents() if not child.isHidden()]
            for child in self._hidden:
                child.hide()
        else:
            for child in self._hidden:
                child.show()
        self.setMaximumHeight(self._header() + self._height if collapsed else 16777215)
        self.updateGeometry()
        self.collapsedChanged.emit(collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed)

    def setCollapsedHeight(self, height: int) -> None:
        self._height = height

    collapsedHeight = Property(int, lambda self: self._height, setCollapsedHeight)

    def hitButton(self, position: QPoint) -> bool:
        return position.y() <= self._header()

    def childEvent(self, event: QChildEvent) -> None:
        child: QObject = event.child()
        if self._collapsed and event.type() == QEvent.Type.ChildPolished and isinstance(child, QWidget):
            self._hidden.append(child)
            child.hide()
        super().childEvent(event)

    def sizeHint(self) -> QSize:
        text = self.fontMetrics().horizontalAdvance(self.text()) + 4 * self._header()
        layout = self.layout()
        inner = layout.totalSizeHint() if layout is not None and not self._collapsed else QSize()
        height = max(inner.height(), self._header()) + (self._height if self._collapsed else 0)
        return QSize(max(text, inner.width()), height)

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        inner = layout.totalMinimumSize() if layout is not None and not self._collapsed else QSize()
        return QSize(inner.width(), max(inner.height(), self._header()))

    def paintEvent(self, _event: QEvent) -> None:
        painter = QPainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), self._header())
        option.state |= QStyle.StateFlag.State_Raised
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = (
            QStyle.PrimitiveElement.PE_IndicatorArrowRight
            if self._collapsed
            else (QStyle.PrimitiveElement.PE_IndicatorArrowDown)
        )
        side = self._header() // 2
        option.rect = QRect(_MARGIN, self._header() // 4, side, side)
        self.style().drawPrimitive(arrow, option, painter, self)
        where = QRect(2 * _MARGIN + side, 0, self.width(), self._header())
        painter.drawText(where, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())
        painter.end()

    def _contents(self) -> list[QWidget]:
        return [child for child in self.children() if isinstance(child, QWidget)]

    def _header(self) -> int:
        return self.fontMetrics().height() + _MARGIN

    def _setMargins(self) -> None:
        """Keep the layout below the header."""
        self.setContentsMargins(0, self._header(), 0, 0)
