"""The patient's axial and coronal plane through a point, cut out of a volume of any direction and spacing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..diagnosis import Diagnosis

Point = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

MARGIN_MM = 30.0
HOT = 0.5

_LETTERS = {
    (1, 0, 0): ("R", "L"),
    (0, 1, 0): ("A", "P"),
    (0, 0, -1): ("S", "I"),
}


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in LPS millimetres; `low` and `high` are (L, P, S)."""

    low: Point
    high: Point

    @property
    def extent(self) -> Point:
        """Edge lengths (L, P, S) in mm."""
        return self.high - self.low


@dataclass(frozen=True)
class View:
    """A plane of square pixels in LPS: `right` and `down` are the picture's axes, `corner` its first pixel's centre.

    `width` and `height` are in pixels of `pixel_mm`.
    """

    name: str
    right: tuple[int, int, int]
    down: tuple[int, int, int]
    corner: tuple[float, float, float]
    width: int
    height: int
    pixel_mm: float

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Orientation letters at the picture's left, right, top and bottom edge."""
        return _LETTERS[self.right] + _LETTERS[self.down]

    @property
    def position(self) -> str:
        """Where the plane lies in RAS, as Slicer's views say it: a letter and millimetres, such as ``S 43.0 mm``."""
        axis = int(np.flatnonzero(np.cross(self.right, self.down))[0])
        along = self.corner[axis] if axis == 2 else -self.corner[axis]
        return f"{('RL', 'AP', 'SI')[axis][along < 0]} {abs(along):.1f} mm"

    def cut(self, image: sitk.Image, outside: float = 0.0) -> Plane:
        """Sample `image` linearly in physical space: float32 [height, width]; `outside` beyond the volume."""
        normal = np.cross(self.right, self.down)
        direction = np.stack([self.right, self.down, normal], axis=1).astype(float)
        plane = sitk.Resample(
            image,
            (self.width, self.height, 1),
            sitk.Transform(),
            sitk.sitkLinear,
            self.corner,
            (self.pixel_mm, self.pixel_mm, self.pixel_mm),
            direction.ravel().tolist(),
            outside,
            sitk.sitkFloat32,
        )
        return sitk.GetArrayFromImage(plane)[0]

    def pixel_of(self, point: Point) -> tuple[float, float]:
        """Return (row, column) of the LPS point's projection onto the picture."""
        offset = (point - np.asarray(self.corner)) / self.pixel_mm
        return float(offset @ np.asarray(self.down)), float(offset @ np.asarray(self.right))


def axial(box: Box, through: Point, pixel_mm: float) -> View:
    """The axial plane in radiological convention: patient's right at the picture's left, anterior up."""
    corner = (float(box.low[0]), float(box.low[1]), float(through[2]))
    width, height = _pixels(box.extent[0], pixel_mm), _pixels(box.extent[1], pixel_mm)
    return View("axial", (1, 0, 0), (0, 1, 0), corner, width, height, pixel_mm)


def coronal(box: Box, through: Point, pixel_mm: float) -> View:
    """The coronal plane in radiological convention: patient's right at the picture's left, superior up."""
    corner = (float(box.low[0]), float(through[1]), float(box.high[2]))
    width, height = _pixels(box.extent[0], pixel_mm), _pixels(box.extent[2], pixel_mm)
    return View("coronal", (1, 0, 0), (0, 0, -1), corner, width, height, pixel_mm)


def _pixels(length_mm: float, pixel_mm: float) -> int:
    return max(2, round(float(length_mm) / pixel_mm) + 1)


def bounds(image: sitk.Image) -> Box:
    """The LPS box around all voxel centres of an image."""
    return _around(image, [(0, size - 1) for size in image.GetSize()])


def bounds_above(image: sitk.Image, threshold: float) -> Box | None:
    """The LPS box around the block of voxels that holds every value above `threshold`; None where there is none."""
    ends = _ends(sitk.GetArrayViewFromImage(image) > threshold)
    return None if ends is None else _around(image, ends)


def _ends(above: npt.NDArray[np.bool_]) -> list[tuple[int, int]] | None:
    """First and last index along i, j and k of what is true in an array [k, j, i]; None where nothing is."""
    ends: list[tuple[int, int]] = []
    for axis in range(3):
        used = np.flatnonzero(above.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(used):
            return None
        ends.insert(0, (int(used[0]), int(used[-1])))
        above = above[(slice(None),) * axis + (slice(used[0], used[-1] + 1),)]
    return ends


def _around(image: sitk.Image, ends: list[tuple[int, int]]) -> Box:
    corners = np.array([image.TransformIndexToPhysicalPoint(index) for index in itertools.product(*ends)])
    return Box(corners.min(axis=0), corners.max(axis=0))


def field_of_view(ct: sitk.Image, diagnosis: Diagnosis) -> Box:
    """The LPS box that the pictures show: lungs and everything hot with a margin, within the CT; else the whole CT.

    Hot regions outside the lungs count too: cutting them off would flatter a network that looks elsewhere.
    """
    return around_evidence(bounds(ct), diagnosis.segmentation.lungs, [m.attention.image for m in diagnosis.members])


def around_evidence(whole: Box, lungs: sitk.Image, maps: Sequence[sitk.Image]) -> Box:
    """The box around the lungs (above 0) and what is hot in the maps, with a margin, within `whole`."""
    return _within(whole, [bounds_above(lungs, 0), *(bounds_above(each, HOT) for each in maps)])


def around(ct: sitk.Image, shown: Sequence[Box | None]) -> Box:
    """The LPS box around others with a margin, within the CT; the whole CT where there is none."""
    return _within(bounds(ct), shown)


def _within(whole: Box, shown: Sequence[Box | None]) -> Box:
    boxes = [box for box in shown if box is not None]
    if not boxes:
        return whole
    low = np.maximum(np.min([box.low for box in boxes], axis=0) - MARGIN_MM, whole.low)
    high = np.minimum(np.max([box.high for box in boxes], axis=0) + MARGIN_MM, whole.high)
    return Box(low, high) if np.all(high > low) else whole


def centre(ct: sitk.Image, diagnosis: Diagnosis) -> Point:
    """The LPS point that both planes pass through.

    S is the level with the largest infected area; L and P are the centre of mass of the largest lesion, moved to
    its nearest voxel. Without infection it is the attention's peak, and without that the lungs' or CT's centre.
    """
    lesion = lesion_centre(diagnosis.segmentation.infection)
    if lesion is not None:
        return lesion
    attention = diagnosis.attention
    peak = float(sitk.GetArrayViewFromImage(attention).max())
    if peak > 0:
        return _middle(voxels(attention, np.nextafter(np.float32(peak), np.float32(0))))
    box = bounds_above(diagnosis.segmentation.lungs, 0) or bounds(ct)
    return (box.low + box.high) / 2


def lesion_centre(infection: sitk.Image) -> Point | None:
    """The LPS point at the level with the most infected voxels, L and P in the largest lesion's middle; None without.

    Args:
        infection: mask (nonzero is infected), any direction and spacing.
    """
    ends = _ends(sitk.GetArrayViewFromImage(infection) > 0)
    if ends is None:
        return None
    infection = sitk.RegionOfInterest(infection, [last - first + 1 for first, last in ends], [end[0] for end in ends])
    infected = voxels(infection, 0)
    middle = _middle(_largest_lesion(infection))
    return np.array([middle[0], middle[1], fullest(infected, 2, infection)])


def voxels(image: sitk.Image, above: float) -> Point:
    """LPS centres [n, 3] in mm of the voxels whose value is greater than `above`."""
    indices = np.argwhere(sitk.GetArrayViewFromImage(image) > above)[:, ::-1]
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.array(image.GetOrigin()) + (indices * np.array(image.GetSpacing())) @ direction.T


def _largest_lesion(infection: sitk.Image) -> Point:
    components = sitk.RelabelComponent(sitk.ConnectedComponent(infection, True))
    return voxels(sitk.Equal(components, 1), 0)


def _middle(points: Point) -> Point:
    distances = np.linalg.norm(points - points.mean(axis=0), axis=1)
    return points[int(np.argmin(distances))]


def fullest(points: Point, axis: int, ct: sitk.Image) -> float:
    """Where along an LPS axis (mm) most of the points [n, 3] lie, in steps of the CT's own voxels."""
    row = np.abs(ct.GetDirection()[3 * axis : 3 * axis + 3])
    step_mm = float(ct.GetSpacing()[int(np.argmax(row))])
    along = points[:, axis]
    lowest = along.min()
    counts = np.bincount(np.rint((along - lowest) / step_mm).astype(int))
    return float(lowest + step_mm * int(np.argmax(counts)))
