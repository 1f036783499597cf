"""A run of a few phantoms with known answers, and a person who reviews it."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import torch

from DualSamplingCOVIDLib import weights
from DualSamplingCOVIDLib.__main__ import main as command_line
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.panel.review_cases import CASE
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.run_folder import CASE_COLUMNS, MODELS, PREDICTION_COLUMNS
from DualSamplingCOVIDLib.scene.result import allResults
from DualSamplingCOVIDLib.training.config import Config
from DualSamplingCOVIDLib.training.run import write_json
from panel.study import PATIENT, Study

CASES, TESTS, FOLDS, WIDTH = 24, 4, 2, 2
SHAPE, SPACING = (32, 32, 32), (12.0, 12.0, 12.0)
RATIOS = (0.0005, 0.02, 0.08)
MISSED, ALARMS, DISAGREE, UNSURE = (0, 4, 10), (3, 7), (0, 6), (0, 4, 7, 8)
"""Numbers of the cases that are false negatives, false positives, where US and SS disagree, of low confidence."""
GONE, NEW = 10, 7
"""The case whose CT is gone, and one that nobody has seen yet."""
KEPT = (0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 20)
"""The cases whose maps are kept beside the run already; the last one is of the test set."""
LOGITS = {
    0: (1.0, -2.0),
    4: (-0.3, -0.4),
    10: (-3.0, -3.0),
    3: (2.0, 2.0),
    7: (0.2, 0.3),
    6: (-1.0, 3.0),
    8: (0.5, 0.5),
}
"""Of US and SS; all others answer rightly, with 2."""


def name(number: int) -> str:
    """The case_id of a case."""
    return f"case-{number}"


def names(*numbers: int) -> list[str]:
    """The case_ids of cases."""
    return [name(number) for number in numbers]


def write_run(folder: Path, kept: tuple[int, ...] = KEPT) -> Path:
    """Write a finished run in which some cases have been looked at already."""
    folder.mkdir()
    for number in range(2):
        phantom = make_phantom(11 + number, COVID, ratio=0.06, spacing_mm=(4.0, 4.0, 4.0))
        sitk.WriteImage(phantom.ct, folder / f"ct-{number}.nrrd")
        lungs = sitk.Or(phantom.right_lung, phantom.left_lung)
        sitk.WriteImage(lungs, folder / f"lungs-{number}.nrrd")
        sitk.WriteImage(phantom.infection, folder / f"infection-{number}.nrrd")
    _write_cards(folder)
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([CASE_COLUMNS, *(_row(number) for number in range(CASES))])
    for fold in range(FOLDS):
        for model in MODELS:
            _write_model(folder / "folds" / str(fold) / model, fold, model)
    for number in kept:
        arguments = ["review", str(folder), "--case", name(number), "--output", str(folder / "review" / name(number))]
        assert command_line([*arguments, "--device", "cpu", "--progress", "none"]) == 0
    return folder


def _write_cards(folder: Path) -> None:
    config = Config().changed(folds=FOLDS, grid_shape=SHAPE, grid_spacing=SPACING, width=WIDTH, segmenter="threshold")
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    segmenter = {"name": "threshold", "version": "1", "cut_offs": vars(CutOffs()), "detection_limit": 0.0}
    grid = {"shape_kji": list(SHAPE), "spacing_xyz": list(SPACING)}
    card = {"schema": 1, "software": {}, "cohort_sha256": "ab" * 32, "grid": grid, "segmenter": segmenter}
    write_json(folder / "run.json", {**card, "models": list(MODELS), "folds": FOLDS, "notes": []})


def _fold(number: int) -> int | None:
    return None if number >= CASES - TESTS else number // 2 % FOLDS


def _row(number: int) -> list[Any]:
    fold, ratio, ct = _fold(number), RATIOS[number % 3], number % 2
    place = "test" if fold is None else "", "" if fold is None else fold
    image = "gone.nrrd" if number == GONE else f"ct-{ct}.nrrd"
    masks = f"lungs-{ct}.nrrd", f"infection-{ct}.nrrd"
    patient = f"{PATIENT} {number}"
    label = CAP if number % 2 else COVID
    return [name(number), patient, label, "", "", "", *place, ratio, CutOffs().stratum(ratio), image, *masks, ""]


def _write_model(folder: Path, fold: int, model: str) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(fold)
    digest = weights.write(folder / "weights.safetensors", ResNet34(WIDTH).state_dict())
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(PREDICTION_COLUMNS)
        for number in range(CASES):
            if _fold(number) in (fold, None):
                us, ss = LOGITS.get(number, (-2.0, -2.0) if number % 2 else (2.0, 2.0))
                logit = ss if model == "attention-ss" else us
                where = "test" if _fold(number) is None else "validation"
                writer.writerow([name(number), where, logit, 1 / (1 + math.exp(-logit))])
    write_json(folder / "result.json", {"sha256": digest})


class Reader(Study):
    """A person before the Review tab."""

    def __init__(self, host: Any, widget: Any, run: Path) -> None:
        super().__init__(host, widget)
        self.run = run
        self.tab = widget.tabs.review
        self.review = widget.tabs.reviewUi
        host.choose(self.ui.tabs, "Review")

    def openRun(self) -> None:
        """Browse to the run folder."""
        self.host.write(self.review.runFolderEdit, str(self.run))

    def cases(self) -> list[str]:
        """What the table lists, from top to bottom."""
        table = self.review.casesTable
        return [table.item(row, CASE).text() for row in range(table.rowCount)]

    def cell(self, case: str, title: str) -> str:
        """What the table says of a case in a column."""
        table = self.review.casesTable
        titles = [table.horizontalHeaderItem(index).text() for index in range(table.columnCount)]
        return str(table.item(self.cases().index(case), titles.index(title)).text())

    def clickCase(self, number: int) -> None:
        """Click a case's row."""
        self.clickCell(self.cases().index(name(number)), CASE)

    def clickCell(self, row: int, column: int) -> None:
        """Click a cell of the table."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        from host import mouse
        from host.pythonqt.proxy import native_of

        table = mouse.reach(self.review.casesTable)
        table.scrollTo(table.model().index(row, column))
        where = table.visualRect(table.model().index(row, column)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
        assert native_of(self.review.casesTable).currentRow() == row

    def clickTitle(self, title: str) -> None:
        """Click a column's title, which sorts."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        from host import mouse

        table = mouse.reach(self.review.casesTable)
        titles = [table.horizontalHeaderItem(index).text() for index in range(table.columnCount())]
        header, section = table.horizontalHeader(), titles.index(title)
        table.scrollTo(table.model().index(0, section))
        where = QPoint(header.sectionViewportPosition(section) + 4, header.height() // 2)
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)

    def press(self, key: str, widget: Any = None) -> None:
        """Press a key where the focus is, or in a widget."""
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QApplication

        from host.pythonqt.proxy import native_of

        target = native_of(widget) if widget is not None else QApplication.focusWidget()
        QTest.keyClicks(target, key)

    def shown(self, number: int, seconds: float = 60) -> Any:
        """Wait until a case is shown, and return its result."""
        self.host.wait(lambda: not self.tab.isRunning, seconds)
        found = [result for result in allResults(self.scene) if result.node.GetAttribute("DualSamplingCOVID.Reviewed")]
        said = self.review.messageLabel.text
        assert [r.node.GetAttribute("DualSamplingCOVID.Reviewed") for r in found] == [name(number)], said
        return found[0]


def saved(reader: Reader) -> dict[str, dict[str, str]]:
    """The rows of the run's review.csv by case."""
    with (reader.run / "review.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case_id"]: row for row in csv.DictReader(stream)}


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run that a test may change."""
    return Path(shutil.copytree(run, folder / "run"))
