"""Segmenters: lungs and infection of a chest CT, one file a back-end."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..diagnosis import SegmenterCard
from ..errors import InputError
from . import trained
from .given import GivenMasks, finder
from .lungmask import Lungmask
from .monai import MonaiBundle
from .networks import LabelNetwork, NetworkSegmenter
from .nnunet import NNUNet
from .protocol import Segmenter
from .threshold import ThresholdSegmenter
from .totalsegmentator import TotalSegmentator
from .vbnet import VBNetSegmenter, shipped

__all__ = [
    "CHOICES",
    "DEFAULT",
    "GivenMasks",
    "Segmenter",
    "ThresholdSegmenter",
    "VBNetSegmenter",
    "finder",
    "folder_of",
    "found_anywhere",
    "is_network",
    "keep",
    "kept",
    "name_for",
    "segmenter",
]

_NETWORKS: dict[str, Callable[[str | None, str], LabelNetwork]] = {
    "lungmask": Lungmask,
    "totalsegmentator": TotalSegmentator,
    "nnunet": NNUNet,
    "monai": MonaiBundle,
}
"""Those of other packages, made of what stands behind the colon and a device; the default finds what they do not."""


def _installed(package: str) -> bool:
    try:
        found = find_spec(package)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None  # a folder that was left over has none


DEFAULT = "vbnet" if _installed("torch") and _installed("safetensors") else "threshold"
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


def name_for(card: SegmenterCard, carried: Path | None) -> str:
    """Return the name of the segmenter for a bundle: that which it carries or learned with, else the default."""
    if carried is not None:
        return f"vbnet:{carried}"
    found = card.name.partition(" with ")[0]  # the rest was another's, or given
    return found if found in ("vbnet", "threshold") else DEFAULT


def is_network(name: str) -> bool:
    """Whether networks segment here, which take a GPU where there is one."""
    return name.partition(":")[0] != "threshold"


def folder_of(name: str) -> Path | None:
    """Return the folder that a named segmenter was read from; None where no folder makes it what it is."""
    kind, _, argument = name.partition(":")
    if argument:
        return Path(argument)
    return shipped() if kind == "vbnet" else None


def keep(name: str, folder: Path) -> None:
    """Copy the segmenter called `name` into `folder`, if it is a VB-Net; others cannot be copied.

    Raises:
        BundleError: its folder is missing, altered or of another architecture.
    """
    source = folder_of(name) if name.partition(":")[0] == "vbnet" else None
    if source is not None:
        trained.copy(source, folder)


def kept(name: str, folder: Path) -> str:
    """Return the name of the segmenter that `keep` copied into `folder`, or `name` where it copied none."""
    return f"vbnet:{folder}" if folder.is_dir() else name


def found_anywhere(name: str) -> str:
    """Return the name with the file or folder behind its colon, where there is one, as an absolute path."""
    kind, colon, argument = name.partition(":")
    return f"{kind}:{Path(argument).resolve()}" if colon and argument and Path(argument).exists() else name


def segmenter(name: str, device: str = "auto") -> Segmenter:
    """Return the segmenter called `name`, one of `CHOICES`.

    Args:
        name: which.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``, for networks.

    Raises:
        InputError: there is none of that name, or what it needs is missing.
        BundleError: the folder of a trained VB-Net is missing, altered or of another architecture.
    """
    kind, colon, argument = name.partition(":")
    if kind in _NETWORKS:
        network = _NETWORKS[kind](argument or None, device)
        # one that finds all is given the paper's cut-offs and a cautious limit, until they are refitted
        whole = network.labels.finds_lungs and network.labels.infection
        return NetworkSegmenter(network, ThresholdSegmenter() if whole else segmenter(DEFAULT, device))
    if kind == "vbnet":
        return VBNetSegmenter(Path(argument) if argument else None, device)
    if kind != "threshold":
        raise InputError(f"unknown segmenter {name!r}: choose one of {', '.join(CHOICES)}")
    if colon:
        raise InputError(f"the segmenter {kind} takes no argument, got {argument!r}")
    return ThresholdSegmenter()
