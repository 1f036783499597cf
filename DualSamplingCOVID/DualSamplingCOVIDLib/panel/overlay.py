"""The section Overlays: which map lies over the CT and how, lungs and infection, and where the views look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from ..scene import charts, colors, compare, overlays, views
from ..scene.result import DECISION, Result
from ..summary import NO_EVIDENCE, Network
from .answer import peak
from .settings import OverlayDefaults, Preferences
from .slots import connect, guarded
from .translation import _

_FOR, _AGAINST = "", "-opposite"


class OverlayControls:
    """Lets a person change how a result is shown; `show` tells which.

    Args:
        ui: the panel's widgets by name.
        preferences: how a new result is first shown.
        scene: gives the MRML scene.
        onProblem: is told what could not be done.
        focus: says where a result is first looked at.
        otherLayout: what `leave` brings where the user's own layout is not known; None leaves that to somebody else.
    """

    def __init__(
        self,
        ui: Any,
        preferences: Preferences,
        scene: Any,
        onProblem: Any,
        focus: Callable[[Result], np.ndarray] = views.focusPoint,
        otherLayout: int | None = views.DEFAULT_LAYOUT,
    ) -> None:
        self._ui = ui
        self._preferences = preferences
        self._scene = scene
        self._onProblem = onProblem
        self._focus = focus
        self._otherLayout = otherLayout
        self._result: Result | None = None
        self._usersLayout: int | None = None
        self._showsFourUp = False
        self._beforeCompare: int | None = None
        ui.legendLabel.text = _("0 %  faint          strong  100 %")
        ui.legendLabel.styleSheet = legend()
        ui.legendLabel.toolTip = _("Colours of the attention, from the threshold to its peak; opacity grows with them.")
        for widget, signal, slot in (
            (ui.mapSelector, "activated(int)", self._onMap),
            (ui.attentionSlider, "valueChanged(double)", self._onAttention),
            (ui.thresholdSlider, "valueChanged(double)", self._onThreshold),
            (ui.lungsCheck, "toggled(bool)", self._onSegments),
            (ui.infectionCheck, "toggled(bool)", self._onSegments),
            (ui.lungsSlider, "valueChanged(double)", self._onSegments),
            (ui.infectionSlider, "valueChanged(double)", self._onSegments),
            (ui.fillCheck, "toggled(bool)", self._onSegments),
            (ui.readingButton, "clicked(bool)", self.showReading),
            (ui.fourUpButton, "clicked(bool)", self._onFourUp),
            (ui.userLayoutButton, "clicked(bool)", self.restoreLayout),
            (ui.peakButton, "clicked(bool)", self._onPeak),
            (ui.lesionButton, "clicked(bool)", self._onLesion),
            (ui.show3DButton, "toggled(bool)", self._on3D),
            (ui.compareButton, "toggled(bool)", self._onCompare),
        ):
            connect(widget, signal, slot, onProblem)

    def show(self, result: Result | None, isNew: bool = False, takesViews: bool = True) -> None:
        """Offer a result's maps and show it: a new one as the preferences say, in the reading layout (`takesViews`)."""
        self._leaveCompare()
        self._result = result
        complete = result is not None and result.isComplete
        self._ui.overlaySection.enabled = complete
        self._ui.overlaySection.toolTip = "" if complete else _("There is no result, or a part of it was deleted.")
        self._ui.mapSelector.clear()
        self._ui.peakLabel.text = ""
        if result is None or not complete:
            self._result = None
            return
        self._offerMaps(result)
        overlays.showAlone(result)
        if isNew:
            self._setControls(self._preferences.overlays)
            if not result.summary.applies:  # the maps answer a question that does not arise
                self._ui.attentionSlider.value = 0.0
            if takesViews:
                self.showReading()
            self._apply()
        else:
            self._readControls(result)
        self._tellPeak()
        if result.isCtMoved:
            self._onProblem(
                _("The CT was moved since it was analysed: what lies over it is where it was. Analyze again.")
            )

    def pause(self) -> None:
        """Let go of a result that goes, while another one is on its way: layout and controls stay, the views empty."""
        self._result = None
        self._ui.overlaySection.enabled = False
        if self._beforeCompare is not None:
            compare.hide(self._scene(), compare.LAYOUT)

    def showNext(self, result: Result) -> None:
        """Show a result in place of one that is gone: the same kind of map, controls and layout."""
        wanted = self._ui.mapSelector.itemData(self._ui.mapSelector.currentIndex)
        self._result = result
        self._ui.overlaySection.enabled = True
        self._ui.mapSelector.clear()
        self._offerMaps(result)
        index = self._ui.mapSelector.findData(wanted)
        if index > 0:
            self._ui.mapSelector.setCurrentIndex(index)
            self._onMap()
        overlays.showAlone(result)
        self._fit()
        self._apply()
        self._tellPeak()
        if self._beforeCompare is not None:
            self._showCompare()

    def showReading(self, _checked: bool = False) -> None:
        """Show axial and coronal side by side at the finding; the user's own layout is remembered."""
        if self._result is None:
            return
        self._leaveCompare()
        self._rememberLayout()
        views.useReadingLayout(self._scene())
        self._fit()

    def restoreLayout(self, _checked: bool = False) -> None:
        """Bring back the layout that was there before the first result."""
        self._leaveCompare()
        self._showsFourUp = False
        views.useLayout(self._scene(), self._usersLayout or views.DEFAULT_LAYOUT)

    def leave(self) -> None:
        """Leave the views as the user had them, where they still show a layout that was chosen here."""
        self._leaveCompare()
        layout = self._usersLayout or self._otherLayout
        if layout and views.currentLayout(self._scene()) in self._ourLayouts():
            views.useLayout(self._scene(), layout)

    def forget(self) -> None:
        """Let go of the scene's nodes: it closes, or the module does."""
        self.leave()
        self._result = None

    def _ourLayouts(self) -> tuple[int, ...]:
        """Layouts that only this panel shows; a scene that is opened may come in one of them."""
        return (views.READING_LAYOUT, compare.LAYOUT, *((views.FOUR_UP,) if self._showsFourUp else ()))

    def _rememberLayout(self) -> None:
        layout = views.currentLayout(self._scene())
        if layout not in (*self._ourLayouts(), charts.LAYOUT):
            self._usersLayout = layout
        self._showsFourUp = False

    def _fit(self) -> None:
        """Show the result in the views of a new layout."""
        if self._result is not None:
            views.showResult(self._scene(), self._result, self._focus(self._result))
            self._onAttention(self._ui.attentionSlider.value)
            self._refitSoon()

    def _refitSoon(self) -> None:
        """Fit the views once more when they have got their sizes; somebody may have looked elsewhere by then."""
        import qt

        qt.QTimer.singleShot(0, guarded(self._refit, self._onProblem))

    def _refit(self) -> None:
        if self._result is not None and self._result.isComplete:
            views.refit(self._scene(), self._result)

    def _offerMaps(self, result: Result) -> None:
        selector = self._ui.mapSelector
        networks = {network.name: network for network in result.summary.networks}
        for name in result.mapNames:
            title = _("Decision (ensemble)") if name == DECISION else _title(networks[name])
            selector.addItem(_("{title}: for COVID-19").format(title=title), name + _FOR)
        for name in result.mapNames:
            title = _("Decision (ensemble)") if name == DECISION else _title(networks[name])
            selector.addItem(_("{title}: opposite evidence (CAP)").format(title=title), name + _AGAINST)
        self._chooseShown(result)

    def _chooseShown(self, result: Result) -> None:
        """Let the selector say which map lies over the CT."""
        name, opposite = overlays.shownMap(result)
        self._ui.mapSelector.setCurrentIndex(self._ui.mapSelector.findData(name + (_AGAINST if opposite else _FOR)))

    def _chosenMap(self) -> tuple[str, bool]:
        data = str(self._ui.mapSelector.itemData(self._ui.mapSelector.currentIndex))
        return data.removesuffix(_AGAINST), data.endswith(_AGAINST)

    def _onMap(self, _index: int = 0) -> None:
        if self._result is None:
            return
        try:
            overlays.showMap(self._result, *self._chosenMap())
        finally:
            self._chooseShown(self._result)
            self._tellPeak()

    def _tellPeak(self) -> None:
        self._ui.peakLabel.text = ""
        if self._result is None or self._ui.mapSelector.currentIndex < 0:
            return
        name, opposite = self._chosenMap()
        networks = [n for n in self._result.summary.networks if n.name == name]
        if networks:
            self._ui.peakLabel.text = peak(networks[0], opposite)
            return
        if not self._result.summary.applies:
            self._ui.peakLabel.text = _("no pneumonia was found: the maps answer a question that does not arise")
            return
        dead = views.attentionPeak(self._result, name, opposite) is None
        nothing = _("no CAP evidence") if opposite else _(NO_EVIDENCE)
        self._ui.peakLabel.text = nothing if dead else _("the networks' maps, weighted as their answers are")

    def _onAttention(self, value: float = 0.0) -> None:
        if self._result is not None:
            overlays.setAttentionOpacity(self._scene(), self._result, value / 100)

    def _onThreshold(self, value: float = 0.0) -> None:
        if self._result is not None:
            overlays.setAttentionThreshold(self._result, value / 100)

    def _onSegments(self, *_values: Any) -> None:
        if self._result is None:
            return
        ui, result = self._ui, self._result
        for segments, check, slider in (
            (overlays.LUNGS, ui.lungsCheck, ui.lungsSlider),
            (overlays.INFECTED, ui.infectionCheck, ui.infectionSlider),
        ):
            overlays.setShown(result, segments, check.checked)
            overlays.setOpacity(result, segments, slider.value / 100)
        overlays.setFilled(result, ui.fillCheck.checked)

    def _apply(self) -> None:
        self._onAttention(self._ui.attentionSlider.value)
        self._onThreshold(self._ui.thresholdSlider.value)
        self._onSegments()

    def _onFourUp(self, _checked: bool = False) -> None:
        if self._result is not None:
            self._leaveCompare()
            self._rememberLayout()
            views.useLayout(self._scene(), views.FOUR_UP)
            self._showsFourUp = True
            self._fit()

    def _onPeak(self, _checked: bool = False) -> None:
        if self._result is None:
            return
        point = views.attentionPeak(self._result, *self._chosenMap())
        if point is None:
            self._onProblem(_("This map has no peak: the network found no evidence of this kind anywhere."))
        else:
            views.jumpTo(self._scene(), point)

    def _onLesion(self, _checked: bool = False) -> None:
        if self._result is None:
            return
        point = views.largestInfection(self._result)
        if point is None:
            self._onProblem(_("No infection was found in this CT."), False)
        else:
            views.jumpTo(self._scene(), point)

    def _on3D(self, shown: bool) -> None:
        if self._result is not None:
            overlays.show3D(self._result, shown)
            if shown:
                self._onFourUp()
                slicer.app.layoutManager().threeDWidget(0).threeDView().resetFocalPoint()

    def _onCompare(self, shown: bool) -> None:
        if self._result is None:
            return
        if not shown:
            self._leaveCompare()
            return
        self._beforeCompare = self._showCompare()

    def _showCompare(self) -> int:
        """Show the comparison; return the layout before it."""
        assert self._result is not None
        before = compare.show(self._scene(), self._result, self._focus(self._result))
        self._refitSoon()
        return before

    def _leaveCompare(self) -> None:
        if self._beforeCompare is None:
            return
        before, self._beforeCompare = self._beforeCompare, None
        compare.hide(self._scene(), before)
        self._ui.compareButton.checked = False

    def keep(self, _checked: bool = False) -> None:
        """Take how the result is shown for the preference."""
        ui = self._ui
        self._preferences.overlays = OverlayDefaults(
            attention=ui.attentionSlider.value,
            threshold=ui.thresholdSlider.value,
            lungs=ui.lungsSlider.value,
            infection=ui.infectionSlider.value,
            filled=ui.fillCheck.checked,
        )

    def _setControls(self, defaults: OverlayDefaults) -> None:
        ui = self._ui
        ui.attentionSlider.value = defaults.attention
        ui.thresholdSlider.value = defaults.threshold
        ui.lungsSlider.value = defaults.lungs
        ui.infectionSlider.value = defaults.infection
        ui.fillCheck.checked = defaults.filled
        ui.lungsCheck.checked = ui.infectionCheck.checked = True
        ui.show3DButton.checked = False

    def _readControls(self, result: Result) -> None:
        """Set the controls to how a result is shown already, without changing that."""
        shown = overlays.state(result)
        self._result = None  # so that the controls do not act while they are set
        self._setControls(
            OverlayDefaults(
                100 * shown.attention, 100 * shown.threshold, 100 * shown.lungs, 100 * shown.infection, shown.filled
            )
        )
        self._ui.lungsCheck.checked, self._ui.infectionCheck.checked = shown.lungsShown, shown.infectionShown
        self._ui.show3DButton.checked = shown.in3D
        self._result = result


def legend() -> str:
    """Return a style sheet that paints the attention's colours from left to right, over mid grey as over lung."""
    table = colors.attentionColors()
    stops = []
    for level in range(0, colors.LEVELS + 1, 10):
        red, green, blue, alpha = table[level]
        mixed = [round(255 * (alpha * channel + (1 - alpha) * 0.35)) for channel in (red, green, blue)]
        stops.append(f"stop:{level / colors.LEVELS:.2f} rgb({mixed[0]}, {mixed[1]}, {mixed[2]})")
    gradient = f"qlineargradient(x1:0, y1:0, x2:1, y2:0, {', '.join(stops)})"
    return f"QLabel {{ background: {gradient}; color: white; border: 1px solid palette(mid); }}"


def _title(network: Network) -> str:
    if network.kind == "baseline":
        kind = _("baseline {sampling}, Grad-CAM").format(sampling=network.sampling)
    else:
        kind = _("attention {sampling}").format(sampling=network.sampling)
    return kind if network.fold is None else _("{kind}, fold {fold}").format(kind=kind, fold=network.fold)
