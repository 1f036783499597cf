"""The documentation's pictures of the panel, drawn by the test host: python Testing/panel/pictures.py FOLDER [CT]"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PySide6.QtWidgets import QApplication, QScrollArea

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "DualSamplingCOVID")]

from DualSamplingCOVIDLib.ct import read_ct  # noqa: E402
from DualSamplingCOVIDLib.diagnosis import COVID  # noqa: E402
from DualSamplingCOVIDLib.phantom import make_phantom  # noqa: E402
from DualSamplingCOVIDLib.scene import compare  # noqa: E402
from host.driver import Host  # noqa: E402
from panel.study import MODULE, Study  # noqa: E402

NARROW, WINDOW = 400, (1280, 800)
QUALITY = 88


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
    Image.fromarray(picture).save(folder / f"{name}.jpg", quality=QUALITY)


def main(folder: Path, ct: Path | None) -> None:
    """Walk through the tutorial and keep a picture of each step."""
    host: Any = Host()
    host.load(MODULE)
    study = Study(host, host.open("DualSamplingCOVID"))
    image = read_ct(ct).image if ct else make_phantom(7, COVID, ratio=0.06).ct
    study.loadCt(image, name="Phantom CT" if ct is None else "CT")
    save(folder, "panel-input", panelPicture(host))
    result = study.analyze(300)
    save(folder, "window-analyze", windowPicture(host, lambda: host.click(study.ui.readingButton)))
    save(folder, "panel-result", panelPicture(host))
    layPanel(host, NARROW, WINDOW[1])
    host.click(study.ui.compareButton)
    save(folder, "window-compare", windowPicture(host, lambda: compare.fit(study.scene, result)))
    host.click(study.ui.compareButton)
    host.choose(study.ui.tabs, 1)
    save(folder, "panel-about", panelPicture(host))
    host.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
