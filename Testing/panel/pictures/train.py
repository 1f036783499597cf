"""The pictures of a real try-out in the tab Train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer

from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom, write_cohort
from DualSamplingCOVIDLib.scene import views
from panel.pictures.shared import opened, panelPicture, place, save, windowPicture
from panel.study import Study
from panel.trainee import Trainee

CASES, SPACING_MM = 20, 5.0
HOUR = 3600.0


def started() -> Trainee:
    """The Trainer tab, with a phantom in the slice views."""
    host, widget = opened()
    study = Study(host, widget)
    ct = study.loadCt(make_phantom(7, COVID, ratio=0.06).ct, name="Phantom CT")
    slicer.util.setSliceViewerLayers(background=ct, fit=True)
    return Trainee(host, study.widget)


def fit(scene: Any) -> None:
    """Show the middle of the CT in views of a new size."""
    bounds = np.zeros(6)
    scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode").GetRASBounds(bounds)
    for tag, (_, normal) in views.SLICE_AXES.items():
        views.placeSlice(
            scene.GetSingletonNode(tag, "vtkMRMLSliceNode"), normal, bounds, (bounds[::2] + bounds[1::2]) / 2
        )


def draw(folder: Path, _ct: Path | None) -> None:
    """Walk through the tutorial and keep a picture while it trains and one when it is done."""
    with place() as files:
        _walk(folder, files / "cohort", files / "run")


def _walk(folder: Path, cohort: Path, run: Path) -> None:
    write_cohort(cohort, CASES, seed=5, spacing_mm=(SPACING_MM,) * 3)
    trainee = started()
    trainee.choose(cohort / "cohort.csv", run)
    trainee.host.choose(trainee.ui.settingsSelector, "Try-out: small, minutes")
    trainee.press("Start")
    trainee.host.wait(lambda: trainee.rows()[4][2].startswith("running epoch 3"), HOUR)
    save(folder, "window-train", windowPicture(trainee.host, lambda: fit(trainee.scene)))
    trainee.finish(HOUR)
    save(folder, "panel-train", panelPicture(trainee.host))
    print(trainee.message, trainee.rows(), sep="\n")
    trainee.host.close()
