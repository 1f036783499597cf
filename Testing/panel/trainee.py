"""What a person does in the Trainer tab, as a test says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from vtk.util import numpy_support

from DualSamplingCOVIDLib.scene import charts

CONFIG = """
folds = 2
grid_shape = [32, 32, 32]
grid_spacing = [12.0, 12.0, 12.0]
width = 2
epochs = {epochs}
batch = 2
threads = 1
"""

BEGIN = """
echo "{\\"pid\\": $$}"
for argument in "$@"; do [ "$before" = --output ] && run="$argument"; before="$argument"; done
[ "$4" = cross-validate ] || exit 1
mkdir -p "$run/folds/0/baseline-us"
echo 'folds = 2
epochs = 4' > "$run/config.toml"
echo '{"stage": "model 1 of 6: fold 0 baseline-us", "fraction": 0.1}'
cd "$run/folds/0/baseline-us"
"""
"""A worker that is at its first model; `$4` is the command, what else it writes is added to this."""
STEPS = """
step() { echo "{\\"epoch\\": $1, \\"step\\": $2, \\"bce\\": $3, \\"attention\\": 0.0}" >> steps.jsonl; }
losses='"bce": 0.5, "attention": 0.0, "active_fraction": 1.0'
epoch() { echo "{\\"epoch\\": $1, $losses, \\"validation_loss\\": $2, \\"validation_auc\\": $3}" >> epochs.jsonl; }
"""
WAIT = 'while [ -e "$3" ]; do sleep 0.05; done; exit 130\n'
"""Until the lease, its third argument, is taken away."""


class Trainee:
    """The Trainer tab with a person before it."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.ui, self.scene = host, widget, widget.tabs.trainerUi, host.scene
        host.choose(widget.ui.tabs, "Train")

    @property
    def tab(self) -> Any:
        return self.widget.tabs.trainer

    @property
    def message(self) -> str:
        return self.ui.trainMessageLabel.text

    def choose(self, cohort: Path, run: Path, config: Path | None = None) -> None:
        """Choose cohort, run folder and, where one is given, a file of settings; the device is the CPU."""
        self.browse(self.ui.cohortEdit, cohort)
        self.browse(self.ui.runFolderEdit, run)
        if config is not None:
            self.host.choose(self.ui.settingsSelector, "A file")
            self.browse(self.ui.configEdit, config)
        self.host.choose(self.ui.trainDeviceSelector, "CPU")

    def browse(self, edit: Any, path: Path) -> None:
        """Browse for a path."""
        from PySide6.QtWidgets import QToolButton

        from host.pythonqt.proxy import native_of

        self.host.dialogs.will(str(path))
        self.host.click(native_of(edit).findChild(QToolButton))
        assert edit.currentPath == str(path)

    def press(self, text: str) -> None:
        """Click the button that starts and stops, which says so."""
        assert self.ui.trainButton.text == text, self.ui.trainButton.text
        self.host.click(self.ui.trainButton)

    def finish(self, seconds: float = 60) -> None:
        """Wait until nothing is at work any more."""
        self.host.wait(lambda: not self.tab.isRunning, seconds)

    def rows(self) -> list[tuple[str, ...]]:
        """The cells of the table of models."""
        return cells(self.ui.modelsTable)

    def states(self) -> list[str]:
        """The state of each fold's models."""
        return [row[2] for row in self.rows()]

    def curves(self, view: str) -> dict[str, np.ndarray]:
        """Points [2, n] of each curve of a chart, by legend."""
        node = self.scene.GetSingletonNode(view, "vtkMRMLPlotViewNode").GetPlotChartNode()
        found = {}
        for index in range(node.GetNumberOfPlotSeriesNodes()):
            series = node.GetNthPlotSeriesNode(index)
            table = series.GetTableNode().GetTable()
            columns = [table.GetColumnByName(name) for name in ("x", "y")]
            found[series.GetName()] = np.array([numpy_support.vtk_to_numpy(column) for column in columns])
        return found

    def chartNodes(self) -> int:
        """How many nodes the charts are made of."""
        kinds = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")
        return sum(self.scene.GetNumberOfNodesByClass(kind) for kind in kinds)

    def showsCharts(self) -> bool:
        return self.host.layoutManager.layout == charts.LAYOUT


def cells(table: Any) -> list[tuple[str, ...]]:
    """The texts of a `QTableWidget`; cells that a span covers are empty."""
    items = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
    return [tuple("" if item is None else item.text() for item in row) for row in items]
