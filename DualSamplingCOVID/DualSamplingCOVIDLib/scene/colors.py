"""The attention layer's colours: from transparent to hot, one table entry for each hundredth of A^."""

from __future__ import annotations

from typing import Any

import numpy as np

LEVELS = 100
TABLE_NAME = "Dual-sampling attention"
PEAK_OPACITY = 0.85


def attentionColors() -> np.ndarray:
    """Return the table as float64 [101, 4]: red, green, blue and alpha in [0, 1] of the label values 0..100.

    Hue runs from dark red over orange to light yellow, never to white, so that the hottest voxel still
    differs from bright lung; alpha grows faster than A^, so that weak evidence, which fills the map up to its
    edges, never hides the CT.
    """
    level = np.arange(LEVELS + 1) / LEVELS
    red = np.clip(0.5 + 1.5 * level, 0.0, 1.0)
    green = np.clip(1.5 * level - 0.5, 0.0, 1.0)
    blue = np.clip(2.0 * level - 1.5, 0.0, 0.5)
    return np.stack([red, green, blue, PEAK_OPACITY * level**1.5], axis=1)


def attentionColorNode(scene: Any) -> Any:
    """Return the scene's attention colour table (`vtkMRMLColorTableNode`), added where the scene has none.

    Each entry is named by its value, which is what the Data Probe shows under the mouse.
    """
    existing = scene.GetFirstNodeByName(TABLE_NAME)
    if existing is not None and existing.IsA("vtkMRMLColorTableNode"):
        return existing
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", TABLE_NAME)
    node.SetTypeToUser()
    node.SetNumberOfColors(LEVELS + 1)
    node.GetLookupTable().SetTableRange(0, LEVELS)
    hideBelow(node, 0.0)
    # Slicer does not save a colour node that is hidden from editors, which is how it makes them.
    node.SetHideFromEditors(False)
    return node


def hideBelow(colorNode: Any, threshold: float) -> None:
    """Make the labels of A^ below a threshold in [0, 1] transparent; those from it on keep their own opacity."""
    for value, rgba in enumerate(attentionColors()):
        red, green, blue, alpha = (float(channel) for channel in rgba)
        colorNode.SetColor(value, str(value), red, green, blue, alpha if value >= LEVELS * threshold else 0.0)


def hiddenBelow(colorNode: Any) -> float:
    """Return the threshold of A^ in [0, 1] below which `hideBelow` has made the labels transparent."""
    shown = [value for value in range(1, LEVELS + 1) if _alpha(colorNode, value) > 0]
    faintest = int(np.argmax(attentionColors()[:, 3] >= 0.5 / 255))  # the table keeps alpha in 256 steps
    first = shown[0] if shown else LEVELS
    return 0.0 if first <= faintest else first / LEVELS


def _alpha(colorNode: Any, value: int) -> float:
    rgba = [0.0] * 4
    colorNode.GetColor(value, rgba)
    return rgba[3]
