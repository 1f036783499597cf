"""The three segments of a diagnosis: how they are named, coded (SNOMED CT) and coloured, in files and in scenes."""

from __future__ import annotations

from dataclasses import dataclass

_STRUCTURE = "SCT^123037004^Anatomical Structure"
_ALTERED_STRUCTURE = "SCT^49755003^Morphologically Altered Structure"
_LUNG = "SCT^39607008^Lung"
_NO_CODE = "^^"


def _terminology(category: str, kind: str, modifier: str = _NO_CODE, region: str = _NO_CODE) -> str:
    """Return a terminology entry in Slicer's serialised form; codes are ``scheme^value^meaning``."""
    codes = ("Segmentation category and type - DICOM master list", category, kind, modifier)
    return "~".join((*codes, "Anatomic codes - DICOM master list", region, _NO_CODE))


@dataclass(frozen=True)
class Segment:
    """One segment's identity: `terminology` is Slicer's serialised form, `color` is RGB in [0, 1]."""

    identifier: str
    name: str
    terminology: str
    color: tuple[float, float, float]


RIGHT_LUNG = Segment(
    "right-lung", "right lung", _terminology(_STRUCTURE, _LUNG, modifier="SCT^24028007^Right"), (0.35, 0.65, 0.95)
)
LEFT_LUNG = Segment(
    "left-lung", "left lung", _terminology(_STRUCTURE, _LUNG, modifier="SCT^7771000^Left"), (0.35, 0.85, 0.70)
)
# The built-in lists have no type for pneumonia: inflammation in the lung is the nearest.
INFECTION = Segment(
    "infection",
    "infection",
    _terminology(_ALTERED_STRUCTURE, "SCT^23583003^Inflammation", region=_LUNG),
    (0.20, 0.90, 0.20),
)
SEGMENTS = (RIGHT_LUNG, LEFT_LUNG, INFECTION)
