"""Segmenters: lungs and infection of a chest CT, one file a back-end."""

from __future__ import annotations

from ..errors import InputError
from .given import GivenMasks
from .protocol import Segmenter
from .threshold import ThresholdSegmenter

__all__ = ["GivenMasks", "Segmenter", "ThresholdSegmenter", "segmenter"]

_BACK_ENDS = {"threshold": ThresholdSegmenter}


def segmenter(name: str) -> Segmenter:
    """Return the segmenter called `name`.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return _BACK_ENDS[name]()
    except KeyError:
        raise InputError(f"unknown segmenter {name!r}: choose one of {', '.join(sorted(_BACK_ENDS))}") from None
