"""The pictures of a real try-out in the Trainer tab: python Testing/panel/training_pictures.py FOLDER"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "DualSamplingCOVID")]

from DualSamplingCOVIDLib.diagnosis import COVID  # noqa: E402
from DualSamplingCOVIDLib.phantom import make_phantom, write_cohort  # noqa: E402
from DualSamplingCOVIDLib.scene import views  # noqa: E402
from host.driver import Host  # noqa: E402
from panel.pictures import panelPicture, save, windowPicture  # noqa: E402
from panel.study import MODULE, Study  # noqa: E402
from panel.trainee import Trainee  # noqa: E402

CASES, SPACING_MM = 20, 5.0
HOUR = 3600.0


def opened() -> Trainee:
    """The Trainer tab, with a phantom in the slice views."""
    host: Any = Host()
    host.load(MODULE)
    study = Study(host, host.open("DualSamplingCOVID"))
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


def main(folder: Path, temporary: Path) -> None:
    """Walk through the tutorial and keep a picture while it trains and one when it is done."""
    cohort, run = temporary / "cohort", temporary / "my-run"
    write_cohort(cohort, CASES, seed=5, spacing_mm=(SPACING_MM,) * 3)
    trainee = opened()
    trainee.choose(cohort / "cohort.csv", run)
    trainee.host.choose(trainee.ui.settingsSelector, "Try-out: small, minutes")
    trainee.press("Start")
    trainee.host.wait(lambda: trainee.rows()[4][2].startswith("running epoch 3"), HOUR)
    save(folder, "window-train", windowPicture(trainee.host, lambda: fit(trainee.scene)))
    trainee.finish(HOUR)
    save(folder, "panel-train", panelPicture(trainee.host))
    print(trainee.message, trainee.rows(), sep="\n")
    trainee.host.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(scratch))
