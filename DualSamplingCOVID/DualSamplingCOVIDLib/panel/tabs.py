"""The panel's tabs: what each is made of, and which of them hears what of scene and module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from .. import resources
from .analyze import AnalyzeTab
from .review import ReviewTab
from .slots import connect, guarded
from .trainer import TrainerTab
from .translation import _


class Tabs:
    """Builds Analyze, Train and Review, and passes on to them what happens to scene and module.

    What goes wrong in one tab is told there, and the others hear of the event all the same.

    Args:
        page: the panel's page; it holds the `QTabWidget` with Analyze and About.
        parameterNode: gives the scene's parameter node.
        makeProcess: makes a worker's `QProcess`.
    """

    def __init__(self, page: Any, parameterNode: Callable[[], Any], makeProcess: Callable[[], Any]) -> None:
        _addOverlays(page)
        self.ui = slicer.util.childWidgetVariables(page)
        page.setMRMLScene(slicer.mrmlScene)
        self.analyze = AnalyzeTab(self.ui, parameterNode, makeProcess)
        trainerPage, reviewPage = _load("Trainer"), _load("Review")
        _addOverlays(reviewPage)
        for index, (inserted, title) in enumerate(((trainerPage, _("Train")), (reviewPage, _("Review"))), 1):
            self.ui.tabs.insertTab(index, inserted, title)
        self.trainerUi = slicer.util.childWidgetVariables(trainerPage)
        self.reviewUi = slicer.util.childWidgetVariables(reviewPage)
        self.trainer = TrainerTab(self.trainerUi, self.ui.tabs, trainerPage, self.analyze.useBundle, makeProcess)
        self.review = ReviewTab(self.reviewUi, makeProcess)
        connect(self.ui.tabs, "currentChanged(int)", self._onTab, self.analyze.tell)

    def enter(self) -> None:
        """The module is entered: show what the scene holds now."""
        guarded(self.analyze.enter, self.analyze.tell)()
        guarded(self.trainer.enter, self.trainer.tell)()
        if self._isReviewSeen():
            guarded(self.review.enter, self.review.tell)()

    def leave(self) -> None:
        """The module is left: give the user's layout back."""
        for tab in self._all():
            guarded(tab.leave, tab.tell)()

    def close(self) -> None:
        """End what runs and let go of the scene: scene, module or Slicer closes."""
        for tab in self._all():
            guarded(tab.close, tab.tell)()

    def beforeSave(self) -> None:
        """Let the scene be saved in the user's own layout."""
        for tab in self._asSeen():
            guarded(tab.beforeSave, tab.tell)()

    def afterSave(self) -> None:
        """Go on as before the scene was saved."""
        for tab in reversed(self._asSeen()):
            guarded(tab.afterSave, tab.tell)()

    def refresh(self) -> None:
        """Show what the scene holds after it was closed or another one came in."""
        guarded(self.analyze.refresh, self.analyze.tell)()
        guarded(self.trainer.refresh, self.trainer.tell)()
        if self._isReviewSeen():
            guarded(self.review.enter, self.review.tell)()

    def update(self) -> None:
        """Let Analyze say what can be done with the nodes that came."""
        guarded(self.analyze.update, self.analyze.tell)()

    def _onTab(self, _index: int = 0) -> None:
        """Show in the views what the tab that is seen now is about."""
        self.trainer.onTab()
        if self._isReviewSeen():
            self.review.enter()
        elif self.review.showsCase and self.ui.tabs.currentWidget() == self.ui.analyzeTab:
            self.analyze.readAgain()

    def _isReviewSeen(self) -> bool:
        return bool(self.ui.tabs.currentWidget() == self.reviewUi.reviewTab)

    def _all(self) -> tuple[AnalyzeTab | TrainerTab | ReviewTab, ...]:
        """Return the tabs in the order in which they give a layout back.

        The charts give back what lay under them, and Analyze comes last: it brings a layout where the others know none.
        """
        return (self.trainer, self.review, self.analyze)

    def _asSeen(self) -> tuple[AnalyzeTab | TrainerTab | ReviewTab, ...]:
        """Return the charts, the tab that shows its result in the views, and the other one."""
        return self._all() if self._isReviewSeen() else (self.trainer, self.analyze, self.review)


def _load(name: str) -> Any:
    return slicer.util.loadUI(str(resources.path(f"UI/{name}.ui")))


def _addOverlays(page: Any) -> None:
    """Put the section Overlays, which two tabs have, into its place in a page."""
    slicer.util.findChild(page, "overlayPlace").layout().addWidget(_load("Overlays"))
