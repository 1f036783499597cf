"""A network of another package as a segmenter: its label map, what its labels mean, and who finds what it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..diagnosis import Segmentation, SegmenterCard
from ..errors import InputError
from ..progress import Progress, silent
from .given import exchanged, split_by_geometry
from .morphology import box
from .protocol import Segmenter
from .working_grid import BoolArray

STAGE = "segmenting lungs and infection"

_LUNG = re.compile(r"lungs?|lobes?")
_INFECTION = re.compile(r"infect\w*|lesions?|covid\w*|ggo|consolidations?|opacit\w+|pneumonia")
_NO_LUNG = re.compile(r"vessels?|nodules?|tumou?rs?|cancer|airways?|trachea|bronch\w*|effusions?|ignore|background")


@dataclass(frozen=True)
class Labels:
    """Which values of a label map are what; `lungs` are those of no named side. Empty: the network finds none."""

    right: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()
    lungs: frozenset[int] = frozenset()
    infection: frozenset[int] = frozenset()

    @property
    def finds_lungs(self) -> bool:
        """Whether any label is lung."""
        return bool(self.right or self.left or self.lungs)

    @classmethod
    def named(cls, names: Mapping[str, Any]) -> Labels:
        """Read the meaning off the names, such as ``right lung``, ``lung_upper_lobe_left`` or ``COVID-19 infection``.

        Args:
            names: Name -> value, or list of values (a region of several labels).

        Raises:
            ValueError: no name means lung or infection, or a value is no whole number.
        """
        found: dict[str, set[int]] = {"right": set(), "left": set(), "lungs": set(), "infection": set()}
        for name, value in names.items():
            kind = _kind(name)
            if kind:
                values = value if isinstance(value, list | tuple) else [value]
                found[kind].update(int(v) for v in values)
        labels = cls(**{kind: frozenset(values - {0}) for kind, values in found.items()})
        if not (labels.finds_lungs or labels.infection):
            raise ValueError(f"none of its labels means lung or infection: {', '.join(map(str, names))}")
        return labels


class LabelNetwork(Protocol):
    """What a back-end's file offers of a foreign network."""

    @property
    def name(self) -> str:
        """The network's own name; no file's and no person's."""

    @property
    def version(self) -> str:
        """Version of the package, and which weights where they can differ."""

    @property
    def labels(self) -> Labels:
        """What the values of its label map mean."""

    def predict(self, ct: sitk.Image) -> sitk.Image:
        """Return the label map of a CT (HU, any direction), with the geometry that it really has."""


class NetworkSegmenter:
    """A foreign network's lungs, infection or both; another segmenter finds what the network does not.

    Infection counts as lung, whatever the network says of it, and goes to the nearer side. What the other segmenter
    finds of infection is cut to the network's lungs.
    """

    def __init__(self, network: LabelNetwork, other: Segmenter) -> None:
        """Pair a network with the segmenter that completes it."""
        self._network = network
        self._other = other

    @property
    def card(self) -> SegmenterCard:
        """Both names where both are needed; cut-offs and detection limit are the other's: nobody knows better ones."""
        network, card = self._network, self._other.card
        if network.labels.finds_lungs and network.labels.infection:
            return replace(card, name=network.name, version=network.version)
        part = "lungs" if network.labels.finds_lungs else "infection"
        return replace(
            card, name=f"{card.name} with {part} of {network.name}", version=f"{card.version} + {network.version}"
        )

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT (see `Segmenter.segment`).

        Raises:
            InputError: the network's package failed, or what it found cannot be.
            ResourceError: memory ran out.
        """
        progress(STAGE, 0.0)
        values = _on_grid(self._network.predict(ct), ct)
        progress(STAGE, 0.6)
        labels = self._network.labels
        infection = _image(_is(values, labels.infection), ct)
        if labels.finds_lungs:
            sides = self._sides(values, ct)
        if not (labels.finds_lungs and labels.infection):
            found = self._other.segment(ct, lambda stage, fraction: progress(stage, 0.6 + 0.4 * fraction))
            if not labels.finds_lungs:
                sides = found.right_lung, found.left_lung
            else:
                infection = found.infection
        right, left = sides
        progress(STAGE, 1.0)
        return Segmentation(right, left, sitk.And(infection, sitk.Or(right, left)), self.card)

    def _sides(self, values: np.ndarray, ct: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
        labels = self._network.labels
        right, left = _is(values, labels.right), _is(values, labels.left)
        left &= ~right
        rest = _is(values, labels.lungs | labels.infection) & ~(right | left)
        if not (labels.right or labels.left):
            whole = _image(rest, ct)
            return split_by_geometry(whole) if rest.any() else (whole, whole)
        if rest.any() and (right.any() or left.any()):
            to_right = _nearer_right(right, left, rest, ct)
            right, left = right | to_right, left | (rest & ~to_right)
        sides = _image(right, ct), _image(left, ct)
        if exchanged(*sides):
            raise InputError(
                f"the segmenter {self._network.name} put the right lung to the patient's left: "
                "it learned from images that are stored the other way round"
            )
        return sides


def _kind(name: str) -> str | None:
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    if any(_NO_LUNG.fullmatch(word) for word in words):
        return None
    if any(_INFECTION.fullmatch(word) for word in words) or {"ground", "glass"} <= set(words):
        return "infection"
    if any(_LUNG.fullmatch(word) for word in words):
        return "right" if "right" in words else "left" if "left" in words else "lungs"
    return None


def _on_grid(labels: sitk.Image, ct: sitk.Image) -> np.ndarray:
    """The label map's values [k, j, i] on the CT's grid; the nearest one, so that the same lattice stays as it is."""
    whole = sitk.Cast(labels, sitk.sitkInt32)
    return sitk.GetArrayFromImage(sitk.Resample(whole, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0))


def _is(values: np.ndarray, labels: frozenset[int]) -> BoolArray:
    return np.isin(values, sorted(labels))


def _image(mask: BoolArray, ct: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(ct)
    return image


def _nearer_right(right: BoolArray, left: BoolArray, rest: BoolArray, ct: sitk.Image) -> BoolArray:
    """The voxels of `rest` whose nearest lung voxel (mm) is the right one's."""
    part = box(right | left | rest, margin=0)
    sampling = ct.GetSpacing()[::-1]
    _, nearest = ndimage.distance_transform_edt(~(right | left)[part], sampling=sampling, return_indices=True)
    result = np.zeros_like(rest)
    result[part] = rest[part] & right[part][tuple(nearest)]
    return result
