"""What the documentation's pictures share: the panel at its narrowest, the whole window, and a place for files."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PySide6.QtWidgets import QApplication, QScrollArea

from host.driver import Host
from panel.study import MODULE

NARROW, WINDOW = 400, (1280, 800)
QUALITY = 88


def opened() -> tuple[Host, Any]:
    """Return the host with the module in it, and the module's widget."""
    host = Host()
    host.load(MODULE)
    return host, host.open("DualSamplingCOVID")


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """Give a folder whose path may stand in a picture; it is removed afterwards."""
    folder = Path(tempfile.gettempdir()) / "study"
    if folder.exists():
        sys.exit(f"{folder}: left by pictures that were ended; remove it")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def layPanel(host: Host, width: int, height: int) -> QScrollArea:
    """Give the module's panel a size, as a person drags the border beside it; return what it scrolls in."""
    area = host.window.findChild(QScrollArea, "ModulePanel")
    area.setFixedSize(width, height)
    host.window.resize(width + 200, height + 200)
    for _ in range(3):
        QApplication.processEvents()
    return area


def panelPicture(host: Host) -> np.ndarray:
    """The whole panel at its narrowest, as far down as it has content."""
    area = layPanel(host, NARROW, 400)
    needed = area.widget().sizeHint().height()
    for _ in range(4):  # wrapped lines need a width before they know their height
        area = layPanel(host, NARROW, needed)
        needed = max(400, area.widget().layout().totalHeightForWidth(NARROW - 4) + 8)
    area.verticalScrollBar().setValue(0)
    picture = host.screenshot(area)
    inside = picture[:, 30:-60].astype(int)
    written = np.flatnonzero(np.ptp(inside, axis=1).max(axis=1) > 30)
    return picture[: int(written[-1]) + 20]


def windowPicture(host: Host, fit: Callable[[], Any]) -> np.ndarray:
    """Panel and views side by side in a window of 1280 x 800 pixels; `fit` shows the CT in views of a new size."""
    width, height = WINDOW
    area = layPanel(host, NARROW, height)
    names = list(host.layoutManager.shownSliceViewNames())
    columns = min(len(names), 2)
    rows = -(-(len(names) + len(host.layoutManager.shownPlotViewNames())) // columns)
    for name in names:
        logic = host.layoutManager.sliceWidget(name).sliceLogic()
        logic.ResizeSliceNode((width - NARROW) // columns - 2, height // rows - 22)
    fit()
    area.verticalScrollBar().setValue(0)
    picture = host.windowPicture(size=WINDOW, panelWidth=NARROW)
    picture[:, :NARROW] = host.screenshot(area)[:height]
    return picture


def save(folder: Path, name: str, picture: np.ndarray) -> None:
    """Keep a picture as JPEG."""
    Image.fromarray(picture).save(folder / f"{name}.jpg", quality=QUALITY)
