"""Segmenters: lungs and infection of a chest CT, one file a back-end."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError
from .given import GivenMasks
from .lungmask import Lungmask
from .monai import MonaiBundle
from .networks import LabelNetwork, NetworkSegmenter
from .nnunet import NNUNet
from .protocol import Segmenter
from .threshold import ThresholdSegmenter
from .totalsegmentator import TotalSegmentator

__all__ = ["CHOICES", "GivenMasks", "Segmenter", "ThresholdSegmenter", "segmenter"]

_BACK_ENDS: dict[str, Callable[[], Segmenter]] = {"threshold": ThresholdSegmenter}
"""Our own, which find lungs and infection and need nothing else."""

_NETWORKS: dict[str, Callable[[str | None], LabelNetwork]] = {
    "lungmask": Lungmask,
    "totalsegmentator": TotalSegmentator,
    "nnunet": NNUNet,
    "monai": MonaiBundle,
}
"""Those of other packages, made of what stands behind the colon; the default segmenter finds what they do not."""

_DEFAULT = "threshold"

CHOICES = (*_BACK_ENDS, "lungmask", "lungmask:MODEL", "totalsegmentator", "nnunet:FOLDER", "monai:FOLDER")
"""How segmenters are named; MODEL is R231, R231CovidWeb or a file of weights."""


def segmenter(name: str) -> Segmenter:
    """Return the segmenter called `name`, one of `CHOICES`.

    Raises:
        InputError: there is none of that name, or what it needs is missing.
    """
    kind, colon, argument = name.partition(":")
    if kind in _NETWORKS:
        return NetworkSegmenter(_NETWORKS[kind](argument or None), _BACK_ENDS[_DEFAULT]())
    if kind not in _BACK_ENDS:
        raise InputError(f"unknown segmenter {name!r}: choose one of {', '.join(CHOICES)}")
    if colon:
        raise InputError(f"the segmenter {kind} takes no argument, got {argument!r}")
    return _BACK_ENDS[kind]()
