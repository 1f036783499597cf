"""What lies over the CT in the slice views, and how: the attention map and its opacity, lungs and infection."""

from __future__ import annotations

from typing import Any

from ..segments import INFECTION, LEFT_LUNG, RIGHT_LUNG
from . import nodes, views
from .colors import attentionColorNode, hideBelow
from .result import DECISION, Result

LUNGS = (RIGHT_LUNG.identifier, LEFT_LUNG.identifier)
INFECTED = (INFECTION.identifier,)
_SHOWN_MAP, _SHOWN_OPPOSITE = "shown map", "shown opposite"


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
    """Set the opacity in [0, 1] of a result's attention layer in every slice view that shows it."""
    for composite in views.compositeNodes(scene):
        if composite.GetLabelVolumeID() == result.attention.GetID():
            composite.SetLabelOpacity(opacity)


def setAttentionThreshold(scene: Any, threshold: float) -> None:
    """Hide the attention below a threshold of A^ in [0, 1], in all results of the scene (they share the colours)."""
    hideBelow(attentionColorNode(scene), threshold)


def setShown(result: Result, segments: tuple[str, ...], shown: bool) -> None:
    """Show or hide segments in slice views and in 3D."""
    display = result.segmentation.GetDisplayNode()
    for identifier in segments:
        display.SetSegmentVisibility(identifier, shown)


def setOpacity(result: Result, segments: tuple[str, ...], opacity: float) -> None:
    """Set how much of the CT segments cover, in [0, 1]: their outline, and their fill a quarter of it."""
    display = result.segmentation.GetDisplayNode()
    for identifier in segments:
        display.SetSegmentOpacity2DOutline(identifier, opacity)
        display.SetSegmentOpacity2DFill(identifier, opacity / 4)


def setFilled(result: Result, filled: bool) -> None:
    """Show the segments filled, or as outlines alone."""
    display = result.segmentation.GetDisplayNode()
    for identifier in (*LUNGS, *INFECTED):
        display.SetSegmentVisibility2DFill(identifier, filled)
        display.SetSegmentVisibility2DOutline(identifier, True)


def show3D(result: Result, shown: bool) -> None:
    """Show or hide the segments' surfaces in the 3D views; they are made at the first time."""
    if shown:
        result.segmentation.CreateClosedSurfaceRepresentation()
    display = result.segmentation.GetDisplayNode()
    display.SetVisibility3D(shown)
    if shown:
        display.SetPreferredDisplayRepresentationName3D("Closed surface")
