"""The Trainer tab: a cross-validation on one's own cohort, started, watched, stopped, gone on with, and put to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ..diagnosis import RESEARCH_USE_ONLY
from ..run_folder import BUNDLE, ModelProgress
from . import packages
from .message import announce
from .settings import Preferences
from .slots import connect
from .trainer_charts import TrainerCharts
from .trainer_inputs import TrainerInputs, countedProblems, problemLines
from .trainer_stage import Stage, modelNamed
from .trainer_tables import ModelsTable, ResultsTable
from .training_job import EVALUATE, EXPORT, TRAIN, TrainingJob
from .translation import _

READ_MILLISECONDS = 1000


class TrainerTab:
    """Joins the tab's parts; it is the view of the job.

    Args:
        ui: the page's widgets by name.
        tabs: the `QTabWidget` that holds the page.
        page: the page itself.
        useBundle: chooses a bundle's folder in the Analyze tab.
        makeProcess: makes the worker's `QProcess`.
        program: the worker's interpreter; PythonSlicer where None.
    """

    def __init__(
        self,
        ui: Any,
        tabs: Any,
        page: Any,
        useBundle: Callable[[str], None],
        makeProcess: Callable[[], Any],
        program: str | None = None,
    ) -> None:
        import qt

        self._ui, self._tabs, self._page, self._useBundle = ui, tabs, page, useBundle
        self._job = TrainingJob(self, makeProcess, program)
        self._models, self._results = ModelsTable(ui.modelsTable), ResultsTable(ui.resultsTable)
        self._charts = TrainerCharts(lambda: slicer.mrmlScene)
        self._failed: tuple[int, str] | None = None
        self._stage = Stage()
        self._isStopping = self._isEntered = self._wasCharting = False
        self._timer = qt.QTimer()
        self._timer.setInterval(READ_MILLISECONDS)
        self._inputs = TrainerInputs(ui, Preferences(slicer.app.settings()), self._onInputs, self.tell)
        for widget, signal, slot in (
            (ui.trainButton, "clicked(bool)", self._onTrain),
            (ui.modelsTable, "itemSelectionChanged()", self._draw),
            (ui.chartsButton, "toggled(bool)", self._onCharts),
            (ui.openReportButton, "clicked(bool)", self._onOpenReport),
            (ui.exportButton, "clicked(bool)", self._onExport),
            (self._timer, "timeout()", self._onTick),
        ):
            connect(widget, signal, slot, self.tell)
        self.refresh()

    @property
    def isRunning(self) -> bool:
        """Whether a command is at work."""
        return self._job.isRunning

    def enter(self) -> None:
        """Show the charts again, where they were: the module is entered."""
        self._isEntered = True
        self.refresh()
        self.onTab()

    def refresh(self) -> None:
        """Show what the run folder holds."""
        self._inputs.refresh()
        self._showRun()
        self.update()

    def leave(self) -> None:
        """Give the user's layout back: the module is left."""
        self._isEntered = False
        self._charts.leave()

    def beforeSave(self) -> None:
        """Give the user's layout back while the scene is saved: elsewhere nobody knows ours."""
        self._wasCharting = self._charts.isShown
        self._charts.leave()

    def afterSave(self) -> None:
        """Go on showing the charts."""
        if self._wasCharting and self._isEntered:
            self._showCharts()

    def close(self) -> None:
        """End the work and let go of the scene: it closes, or the module does."""
        if self.isRunning:
            self._job.abandon()
            self.tell(_("The work was ended with the scene: what is finished is kept, and Resume goes on."), False)
        self._timer.stop()
        self._isStopping = False
        self._charts.remove()
        self._ui.chartsButton.checked = False

    def update(self) -> None:
        """Let button, tooltip and progress say what can be done now."""
        ui, running, run = self._ui, self.isRunning, self._inputs.run
        problem = "" if running else self._inputs.problem()
        ui.trainInputSection.enabled = not running
        ui.trainButton.text = self._whatTheButtonDoes()
        ui.trainButton.enabled = not self._isStopping and not problem
        stops = _("Ends the worker, which frees the GPU; what is finished is kept.")
        ui.trainButton.toolTip = stops if running else problem or _("The work runs in a process of its own.")
        ui.trainProgressBar.setVisible(running)
        ui.trainStageLabel.setVisible(running or bool(problem))
        ui.trainStageLabel.text = self._stageText() if running else problem
        ui.exportButton.enabled = not running and run is not None and bool(run.whole_folds)
        ui.openReportButton.enabled = run is not None and run.report is not None
        ui.chartsButton.enabled = bool(self._shownModels())

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done; while models are trained, how much of all of them."""
        self._stage.say(stage, fraction)
        done = self._stage.fraction
        if self._isTraining():
            done = self._jobsDone() / max(len(self._inputs.jobs), 1)
        self._stage.reach(done)
        self._ui.trainProgressBar.value = round(1000 * done)
        self._ui.trainStageLabel.text = self._stageText()

    def onLine(self, text: str) -> None:
        """Show a line of the worker."""
        if text:
            self._ui.trainLogBox.appendPlainText(text)

    def onDone(self, value: str) -> None:
        """Go on after a command: evaluate a run that is whole, show what was evaluated, use what was exported."""
        self._timer.stop()
        self.refresh()
        run = self._inputs.run
        assert run is not None
        if value == TRAIN and run.is_finished:
            self._evaluate()
        elif value == TRAIN:
            text = _("Finished; tables need every fold: {finished} of {all} models are finished.")
            self.tell(text.format(finished=run.finished, all=len(run.models)), isError=False)
        elif value == EVALUATE:
            self.tell(_("Finished. {use}: the figures are of your cohort alone.").format(use=RESEARCH_USE_ONLY), False)
        elif value == EXPORT:
            made = run.folder / BUNDLE
            self.tell(_("The bundle is chosen in the Analyze tab; it lies in {folder}").format(folder=made), False)
            self._useBundle(str(made))

    def onCancelled(self) -> None:
        """Say what is kept."""
        self._ended()
        said = {
            TRAIN: _("Stopped: what is finished is kept, and Resume goes on from the last whole epoch."),
            EVALUATE: _("Stopped: nothing was written, but what is measured of the attention is kept."),
        }
        self.tell(said.get(self._job.command, _("Stopped: nothing was written.")), isError=False)

    def onFailed(self, sentence: str) -> None:
        """Say what went wrong; the problems of a cohort are listed with their lines."""
        self._inputs.refresh()
        named = modelNamed(sentence) or (self._current() if self._wasTraining() else None)
        self._failed = named if self._job.command == TRAIN else None
        self._ended()
        problems = problemLines(sentence, self._inputs.cohort)
        if problems:
            self._inputs.showProblems(problems)
        self.tell(countedProblems(problems) if problems else sentence)

    def _onTrain(self, _checked: bool = False) -> None:
        if self.isRunning:
            self._isStopping = True
            self.update()
            self._job.cancel()
            return
        packages.ensureForTraining(self._inputs.plan.augmentation)
        self._inputs.refresh()  # the question may have stood for a while
        run = self._inputs.run
        if run is None or self._inputs.problem():
            self.update()
            return
        if run.is_finished:
            self._evaluate()
            return
        self._inputs.showProblems([])
        training = self._inputs.training()
        self._begin(lambda: self._job.train(training))
        self._ui.modelsTable.clearSelection()
        self._ui.chartsButton.checked = True
        self._showCharts()

    def _evaluate(self) -> None:
        evaluation = self._inputs.evaluation()
        self._begin(lambda: self._job.evaluate(evaluation))

    def _begin(self, start: Callable[[], None]) -> None:
        """Start a command with a clean slate."""
        self._failed, self._isStopping = None, False
        self._stage = Stage(_("starting"))
        self.tell("")
        self._ui.trainProgressBar.value = 0
        start()
        if self.isRunning:
            self._timer.start()
        self.refresh()

    def _ended(self) -> None:
        self._timer.stop()
        self._isStopping = False
        self.refresh()

    def _onInputs(self) -> None:
        self._failed = None
        self.tell("")
        self._showRun()
        self.update()

    def _onTick(self) -> None:
        """Take in what the worker has written meanwhile."""
        run = self._inputs.run
        if run is not None and run.read():
            self._inputs.refresh()
            self._showRun()
            self.update()

    def _showRun(self) -> None:
        """Show models, curves and tables of the run as they are now."""
        models, run = self._shownModels(), self._inputs.run
        self._models.show(models, [self._stateOf(model) for model in models])
        self._ui.modelsSection.setVisible(bool(models))
        record = run.tables() if run is not None else None
        isThere = self._results.show(record)
        mayExport = run is not None and bool(run.whole_folds) and not self.isRunning
        self._ui.tablesSection.setVisible(isThere or mayExport)
        self._ui.tablesResearchLabel.text = _(
            "{use}. Table II: every case is judged by models that did not learn from it."
        ).format(use=RESEARCH_USE_ONLY)
        for widget in (self._ui.tablesResearchLabel, self._ui.openReportButton):
            widget.setVisible(isThere)
        self._draw()

    def _shownModels(self) -> list[ModelProgress]:
        """The run's models, or, before it has begun, those that it will have."""
        run = self._inputs.run
        if run is None:
            return []
        return run.models or [ModelProgress(*job) for job in self._inputs.plan.jobs]

    def _stateOf(self, model: ModelProgress) -> str:
        place, epochs = (model.fold, model.model), self._inputs.plan.epochs
        if model.is_finished:
            return _("finished")
        if self._isTraining() and place == self._current():
            epoch = min(len(model.epochs) + 1, epochs)
            return _("running epoch {n}/{all}").format(n=epoch, all=epochs)
        if model.is_elsewhere:
            return _("on another computer")
        if place == self._failed:
            return _("failed")
        if model.epochs or model.steps:
            return _("stopped at epoch {n}/{all}").format(n=len(model.epochs), all=epochs)
        return _("waiting")

    def _current(self) -> tuple[int, str] | None:
        """The model at work, as the worker says; between two models the next that no other computer has."""
        jobs = self._inputs.jobs
        left = [model for model in self._shownModels() if (model.fold, model.model) in jobs and not model.is_finished]
        free = [(model.fold, model.model) for model in left if not model.is_elsewhere]
        said = self._stage.model
        if said in [(model.fold, model.model) for model in left]:
            return said
        return free[0] if free else None

    def _isTraining(self) -> bool:
        return self.isRunning and self._wasTraining()

    def _wasTraining(self) -> bool:
        """Whether the last command trains models, or did when it ended."""
        return self._job.command == TRAIN and self._stage.model is not None

    def _jobsDone(self) -> float:
        """How many of the chosen models are done, counting the part of the one at work."""
        jobs = set(self._inputs.jobs)
        finished = {(model.fold, model.model) for model in self._shownModels() if model.is_finished} & jobs
        return len(finished) + (0.0 if self._stage.model in finished else self._stage.fraction)

    def _stageText(self) -> str:
        if self._isStopping:
            return _("Stopping...")
        current = self._current()
        if not self._isTraining() or current is None:
            return self._stage.sentence()
        name = _("Model {n} of {all}: fold {fold}, {model}").format(
            n=self._inputs.jobs.index(current) + 1, all=len(self._inputs.jobs), fold=current[0], model=current[1]
        )
        return f"{name}; {self._stage.timeLeft}"

    def _whatTheButtonDoes(self) -> str:
        run = self._inputs.run
        if self.isRunning:
            return _("Stop")
        if run is None or not run.is_begun:
            return _("Start")
        if not run.is_finished:
            return _("Resume")
        return _("Evaluate") if run.report is None else _("Evaluate again")

    def _draw(self) -> None:
        """Draw the curves of the clicked row, else of the model at work, else of the last that has any."""
        models = self._shownModels()
        if not (models and self._charts.isShown):
            return
        begun = [(model.fold, model.model) for model in models if model.steps]
        chosen = self._models.selected or (self._current() if self.isRunning else None)
        self._charts.draw(models, chosen or (begun or [(models[0].fold, models[0].model)])[-1])

    def _onCharts(self, shown: bool) -> None:
        if shown:
            self._showCharts()
        else:
            self._charts.leave()

    def _showCharts(self) -> None:
        self._charts.show()
        self._draw()

    def onTab(self) -> None:
        """Show the charts with this tab, and give the layout back with another."""
        isHere = self._tabs.currentIndex == self._tabs.indexOf(self._page)
        if isHere and self._isEntered and self._ui.chartsButton.checked:
            self._showCharts()
        elif not isHere:
            self._charts.leave()

    def _onOpenReport(self, _checked: bool = False) -> None:
        import qt

        run = self._inputs.run
        if run is not None and run.report is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(run.report)))

    def _onExport(self, _checked: bool = False) -> None:
        run = self._inputs.run
        if run is None or self.isRunning:
            return
        packages.ensureForAnalyze()
        self._begin(lambda: self._job.export(run.folder))

    def tell(self, sentence: str, isError: bool = True) -> None:
        """Show what a person should know now."""
        announce(self._ui.trainMessageLabel, self._ui.trainLogBox, sentence, isError)
