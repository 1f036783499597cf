"""A person's hands: real mouse and key events, and only where a person could reach."""

from __future__ import annotations

from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QRadioButton,
    QScrollArea,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QTabBar,
    QTabWidget,
    QWidget,
)

from .pythonqt.proxy import native_of
from .widgets.collapsible_button import ctkCollapsibleButton

_Part = TypeVar("_Part", bound=QWidget)
_SCROLL_ROUNDS = 10
_LEFT = Qt.MouseButton.LeftButton


class Unreachable(AssertionError):
    """A person could not click there: the widget is hidden, disabled or has no extent."""


def reach(widget: Any) -> QWidget:
    """Return the PySide6 widget, scrolled into view.

    Raises:
        Unreachable: it is hidden or disabled, itself or by a parent.
    """
    native = native_of(widget) if native_of(widget) is not None else widget
    name = f"{type(native).__name__} '{native.objectName()}'"
    QApplication.processEvents()  # what was added to a shown layout appears with the next events
    if not native.isVisible():
        raise Unreachable(f"{name} is hidden")
    if not native.isEnabled():
        raise Unreachable(f"{name} is disabled; its tooltip says: {native.toolTip()!r}")
    _scroll_to(native)
    if native.visibleRegion().isEmpty():
        corner, window = native.mapTo(native.window(), QPoint(0, 0)), native.window()
        raise Unreachable(
            f"{name} has no visible extent: {native.width()} x {native.height()} at ({corner.x()}, {corner.y()}) of a"
            f" window of {window.width()} x {window.height()}"
        )
    return native


def _scroll_to(native: QWidget) -> None:
    """Scroll a widget into view; layouts inside layouts need several rounds before their sizes are final."""
    for _ in range(_SCROLL_ROUNDS):
        QApplication.processEvents()
        parent = native.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(native)
            parent = parent.parentWidget()
        QApplication.processEvents()
        if not native.visibleRegion().isEmpty():
            return
        QTest.qWait(10)


def click(widget: Any) -> None:
    """Click a widget where a person would: a check box on its box, a collapsible button on its header."""
    native = reach(widget)
    where = native.rect().center()
    if isinstance(native, (QCheckBox, QRadioButton)):
        where = QPoint(10, native.height() // 2)
    elif isinstance(native, ctkCollapsibleButton):
        where = QPoint(native.width() // 2, 8)
    QTest.mouseClick(native, _LEFT, Qt.KeyboardModifier.NoModifier, where)


def choose(widget: Any, which: int | str) -> None:
    """Open a combo box (or a node selector, or a tab bar) and click an entry, given by index or text.

    Raises:
        Unreachable: there is no such entry, or it cannot be chosen.
    """
    native = reach(widget)
    if isinstance(native, (QTabWidget, QTabBar)):
        _chooseTab(native.tabBar() if isinstance(native, QTabWidget) else native, which)
        return
    box = _part(native, QComboBox)
    entries = [box.itemText(index) for index in range(box.count())]
    if which not in entries and not (isinstance(which, int) and 0 <= which < len(entries)):
        raise Unreachable(f"'{native.objectName()}' has no entry {which!r} among {entries}")
    index = box.model().index(entries.index(which) if isinstance(which, str) else which, box.modelColumn())
    if not index.flags() & Qt.ItemFlag.ItemIsEnabled:
        raise Unreachable(f"the entry {which!r} of '{native.objectName()}' is disabled")
    chosen: list[int] = []
    box.activated.connect(chosen.append)
    box.showPopup()
    QApplication.processEvents()
    view = box.view()
    view.scrollTo(index)
    where = view.visualRect(index).intersected(view.viewport().rect()).center()
    QTest.mouseMove(view.viewport(), where)
    QTest.mouseClick(view.viewport(), _LEFT, Qt.KeyboardModifier.NoModifier, where)
    QApplication.processEvents()
    if shiboken6.isValid(box):  # the choice may have closed what it was made in
        box.activated.disconnect(chosen.append)
        box.hidePopup()
    if chosen != [index.row()]:
        raise Unreachable(f"the entry {which!r} of '{native.objectName()}' could not be clicked")


def drag(widget: Any, value: float) -> None:
    """Drag the handle of a slider to a value, step by step, and let it go.

    The handle ends at the pixel nearest the value; the rest of the way is left to the arrow keys.
    """
    native = reach(widget)
    slider = _part(native, QSlider)
    position = _position(native, slider, value)
    start, end = _handle(slider, slider.value()), _handle(slider, position)
    QTest.mousePress(slider, _LEFT, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 9):
        QTest.mouseMove(slider, start + (end - start) * step / 8)
        QApplication.processEvents()
    QTest.mouseRelease(slider, _LEFT, Qt.KeyboardModifier.NoModifier, end)
    key = Qt.Key.Key_Right if slider.value() < position else Qt.Key.Key_Left
    for _ in range(min(abs(position - slider.value()), 200)):
        QTest.keyClick(slider, key)


def write(widget: Any, text: str) -> None:
    """Select all in a text field and type over it."""
    native = reach(widget)
    target: Any = native if hasattr(native, "selectAll") else _part(native, QComboBox).lineEdit()
    target.setFocus()
    target.selectAll()
    QTest.keyClicks(target, text)


def _part(native: QWidget, kind: type[_Part]) -> _Part:
    """Return a widget of that class: the widget itself, or the first one inside it."""
    found = native if isinstance(native, kind) else native.findChild(kind)
    if found is None:
        raise Unreachable(f"'{native.objectName()}' has no {kind.__name__}")
    return found


def _position(native: QWidget, slider: QSlider, value: float) -> int:
    """Return the slider's integer position of a value."""
    if native is slider:
        return int(value)
    whole: Any = native
    return round((value - whole.minimum) / (whole.singleStep or 1.0))


def _handle(slider: QSlider, position: int) -> QPoint:
    """Return where the handle's middle lies at a position."""
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    option.sliderPosition = option.sliderValue = position
    control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
    return slider.style().subControlRect(control, option, part, slider).center()


def _chooseTab(bar: QTabBar, which: int | str) -> None:
    texts = [bar.tabText(index) for index in range(bar.count())]
    index = texts.index(which) if isinstance(which, str) and which in texts else which
    if not isinstance(index, int) or not 0 <= index < len(texts) or not bar.isTabEnabled(index):
        raise Unreachable(f"no enabled tab {which!r} among {texts}")
    QTest.mouseClick(bar, _LEFT, Qt.KeyboardModifier.NoModifier, bar.tabRect(index).center())
