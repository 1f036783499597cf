"""The training's curves in Slicer's plot views, and the layout that they are shown in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, ModelProgress
from ..scene import charts, views
from .translation import _

_CROSS_ENTROPY, _ATTENTION, _VALIDATION = (0.12, 0.35, 0.70), (0.85, 0.45, 0.05), (0.10, 0.10, 0.10)
_COLORS = {BASELINE_US: (0.45, 0.45, 0.45), ATTENTION_US: (0.12, 0.35, 0.70), ATTENTION_SS: (0.85, 0.45, 0.05)}

_HEADROOM = 1.25
"""The legend lies in the upper right corner; above the curves it hides none of them."""


class TrainerCharts:
    """Shows the curves of one model and the AUC of its whole fold.

    Args:
        scene: gives the scene.
    """

    def __init__(self, scene: Callable[[], Any]) -> None:
        self._scene = scene
        self._before: int | None = None

    @property
    def isShown(self) -> bool:
        """Whether the views show the layout with the charts."""
        return views.currentLayout(self._scene()) == charts.LAYOUT

    def show(self) -> None:
        """Show the plot views; the layout of before is remembered."""
        layout = views.currentLayout(self._scene())
        if layout != charts.LAYOUT:
            self._before = layout
        charts.useChartLayout(self._scene())

    def leave(self) -> None:
        """Give the layout of before back, unless the user has chosen another one since."""
        charts.hideCharts(self._scene())
        if self.isShown:
            views.useLayout(self._scene(), self._before or views.DEFAULT_LAYOUT)

    def remove(self) -> None:
        """Give the layout back, and take the charts out of the scene."""
        self.leave()
        charts.removeCharts(self._scene())

    def draw(self, models: list[ModelProgress], chosen: tuple[int, str]) -> None:
        """Draw the loss of the chosen model, and the validation AUC of every model of its fold."""
        of = [model for model in models if model.fold == chosen[0]]
        one = next(model for model in of if model.model == chosen[1])
        charts.showChart(self._scene(), lossChart(one))
        charts.showChart(self._scene(), aucChart(of))


def lossChart(model: ModelProgress) -> charts.Chart:
    """Return the loss parts of each optimiser step, and the validation loss at the end of each epoch."""
    steps = range(1, len(model.steps) + 1)
    attention = [step[1] for step in model.steps]
    curves = [charts.Curve(_("cross-entropy"), steps, [step[0] for step in model.steps], _CROSS_ENTROPY)]
    if any(attention):
        curves.append(charts.Curve(_("attention loss"), steps, attention, _ATTENTION))
    ends = [(epoch + 1) * model.steps_an_epoch for epoch in range(len(model.epochs))]
    losses = [epoch.validation_loss for epoch in model.epochs]
    curves.append(charts.Curve(_("validation loss"), ends, losses, _VALIDATION, isMarked=True))
    title = _("Fold {fold}, {model}: loss").format(fold=model.fold, model=model.model)
    return charts.Chart(charts.LOSS_VIEW, title, _("optimiser step"), _("loss"), tuple(curves), _above(curves))


def _above(curves: list[charts.Curve]) -> tuple[float, float]:
    """Return limits from zero to above the curves."""
    highest = max((value for curve in curves for value in curve.y if math.isfinite(value)), default=1.0)
    return 0.0, _HEADROOM * (highest or 1.0)


def aucChart(models: list[ModelProgress]) -> charts.Chart:
    """Return the validation AUC of each epoch of a fold's models."""
    curves = tuple(
        charts.Curve(
            model.model,
            range(1, len(model.epochs) + 1),
            [epoch.validation_auc for epoch in model.epochs],
            _COLORS.get(model.model, _VALIDATION),
            isMarked=True,
        )
        for model in models
    )
    title = _("Fold {fold}: validation AUC").format(fold=models[0].fold)
    return charts.Chart(charts.AUC_VIEW, title, _("epoch"), _("AUC"), curves, limits=(0.0, _HEADROOM))
