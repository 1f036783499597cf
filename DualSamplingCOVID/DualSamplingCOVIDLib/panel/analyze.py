"""The Analyze tab: choices, the job at work, the result and its overlays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from .. import __version__
from ..diagnosis import RESEARCH_USE_ONLY
from ..scene import views
from ..scene.result import Result, results
from . import packages
from .analysis_job import AnalysisJob
from .answer import AnswerView, saveTable
from .inputs import Inputs
from .message import announce
from .overlay import OverlayControls
from .settings import Parameters, Preferences
from .slots import connect
from .translation import _


class AnalyzeTab:
    """Joins the tab's parts; it is the view of the job.

    Args:
        ui: the panel's widgets by name.
        parameterNode: gives the scene's parameter node.
        makeProcess: makes the worker's `QProcess`.
        program: the worker's interpreter; PythonSlicer where None.
    """

    def __init__(
        self,
        ui: Any,
        parameterNode: Callable[[], Any],
        makeProcess: Callable[[], Any],
        program: str | None = None,
    ) -> None:
        self._ui = ui
        self._parameterNode = parameterNode
        preferences = Preferences(slicer.app.settings())
        self._answer = AnswerView(ui)
        self._overlay = OverlayControls(ui, preferences, lambda: slicer.mrmlScene, self.tell)
        self._job = AnalysisJob(self, makeProcess, program)
        self._cancelling = False
        self._inputs = Inputs(ui, preferences, self._parameters, self.update, self.tell)
        self._results: list[Result] = []
        self._isEntered = self._wasReading = False
        for widget, signal, slot in (
            (ui.analyzeButton, "clicked(bool)", self._onAnalyze),
            (ui.resultSelector, "activated(int)", self._onResult),
            (ui.saveTableButton, "clicked(bool)", self._onSaveTable),
            (ui.saveReportButton, "clicked(bool)", self._onSaveReport),
            (ui.removeResultButton, "clicked(bool)", self._onRemove),
            (ui.keepOverlaysButton, "clicked(bool)", self._overlay.keep),
            (ui.copyPackagesButton, "clicked(bool)", self._onCopyPackages),
        ):
            connect(widget, signal, slot, self.tell)
        ui.aboutLabel.text = about()
        ui.packageLabel.text = packages.packageInformation()
        self.refresh()

    @property
    def isRunning(self) -> bool:
        """Whether a job is at work."""
        return self._job.isRunning

    def enter(self) -> None:
        """Show what the scene holds: the module is entered."""
        self._isEntered = True
        self.refresh()

    def refresh(self) -> None:
        """Show what the scene holds, after it was opened or another one came in."""
        views.registerLayout(slicer.mrmlScene)
        self._inputs.refresh()
        self._readResults(self._parameters().result)
        if self._results:
            self._unfold()
        self.update()

    def readAgain(self) -> None:
        """Show the result in the views, where another tab has shown something else meanwhile."""
        self.refresh()
        self._overlay.showReading()

    def update(self) -> None:
        """Let button, tooltip and progress say what can be done now."""
        ui, running = self._ui, self._job.isRunning
        problem = "" if running else self._inputs.problem()
        ui.inputSection.enabled = not running
        ui.analyzeButton.text = _("Cancel") if running else _("Analyze")
        ui.analyzeButton.enabled = not self._cancelling and not problem
        ui.analyzeButton.toolTip = problem or (_("Stop the work; nothing is changed.") if running else _("Start."))
        ui.progressBar.setVisible(running)
        ui.stageLabel.setVisible(running or bool(problem))
        if problem:
            ui.stageLabel.text = problem
        for button in (ui.saveReportButton, ui.removeResultButton):
            button.enabled = not running and self._shown() is not None
        ui.saveTableButton.enabled = self._shown() is not None

    def useBundle(self, folder: str) -> None:
        """Show this tab with a bundle that was made just now."""
        self._inputs.useBundle(folder)
        self._ui.inputSection.collapsed = False
        self._ui.tabs.setCurrentWidget(self._ui.analyzeTab)
        self.update()

    def leave(self) -> None:
        """Give the user's layout back: the module is left."""
        self._isEntered = False
        self._overlay.leave()

    def beforeSave(self) -> None:
        """Give the user's layout back while the scene is saved: elsewhere nobody knows ours."""
        self._wasReading = views.currentLayout(slicer.mrmlScene) == views.READING_LAYOUT
        self._overlay.leave()

    def afterSave(self) -> None:
        """Go on reading."""
        if self._wasReading and self._isEntered:
            self._overlay.showReading()

    def close(self) -> None:
        """End the work and let go of the scene: it closes, or the module does."""
        self._job.abandon()
        self._overlay.forget()
        self._results = []
        self._cancelling = False

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done."""
        self._ui.stageLabel.text = _("Cancelling...") if self._cancelling else _(stage[:1].upper() + stage[1:])
        self._ui.progressBar.value = round(1000 * min(max(fraction, 0.0), 1.0))

    def onLine(self, text: str) -> None:
        """Show a line of the worker in the log."""
        self._ui.logBox.appendPlainText(text)

    def onDone(self, value: Any) -> None:
        """Show the result, or where the report was written."""
        self._cancelling = False
        if isinstance(value, Result):
            self.tell("")
            self._parameters().result = value.node
            self._readResults(value.node, isNew=True)
            self._ui.inputSection.collapsed = True
            self._unfold()
        else:
            self.tell(_("The report was written to {folder}").format(folder=value), isError=False)
        self.update()

    def _unfold(self) -> None:
        self._ui.resultSection.collapsed = self._ui.overlaySection.collapsed = False

    def onCancelled(self) -> None:
        """Show that nothing was changed."""
        self._cancelling = False
        self.tell(_("Cancelled: nothing was changed."), isError=False)
        self.update()

    def onFailed(self, sentence: str) -> None:
        """Show what went wrong."""
        self._cancelling = False
        self.tell(sentence)
        self.update()

    def _onAnalyze(self, _checked: bool = False) -> None:
        if self._job.isRunning:
            self._cancelling = True
            self.onProgress("", 0.0)
            self.update()
            self._job.cancel()
            return
        packages.ensureForAnalyze()
        self.update()
        if self._inputs.problem():  # the installation may have taken long enough for the scene to change
            return
        before = results(slicer.mrmlScene, self._inputs.ct)
        replaced = self._askReplace(before) if before else ()
        if replaced is None:
            return
        self._begin()
        self._job.analyze(self._inputs.analysis(replaced))
        self.update()

    def _askReplace(self, before: list[Result]) -> tuple[Result, ...] | None:
        """Ask what becomes of a CT's results: replaced (returned), kept beside the new one (empty), or None: stop."""
        import qt

        box = qt.QMessageBox(slicer.util.mainWindow())
        box.setWindowTitle(_("Analyze again"))
        box.setText(_("This CT has been analysed already."))
        box.setInformativeText(_("Replace what was found, or keep both under their own names?"))
        replace = box.addButton(_("Replace"), qt.QMessageBox.AcceptRole)
        keep = box.addButton(_("Keep both"), qt.QMessageBox.ActionRole)
        box.addButton(qt.QMessageBox.Cancel)
        box.setDefaultButton(replace)
        (box.exec_ if hasattr(box, "exec_") else box.exec)()
        if box.clickedButton() == replace:
            return tuple(before)
        return () if box.clickedButton() == keep else None

    def _begin(self) -> None:
        self._cancelling = False
        self.tell("")
        self._ui.logBox.clear()
        self.onProgress(_("starting"), 0.0)

    def _onResult(self, index: int) -> None:
        if 0 <= index < len(self._results):
            self._parameters().result = self._results[index].node
            self._show(self._results[index], isNew=False)
            self._overlay.showReading()

    def _onSaveTable(self, _checked: bool = False) -> None:
        import qt

        shown = self._shown()
        if shown is None:
            return
        title, kinds = _("Save the volumes"), _("CSV (*.csv)")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, "lung-volumes.csv", kinds)
        if not path:
            return
        saveTable(Path(path), shown.summary)
        self.tell(_("The table was written to {path}").format(path=path), isError=False)

    def _onSaveReport(self, _checked: bool = False) -> None:
        import qt

        shown = self._shown()
        if shown is None or self._job.isRunning:
            return
        if shown.ct is None:
            self.tell(_("The CT was deleted from the scene: without it there is nothing to draw the report on."))
            return
        parent = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose where the report goes"))
        if not parent:
            return
        packages.ensureForReport()
        self._begin()
        self._job.saveReport(shown, _freeFolder(Path(parent)))
        self.update()

    def _onRemove(self, _checked: bool = False) -> None:
        shown = self._shown()
        question = _("Remove this result from the scene? The CT stays.")
        if shown is not None and slicer.util.confirmOkCancelDisplay(question, _("Remove result")):
            self._overlay.forget()
            shown.remove()
            self._readResults(None)
            self.update()

    def _onCopyPackages(self, _checked: bool = False) -> None:
        import qt

        qt.QApplication.clipboard().setText(self._ui.packageLabel.text)

    def _readResults(self, chosen: Any, isNew: bool = False) -> None:
        """List the scene's results and show the chosen one, or the last."""
        self._results = results(slicer.mrmlScene)
        selector = self._ui.resultSelector
        selector.clear()
        for index, result in enumerate(self._results):
            ct = result.ct.GetName() if result.ct is not None else _("deleted CT")
            selector.addItem(_("{n}: result of {ct}").format(n=index + 1, ct=ct))
        selector.setVisible(bool(self._results))
        nodes = [result.node for result in self._results]
        index = nodes.index(chosen) if chosen in nodes else len(nodes) - 1
        selector.setCurrentIndex(index)
        self._show(self._results[index] if self._results else None, isNew)

    def _show(self, result: Result | None, isNew: bool) -> None:
        self._answer.show(result.summary if result is not None else None)
        self._overlay.show(result, isNew, self._isEntered)

    def _shown(self) -> Result | None:
        index = int(self._ui.resultSelector.currentIndex)
        return self._results[index] if 0 <= index < len(self._results) else None

    def tell(self, sentence: str, isError: bool = True) -> None:
        """Show what a person should know now."""
        announce(self._ui.messageLabel, self._ui.logBox, sentence, isError)

    def _parameters(self) -> Parameters:
        return Parameters(self._parameterNode())


def about() -> str:
    """Return what the extension is, as rich text."""
    return _(
        "<h3>DualSamplingCOVID {version}</h3>"
        "<p><b>{use}.</b> Not a medical device, and not for decisions about a patient.</p>"
        "<p>Lungs, pneumonia infection, the probability of COVID-19 against community-acquired pneumonia, and an"
        " attention map of what the decision rests on: the dual-sampling attention network of Ouyang et al., IEEE"
        " Transactions on Medical Imaging 39(8):2595-2605, 2020.</p>"
        "<p>Nothing leaves this computer. Results lie in the scene; preferences are kept under the group"
        " DualSamplingCOVID of Slicer's settings.</p>"
    ).format(version=__version__, use=RESEARCH_USE_ONLY)


def _freeFolder(parent: Path) -> Path:
    """Return a new folder's path in `parent`, with a neutral name."""
    name, number = "dual-sampling-report", 1
    while (parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return parent / (name if number == 1 else f"{name}-{number}")
