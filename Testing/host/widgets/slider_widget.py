"""ctkSliderWidget: a slider and a spin box that show one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget


def _of_spin_box(kind: Any, get: str, put: str) -> tuple[Property, Callable[[Any, Any], None]]:
    """Return a property that the spin box keeps, with its C++ setter."""

    def setter(self: Any, value: Any) -> None:
        getattr(self._spinBox, put)(value)
        self._scale()

    return Property(kind, lambda self: getattr(self._spinBox, get)(), setter), setter


class ctkSliderWidget(QWidget):
    """Values between `minimum` and `maximum`; without `tracking` they change when the slider is let go."""

    STANDS_FOR = "ctk"
    SIGNALS: ClassVar = {"valueChanged(double)": "changed", "valueIsChanging(double)": "changing"}
    changed, changing = Signal(float), Signal(float)

    value, setValue = _of_spin_box(float, "value", "setValue")
    minimum, setMinimum = _of_spin_box(float, "minimum", "setMinimum")
    maximum, setMaximum = _of_spin_box(float, "maximum", "setMaximum")
    singleStep, setSingleStep = _of_spin_box(float, "singleStep", "setSingleStep")
    decimals, setDecimals = _of_spin_box(int, "decimals", "setDecimals")
    prefix, setPrefix = _of_spin_box(str, "prefix", "setPrefix")
    suffix, setSuffix = _of_spin_box(str, "suffix", "setSuffix")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pageStep, self._tracking = 10.0, True
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._spinBox = QDoubleSpinBox(self)
        self._spinBox.setKeyboardTracking(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spinBox)
        self._scale()
        self._spinBox.valueChanged.connect(self._onNumber)
        self._slider.valueChanged.connect(self._onSlider)
        self._slider.sliderReleased.connect(self._onReleased)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spinBox.setRange(minimum, maximum)
        self._scale()

    def setPageStep(self, step: float) -> None:
        self._pageStep = step
        self._scale()

    pageStep = Property(float, lambda self: self._pageStep, setPageStep)

    def setTracking(self, tracking: bool) -> None:
        self._tracking = tracking

    tracking = Property(bool, lambda self: self._tracking, setTracking)

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._spinBox.setVisible(visible)

    spinBoxVisible = Property(bool, lambda self: not self._spinBox.isHidden(), setSpinBoxVisible)

    def reset(self) -> None:
        self._spinBox.setValue(0.0)

    def _scale(self) -> None:
        """Count the slider's positions in single steps from the minimum."""
        box = self._spinBox
        self._slider.blockSignals(True)
        self._slider.setRange(0, round((box.maximum() - box.minimum()) / self._step()))
        self._slider.setPageStep(max(1, round(self._pageStep / self._step())))
        self._slider.setValue(round((box.value() - box.minimum()) / self._step()))
        self._slider.blockSignals(False)

    def _step(self) -> float:
        return self._spinBox.singleStep() or 1.0

    def _onNumber(self, value: float) -> None:
        self._scale()
        self.changed.emit(value)

    def _onSlider(self, position: int) -> None:
        value = self._spinBox.minimum() + position * self._step()
        if self._tracking or not self._slider.isSliderDown():
            self._spinBox.setValue(value)
        else:
            self.changing.emit(value)

    def _onReleased(self) -> None:
        self._spinBox.setValue(self._spinBox.minimum() + self._slider.value() * self._step())
