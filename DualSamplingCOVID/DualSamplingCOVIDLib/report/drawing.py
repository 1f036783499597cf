"""What the pictures share: lung window, heat, outlines and fills, orientation letters, scale bar, words, colours.

The heat is inferno (perceptually uniform, fit for colour-blind readers), masks are orange and cyan.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .planes import Plane, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patheffects import AbstractPathEffect

LUNG_WINDOW_HU = (-1350.0, 150.0)
SCALE_BAR_MM = 50.0
AIR_HU = -1024.0
BACKGROUND, TEXT, QUIET, WARNING = "#0d1117", "#e6edf3", "#9aa7b4", "#ffb454"
CYAN, INFECTION, INFECTION_EDGE = "#35d6ed", "#ff5a1f", "#ffd0b0"
FONT = "DejaVu Sans"
DEAD_MAP = "no positive\nCOVID-19 evidence"

_LETTER = "#ffe066"
_OPACITY = 0.85
_SATURATED = 0.92  # inferno beyond is almost white and would look like bone
_HEALTHY_LUNG_HU = -800


def grey(hounsfield: Plane) -> npt.NDArray[np.float64]:
    """Lung window (level -600, width 1500 HU) as RGB in [0, 1], shape [height, width, 3]."""
    low, high = LUNG_WINDOW_HU
    return as_rgb((hounsfield - low) / (high - low))


def as_rgb(shade: Plane) -> npt.NDArray[np.float64]:
    """Shades of grey in [0, 1] as RGB, shape [height, width, 3]; what lies outside is cut."""
    return np.repeat(np.clip(shade, 0, 1).astype(np.float64)[..., None], 3, axis=2)


def with_heat(picture: npt.NDArray[np.float64], attention: Plane) -> npt.NDArray[np.float64]:
    """Lay A^ in [0, 1] over an RGB picture: inferno, the more opaque the hotter; 0 leaves the picture as it is."""
    from matplotlib import colormaps

    heat = np.clip(attention, 0, 1).astype(np.float64)
    alpha = _OPACITY * heat[..., None]
    return (1 - alpha) * picture + alpha * colormaps["inferno"](_SATURATED * heat)[..., :3]


def add_panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes without ticks or frame; all in inches from the figure's top left corner."""
    whole_width, whole_height = figure.get_size_inches()
    place = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    axes = figure.add_axes(place)
    axes.set_axis_off()
    return axes


def show(panel: Axes, picture: npt.NDArray[np.float64]) -> None:
    """Show an RGB picture that fills a panel."""
    panel.imshow(picture, origin="upper", interpolation="bilinear", aspect="auto")


def fill(panel: Axes, mask: Plane, color: str, edge: str, alpha: float) -> None:
    """Fill a mask, cut at one half, and draw its edge."""
    if np.any(mask > 0.5):
        panel.contourf(mask, levels=[0.5, 2], colors=[color], alpha=alpha, antialiased=True)
        outline(panel, mask, edge, 1.2)


def outline(panel: Axes, mask: Plane, color: str, width: float) -> None:
    """Draw a mask's edge (one half), `width` in points."""
    if np.any(mask > 0.5):
        panel.contour(mask, levels=[0.5], colors=[color], linewidths=width)


def outlined(infection: Plane) -> Plane:
    """Scale shares so that the outline at one half shows even an infection that fills no voxel by a half."""
    most = float(infection.max())
    return infection / most if 0 < most < 1 else infection


def notice(panel: Axes, words: str) -> None:
    """Write what a reader must know over the middle of a picture."""
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=WARNING, fontsize=11,
               family=FONT, bbox={"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.75, "pad": 4})  # fmt: skip


def show_infection(panel: Axes, infection: Plane, is_anywhere: bool) -> None:
    """Fill the infection in a plane; where it has none, say whether there is any in other planes."""
    fill(panel, infection, INFECTION, INFECTION_EDGE, 0.6)
    if not np.any(infection > 0.5):
        notice(panel, "none in this plane" if is_anywhere else "no infection\nsegmented")


def show_map(
    panel: Axes, picture: npt.NDArray[np.float64], attention: Plane | None, infection: Plane, width: float
) -> None:
    """Show A^ in [0, 1] over an RGB picture with the infection's edge, `width` in points; None is a dead map."""
    if attention is None:
        show(panel, 0.6 * picture)
        notice(panel, DEAD_MAP)
    else:
        show(panel, with_heat(picture, attention))
        outline(panel, infection, "white", width)


def show_no_map(panel: Axes, picture: npt.NDArray[np.float64], words: str) -> None:
    """Leave a map's place dark, as large as an RGB picture, and say why."""
    show(panel, np.full_like(picture, 0.07))
    notice(panel, words)


def mark_view(panel: Axes, view: View) -> None:
    """Write a view's orientation letters, its name and position, and draw its scale."""
    mark_orientation(panel, view)
    mark_corner(panel, view.name)
    mark_corner(panel, view.position, at_top=False)
    mark_scale(panel, view)


def mark_orientation(panel: Axes, view: View) -> None:
    """Write the orientation letters at the edges."""
    places = ((0.025, 0.5, "left", "center"), (0.975, 0.5, "right", "center"),
              (0.5, 0.975, "center", "top"), (0.5, 0.025, "center", "bottom"))  # fmt: skip
    for letter, (x, y, horizontal, vertical) in zip(view.letters, places, strict=True):
        panel.text(x, y, letter, transform=panel.transAxes, ha=horizontal, va=vertical, color=_LETTER, fontsize=13,
                   family=FONT, weight="bold", path_effects=_dark_rim())  # fmt: skip


def mark_corner(panel: Axes, words: str, *, at_top: bool = True) -> None:
    """Write words in the upper or the lower left corner."""
    y, vertical = (0.975, "top") if at_top else (0.025, "bottom")
    panel.text(0.025, y, words, transform=panel.transAxes, ha="left", va=vertical, color=TEXT, fontsize=10,
               family=FONT, parse_math=False, path_effects=_dark_rim())  # fmt: skip


def mark_scale(panel: Axes, view: View) -> None:
    """Draw a bar of 5 cm in the lower right corner."""
    length = SCALE_BAR_MM / view.pixel_mm
    right, bottom = 0.97 * view.width, view.height - 0.04 * view.width
    panel.plot([right - length, right], [bottom, bottom], color=TEXT, linewidth=2.5, solid_capstyle="butt",
               path_effects=_dark_rim())  # fmt: skip
    panel.text(right - length / 2, bottom - 0.02 * view.width, "5 cm", ha="center", va="bottom", color=TEXT,
               fontsize=10, family=FONT, path_effects=_dark_rim())  # fmt: skip
    panel.set_xlim(-0.5, view.width - 0.5)
    panel.set_ylim(view.height - 0.5, -0.5)


def write(
    figure: Figure,
    left: float,
    baseline: float,
    words: str,
    *,
    size: float,
    color: str = TEXT,
    weight: str = "normal",
    ha: str = "left",
) -> None:
    """Write at inches from the top left; what others wrote is never parsed as a formula."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - baseline / height, words, fontsize=size, color=color, ha=ha,
                va="baseline", weight=weight, family=FONT, parse_math=False)  # fmt: skip


def heat_bar(figure: Figure, left: float, top: float, width: float) -> None:
    """Draw the colours of A^ from 0 to 1 over healthy lung, with numbers; in inches from the top left corner."""
    bar = add_panel(figure, left, top, width, 0.15)
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (2, 1))
    bar.imshow(with_heat(grey(np.full((2, 256), _HEALTHY_LUNG_HU, np.float32)), ramp), aspect="auto",
               interpolation="bilinear", origin="upper", extent=(0, 1, 0, 1))  # fmt: skip
    for value in (0.0, 0.5, 1.0):
        write(figure, left + value * width, top + 0.3, f"{value:g}", size=9.5, ha="center")
    write(figure, left - 0.12, top + 0.13, "Â of each map", size=10, ha="right")


def shorten(words: str, width: int) -> str:
    """Cut a line between two words to a width in characters."""
    return textwrap.shorten(words, width, placeholder=" …")


def save(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    quickly = {"compress_level": 3}  # a third of the usual seconds for a tenth more bytes
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None}, pil_kwargs=quickly)


def _dark_rim() -> list[AbstractPathEffect]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground=BACKGROUND)]
