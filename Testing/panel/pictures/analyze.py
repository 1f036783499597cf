"""The pictures of the tabs Analyze and About."""

from __future__ import annotations

from pathlib import Path

from DualSamplingCOVIDLib.ct import read_ct
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.scene import compare
from panel.pictures.shared import NARROW, WINDOW, layPanel, opened, panelPicture, save, windowPicture
from panel.study import Study


def draw(folder: Path, ct: Path | None) -> None:
    """Walk through the tutorial and keep a picture of each step; without a CT, of a phantom."""
    host, widget = opened()
    study = Study(host, widget)
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
    host.choose(study.ui.tabs, "About")
    save(folder, "panel-about", panelPicture(host))
    host.close()
