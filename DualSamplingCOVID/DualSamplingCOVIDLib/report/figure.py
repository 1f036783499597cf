"""The paper's Fig. 5 for one CT: what was seen, what was segmented and where the networks found their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .. import summary
from ..diagnosis import RESEARCH_USE_ONLY, Diagnosis, MemberResult
from . import planes
from .drawing import (
    AIR_HU,
    BACKGROUND,
    CYAN,
    QUIET,
    WARNING,
    add_panel,
    fill,
    grey,
    heat_bar,
    mark_corner,
    mark_view,
    save,
    shorten,
    show,
    show_infection,
    show_map,
    show_no_map,
    write,
)
from .planes import Plane, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_WIDTH, _EDGE, _GAP = 16.0, 0.14, 0.05
_HEADER, _FOOTER = 1.32, 0.66
_PANEL_PIXELS = 400

_MAPS = (
    ("US", "attention", "Attention, US", "uniform sampling"),
    ("SS", "attention", "Attention, SS", "size-balanced sampling"),
    ("US", "baseline", "Grad-CAM, baseline", "no attention loss, US"),
)


@dataclass(frozen=True)
class _Layout:
    """Where the 2 x 6 pictures stand, in inches from the figure's top left corner."""

    column: float
    rows: tuple[float, float]

    @property
    def height(self) -> float:
        return _HEADER + sum(self.rows) + _GAP + _FOOTER

    def left(self, column: int) -> float:
        return _EDGE + column * (self.column + _GAP)

    def top(self, row: int) -> float:
        return _HEADER + row * (self.rows[0] + _GAP)


def save_figure(path: Path, ct: sitk.Image, diagnosis: Diagnosis) -> None:
    """Write the paper's Fig. 5 for one CT as a PNG (2400 pixels wide); the same input gives the same bytes.

    Rows: axial and coronal plane through the infection's centre (without infection: the attention's peak).
    Columns: CT, lungs, infection, attention of US and SS, Grad-CAM of the baseline.

    Args:
        path: the PNG to write.
        ct: the CT in HU, any direction and spacing.
        diagnosis: what `analyze` found in it.
    """
    save(path, draw(ct, diagnosis))


def views(ct: sitk.Image, diagnosis: Diagnosis) -> tuple[View, View]:
    """The axial and the coronal view that the figure shows; both have the same width."""
    box = planes.field_of_view(ct, diagnosis)
    through = planes.centre(ct, diagnosis)
    pixel_mm = float(box.extent[0]) / _PANEL_PIXELS
    return planes.axial(box, through, pixel_mm), planes.coronal(box, through, pixel_mm)


def draw(ct: sitk.Image, diagnosis: Diagnosis) -> Figure:
    """Compose the figure without writing it; its axes are the 12 pictures row by row, then the colour bar."""
    from matplotlib.figure import Figure

    both = views(ct, diagnosis)
    column = (_WIDTH - 2 * _EDGE - 5 * _GAP) / 6
    layout = _Layout(column, (column * both[0].height / both[0].width, column * both[1].height / both[1].width))
    figure = Figure(figsize=(_WIDTH, layout.height), dpi=_DPI, facecolor=BACKGROUND)
    for row, view in enumerate(both):
        _draw_row(figure, layout, row, view, ct, diagnosis)
    _write_header(figure, layout, diagnosis)
    _write_footer(figure, layout, diagnosis)
    return figure


def _draw_row(figure: Figure, layout: _Layout, row: int, view: View, ct: sitk.Image, diagnosis: Diagnosis) -> None:
    picture = grey(view.cut(ct, AIR_HU))
    segmentation = diagnosis.segmentation
    infection = view.cut(segmentation.infection)
    axes = [_panel(figure, layout, row, column) for column in range(6)]
    for panel in axes[:3]:
        show(panel, picture)
    for lung in (segmentation.right_lung, segmentation.left_lung):
        fill(axes[1], view.cut(lung), CYAN, CYAN, 0.25)
    show_infection(axes[2], infection, _any(segmentation.infection))
    for panel, (sampling, kind, *_) in zip(axes[3:], _MAPS, strict=True):
        _draw_map(panel, view, picture, infection, _member(diagnosis, sampling, kind))
    mark_view(axes[0], view)


def _draw_map(
    panel: Axes, view: View, picture: npt.NDArray[np.float64], infection: Plane, member: MemberResult | None
) -> None:
    if member is None:
        show_no_map(panel, picture, "not in this bundle")
        return
    cut = None if member.attention.is_dead else view.cut(member.attention.image)
    show_map(panel, picture, cut, infection, 0.7)
    if cut is not None and cut.max() < planes.HOT:
        mark_corner(panel, f"at most {cut.max():.2f} here", at_top=False)


def _panel(figure: Figure, layout: _Layout, row: int, column: int) -> Axes:
    return add_panel(figure, layout.left(column), layout.top(row), layout.column, layout.rows[row])


def _any(mask: sitk.Image) -> bool:
    return bool(sitk.GetArrayViewFromImage(mask).any())


def _member(diagnosis: Diagnosis, sampling: str, kind: str) -> MemberResult | None:
    try:
        return diagnosis.member(sampling, kind)
    except KeyError:
        return None


def column_titles(diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    """Title and second line of the six columns; a map's second line carries its raw peak, P and Eq. 5's weight."""
    segmentation = diagnosis.segmentation
    weights = _weights(diagnosis)
    infected = f"{summary.percent(diagnosis.decision.ratio)} of the lungs"
    if summary.applies(diagnosis.decision):  # what no disease was found in has no stratum of it
        infected += f", {diagnosis.decision.stratum}"
    titles = [
        ("CT", "lung window, −600 / 1500 HU"),
        ("Lungs", f"segmenter: {segmentation.segmenter.title}"),
        ("Infection", infected),
    ]
    for sampling, kind, title, meaning in _MAPS:
        member = _member(diagnosis, sampling, kind)
        if member is None:
            second = meaning
        else:
            second = "dead map" if member.attention.is_dead else f"raw peak {member.attention.raw_peak:.3g}"
            if summary.applies(diagnosis.decision):
                second += f" · P {member.probability:.2f}"
                second += f" × {weights[sampling, kind]:.2f}" if (sampling, kind) in weights else ""
        titles.append((title, second))
    return tuple(titles)


def _weights(diagnosis: Diagnosis) -> dict[tuple[str, str], float]:
    """Eq. 5's weights of the two attention networks; none where there are several folds' and only one is shown."""
    if sum(member.kind == "attention" for member in diagnosis.members) > 2:
        return {}
    weight = diagnosis.decision.weight
    return {("US", "attention"): weight, ("SS", "attention"): 1 - weight}


def title(diagnosis: Diagnosis) -> str:
    """The figure's first line: the answer, and the probability where the question applies."""
    decision = diagnosis.decision
    if not summary.applies(decision):
        limit = diagnosis.segmentation.segmenter.detection_limit
        why = f"detection limit {summary.percent(limit)}" if limit else "the given infection is empty"
        return f"{summary.headline(decision)} ({why})"
    return f"{summary.headline(decision)} · P(COVID-19) = {decision.probability:.2f}"


def _write_header(figure: Figure, layout: _Layout, diagnosis: Diagnosis) -> None:
    write(figure, _EDGE, 0.30, title(diagnosis), size=16, weight="bold")
    right = _WIDTH - _EDGE
    write(figure, right, 0.30, RESEARCH_USE_ONLY, size=13, weight="bold", color=WARNING, ha="right")
    bundle = diagnosis.bundle
    learned = f"Bundle {bundle.name} {bundle.version}, learned from: {bundle.learned_from}"
    write(figure, _EDGE, 0.58, shorten(learned, 190), size=10, color=QUIET)
    for column, (name, second) in enumerate(column_titles(diagnosis)):
        middle = layout.left(column) + layout.column / 2
        write(figure, middle, 0.97, name, size=12, weight="bold", ha="center")
        write(figure, middle, 1.20, shorten(second, 34), size=9.5, color=QUIET, ha="center")


def _write_footer(figure: Figure, layout: _Layout, diagnosis: Diagnosis) -> None:
    top = layout.height - _FOOTER
    weighed = summary.applies(diagnosis.decision) and _weights(diagnosis)
    sums = " · P × weights add up to the answer's P" if weighed else ""
    reading = (
        f"cyan: lungs, infection included · orange: infection, its outline white on the maps{sums}",
        "maps: where the network found COVID-19 evidence, each scaled to 0–1 for itself; the raw peak is its strength",
    )
    for line, words in enumerate(reading):
        write(figure, _EDGE, top + 0.26 + 0.23 * line, words, size=9.5, color=QUIET)
    left, width = layout.left(4) + 0.25, 2 * layout.column - 0.6
    heat_bar(figure, left, top + 0.16, width)
