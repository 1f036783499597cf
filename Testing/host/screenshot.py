"""Pictures of the panel, and of a window composed as Slicer's: panel on the left, views on the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication, QWidget

from .pythonqt.proxy import native_of

_BAR = 20
_COLORS = {"Red": "#F34A33", "Green": "#6EB04B", "Yellow": "#EDD54C"}
_THREE_D_COLOR, _PLOT_COLOR = "#7474D9", "#8F8FA8"


def grab(widget: Any, path: Path | None = None, width: int | None = None) -> np.ndarray:
    """Return a widget's picture as uint8 [row, column, RGB], and write it to a file.

    Args:
        widget: the panel, or any part of it.
        path: where to write the picture, none where None.
        width: the width to lay the widget out in, its own where None; the height follows the content.
    """
    native: QWidget = native_of(widget) if native_of(widget) is not None else widget
    before = native.size()
    if width is not None and native.isWindow():
        native.resize(width, max(native.sizeHint().height(), native.heightForWidth(width)))
    QApplication.processEvents()
    image = native.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    native.resize(before)
    if width is not None and image.width() != width:
        image = image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
    _save(image, path)
    return array(image)


def compose(panel: Any, layoutManager: Any, path: Path | None, size: tuple[int, int], panelWidth: int) -> np.ndarray:
    """Return a picture like the application's window: the panel, and the views of the current layout.

    Views lie side by side, or in two rows where there are more than two; 3D comes second, as in Slicer's four-up.
    """
    width, height = size
    canvas = QImage(QSize(width, height), QImage.Format.Format_RGB888)
    canvas.fill(QColor("#202020"))
    painter = QPainter(canvas)
    native: QWidget = native_of(panel) if native_of(panel) is not None else panel
    _drawPanel(painter, native, QRect(0, 0, panelWidth, height))
    names: list[str] = list(layoutManager.shownSliceViewNames())
    if layoutManager.shows3D():
        names.insert(1, "3D")
    names += layoutManager.shownPlotViewNames()
    columns = min(len(names), 2) or 1
    rows = max(1, -(-len(names) // columns))
    cell = QSize((width - panelWidth) // columns, height // rows)
    for index, name in enumerate(names):
        corner = (panelWidth + index % columns * cell.width(), index // columns * cell.height())
        _drawView(painter, layoutManager, name, QRect(*corner, cell.width() - 2, cell.height() - 2))
    painter.end()
    _save(canvas, path)
    return array(canvas)


def array(image: QImage) -> np.ndarray:
    """Return an RGB888 image as uint8 [row, column, RGB]."""
    lines = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def _drawPanel(painter: QPainter, native: QWidget, where: QRect) -> None:
    """Draw the panel in the given width; what does not fit below is cut, as a scrolled panel is."""
    parent, before = native.parentWidget(), native.size()
    native.resize(where.width(), max(where.height(), native.sizeHint().height()))
    QApplication.processEvents()
    picture = native.grab()
    painter.fillRect(where, native.palette().window())
    painter.drawPixmap(where.topLeft(), picture.copy(0, 0, where.width(), where.height()))
    native.resize(before)
    assert native.parentWidget() is parent


def _drawView(painter: QPainter, layoutManager: Any, name: str, where: QRect) -> None:
    inner = where.adjusted(0, _BAR, 0, 0)
    if name == "3D":
        color, label = _THREE_D_COLOR, "1"
        pixels = layoutManager.threeDWidget(0).threeDView().pixels(inner.width(), inner.height())
    elif name in layoutManager.shownPlotViewNames():
        view = layoutManager.plotWidget(name).plotView()
        color, label = _PLOT_COLOR, view.mrmlPlotViewNode().GetLayoutLabel()
        pixels = view.pixels(inner.width(), inner.height())
    else:
        widget = layoutManager.sliceWidget(name)
        node = widget.mrmlSliceNode()
        color, label = _COLORS.get(name, "#A0A0A0"), node.GetLayoutLabel() or name[0]
        label = f"{label}   {node.GetOrientation()}   {widget.sliceLogic().GetSliceOffset():.1f} mm"
        pixels = widget.sliceView().pixelsInSize(inner.width(), inner.height())
    painter.fillRect(QRect(where.x(), where.y(), where.width(), _BAR), QColor(color))
    painter.setPen(QColor("black"))
    painter.drawText(where.x() + 6, where.y() + _BAR - 5, label)
    rows, columns, _ = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    view = QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    painter.fillRect(inner, QColor("black"))
    scaled = view.scaled(inner.size(), Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    target = QRect(scaled.rect())
    target.moveCenter(inner.center())
    painter.drawImage(target, scaled)


def _save(image: QImage, path: Path | None) -> None:
    if path is not None and not image.save(str(path)):
        raise OSError(f"{path}: the picture could not be written")
