"""The section Cohort and settings: what is trained, where the run is written, how and on which device."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import resources
from ..cohort import LABELS, Case, read_cohort
from ..errors import InputError
from ..run_folder import TEST, Plan, RunProgress, read_plan
from .settings import DEVICES, Preferences
from .slots import connect
from .training_job import Evaluation, Training
from .translation import _

_PAPER, _TRY_OUT, _FILE, _RUN = "paper", "try-out", "file", "run"
_ALL_FOLDS = "all"
_LINE_HEIGHT, _MOST_LINES = 16, 10


class TrainerInputs:
    """The choices before Start.

    Args:
        ui: the Trainer page's widgets by name.
        preferences: the device.
        onChange: is told that a choice changed.
        tell: is told what went wrong.
    """

    def __init__(
        self, ui: Any, preferences: Preferences, onChange: Callable[[], None], tell: Callable[[str], None]
    ) -> None:
        self._ui, self._preferences, self._onChange = ui, preferences, onChange
        self._cases: tuple[Case, ...] = ()
        self._cohortProblem = self._settingsProblem = self._runProblem = ""
        self.run: RunProgress | None = None
        self.plan = Plan()
        self._settingsBefore = 0
        for title, kind in (
            (_("The paper's"), _PAPER),
            (_("Try-out: small, minutes"), _TRY_OUT),
            (_("A file"), _FILE),
        ):
            ui.settingsSelector.addItem(title, kind)
        for device, title in zip(DEVICES, (_("Automatic"), _("GPU (CUDA)"), _("CPU")), strict=True):
            ui.trainDeviceSelector.addItem(title, device)
        ui.trainDeviceSelector.setCurrentIndex(ui.trainDeviceSelector.findData(preferences.device))
        for widget, signal, slot in (
            (ui.cohortEdit, "currentPathChanged(QString)", self._onCohort),
            (ui.runFolderEdit, "currentPathChanged(QString)", self._onRunFolder),
            (ui.settingsSelector, "currentIndexChanged(int)", self._onSettings),
            (ui.configEdit, "currentPathChanged(QString)", self._onSettings),
            (ui.foldSelector, "currentIndexChanged(int)", self._changed),
        ):
            connect(widget, signal, slot, tell)
        self.showProblems([])
        self._readSettings()

    @property
    def cohort(self) -> Path:
        """The chosen cohort file."""
        return _path(self._ui.cohortEdit)

    @property
    def jobs(self) -> tuple[tuple[int, str], ...]:
        """Fold and model of what is to be trained: of the chosen fold, or of all."""
        return tuple(job for job in self.plan.jobs if self._fold() in (None, job[0]))

    def problem(self) -> str:
        """Why nothing can start, empty where it can."""
        if self.run is not None and self.run.is_finished:
            return ""
        if not self._ui.cohortEdit.currentPath:
            return _("Choose the cohort first: a cohort.csv with case_id, patient_id, image and label of each CT.")
        if self._cohortProblem or self._runProblem or self._settingsProblem:
            return self._cohortProblem or self._runProblem or self._settingsProblem
        if self.run is None:
            return _("Choose the folder that the run is written to.")
        finished = {(model.fold, model.model) for model in self.run.models if model.is_finished}
        if finished and finished >= set(self.jobs):
            return _("Fold {fold} is finished: choose another, or all folds.").format(fold=self._fold())
        return ""

    def training(self) -> Training:
        """Return what is to be done; ask `problem` first. The paths are kept for the pickers' menus."""
        ui, run = self._ui, self.run
        assert run is not None
        self._preferences.device = _data(ui.trainDeviceSelector)
        for edit in (ui.cohortEdit, ui.runFolderEdit):
            edit.addCurrentPathToHistory()
        return Training(
            cohort=self.cohort,
            run=run.folder,
            config=None if run.is_begun else self._config(),
            fold=self._fold(),
            device=_data(ui.trainDeviceSelector),
            isResumed=run.is_begun,
        )

    def evaluation(self) -> Evaluation:
        """Return what a finished run is asked for; ask `problem` first."""
        assert self.run is not None
        ui = self._ui
        return Evaluation(self.run.folder, bool(ui.attentionCheckBox.checked), _data(ui.trainDeviceSelector))

    def refresh(self) -> None:
        """Look again at what the run folder holds: a run may have begun there, or ended."""
        if self.run is not None:
            self.run.read()
        self._readSettings()

    def showProblems(self, problems: list[str]) -> None:
        """List what is wrong with the cohort, each with its line."""
        problemList = self._ui.problemList
        problemList.clear()
        problemList.addItems(problems)
        problemList.setFixedHeight(_LINE_HEIGHT * min(len(problems) + 1, _MOST_LINES) + 6)
        problemList.setVisible(bool(problems))

    def _onCohort(self, *_values: Any) -> None:
        path, self._cases, self._cohortProblem, problems = _path(self._ui.cohortEdit), (), "", []
        if self._ui.cohortEdit.currentPath:
            try:
                self._cases = read_cohort(path)
            except InputError as error:
                problems = problemLines(str(error), path)
                self._cohortProblem = countedProblems(problems) if problems else str(error)
        self._ui.cohortCard.text = described(self._cases)
        self._ui.cohortCard.setVisible(bool(self._cases))
        self.showProblems(problems)
        self._changed()

    def _onRunFolder(self, *_values: Any) -> None:
        self.run, self._runProblem = None, ""
        path = _path(self._ui.runFolderEdit)
        if self._ui.runFolderEdit.currentPath:
            try:
                self.run = RunProgress(path)
                if not self.run.is_begun and path.exists() and (not path.is_dir() or any(path.iterdir())):
                    self.run = None
                    self._runProblem = _("The run folder holds other files: choose an empty or a new one.")
            except InputError as error:
                self._runProblem = str(error)
            except OSError as error:
                self._runProblem = _("{path}: cannot be read ({reason})").format(path=path, reason=error.strerror)
        self._readSettings()
        self._changed()

    def _onSettings(self, *_values: Any) -> None:
        self._readSettings()
        self._changed()

    def _readSettings(self) -> None:
        """Take the plan of the run, of the file or of the paper, and offer its folds."""
        ui, isBegun = self._ui, self.run is not None and self.run.is_begun
        self._offerSettings(isBegun)
        ui.configEdit.setVisible(_data(ui.settingsSelector) == _FILE)
        self._settingsProblem, before = "", self.plan
        try:
            if self.run is not None and isBegun:
                self.plan = self.run.plan
            else:
                self.plan = read_plan(self._config())
        except InputError as error:
            self._settingsProblem = str(error)
        if before != self.plan or not ui.foldSelector.count:
            self._offerFolds()
        if before.width != self.plan.width:
            ui.attentionCheckBox.checked = self.plan.width >= Plan.width
        self._showCards()

    def _showCards(self) -> None:
        plan, run = self.plan, self.run
        self._ui.settingsCard.text = _("{folds} folds × {models} models, {epochs} epochs each. {about}").format(
            folds=plan.folds, models=len(plan.models), epochs=plan.epochs, about=self._aboutSettings()
        )
        if run is None:
            text = ""
        elif not run.is_begun:
            text = _("A new run: nothing is there yet.")
        else:
            text = _("Holds a run: {finished} of {all} models are finished.").format(
                finished=run.finished, all=len(run.models)
            )
        self._ui.runCard.text = text
        self._ui.runCard.setVisible(bool(text))

    def _aboutSettings(self) -> str:
        return {
            _RUN: _("The run was begun so; its config.toml explains all."),
            _PAPER: _("Full size: a GPU and many hours."),
            _TRY_OUT: _("Small networks on a coarse grid: everything at work in minutes, not to be believed."),
            _FILE: _("What the file does not name is the paper's."),
        }[_data(self._ui.settingsSelector)]

    def _offerSettings(self, isBegun: bool) -> None:
        """Offer the run's own settings and nothing else once it has begun."""
        selector = self._ui.settingsSelector
        selector.enabled = not isBegun
        place = selector.findData(_RUN)
        selector.blockSignals(True)
        if isBegun and place < 0:
            self._settingsBefore = int(selector.currentIndex)
            selector.addItem(_("Those of the run"), _RUN)
            selector.setCurrentIndex(selector.findData(_RUN))
        elif not isBegun and place >= 0:
            selector.removeItem(place)
            selector.setCurrentIndex(self._settingsBefore)
        selector.blockSignals(False)

    def _offerFolds(self) -> None:
        selector = self._ui.foldSelector
        selector.blockSignals(True)
        selector.clear()
        selector.addItem(_("All {n} folds").format(n=self.plan.folds), _ALL_FOLDS)
        for fold in range(self.plan.folds):
            selector.addItem(_("Fold {fold} alone").format(fold=fold), str(fold))
        selector.setCurrentIndex(0)
        selector.blockSignals(False)

    def _fold(self) -> int | None:
        chosen = _data(self._ui.foldSelector)
        return int(chosen) if chosen.isdecimal() else None

    def _config(self) -> Path | None:
        kind = _data(self._ui.settingsSelector)
        if kind == _PAPER:
            return None
        if kind == _TRY_OUT:
            return resources.path("Training/try-out.toml")
        if not self._ui.configEdit.currentPath:
            raise InputError(_("Choose the file of settings (TOML)."))
        return _path(self._ui.configEdit)

    def _changed(self, *_values: Any) -> None:
        self._onChange()


def problemLines(message: str, path: Path) -> list[str]:
    """Split what is said of a cohort ("FILE: line 2: ...; line 7: ...") into its lines; none where it says no line."""
    said = message.removeprefix(f"{path}: ")
    return re.split(r"; (?=line \d+: )", said) if re.match(r"line \d+: ", said) else []


def countedProblems(problems: list[str]) -> str:
    """Say how many problems a cohort has."""
    if len(problems) == 1:
        return _("The cohort has a problem, named above with its line: nothing was started.")
    return _("The cohort has {n} problems, listed above with their lines: nothing was started.").format(n=len(problems))


def described(cases: tuple[Case, ...]) -> str:
    """Say what a cohort holds."""
    if not cases:
        return ""
    labels = [case.label for case in cases]
    counts = ", ".join(f"{labels.count(label)} {label}" for label in LABELS if label in labels)
    text = _("{cases} CTs of {patients} patients: {counts}").format(
        cases=len(cases), patients=len({case.patient_id for case in cases}), counts=counts
    )
    tests = sum(case.split == TEST for case in cases)
    return text + (_("; {n} of them only for the test").format(n=tests) if tests else "")


def _path(edit: Any) -> Path:
    return Path(os.path.abspath(os.path.expanduser(edit.currentPath)))


def _data(selector: Any) -> str:
    return str(selector.itemData(selector.currentIndex) or "")
