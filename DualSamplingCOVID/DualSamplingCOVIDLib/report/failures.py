"""The cases that fail (the paper's Fig. 6): grids of what the networks saw, each cell named and numbered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.cases import JudgedCase
from ..run_folder.volume import read_volume
from . import drawing
from .planes import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, ROWS = 5, 4
PAGES = 3
"""At most so many pages a set are drawn; every failure is in the index."""

_WIDTH, _DPI, _WORDS = 10.0, 160, 0.62
_EDGE, _FOOT = 0.03, 0.2
_MISSED, _FALSE_ALARM = drawing.WARNING, "#7cc4ff"


@dataclass(frozen=True)
class Page:
    """One grid: its file, and the numbers of its first and last failure in the index (from 1)."""

    file: str
    first: int
    last: int


def write(
    folder: Path, set_name: str, failed: Sequence[JudgedCase], spacing_xyz: tuple[float, float, float]
) -> tuple[Page, ...]:
    """Draw the failures of one set, in their order, as ``failures-<set>-<page>.png``.

    Args:
        folder: where the pictures go.
        set_name: ``"validation"`` or ``"test"``.
        failed: of `evaluation.cases.failures`.
        spacing_xyz: of the prepared volumes in mm.

    A case without a prepared volume keeps its cell, which says so.
    """
    pages = []
    size = COLUMNS * ROWS
    for number in range(min(PAGES, math.ceil(len(failed) / size))):
        shown = failed[number * size : (number + 1) * size]
        page = Page(f"failures-{set_name}-{number + 1}.png", number * size + 1, number * size + len(shown))
        drawing.save(folder / page.file, _draw(shown, page.first, spacing_xyz))
        pages.append(page)
    return tuple(pages)


def planes(path: Path) -> tuple[Plane, Plane, Plane, Plane]:
    """Return the axial and coronal plane of a prepared volume, and the infection's share in both.

    They pass through the level and the depth with most infection (without infection: most lung). The prepared axes are
    the patient's, so the pictures are radiological: right at the left, anterior or superior up. InputError where the
    file is no prepared case.
    """
    image, infection, lungs = read_volume(path)
    weight = infection if infection.any() else lungs
    level = int(np.argmax(weight.sum(axis=(1, 2))))
    depth = int(np.argmax(weight.sum(axis=(0, 2))))
    return image[level], image[::-1, depth], infection[level], infection[::-1, depth]


def _draw(shown: Sequence[JudgedCase], first: int, spacing: tuple[float, float, float]) -> Figure:
    from matplotlib.figure import Figure

    volumes = [_planes_or_none(one) for one in shown]
    shape = next((found for found in volumes if found is not None), None)
    x, y, z = spacing
    column = _WIDTH / COLUMNS
    heights = [0.8 * column, 0.55 * column]
    if shape is not None:
        wide = shape[0].shape[1] * x
        heights = [column * shape[0].shape[0] * y / wide, column * shape[1].shape[0] * z / wide]
    cell = sum(heights) + _WORDS
    rows = math.ceil(len(shown) / COLUMNS)
    total = rows * cell + _FOOT
    figure = Figure(figsize=(_WIDTH, total), dpi=_DPI, facecolor=drawing.BACKGROUND)
    for number, (one, found) in enumerate(zip(shown, volumes, strict=True)):
        left, top = (number % COLUMNS) * column, (number // COLUMNS) * cell
        _write(figure, left, top, first + number, one)
        for height, offset, view in ((heights[0], _WORDS, 0), (heights[1], _WORDS + heights[0], 1)):
            axes = drawing.add_panel(figure, left + _EDGE, top + offset + _EDGE, column - 2 * _EDGE, height - _EDGE)
            if found is not None:
                _show(axes, found[view], found[view + 2])
            elif not view:
                drawing.notice(axes, "no prepared\nvolume")
    drawing.write(figure, 0.05, total - 0.06, "Research use only.", size=8.0, color=drawing.TEXT)
    return figure


def _planes_or_none(one: JudgedCase) -> tuple[Plane, Plane, Plane, Plane] | None:
    path = one.case.prepared
    return planes(path) if path is not None and path.is_file() else None


def _show(axes: Axes, picture: Plane, infection: Plane) -> None:
    drawing.show(axes, drawing.as_rgb(picture))
    drawing.outline(axes, drawing.outlined(infection), drawing.INFECTION, 1.0)
    axes.text(0.02, 0.5, "R", transform=axes.transAxes, color=drawing.TEXT, fontsize=8, va="center",
              family=drawing.FONT)  # fmt: skip


def _write(figure: Figure, left: float, top: float, number: int, one: JudgedCase) -> None:
    color = _MISSED if one.false_negative else _FALSE_ALARM
    what = "missed COVID-19" if one.false_negative else "CAP called COVID-19"
    lines = (
        (f"{number}  {what}", color, 9.0, "bold"),
        (f"P(COVID-19) {one.probability:.2f} · ratio {one.case.ratio:.4f}", drawing.TEXT, 8.5, "normal"),
        (_shortened(one.case.case_id, 30), drawing.TEXT, 8.0, "normal"),
    )
    for line, (words, shade, size, weight) in enumerate(lines):
        drawing.write(figure, left + 0.05, top + 0.19 + 0.175 * line, words, size=size, color=shade, weight=weight)


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
