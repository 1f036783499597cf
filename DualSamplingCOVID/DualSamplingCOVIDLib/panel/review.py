"""The Review tab: a run's cases in a table, the chosen one in the views at its attention's peak, a reader's opinion."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from ..diagnosis import COVID, RESEARCH_USE_ONLY
from ..ensemble import weight
from ..errors import UserError
from ..evaluation.cases import JudgedCase, judge_run
from ..review_folder import AGREE, FLAG, Opinion, Opinions
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, Run, read_run
from ..scene import overlays, views
from ..scene.review import joinHierarchy, leaveHierarchy, removeCases
from ..summary import percent
from . import packages
from .message import write
from .overlay import OverlayControls
from .review_job import Request, ReviewJob, Shown
from .review_table import CaseTable
from .settings import Preferences
from .slots import connect, guarded
from .translation import _

NEXT_KEY, PREVIOUS_KEY = "N", "P"
_QUIET_MILLISECONDS = 600
"""How long a comment must rest before it is saved by itself."""


class ReviewTab:
    """Joins the tab's parts; it is the view of the job.

    Args:
        ui: the tab's widgets by name.
        makeProcess: makes the worker's `QProcess`.
        program: the worker's interpreter; PythonSlicer where None.
    """

    def __init__(self, ui: Any, makeProcess: Callable[[], Any], program: str | None = None) -> None:
        self._ui = ui
        self._preferences = Preferences(slicer.app.settings())
        self._overlay = OverlayControls(
            ui, self._preferences, lambda: slicer.mrmlScene, self.tell, focus=views.peakPoint, otherLayout=None
        )
        self._job = ReviewJob(self, makeProcess, program)
        self._run: Run | None = None
        self._opinions: Opinions | None = None
        self._left: dict[Path, Opinions] = {}
        """Of runs that were left, with what could not be saved yet."""
        self._chosen: JudgedCase | None = None
        self._shown: Shown | None = None
        self._hasShown = self._wasReading = False
        self._edits = 0
        self._table = CaseTable(ui, self._opinionOf, self._onChosen, self.tell)
        for widget, signal, slot in (
            (ui.runFolderEdit, "currentPathChanged(QString)", self._onRunFolder),
            (ui.nextButton, "clicked(bool)", self._onNext),
            (ui.previousButton, "clicked(bool)", self._onPrevious),
            (ui.stopButton, "clicked(bool)", self._onStop),
            (ui.agreeButton, "clicked(bool)", self._onAgree),
            (ui.flagButton, "clicked(bool)", self._onFlag),
            (ui.commentEdit, "textEdited(QString)", self._onComment),
            (ui.commentEdit, "editingFinished()", self._saveComment),
        ):
            connect(widget, signal, slot, self.tell)
        self._keys = [self._key(NEXT_KEY, self._onNext), self._key(PREVIOUS_KEY, self._onPrevious)]
        ui.researchLabel.text = _("Probabilities of COVID-19 (P): {use}.").format(use=RESEARCH_USE_ONLY.lower())
        self._overlay.show(None)
        self._showCase()
        self.update()

    @property
    def isRunning(self) -> bool:
        """Whether a case is being loaded."""
        return self._job.isRunning

    @property
    def showsCase(self) -> bool:
        """Whether a case stands in the scene."""
        return self._shown is not None and self._shown.result.isComplete

    def enter(self) -> None:
        """Go on with the case that is shown: the tab is seen."""
        if self._run is None and not self._ui.runFolderEdit.currentPath and self._preferences.reviewedRun:
            self._ui.runFolderEdit.currentPath = self._preferences.reviewedRun
        if self._shown is not None and self.showsCase:
            overlays.showAlone(self._shown.result)
            self._overlay.showReading()

    def leave(self) -> None:
        """Give the user's layout back: the module is left."""
        self._saveComment()
        self._saveRest()
        self._overlay.leave()

    def beforeSave(self) -> None:
        """Give the user's layout back while the scene is saved; the case under review is not saved with it."""
        self._wasReading = self.showsCase and views.currentLayout(slicer.mrmlScene) == views.READING_LAYOUT
        self._overlay.leave()
        if self._shown is not None and self.showsCase:
            leaveHierarchy(slicer.mrmlScene, self._shown.result)

    def afterSave(self) -> None:
        """Go on reading."""
        if self._shown is not None and self.showsCase:
            joinHierarchy(slicer.mrmlScene, self._shown.result)
        if self._wasReading:
            self._overlay.showReading()

    def close(self) -> None:
        """End the work and let go of the scene: it closes, or the module does."""
        self._saveComment()
        self._saveRest()
        self._job.abandon()
        self._overlay.forget()
        self._chosen = self._shown = None
        self._hasShown = False
        self._table.refresh(None)
        self._showCase()
        self.update()

    def update(self) -> None:
        """Let buttons and progress say what can be done now."""
        ui, running = self._ui, self._job.isRunning
        for button, by in ((ui.nextButton, 1), (ui.previousButton, -1)):
            button.enabled = self._table.canStep(self._chosen, by)
        for widget in (ui.agreeButton, ui.flagButton, ui.commentEdit):
            widget.enabled = self._chosen is not None
        ui.stopButton.enabled = running
        ui.progressBar.setVisible(running)
        ui.stageLabel.setVisible(running)

    def onProgress(self, stage: str, fraction: float) -> None:
        """Show the stage at work and how much of it is done."""
        self._ui.stageLabel.text = _(stage[:1].upper() + stage[1:])
        self._ui.progressBar.value = round(1000 * min(max(fraction, 0.0), 1.0))

    def onLine(self, text: str) -> None:
        """Leave a worker's line alone: its last words come with `onFailed`."""

    def onDone(self, value: Shown) -> None:
        """Show the case that has come."""
        self._shown = value
        if self._hasShown:
            self._overlay.showNext(value.result)
        else:
            self._overlay.show(value.result, isNew=True)
            self._ui.overlaySection.collapsed = False
        self._hasShown = True
        findings = [finding.message for finding in value.result.summary.findings if finding.code.startswith("other-")]
        self.tell(" ".join([*findings, value.note]).strip(), isError=bool(value.note))
        self._saveRest()
        self.update()

    def onCancelled(self) -> None:
        """Say that no case is shown."""
        self.tell(_("Stopped: the case is not shown. Choose it again to load it."), isError=False)
        self._forgetChoice()

    def onFailed(self, sentence: str) -> None:
        """Say what went wrong; opinion and the other cases still work."""
        self.tell(sentence)
        self.update()

    def _key(self, key: str, slot: Callable[..., None]) -> Any:
        """Let a key of the whole window act while the tab is seen; a text that is typed keeps its letters."""
        import qt

        shortcut = qt.QShortcut(self._ui.reviewTab)
        shortcut.setKey(qt.QKeySequence(key))
        connect(shortcut, "activated()", slot, self.tell)
        return shortcut

    def _onRunFolder(self, text: str) -> None:
        self._leaveRun()
        if not text:
            return
        folder = Path(text)
        try:
            run = read_run(folder)
            judged = judge_run(run)
        except UserError as error:
            write(self._ui.runLabel, str(error), isError=True)
            return
        self._run, self._opinions = run, self._left.pop(folder, None) or Opinions(folder)
        self._preferences.reviewedRun = text
        write(self._ui.runLabel, about(run, len(judged)))
        try:
            self._opinions.read()
        finally:
            self._table.show(judged)
            self.update()

    def _leaveRun(self) -> None:
        """Let go of the run; opinions that cannot be saved are kept, and the sentence that says why stays."""
        self.tell("")
        self._saveComment()
        self._job.abandon()
        self._takeAway()
        if self._run is not None and self._opinions is not None:
            self._left[self._run.folder] = self._opinions
        self._run = self._opinions = self._chosen = None
        self._saveRest()
        write(self._ui.runLabel, _("Choose the folder that cross-validate wrote."))
        self._table.show(())
        self._showCase()
        self.update()

    def _takeAway(self) -> None:
        """Take the shown case out of the scene."""
        self._shown = None
        self._overlay.pause()
        removeCases(slicer.mrmlScene)

    def _onChosen(self, judged: JudgedCase) -> None:
        if judged is self._chosen:
            return
        self.tell("")
        self._saveComment()
        self._saveRest()
        self._chosen = judged
        self._takeAway()  # no picture of one case under the name of another
        self._showCase()
        assert self._run is not None
        folder, device = self._run.folder, self._preferences.device
        self._job.load(Request(slicer.mrmlScene, folder, judged, device, packages.ensureForAnalyze))
        self.onProgress(_("waiting"), 0.0)
        self.update()

    def _forgetChoice(self) -> None:
        self._chosen = None
        self._table.refresh(None)
        self._showCase()
        self.update()

    def _onNext(self, *_values: Any) -> None:
        self._table.step(self._chosen, 1)

    def _onPrevious(self, *_values: Any) -> None:
        self._table.step(self._chosen, -1)

    def _onStop(self, _checked: bool = False) -> None:
        self._job.cancel()
        self.update()

    def _showCase(self) -> None:
        """Show the chosen case's answers and the reader's opinion of it."""
        ui, judged = self._ui, self._chosen
        opinion = self._opinionOf(judged.case.case_id) if judged is not None else Opinion("")
        ui.caseLabel.text = _("No case is chosen.") if judged is None or self._run is None else card(self._run, judged)
        ui.agreeButton.checked = opinion.opinion == AGREE
        ui.flagButton.checked = opinion.opinion == FLAG
        ui.commentEdit.text = opinion.comment
        ui.savedLabel.text = self._saved(opinion)

    def _opinionOf(self, case_id: str) -> Opinion:
        return Opinion(case_id) if self._opinions is None else self._opinions.of(case_id)

    def _onAgree(self, checked: bool) -> None:
        self._ui.flagButton.checked = False
        self._save(AGREE if checked else "")

    def _onFlag(self, checked: bool) -> None:
        self._ui.agreeButton.checked = False
        self._save(FLAG if checked else "")

    def _onComment(self, _text: str = "") -> None:
        import qt

        self._edits += 1
        edit = self._edits
        self._ui.savedLabel.text = ""

        def saveAtRest() -> None:
            if edit == self._edits:
                self._saveComment()

        qt.QTimer.singleShot(_QUIET_MILLISECONDS, guarded(saveAtRest, self.tell))

    def _saveComment(self) -> None:
        if self._chosen is None or self._opinions is None:
            return
        before = self._opinionOf(self._chosen.case.case_id)
        if self._ui.commentEdit.text.strip() != before.comment:
            self._save(before.opinion)

    def _save(self, opinion: str) -> None:
        """Save what is chosen and written; what cannot be saved stays here, and the sentence says why."""
        if self._chosen is None or self._opinions is None:
            return
        said = Opinion(self._chosen.case.case_id, opinion, self._ui.commentEdit.text.strip())
        self.tell("")
        try:
            self._opinions.save(said)
            self._saveRest()
        except UserError as error:
            self.tell(str(error))
        now = self._opinionOf(said.case_id)
        self._ui.agreeButton.checked, self._ui.flagButton.checked = now.opinion == AGREE, now.opinion == FLAG
        if now.comment != said.comment:  # somebody else's: left as it was typed, it would be saved over theirs
            self._ui.commentEdit.text = now.comment
        self._ui.savedLabel.text = self._saved(now)
        self._table.refresh(self._chosen)

    def _saveRest(self) -> None:
        """Save what could not be saved before, also of runs that were left; where that fails the sentence says why."""
        for opinions in (*self._left.values(), self._opinions):
            try:
                if opinions is not None:
                    opinions.save_rest()
            except UserError as error:
                self.tell(str(error))
        self._left = {folder: opinions for folder, opinions in self._left.items() if opinions.unsaved}
        if self._chosen is not None:
            opinion = self._opinionOf(self._chosen.case.case_id)
            if opinion.comment == self._ui.commentEdit.text.strip():
                self._ui.savedLabel.text = self._saved(opinion)

    def _saved(self, opinion: Opinion) -> str:
        """Say when an opinion was saved, or that it is not; nothing of one that nobody has."""
        if self._opinions is not None and opinion.case_id in self._opinions.unsaved:
            return _("not saved")
        return _("saved {time} UTC").format(time=opinion.time[:16].replace("T", " ")) if opinion.time else ""

    def tell(self, sentence: str, isError: bool = True) -> None:
        """Show what a person should know now."""
        write(self._ui.messageLabel, sentence, isError)
        self._ui.messageLabel.setVisible(bool(sentence))


def about(run: Run, shown: int) -> str:
    """Say what a run holds, and how much of it can be looked at."""
    sentence = _("{validation} cases in {folds} folds, {test} test cases").format(
        validation=len(run.validation), folds=run.folds, test=len(run.test)
    )
    missing = len(run.cases) - shown
    if missing:
        sentence += _("; {missing} are left out: the models of their folds are not finished").format(missing=missing)
    return sentence


def card(run: Run, judged: JudgedCase) -> str:
    """Return what the run says of a case, as rich text."""
    case = judged.case
    verdict = {
        (True, True): _("COVID-19, called so"),
        (True, False): _("missed COVID-19 (false negative)"),
        (False, True): _("CAP, called so"),
        (False, False): _("CAP called COVID-19 (false positive)"),
    }[case.label == COVID, judged.right]
    own = judged.probabilities
    w = weight(case.ratio, run.segmenter.cut_offs)
    lines = [
        f"<b>{html.escape(case.case_id)}: {verdict}</b>",
        _(
            "P(COVID-19) <b>{p:.3f}</b> = {w:.2f} × {us:.3f} (US) + {rest:.2f} × {ss:.3f} (SS); baseline {base:.3f}"
        ).format(
            p=judged.probability, w=w, us=own[ATTENTION_US], rest=1 - w, ss=own[ATTENTION_SS], base=own[BASELINE_US]
        ),
        _("Infection {ratio} of the lungs, {stratum}; {where}").format(
            ratio=percent(case.ratio),
            stratum=html.escape(case.stratum),
            where=_("test set: means over the folds' networks")
            if case.fold is None
            else _("fold {fold}: networks that never saw it").format(fold=case.fold),
        ),
    ]
    hints = []
    if judged.networks_disagree:
        hints.append(_("US and SS disagree"))
    if judged.low_confidence:
        hints.append(_("low confidence"))
    if hints:
        lines.append("; ".join(hints))
    return "".join(f"<p style='margin: 1px 0'>{line}</p>" for line in lines)
