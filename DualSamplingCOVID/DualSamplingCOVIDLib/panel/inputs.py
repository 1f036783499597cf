"""The section Input: which CT, which bundle, whose masks, which device."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import slicer

from ..bundle import Bundle
from ..scene import export
from ..segments import INFECTION, LEFT_LUNG, RIGHT_LUNG
from .analysis_job import Analysis
from .files import GivenSegments
from .settings import DEVICES, Parameters, Preferences, bundles
from .slots import connect
from .translation import _

_SEGMENTER, _GIVEN = "segmenter", "given"
_NONE = ""


class Inputs:
    """The choices before Analyze, kept in scene and preferences.

    Args:
        ui: the panel's widgets by name.
        preferences: device and bundle folder.
        parameters: gives the scene's parameters.
        onChange: is told that a choice changed.
        tell: is told what went wrong.
    """

    def __init__(
        self,
        ui: Any,
        preferences: Preferences,
        parameters: Callable[[], Parameters],
        onChange: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._preferences = preferences
        self._parameters = parameters
        self._onChange = onChange
        self._bundles: list[Bundle] = []
        for device, title in zip(DEVICES, (_("Automatic"), _("GPU (CUDA)"), _("CPU")), strict=True):
            ui.deviceSelector.addItem(title, device)
        ui.maskSelector.addItem(_("Found by the bundle's own segmenter"), _SEGMENTER)
        ui.maskSelector.addItem(_("A segmentation of the scene"), _GIVEN)
        ui.deviceSelector.setCurrentIndex(ui.deviceSelector.findData(preferences.device))
        ui.bundleFolderEdit.currentPath = preferences.bundleFolder
        self.readBundles()
        for widget, signal, slot in (
            (ui.ctSelector, "currentNodeChanged(vtkMRMLNode*)", self._onCt),
            (ui.bundleSelector, "currentIndexChanged(int)", self._onBundle),
            (ui.maskSelector, "currentIndexChanged(int)", self._onMasks),
            (ui.segmentationSelector, "currentNodeChanged(vtkMRMLNode*)", self._onSegmentation),
            (ui.deviceSelector, "currentIndexChanged(int)", self._onDevice),
            (ui.bundleFolderEdit, "currentPathChanged(QString)", self._onBundleFolder),
            (ui.rightLungSelector, "currentIndexChanged(int)", self._changed),
            (ui.leftLungSelector, "currentIndexChanged(int)", self._changed),
            (ui.infectionSelector, "currentIndexChanged(int)", self._changed),
        ):
            connect(widget, signal, slot, tell)
        ui.givenMasks.setVisible(False)

    @property
    def ct(self) -> Any:
        """The chosen CT, None where there is none."""
        return self._ui.ctSelector.currentNode()

    def problem(self) -> str:
        """Why Analyze cannot start, empty where it can."""
        if self.ct is None:
            return _("Load a chest CT and choose it first; sample data has a made one.")
        if not export.looksLikeChestCt(self.ct):
            return _("The chosen volume is no chest CT in HU: it is too small, has colours, or no air in it.")
        if self._bundle() is None:
            return _("There is no bundle: choose a folder that holds one under Preferences.")
        if not self._givesMasks():
            return ""
        if self._ui.segmentationSelector.currentNode() is None:
            return _("Choose the segmentation whose lungs and infection are to be used.")
        chosen = [_data(s) for s in (self._ui.rightLungSelector, self._ui.leftLungSelector, self._ui.infectionSelector)]
        if not chosen[0] or not chosen[2]:
            return _("Choose the segments of the lungs and of the infection.")
        if len({name for name in chosen if name}) < len([name for name in chosen if name]):
            return _("Lungs and infection must be different segments.")
        return ""

    def analysis(self, replaced: tuple[Any, ...]) -> Analysis:
        """Return what is to be done; ask `problem` first."""
        bundle = self._bundle()
        assert bundle is not None
        given = None
        if self._givesMasks():
            ui = self._ui
            given = GivenSegments(
                ui.segmentationSelector.currentNode(),
                _data(ui.rightLungSelector),
                _data(ui.leftLungSelector),
                _data(ui.infectionSelector),
            )
        return Analysis(self.ct, str(bundle.folder), _data(self._ui.deviceSelector), given, replaced)

    def refresh(self) -> None:
        """Read the scene's choices: CT, bundle, and the segments that are there now."""
        self._chooseCt()
        chosen = self._parameters().bundle
        if chosen:
            self._ui.bundleSelector.setCurrentIndex(max(0, self._ui.bundleSelector.findData(chosen)))
        if self._givesMasks():
            self._onSegmentation(self._ui.segmentationSelector.currentNode())

    def _chooseCt(self) -> None:
        """Choose the CT of the scene's parameters, or the first volume that may be a chest CT."""
        remembered = self._parameters().ct
        if remembered is not None and export.looksLikeChestCt(remembered):
            self._ui.ctSelector.setCurrentNode(remembered)
            return
        if self.ct is not None and export.looksLikeChestCt(self.ct):
            return
        selector = self._ui.ctSelector
        for index in range(selector.nodeCount()):
            node = selector.nodeFromIndex(index)
            if export.looksLikeChestCt(node):
                selector.setCurrentNode(node)
                return

    def readBundles(self) -> None:
        """Look for bundles anew, keeping the chosen one where it is still there."""
        selector = self._ui.bundleSelector
        chosen = self._parameters().bundle or (
            str(self._bundles[selector.currentIndex].folder) if self._bundles else ""
        )
        self._bundles = bundles(self._preferences.bundleFolder, self._preferences.madeBundles)
        selector.blockSignals(True)
        selector.clear()
        for bundle in self._bundles:
            selector.addItem(f"{bundle.card.name} {bundle.card.version}", str(bundle.folder))
        selector.setCurrentIndex(max(0, selector.findData(chosen)) if self._bundles else -1)
        selector.blockSignals(False)
        self._showCard()

    def useBundle(self, folder: str) -> None:
        """Choose a bundle that was made, and offer it from now on."""
        self._preferences.addMadeBundle(folder)
        self._parameters().bundle = folder
        self.readBundles()

    def _bundle(self) -> Bundle | None:
        index = int(self._ui.bundleSelector.currentIndex)
        return self._bundles[index] if 0 <= index < len(self._bundles) else None

    def _showCard(self) -> None:
        bundle = self._bundle()
        self._ui.bundleCard.text = "" if bundle is None else card(bundle)

    def _givesMasks(self) -> bool:
        return _data(self._ui.maskSelector) == _GIVEN

    def _onCt(self, node: Any = None) -> None:
        if not slicer.mrmlScene.IsClosing():  # a parameter node made now would stay in the emptied scene
            self._parameters().ct = node
        self._changed()

    def _onBundle(self, _index: int = 0) -> None:
        bundle = self._bundle()
        if bundle is not None:
            self._parameters().bundle = str(bundle.folder)
        self._showCard()
        self._changed()

    def _onBundleFolder(self, folder: str) -> None:
        self._preferences.bundleFolder = folder
        self.readBundles()
        self._changed()

    def _onDevice(self, _index: int = 0) -> None:
        self._preferences.device = _data(self._ui.deviceSelector)

    def _onMasks(self, _index: int = 0) -> None:
        self._ui.givenMasks.setVisible(self._givesMasks())
        self._changed()

    def _onSegmentation(self, node: Any = None) -> None:
        """Offer the segments, and choose those that are named by what they are."""
        ui = self._ui
        segments = _segments(node)
        for selector, own, optional in (
            (ui.rightLungSelector, RIGHT_LUNG.identifier, False),
            (ui.leftLungSelector, LEFT_LUNG.identifier, True),
            (ui.infectionSelector, INFECTION.identifier, False),
        ):
            chosen = _data(selector)
            selector.blockSignals(True)
            selector.clear()
            selector.addItem(_("none: one segment holds both") if optional else _("choose..."), _NONE)
            for identifier, name in segments:
                selector.addItem(name, identifier)
            before = selector.findData(chosen) if chosen else -1
            selector.setCurrentIndex(before if before > 0 else max(0, selector.findData(own)))
            selector.blockSignals(False)
        self._changed()

    def _changed(self, *_values: Any) -> None:
        self._onChange()


def card(bundle: Bundle) -> str:
    """Return what a person should know of a bundle before believing it, as rich text."""
    lines = [
        _("<b>Learned from:</b> {source}").format(source=html.escape(bundle.card.learned_from)),
        _("<b>Use:</b> {use}").format(use=html.escape(bundle.card.intended_use)),
        _("<b>Masks it learned with:</b> {segmenter}").format(segmenter=html.escape(bundle.segmenter.title)),
        _("<b>Networks:</b> {names}").format(names=", ".join(html.escape(member.name) for member in bundle.members)),
    ]
    return "".join(f"<p style='margin: 1px 0'>{line}</p>" for line in lines)


def _segments(node: Any) -> list[tuple[str, str]]:
    """Return identifier and name of each segment."""
    if node is None:
        return []
    segmentation = node.GetSegmentation()
    identifiers = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return [(identifier, segmentation.GetSegment(identifier).GetName()) for identifier in identifiers]


def _data(selector: Any) -> str:
    return str(selector.itemData(selector.currentIndex) or "")
