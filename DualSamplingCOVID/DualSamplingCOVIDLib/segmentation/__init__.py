"""Segmenters: lungs and infection of a chest CT, one file a back-end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..diagnosis import SegmenterCard
from ..errors import InputError
from .given import GivenMasks
from .lungmask import Lungmask
from .monai import MonaiBundle
from .networks import LabelNetwork, NetworkSegmenter
from .nnunet import NNUNet
from .protocol import Segmenter
from .threshold import ThresholdSegmenter
from .totalsegmentator import TotalSegmentator
from .vbnet import VBNetSegmenter

__all__ = [
    "CHOICES",
    "DEFAULT",
    "GivenMasks",
    "Segmenter",
    "ThresholdSegmenter",
    "VBNetSegmenter",
    "name_for",
    "segmenter",
]

_NETWORKS: dict[str, Callable[[str | None], LabelNetwork]] = {
    "lungmask": Lungmask,
    "totalsegmentator": TotalSegmentator,
    "nnunet": NNUNet,
    "monai": MonaiBundle,
}
"""Those of other packages, made of what stands behind the colon; the default segmenter finds what they do not."""

DEFAULT = "threshold"
"""Who segments where nobody says, and no bundle learned with another."""

CHOICES = (
    "vbnet",
    "vbnet:FOLDER",
    "threshold",
    "lungmask",
    "lungmask:MODEL",
    "totalsegmentator",
    "nnunet:FOLDER",
    "monai:FOLDER",
)
"""How segmenters are named; MODEL is R231, R231CovidWeb or a file of weights."""


def name_for(card: SegmenterCard) -> str:
    """Return the name of the segmenter that a bundle learned with, the default where only another's masks can do."""
    return card.name if card.name in ("vbnet", "threshold") else DEFAULT


def segmenter(name: str) -> Segmenter:
    """Return the segmenter called `name`, one of `CHOICES`.

    Raises:
        InputError: there is none of that name, or what it needs is missing.
        BundleError: the folder of a trained VB-Net is missing, altered or of another architecture.
    """
    kind, colon, argument = name.partition(":")
    if kind in _NETWORKS:
        return NetworkSegmenter(_NETWORKS[kind](argument or None), segmenter(DEFAULT))
    if kind == "vbnet":
        return VBNetSegmenter(Path(argument) if argument else None)
    if kind != "threshold":
        raise InputError(f"unknown segmenter {name!r}: choose one of {', '.join(CHOICES)}")
    if colon:
        raise InputError(f"the segmenter {kind} takes no argument, got {argument!r}")
    return ThresholdSegmenter()
