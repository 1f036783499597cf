"""The segmentation of one CT at a glance: planes from top to bottom and front to back, plain and with outlines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .. import summary
from ..diagnosis import RESEARCH_USE_ONLY, Segmentation, volume_ml
from . import planes
from .drawing import (
    AIR_HU,
    BACKGROUND,
    CYAN,
    INFECTION,
    QUIET,
    WARNING,
    add_panel,
    grey,
    mark_corner,
    mark_orientation,
    mark_scale,
    outline,
    save,
    shorten,
    show,
    write,
)
from .planes import Box, Plane, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, LEFT = CYAN, "#b6f24a"
AXIAL_SHARES = (0.8, 0.6, 0.4, 0.2)
"""Heights of the axial planes in the lungs, from the top down; the nearest gives way to the most infected level."""
CORONAL_SHARES = (0.3, 0.5, 0.7)
"""Depths of the coronal planes in the lungs, from the front to the back; likewise."""
OPACITY = 0.3

_DPI = 120
_WIDTH, _EDGE, _GAP = 15.0, 0.14, 0.05
_HEADER, _BETWEEN = 0.95, 0.16
_COLUMN = (_WIDTH - 2 * _EDGE - 3 * _GAP) / 4
_PANEL_PIXELS = 440


def save_grid(path: Path, ct: sitk.Image, segmentation: Segmentation) -> None:
    """Write the picture as a PNG (1800 pixels wide); the same input gives the same bytes.

    Args:
        path: the PNG to write.
        ct: the CT in HU, any direction and spacing.
        segmentation: lungs and infection on its grid.
    """
    save(path, draw(ct, segmentation))


def views(ct: sitk.Image, segmentation: Segmentation) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """The axial views from the top down, and the coronal ones from front to back; all have the same width."""
    lungs = planes.bounds_above(segmentation.lungs, 0)
    box = planes.around(ct, [lungs])
    pixel_mm = float(box.extent[0]) / _PANEL_PIXELS
    inner, infected = lungs or box, planes.voxels(segmentation.infection, 0)
    middle = (inner.low + inner.high) / 2
    heights = _positions(inner, 2, AXIAL_SHARES, infected, ct)
    depths = _positions(inner, 1, CORONAL_SHARES, infected, ct)
    return (
        tuple(planes.axial(box, np.array([*middle[:2], height]), pixel_mm) for height in heights),
        tuple(planes.coronal(box, np.array([middle[0], depth, middle[2]]), pixel_mm) for depth in depths),
    )


def draw(ct: sitk.Image, segmentation: Segmentation) -> Figure:
    """Compose the picture without writing it; its axes are axial plain, axial outlined, then coronal likewise."""
    from matplotlib.figure import Figure

    both = views(ct, segmentation)
    rows = [_COLUMN * block[0].height / block[0].width for block in both]
    height = _HEADER + 2 * sum(rows) + 2 * _GAP + _BETWEEN + _EDGE
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=BACKGROUND)
    top = _HEADER
    for block, row in zip(both, rows, strict=True):
        _draw_block(figure, top, row, block, ct, segmentation)
        top += 2 * row + _GAP + _BETWEEN
    _write_header(figure, segmentation)
    _write_legend(figure, _HEADER + 2 * rows[0] + _GAP + _BETWEEN, segmentation)
    return figure


def _positions(inner: Box, axis: int, shares: tuple[float, ...], infected: planes.Point, ct: sitk.Image) -> list[float]:
    """Places along an LPS axis (mm) at shares of the lungs, the nearest moved to where most infection lies."""
    places = [float(inner.low[axis] + share * inner.extent[axis]) for share in shares]
    if len(infected):
        most = planes.fullest(infected, axis, ct)
        nearest = int(np.argmin(np.abs(np.array(places) - most)))
        places[nearest] = most
    return places


def _draw_block(
    figure: Figure, top: float, row: float, block: tuple[View, ...], ct: sitk.Image, segmentation: Segmentation
) -> None:
    pictures = [grey(view.cut(ct, AIR_HU)) for view in block]
    infected = [view.cut(segmentation.infection) for view in block]
    areas = [np.count_nonzero(plane > 0.5) for plane in infected]
    rows = [
        [
            add_panel(figure, _EDGE + n * (_COLUMN + _GAP), top + line * (row + _GAP), _COLUMN, row)
            for n in range(len(block))
        ]
        for line in range(2)
    ]
    for n, (view, picture) in enumerate(zip(block, pictures, strict=True)):
        plain, outlined = rows[0][n], rows[1][n]
        show(plain, picture)
        show(outlined, picture)
        mark_corner(plain, f"{view.name} · {view.position}")
        mark_corner(outlined, "most infection" if areas[n] and areas[n] == max(areas) else "")
        _draw_masks(outlined, view, infected[n], segmentation)
    mark_orientation(rows[0][0], block[0])
    mark_scale(rows[0][0], block[0])


def _draw_masks(panel: Axes, view: View, infection: Plane, segmentation: Segmentation) -> None:
    if np.any(infection > 0.5):
        panel.contourf(infection, levels=[0.5, 2], colors=[INFECTION], alpha=OPACITY, antialiased=True)
        outline(panel, infection, INFECTION, 0.8)
    outline(panel, view.cut(segmentation.right_lung), RIGHT, 1.4)
    outline(panel, view.cut(segmentation.left_lung), LEFT, 1.4)


def _write_header(figure: Figure, segmentation: Segmentation) -> None:
    card = segmentation.segmenter
    title = shorten(f"Lungs and infection · segmenter {card.title}", 104)
    write(figure, _EDGE, 0.36, title, size=15, weight="bold")
    write(figure, _WIDTH - _EDGE, 0.36, RESEARCH_USE_ONLY, size=13, weight="bold", color=WARNING, ha="right")
    write(figure, _EDGE, 0.70, reading(segmentation), size=12, color=QUIET)


def reading(segmentation: Segmentation) -> str:
    """The numbers in one line: lungs in ml, infection ratio, its stratum and the cut-offs behind it."""
    lungs, infection = volume_ml(segmentation.lungs), volume_ml(segmentation.infection)
    return (
        f"lungs {lungs:.0f} ml · infection {infection:.1f} ml · "
        f"ratio {summary.ratio_with_stratum(segmentation.ratio, segmentation.segmenter)}"
    )


def _write_legend(figure: Figure, top: float, segmentation: Segmentation) -> None:
    left = _EDGE + 3 * (_COLUMN + _GAP) + 0.2
    right_ml, left_ml = volume_ml(segmentation.right_lung), volume_ml(segmentation.left_lung)
    infection_ml = volume_ml(segmentation.infection)
    entries = (
        (RIGHT, f"right lung  {right_ml:.0f} ml"),
        (LEFT, f"left lung  {left_ml:.0f} ml"),
        (INFECTION, f"infection  {infection_ml:.1f} ml, {summary.percent(segmentation.ratio)}"),
    )
    for line, (color, words) in enumerate(entries):
        write(figure, left, top + 0.40 + 0.36 * line, "■", size=16, color=color)
        write(figure, left + 0.3, top + 0.39 + 0.36 * line, words, size=11.5)
    notes = ["The lungs include the infection.", "Above: CT, lung window (−600 / 1500 HU);",
             "below: the same planes with the masks."]  # fmt: skip
    if infection_ml:
        notes.append("One plane of each kind shows most infection.")
    for line, words in enumerate(notes):
        write(figure, left, top + 1.62 + 0.26 * line, words, size=10.5, color=QUIET)
    if not infection_ml:
        write(figure, left, top + 2.85, "No infection was segmented.", size=12, color=WARNING)
