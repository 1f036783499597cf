"""What makes a CT doubtful or unusable: one table of checks, applied before and after lung segmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk

from ..diagnosis import Finding, volume_ml
from ..errors import InputError

AIR_HU = -1024.0
"""The value that padding (anything lower) is clipped to."""
TILT_DEGREES = 0.1
"""A stack more oblique than this is sheared onto an upright grid."""
IRREGULAR_PERCENT = 10.0
"""Slices further than this from their place (share of the spacing) are resampled."""


@dataclass(frozen=True)
class SliceFacts:
    """What the slices' headers say that the image no longer shows (DICOM only).

    Counts are in slices, lengths in mm, `tilt_degrees` is the angle between the stack's direction and the
    slices' normal; None where the header is silent.
    """

    missing: int
    missing_share: float
    largest_gap_mm: float
    irregularity: float
    duplicated: int
    tilt_degrees: float
    spacing_error: float | None
    thickness_mm: float | None
    contrast_slices: int


@dataclass(frozen=True)
class Facts:
    """Everything that the checks look at; a None is a fact that is not known, and never fires a check."""

    voxels_along_shortest_axis: int | None = None
    slice_count: int | None = None
    non_finite_voxels: int | None = None
    value_range: float | None = None
    air_share: float | None = None
    padding_share: float | None = None
    thickest_mm: float | None = None
    in_plane_ratio: float | None = None
    slices: SliceFacts | None = None
    lung_ml: float | None = None
    lung_span_mm: float | None = None
    lung_area_cm2: float | None = None
    lung_hu: float | None = None
    cut_top_cm2: float | None = None
    cut_bottom_cm2: float | None = None
    cut_share: float | None = None
    blood_hu: float | None = None


@dataclass(frozen=True)
class Check:
    """One row: the finding holds where the measured value lies `side` the limit."""

    code: str
    finding: str
    action: Literal["warn", "refuse"]
    side: Literal["above", "below"]
    limit: float
    unit: str
    measure: Callable[[Facts], float | None]

    def message(self, facts: Facts) -> str | None:
        """The sentence for a person where the check fires, else None."""
        value = self.measure(facts)
        if value is None or not (value > self.limit if self.side == "above" else value < self.limit):
            return None
        measured = f"{value:.4g}{self.unit}, limit {self.limit:g}{self.unit})"
        return f"{self.finding[:-1]}: {measured}" if self.finding.endswith(")") else f"{self.finding} ({measured}"


def _of_slices(measure: Callable[[SliceFacts], float | None]) -> Callable[[Facts], float | None]:
    return lambda facts: None if facts.slices is None else measure(facts.slices)


_NOT_CHEST = "not a chest CT: "

CHECKS: tuple[Check, ...] = (
    Check("too-small", "too few voxels along one axis", "refuse", "below", 8, " voxels",
          lambda f: f.voxels_along_shortest_axis),
    Check("few-slices", "few slices", "warn", "below", 30, " slices", lambda f: f.slice_count),
    Check("non-finite", "NaN or infinite voxels", "refuse", "above", 0, " voxels", lambda f: f.non_finite_voxels),
    Check("constant", "all voxels have the same value", "refuse", "below", 1e-6, "", lambda f: f.value_range),
    Check("eight-bit", "not in Hounsfield units: the values span no more than an 8-bit export", "refuse", "below",
          256, "", lambda f: f.value_range),
    Check("no-air", "not in Hounsfield units, or not a chest: hardly any voxel below -500 HU", "refuse", "below",
          0.5, " %", lambda f: f.air_share),
    Check("little-air", "few voxels below -500 HU", "warn", "below", 5, " %", lambda f: f.air_share),
    Check("padding", "padding outside the field of view was clipped to -1024 HU", "warn", "above", 0.1,
          " % of the voxels", lambda f: f.padding_share),
    Check("thick-slices", "thick slices: small lesions are averaged away", "warn", "above", 3, " mm",
          lambda f: f.thickest_mm),
    Check("very-thick-slices", "slices too thick for a three-dimensional reading", "refuse", "above", 10, " mm",
          lambda f: f.thickest_mm),
    Check("anisotropic-in-plane", "pixels are not square (longer side / shorter side)", "warn", "above", 1.05, "",
          lambda f: f.in_plane_ratio),
    Check("missing-slices", "slices are missing and were interpolated", "warn", "above", 0, " slices",
          _of_slices(lambda s: s.missing)),
    Check("many-missing-slices", "too many slices are missing", "refuse", "above", 10, " %",
          _of_slices(lambda s: s.missing_share)),
    Check("wide-gap", "slices are missing: the gap between two slices is too wide", "refuse", "above", 20, " mm",
          _of_slices(lambda s: s.largest_gap_mm)),
    Check("irregular-slices", "slice positions are irregular and were resampled (deviation / spacing)", "warn",
          "above", IRREGULAR_PERCENT, " %", _of_slices(lambda s: s.irregularity)),
    Check("duplicated-slices", "slices share a position; the first of each was kept", "warn", "above", 0, " slices",
          _of_slices(lambda s: s.duplicated)),
    Check("gantry-tilt", "the gantry was tilted; the slices were shifted onto an upright grid", "warn", "above",
          TILT_DEGREES, " degrees", _of_slices(lambda s: s.tilt_degrees)),
    Check("strong-gantry-tilt", "the stack of slices is too oblique", "refuse", "above", 35, " degrees",
          _of_slices(lambda s: s.tilt_degrees)),
    Check("spacing-tags", "the spacing in the header contradicts the slice positions, which were used", "warn",
          "above", 2, " %", _of_slices(lambda s: s.spacing_error)),
    Check("contrast-tag", "the header names a contrast agent: vessels may read as infection", "warn", "above", 0,
          " slices", _of_slices(lambda s: s.contrast_slices)),
    Check("no-lungs", _NOT_CHEST + "too little lung", "refuse", "below", 500, " ml", lambda f: f.lung_ml),
    Check("short-lungs", _NOT_CHEST + "the lungs span too little from head to foot", "refuse", "below", 100, " mm",
          lambda f: f.lung_span_mm),
    Check("narrow-lungs", _NOT_CHEST + "the lungs' largest axial section is too small", "refuse", "below", 50, " cm2",
          lambda f: f.lung_area_cm2),
    Check("part-of-lungs", _NOT_CHEST + "the volume ends where the lungs are widest", "refuse", "above", 95,
          " % of the largest section", lambda f: f.cut_share),
    Check("solid-lungs", _NOT_CHEST + "what was taken for lungs is solid (median)", "refuse", "above", -100, " HU",
          lambda f: f.lung_hu),
    Check("gas-lungs", _NOT_CHEST + "what was taken for lungs is gas (median)", "refuse", "below", -975, " HU",
          lambda f: f.lung_hu),
    Check("small-lungs", "the lungs are small for an adult", "warn", "below", 1000, " ml", lambda f: f.lung_ml),
    Check("large-lungs", "the lungs are large for an adult", "warn", "above", 9000, " ml", lambda f: f.lung_ml),
    Check("lungs-cut-top", "the lungs are cut off at the top", "warn", "above", 5, " cm2", lambda f: f.cut_top_cm2),
    Check("lungs-cut-bottom", "the lungs are cut off at the bottom", "warn", "above", 5, " cm2",
          lambda f: f.cut_bottom_cm2),
    Check("contrast", "intravenous contrast: vessels may read as infection (median between the lungs)", "warn",
          "above", 90, " HU", lambda f: f.blood_hu),
)  # fmt: skip


def _apply(facts: Facts, name: str) -> tuple[Finding, ...]:
    for check in CHECKS:
        message = check.message(facts) if check.action == "refuse" else None
        if message is not None:
            raise InputError(f"{name}: {message}")
    fired = ((check.code, check.message(facts)) for check in CHECKS if check.action == "warn")
    return tuple(Finding(code, message) for code, message in fired if message is not None)


def check_slices(slices: SliceFacts, name: str) -> tuple[Finding, ...]:
    """Apply the rows of `CHECKS` that need the slices' headers alone, before their pixels are read.

    Raises:
        InputError: a row that refuses fired.
    """
    return _apply(Facts(slices=slices), name)


def check_volume(image: sitk.Image, slices: SliceFacts | None = None, name: str = "the CT") -> tuple[Finding, ...]:
    """Apply the rows of `CHECKS` that need no lungs.

    Args:
        image: 3D scalar CT in HU, before padding is clipped.
        slices: what the DICOM headers say, where there are any.
        name: what an error calls the CT, usually its path.

    Raises:
        InputError: a row that refuses fired.
    """
    voxels = sitk.GetArrayViewFromImage(image)
    size, spacing = image.GetSize(), image.GetSpacing()
    upward = int(np.argmax(np.abs(image.GetDirection()[6:])))
    in_plane = [step for axis, step in enumerate(spacing) if axis != upward]
    floating = np.issubdtype(voxels.dtype, np.floating)
    non_finite = int(np.count_nonzero(~np.isfinite(voxels))) if floating else 0
    thickness = slices.thickness_mm if slices is not None else None
    return _apply(
        Facts(
            voxels_along_shortest_axis=min(size),
            slice_count=size[upward],
            non_finite_voxels=non_finite,
            value_range=None if non_finite else float(voxels.max()) - float(voxels.min()),
            air_share=100.0 * float(np.count_nonzero((voxels >= -1100) & (voxels < -500))) / voxels.size,
            padding_share=100.0 * float(np.count_nonzero(voxels < -1100)) / voxels.size,
            thickest_mm=max(*spacing, thickness or 0.0),
            in_plane_ratio=max(in_plane) / min(in_plane),
            slices=slices,
        ),
        name,
    )


def check_lungs(image: sitk.Image, lungs: sitk.Image, name: str = "the CT") -> tuple[Finding, ...]:
    """Apply the rows of `CHECKS` that need the lungs.

    Args:
        image: 3D CT in HU.
        lungs: mask of both lungs, nonzero inside, on the grid of `image`.
        name: what an error calls the CT, usually its path.

    Raises:
        InputError: not a chest CT (too little lung, too short, solid or gas).
    """
    upright, upright_lungs = sitk.DICOMOrient(image, "LPS"), sitk.DICOMOrient(lungs, "LPS")
    hu = sitk.GetArrayViewFromImage(upright)
    inside = sitk.GetArrayViewFromImage(upright_lungs) != 0
    if not inside.any():
        return _apply(Facts(lung_ml=0.0), name)
    box = tuple(
        (int(hits[0]), int(hits[-1]) + 1)
        for axis in range(3)
        for hits in [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))]
    )
    spacing = upright.GetSpacing()
    areas_cm2 = np.count_nonzero(inside, axis=(1, 2)) * spacing[0] * spacing[1] / 100.0
    return _apply(
        Facts(
            lung_ml=volume_ml(lungs),
            lung_span_mm=float(np.count_nonzero(areas_cm2 >= 5.0)) * spacing[2],
            lung_area_cm2=float(areas_cm2.max()),
            lung_hu=float(np.median(hu[inside])),
            cut_top_cm2=float(areas_cm2[-1]),
            cut_bottom_cm2=float(areas_cm2[0]),
            cut_share=100.0 * float(max(areas_cm2[0], areas_cm2[-1]) / areas_cm2.max()),
            blood_hu=_blood_hu(hu, inside, box),
        ),
        name,
    )


def _blood_hu(hu: np.ndarray, inside: np.ndarray, box: tuple[tuple[int, int], ...]) -> float | None:
    """Median HU of the soft tissue where heart and great vessels lie: between the lungs, before the spine.

    Args:
        hu: CT [k,j,i], axes toward S, P, L.
        inside: lungs [k,j,i].
        box: the lungs' bounding box, (first, last + 1) an axis.
    """

    def part(axis: int, start: float, stop: float) -> slice:
        first, last = box[axis]
        return slice(first + round(start * (last - first)), first + round(stop * (last - first)))

    region = (part(0, 0.25, 0.75), part(1, 0.20, 0.55), part(2, 0.35, 0.65))
    values = hu[region][~inside[region]]
    soft = values[(values > 0) & (values < 600)]
    return float(np.median(soft)) if soft.size else None


def quality_table_markdown() -> str:
    """`CHECKS` as a Markdown table, for the documentation."""
    rows = [
        f"| `{check.code}` | {check.finding} | {check.action} | {check.side} {check.limit:g}{check.unit} |"
        for check in CHECKS
    ]
    return "\n".join(["| Code | Finding | Action | Where |", "|---|---|---|---|", *rows])
