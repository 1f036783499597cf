"""What a person does in the panel, as a test says it."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.scene import geometry, nodes
from DualSamplingCOVIDLib.scene.result import Result, results

MODULE = Path(__file__).resolve().parents[2] / "DualSamplingCOVID" / "DualSamplingCOVID.py"
PATIENT = "Zyxwvut^Quentin 1951"


@functools.cache
def a_phantom() -> sitk.Image:
    """A COVID-19 phantom with 6 % infection, of 2.5 mm voxels, so that it is analysed in seconds."""
    return make_phantom(25, COVID, ratio=0.06, spacing_mm=(2.5, 2.5, 2.5)).ct


class Study:
    """The panel with a person before it."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host = host
        self.widget = widget
        self.ui = widget.ui
        self.scene = host.scene

    def loadCt(self, image: sitk.Image | None = None, name: str = PATIENT) -> Any:
        """Load a CT under a patient's name, as Slicer's DICOM import does, and choose it."""
        node = nodes.addCt(self.scene, a_phantom() if image is None else image)
        node.SetName(name)
        self.host.wait(lambda: self.ui.ctSelector.currentNode() is not None)
        self.openInput()
        self.host.choose(self.ui.ctSelector, node.GetName())
        return node

    def openInput(self) -> None:
        """Open the section Input, which closes when a result is there."""
        if self.ui.inputSection.collapsed:
            self.host.click(self.ui.inputSection)

    def start(self) -> None:
        """Click Analyze."""
        self.host.wait(lambda: self.ui.analyzeButton.enabled)
        self.host.click(self.ui.analyzeButton)

    def finish(self, seconds: float = 120) -> None:
        """Wait until nothing is at work any more."""
        self.host.wait(lambda: not self.widget.tabs.analyze.isRunning, seconds)

    def analyze(self, seconds: float = 120) -> Result:
        """Click Analyze and wait for the result."""
        before = {result.node.GetID() for result in results(self.scene)}
        self.start()
        self.finish(seconds)
        new = [result for result in results(self.scene) if result.node.GetID() not in before]
        assert len(new) == 1, f"{self.ui.messageLabel.text}\n{self.ui.logBox.plainText}"
        return new[0]

    def pixel(self, view: str, ras: np.ndarray) -> np.ndarray:
        """Return the RGB that a slice view shows at a point of the world."""
        pixels = self.host.render(view).astype(int)
        matrix = self.scene.GetSingletonNode(view, "vtkMRMLSliceNode").GetXYToRAS()
        x, y, depth = (np.linalg.inv(geometry.fromMatrix(matrix)) @ [*ras, 1.0])[:3]
        assert abs(depth) < 1.0, f"the view {view} is {depth:.1f} mm away from that point"
        return pixels[pixels.shape[0] - 1 - round(y), round(x)]

    def nodeIds(self) -> set[str]:
        """The ids of all nodes but those of the views and of the application."""
        return {self.scene.GetNthNode(index).GetID() for index in range(self.scene.GetNumberOfNodes())}


CLOSED = 0x00400000
"""What `exec` of a message box returns is a standard button; the panel asks which one was clicked."""


def pressing(text: str) -> Any:
    """An answer to a message box: the button with this text."""

    def press(box: Any) -> int:
        next(button for button in box.buttons() if button.text.replace("&", "") == text).click()
        return CLOSED

    return press


def worker(folder: Path, monkeypatch: Any, script: str) -> None:
    """Let a script of the shell stand in PythonSlicer's place; `$PYTHON "$@"` is the real one."""
    program = folder / "bin" / "PythonSlicer"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/bash\nPYTHON={sys.executable}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


RECORDED = """
for argument in "$@"; do [ "$before" = --output ] && output="$argument"; before="$argument"; done
echo "{{\\"pid\\": $$}}"
echo '{{"stage": "segmenting lungs and infection", "fraction": 0.5}}'
{pause}
cp -r {folder} "$output"
echo "results in $output" >&2
"""


def recorded(folder: Path, pause: str = "") -> str:
    """A worker that hands over a recorded diagnosis folder."""
    return RECORDED.format(folder=folder, pause=pause)
