"""What every segmenter offers, whatever is behind it."""

from __future__ import annotations

from typing import Protocol

import SimpleITK as sitk

from ..diagnosis import Segmentation, SegmenterCard
from ..progress import Progress, silent


class Segmenter(Protocol):
    """Finds lungs and infection in a chest CT."""

    @property
    def card(self) -> SegmenterCard:
        """Which segmenter this is, and how its infection ratios are to be read."""

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT.

        Args:
            ct: Three-dimensional CT in HU, of any spacing and direction.
            progress: Told how far the work is.

        Returns:
            Masks on the grid of `ct`; empty where it shows no lungs (nothing is raised for that).
        """
