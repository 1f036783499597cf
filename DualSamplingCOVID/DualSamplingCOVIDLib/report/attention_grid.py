"""The paper's Fig. 5 for several cases: CT, infection, and each method's map, in an axial and a coronal plane.

Cases come as volumes on the network grid, whose axes are the patient's left, posterior and superior, so the CT is shown
as the network sees it: lungs only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..diagnosis import RESEARCH_USE_ONLY
from ..summary import percent
from . import planes
from .drawing import (
    BACKGROUND,
    QUIET,
    WARNING,
    add_panel,
    as_rgb,
    heat_bar,
    mark_corner,
    mark_view,
    outlined,
    save,
    show,
    show_infection,
    show_map,
    show_no_map,
    write,
)
from .planes import Box, Point, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Volume = npt.NDArray[np.float32]

_DPI = 150
_COLUMN, _EDGE, _GAP = 2.55, 0.16, 0.05
_HEADER, _STRIP, _SPACE, _FOOTER = 1.30, 0.40, 0.16, 0.98
_PANEL_PIXELS = 400


@dataclass(frozen=True)
class EvidenceCase:
    """One case of the grid; arrays [k, j, i] on axes L (i), P (j) and S (k).

    `image` is the network's input in [0, 1]; `infection` and `lungs` are shares of voxels. `maps` has A^ by the title
    of its column (an all-zero map is a dead one); `probabilities` of COVID-19 and `energies`, the share of each
    map's sum inside the infection, are written beside it where they are there.
    """

    case_id: str
    label: str
    stratum: str
    ratio: float
    spacing_xyz: tuple[float, float, float]
    image: Volume
    infection: Volume
    lungs: Volume
    maps: Mapping[str, Volume]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    energies: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.image, self.infection, self.lungs, *self.maps.values())}
        if len(shapes) != 1:
            raise ValueError(f"the volumes of {self.case_id} must share one grid, got {sorted(shapes)}")

    @property
    def heading(self) -> str:
        """What stands above the case's pictures."""
        infected = f"{self.stratum.capitalize()}: {percent(self.ratio)} of the lungs infected"
        return f"{infected} · {self.label} · {self.case_id}"

    def note(self, title: str) -> str:
        """What stands in the corner of a map; empty where nothing is known or defined."""
        probability, energy = (values.get(title, math.nan) for values in (self.probabilities, self.energies))
        words = [] if math.isnan(probability) else [f"P {probability:.2f}"]
        return " · ".join(words if math.isnan(energy) else [*words, f"{percent(energy)} inside"])

    def volume(self, array: Volume) -> sitk.Image:
        """Return an array as an image in LPS mm, its first voxel at the origin."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=np.float32))
        image.SetSpacing(self.spacing_xyz)
        return image


def save_grid(path: Path, cases: Sequence[EvidenceCase]) -> None:
    """Write the grid as a PNG; the same cases give the same bytes.

    Args:
        path: the PNG to write.
        cases: from top to bottom, such as the median case of each ratio stratum.

    Raises:
        ValueError: there is no case, or no map.
    """
    save(path, draw_grid(cases))


def grid_views(cases: Sequence[EvidenceCase]) -> list[tuple[View, View]]:
    """Return each case's axial and coronal view through its infection, all of one size and scale.

    The infection's plane is that of `planes.lesion_centre`; without infection it is the lungs' middle.
    """
    boxes = [_box(case) for case in cases]
    extent = np.max([box.extent for box in boxes], axis=0)
    pixel_mm = float(extent[0]) / _PANEL_PIXELS
    views = []
    for case, box in zip(cases, boxes, strict=True):
        middle = (box.low + box.high) / 2
        whole = planes.bounds(case.volume(case.lungs))
        low = np.maximum(np.minimum(middle - extent / 2, whole.high - extent), whole.low)
        same = Box(low, low + extent)
        through = _centre(case)
        views.append((planes.axial(same, through, pixel_mm), planes.coronal(same, through, pixel_mm)))
    return views


def draw_grid(cases: Sequence[EvidenceCase]) -> Figure:
    """Compose the grid without writing it; its axes are the pictures row by row, then the colour bar."""
    from matplotlib.figure import Figure

    titles = list(dict.fromkeys(title for case in cases for title in case.maps))
    if not titles:
        raise ValueError("an evidence grid needs at least one case with at least one map")
    views = grid_views(cases)
    page = _Page(len(titles) + 2, len(cases), *(_COLUMN * view.height / view.width for view in views[0]))
    figure = Figure(figsize=(page.width, page.height), dpi=_DPI, facecolor=BACKGROUND)
    for index, (case, both) in enumerate(zip(cases, views, strict=True)):
        write(figure, _EDGE, page.strip(index), case.heading, size=11.5, weight="bold")
        for row, view in enumerate(both):
            _draw_row(figure, page, index, row, view, case, titles)
    _write_header(figure, page, titles)
    _write_footer(figure, page)
    return figure


@dataclass(frozen=True)
class _Page:
    """Where things stand, in inches from the figure's top left corner."""

    columns: int
    cases: int
    axial: float
    coronal: float

    @property
    def width(self) -> float:
        return 2 * _EDGE + self.columns * _COLUMN + (self.columns - 1) * _GAP

    @property
    def height(self) -> float:
        return _HEADER + self.cases * self._case - _SPACE + _FOOTER

    @property
    def _case(self) -> float:
        return _STRIP + self.axial + _GAP + self.coronal + _SPACE

    def strip(self, case: int) -> float:
        """Return the baseline of a case's heading."""
        return _HEADER + case * self._case + 0.27

    def left(self, column: int) -> float:
        return _EDGE + column * (_COLUMN + _GAP)

    def place(self, case: int, row: int, column: int) -> tuple[float, float, float, float]:
        top = _HEADER + case * self._case + _STRIP + row * (self.axial + _GAP)
        return self.left(column), top, _COLUMN, self.coronal if row else self.axial


def _draw_row(
    figure: Figure, page: _Page, index: int, row: int, view: View, case: EvidenceCase, titles: list[str]
) -> None:
    picture = as_rgb(view.cut(case.volume(case.image)))
    infection = view.cut(case.volume(outlined(case.infection)))
    axes = [add_panel(figure, *page.place(index, row, column)) for column in range(page.columns)]
    show(axes[0], picture)
    show(axes[1], picture)
    show_infection(axes[1], infection, bool(case.infection.any()))
    for panel, title in zip(axes[2:], titles, strict=True):
        _draw_map(panel, view, picture, infection, case, title)
        if row == 0:
            mark_corner(panel, case.note(title))
    mark_view(axes[0], view)


def _draw_map(
    panel: Axes, view: View, picture: npt.NDArray[np.float64], infection: planes.Plane, case: EvidenceCase, title: str
) -> None:
    if title not in case.maps:
        show_no_map(panel, picture, "no such model")
        return
    a_hat = case.maps[title]
    show_map(panel, picture, view.cut(case.volume(a_hat)) if a_hat.any() else None, infection, 0.9)


def _mask(infection: Volume) -> Volume:
    return (outlined(infection) >= 0.5).astype(np.float32) if infection.any() else infection


def _box(case: EvidenceCase) -> Box:
    whole = planes.bounds(case.volume(case.lungs))
    return planes.around_evidence(whole, case.volume(case.lungs), [case.volume(each) for each in case.maps.values()])


def _centre(case: EvidenceCase) -> Point:
    mask = sitk.Cast(case.volume(_mask(case.infection)), sitk.sitkUInt8)
    found = planes.lesion_centre(mask)
    if found is not None:
        return found
    box = planes.bounds_above(case.volume(case.lungs), 0) or planes.bounds(mask)
    return (box.low + box.high) / 2


def _write_header(figure: Figure, page: _Page, titles: list[str]) -> None:
    write(figure, _EDGE, 0.34, "Where the networks find evidence of COVID-19", size=16, weight="bold")
    write(figure, page.width - _EDGE, 0.34, RESEARCH_USE_ONLY, size=13, weight="bold", color=WARNING,
           ha="right")  # fmt: skip
    reading = "each case by models that did not learn from it; axial above, coronal below, through the infection"
    write(figure, _EDGE, 0.62, reading, size=10, color=QUIET)
    columns = [("CT", "as the network sees it: lungs"), ("Infection", "the segmenter's or a person's")]
    columns += [(title, "") for title in titles]
    for column, (title, second) in enumerate(columns):
        middle = page.left(column) + _COLUMN / 2
        write(figure, middle, 1.02 if second else 1.12, title, size=12, weight="bold", ha="center")
        write(figure, middle, 1.24, second, size=9.5, color=QUIET, ha="center")


def _write_footer(figure: Figure, page: _Page) -> None:
    top = page.height - _FOOTER
    for line, words in enumerate((
        "orange: infection, outlined in white on the maps · letters: the patient's directions · bar: 5 cm",
        "maps: each scaled to 0–1 for itself, so colours do not compare strength between maps",
        "P: that network's probability of COVID-19 · inside: share of the whole map's sum that lies in the infection",
    )):  # fmt: skip
        write(figure, _EDGE, top + 0.32 + 0.23 * line, words, size=9.5, color=QUIET)
    left, width = page.left(page.columns - 1) - 0.4, _COLUMN + 0.2
    heat_bar(figure, left, top + 0.2, width)
