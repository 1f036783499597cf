"""What the figures draw alike: colours, a picture with its masks and heat, orientation letters and scale bar.

The heat is inferno (perceptually uniform, fit for colour-blind readers), masks are orange and cyan.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .planes import Plane, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect

SCALE_BAR_MM = 50.0
DEAD_MAP = "no positive\nCOVID-19 evidence"

BACKGROUND, TEXT, QUIET, WARNING = "#0d1117", "#e6edf3", "#9aa7b4", "#ffb454"
LETTER = "#ffe066"
CYAN, INFECTION, INFECTION_EDGE = "#35d6ed", "#ff5a1f", "#ffd0b0"
FONT = "DejaVu Sans"
_OPACITY = 0.85
_SATURATED = 0.92  # inferno beyond is almost white and would look like bone
_LUNG_SHADE = 550 / 1500  # -800 HU in the lung window


def with_heat(picture: npt.NDArray[np.float64], attention: Plane) -> npt.NDArray[np.float64]:
    """Lay A^ in [0, 1] over an RGB picture: inferno, the more opaque the hotter; 0 leaves the picture as it is."""
    from matplotlib import colormaps

    heat = np.clip(attention, 0, 1).astype(np.float64)
    alpha = (_OPACITY * np.sqrt(heat) * np.clip(heat / 0.15, 0, 1))[..., None]
    return (1 - alpha) * picture + alpha * colormaps["inferno"](_SATURATED * heat)[..., :3]


def heat_bar(bar: Axes) -> None:
    """Draw the colours of A^ from 0 to 1 over healthy lung."""
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (2, 1))
    bar.imshow(with_heat(np.full((2, 256, 3), _LUNG_SHADE), ramp), aspect="auto", interpolation="bilinear",
               origin="upper", extent=(0, 1, 0, 1))  # fmt: skip
    bar.set_axis_off()


def show(panel: Axes, picture: npt.NDArray[np.float64]) -> None:
    """Show an RGB picture, its first row on top."""
    panel.imshow(picture, origin="upper", interpolation="bilinear", aspect="auto")


def fill(panel: Axes, mask: Plane, color: str, edge: str, alpha: float) -> None:
    """Fill and outline a mask where it exceeds a half."""
    if np.any(mask > 0.5):
        panel.contourf(mask, levels=[0.5, 2], colors=[color], alpha=alpha, antialiased=True)
        outline(panel, mask, edge, 1.2)


def outline(panel: Axes, mask: Plane, color: str, width: float) -> None:
    """Outline a mask where it exceeds a half."""
    if np.any(mask > 0.5):
        panel.contour(mask, levels=[0.5], colors=[color], linewidths=width)


def notice(panel: Axes, words: str) -> None:
    """Write what a reader must know over the middle of a picture."""
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=WARNING, fontsize=11,
               family=FONT, bbox={"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.75, "pad": 4})  # fmt: skip


def mark_orientation(panel: Axes, view: View) -> None:
    """Write the patient's directions at the edges and the plane's name in the corner."""
    places = ((0.025, 0.5, "left", "center"), (0.975, 0.5, "right", "center"),
              (0.5, 0.975, "center", "top"), (0.5, 0.025, "center", "bottom"))  # fmt: skip
    for letter, (x, y, horizontal, vertical) in zip(view.letters, places, strict=True):
        panel.text(x, y, letter, transform=panel.transAxes, ha=horizontal, va=vertical, color=LETTER, fontsize=13,
                   family=FONT, weight="bold", path_effects=dark_rim())  # fmt: skip
    panel.text(0.025, 0.975, view.name, transform=panel.transAxes, ha="left", va="top", color=TEXT, fontsize=10,
               family=FONT, path_effects=dark_rim())  # fmt: skip


def mark_scale(panel: Axes, view: View) -> None:
    """Draw 5 cm at the lower right."""
    length = SCALE_BAR_MM / view.pixel_mm
    right, bottom = 0.97 * view.width, view.height - 0.04 * view.width
    panel.plot([right - length, right], [bottom, bottom], color=TEXT, linewidth=2.5, solid_capstyle="butt",
               path_effects=dark_rim())  # fmt: skip
    panel.text(right - length / 2, bottom - 0.02 * view.width, "5 cm", ha="center", va="bottom", color=TEXT,
               fontsize=10, family=FONT, path_effects=dark_rim())  # fmt: skip
    panel.set_xlim(-0.5, view.width - 0.5)
    panel.set_ylim(view.height - 0.5, -0.5)


def dark_rim() -> list[AbstractPathEffect]:
    """Return what keeps letters readable on any picture."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground=BACKGROUND)]


def shorten(words: str, width: int) -> str:
    """Cut words to a width in characters."""
    return textwrap.shorten(words, width, placeholder=" …")
