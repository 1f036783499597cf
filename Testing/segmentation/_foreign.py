"""What the tests of other packages' networks share: CTs with known lungs, and stand-ins for packages.

A stand-in has the package's documented interface and no more: another keyword is a TypeError, and it finds lungs by
what the package documents of axes and directions, so that a wrong order gives wrong masks.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import Segmentation

TISSUE_HU, LUNG_HU, INFECTION_HU = 40, -850, -350
Package = Callable[..., None]


@dataclass(frozen=True)
class Chest:
    """A CT with its true masks, all on one grid; the infection lies in the right lung."""

    ct: sitk.Image
    right: sitk.Image
    left: sitk.Image
    infection: sitk.Image


def _ball(points: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    return (((points - np.array(centre)) / np.array(radii)) ** 2).sum(-1) < 1


def _turned() -> np.ndarray:
    a, b = np.deg2rad(20), np.deg2rad(-12)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_l = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_s @ about_l


DIRECTIONS = {
    "anisotropic": np.eye(3),
    "oblique": _turned(),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}


@functools.cache
def chest(kind: str) -> Chest:
    """Lungs beside the middle of the patient, drawn in physical space on a grid of that direction."""
    size, spacing = np.array([70, 56, 44]), np.array([3.6, 4.1, 5.2])
    direction = DIRECTIONS[kind]
    origin = np.array([7.0, -11.0, 123.0]) - direction @ ((size - 1) / 2 * spacing)
    k, j, i = np.indices(size[::-1])
    points = origin + (np.stack([i, j, k], -1) * spacing) @ direction.T - np.array([7.0, -11.0, 123.0])
    right, left = _ball(points, (-48, 4, 0), (34, 55, 70)), _ball(points, (48, 4, 0), (30, 50, 66))
    infection = _ball(points, (-52, 22, -20), (16, 18, 20)) & right
    hu = np.full(right.shape, TISSUE_HU, np.int16)
    hu[right | left] = LUNG_HU
    hu[infection] = INFECTION_HU
    images = []
    for voxels in (hu, right, left, infection):
        image = sitk.GetImageFromArray(voxels.astype(np.int16 if voxels is hu else np.uint8))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(origin.tolist())
        image.SetDirection(direction.ravel().tolist())
        images.append(image)
    return Chest(*images)


def voxels(mask: sitk.Image) -> np.ndarray:
    """Where a mask is."""
    return sitk.GetArrayFromImage(mask) > 0


def assert_on_grid(found: Segmentation, ct: sitk.Image) -> None:
    """Every mask is uint8 of 0 and 1 with exactly the CT's geometry; infection lies in the lungs."""
    for mask in (found.right_lung, found.left_lung, found.infection):
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert (mask.GetSize(), mask.GetSpacing(), mask.GetOrigin(), mask.GetDirection()) == (
            (ct.GetSize(), ct.GetSpacing(), ct.GetOrigin(), ct.GetDirection())
        )
        assert sitk.GetArrayViewFromImage(mask).max(initial=0) <= 1
    assert not (voxels(found.right_lung) & voxels(found.left_lung)).any()
    assert not (voxels(found.infection) & ~voxels(found.lungs)).any()


class Complete:
    """Another segmenter that finds everything there is in a chest; it remembers whether it was asked."""

    def __init__(self, truth: Chest) -> None:
        from DualSamplingCOVIDLib.diagnosis import CutOffs, SegmenterCard

        self.truth = truth
        self.asked = 0
        self.card = SegmenterCard("other", "7", CutOffs(), 0.004)

    def segment(self, ct: sitk.Image, progress: Callable[[str, float], None] = lambda *_: None) -> Segmentation:
        """Return the truth."""
        self.asked += 1
        progress("segmenting lungs and infection", 0.0)
        progress("segmenting lungs and infection", 1.0)
        return Segmentation(self.truth.right, self.truth.left, self.truth.infection, self.card)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Install a package for one test: its distribution's name and version, and its files."""

    def install(distribution: str, version: str, files: dict[str, str]) -> None:
        site = tmp_path / "site"
        for name, source in files.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        facts = site / f"{distribution}-{version}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        forget(monkeypatch, *{Path(name).parts[0] for name in files})
        monkeypatch.syspath_prepend(str(site))

    return install


def forget(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let packages be imported anew, and put what was there back after the test."""
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            monkeypatch.delitem(sys.modules, name)
    for name in packages:  # what the test imports goes with it
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)


def missing(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let packages be not installed, whether they are or not."""
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in packages else real(name, *a))
