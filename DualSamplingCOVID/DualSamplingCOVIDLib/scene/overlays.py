"""What lies over the CT in the slice views, and how: the attention map and its opacity, lungs and infection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..segments import INFECTION, LEFT_LUNG, RIGHT_LUNG
from . import nodes, views
from .colors import hiddenBelow, hideBelow
from .nodes import INFECTION_FILL
from .result import DECISION, Result, allResults

LUNGS = (RIGHT_LUNG.identifier, LEFT_LUNG.identifier)
INFECTED = (INFECTION.identifier,)
SURFACE = "Closed surface"
_OPACITY = "attention opacity"
_SHOWN_MAP, _SHOWN_OPPOSITE = "shown map", "shown opposite"


@dataclass(frozen=True)
class Shown:
    """How a result lies over its CT at the moment: opacities and threshold in [0, 1]."""

    attention: float
    threshold: float
    lungs: float
    infection: float
    lungsShown: bool
    infectionShown: bool
    filled: bool
    in3D: bool


def state(result: Result) -> Shown:
    """Return how a result is shown."""
    display = result.segmentation.GetDisplayNode()
    return Shown(
        attention=float(result.node.GetParameter(_OPACITY) or 1.0),
        threshold=hiddenBelow(result.attention.GetDisplayNode().GetColorNode()),
        lungs=float(display.GetSegmentOpacity2DOutline(LUNGS[0])),
        infection=float(display.GetSegmentOpacity2DOutline(INFECTED[0])),
        lungsShown=bool(display.GetSegmentVisibility(LUNGS[0])),
        infectionShown=bool(display.GetSegmentVisibility(INFECTED[0])),
        filled=bool(display.GetSegmentVisibility2DFill(LUNGS[0])),
        in3D=bool(display.GetVisibility3D() and result.segmentation.GetSegmentation().ContainsRepresentation(SURFACE)),
    )


def showAlone(result: Result) -> None:
    """Show a result's lungs and infection, and hide those of the scene's other results."""
    for other in allResults(result.node.GetScene()):
        if other.segmentation is not None and other.segmentation.GetDisplayNode() is not None:
            other.segmentation.GetDisplayNode().SetVisibility(other.segmentation is result.segmentation)


def showMap(result: Result, name: str = DECISION, opposite: bool = False) -> None:
    """Fill the attention layer with the map of a member or of the decision, for COVID-19 or (`opposite`) for CAP.

    Raises:
        KeyError: the scene does not hold that map any more.
    """
    nodes.refillAttention(result.attention, result.map(name, opposite))
    result.node.SetParameter(_SHOWN_MAP, name)
    result.node.SetParameter(_SHOWN_OPPOSITE, str(opposite))


def shownMap(result: Result) -> tuple[str, bool]:
    """Return whose map the attention layer shows, and whether it is the one for CAP."""
    return result.node.GetParameter(_SHOWN_MAP) or DECISION, result.node.GetParameter(_SHOWN_OPPOSITE) == str(True)


def setAttentionOpacity(scene: Any, result: Result, opacity: float) -> None:
    """Set the opacity in [0, 1] of a result's attention layer in every slice view that shows it; it is remembered."""
    result.node.SetParameter(_OPACITY, repr(opacity))
    for composite in views.compositeNodes(scene):
        if composite.GetLabelVolumeID() == result.attention.GetID():
            composite.SetLabelOpacity(opacity)


def setAttentionThreshold(result: Result, threshold: float) -> None:
    """Hide the attention below a threshold of A^ in [0, 1], in all results that share the colours."""
    hideBelow(result.attention.GetDisplayNode().GetColorNode(), threshold)


def setShown(result: Result, segments: tuple[str, ...], shown: bool) -> None:
    """Show or hide segments in slice views and in 3D."""
    display = result.segmentation.GetDisplayNode()
    for identifier in segments:
        display.SetSegmentVisibility(identifier, shown)


def setOpacity(result: Result, segments: tuple[str, ...], opacity: float) -> None:
    """Set how much of the CT segments cover, in [0, 1]: their outline, and their fill a tenth of it."""
    display = result.segmentation.GetDisplayNode()
    for identifier in segments:
        display.SetSegmentOpacity2DOutline(identifier, opacity)
        display.SetSegmentOpacity2DFill(identifier, INFECTION_FILL * opacity)


def setFilled(result: Result, filled: bool) -> None:
    """Show the lungs filled like the infection, or as outlines alone."""
    display = result.segmentation.GetDisplayNode()
    for identifier in LUNGS:
        display.SetSegmentVisibility2DFill(identifier, filled)


def show3D(result: Result, shown: bool) -> None:
    """Show or hide the segments' surfaces in the 3D views; they are made at the first time."""
    if shown:
        result.segmentation.CreateClosedSurfaceRepresentation()
    display = result.segmentation.GetDisplayNode()
    display.SetVisibility3D(shown)
    if shown:
        display.SetPreferredDisplayRepresentationName3D(SURFACE)
