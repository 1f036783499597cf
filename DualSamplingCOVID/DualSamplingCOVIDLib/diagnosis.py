"""What one CT's analysis found: frozen results that know their provenance.

Every other room speaks in these types. Images are `SimpleITK.Image` in LPS millimetres; "CT grid" is
the geometry of the CT that was read, "network grid" the resampled one of the paper's section IV-B.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

COVID = "COVID-19"
CAP = "CAP"
STRATA = ("small", "medium", "large")
"""Table III's groups of infection ratios."""

NO_PNEUMONIA = "no pneumonia found"

THRESHOLD = 0.5
"""The probability from which the answer is COVID-19, here and in Tables II and III."""

RESEARCH_USE_ONLY = "Research use only"


@dataclass(frozen=True)
class Finding:
    """Something about the CT that a reader should know before believing the numbers (never a refusal)."""

    code: str
    message: str


@dataclass(frozen=True)
class CutOffs:
    """Limits on the infection ratio (infection volume / lung volume); the defaults belong to the paper's VB-Net masks.

    `minimal` and `large` bound Eq. 5's weight and the size-balanced groups (section III-C, III-E);
    `small` and `large` bound the strata of Table III.
    """

    minimal: float = 0.001
    small: float = 0.005
    large: float = 0.030

    def __post_init__(self) -> None:
        if not 0 < self.minimal < self.small < self.large < 1:
            raise ValueError(f"cut-offs must rise between 0 and 1, got {dataclasses.astuple(self)}")

    def stratum(self, ratio: float) -> str:
        """Return which of `STRATA` a ratio is of: ``"small"`` (< small), ``"medium"`` or ``"large"`` (> large)."""
        small, medium, large = STRATA
        if ratio < self.small:
            return small
        return large if ratio > self.large else medium


@dataclass(frozen=True)
class SegmenterCard:
    """Which segmenter made the masks, and how its ratios are to be read.

    `detection_limit` is at least the 95th percentile of the ratio that it finds in normal lungs; 0 where a person gave
    the infection.
    """

    name: str
    version: str
    cut_offs: CutOffs
    detection_limit: float

    @property
    def title(self) -> str:
        """Name and version; masks that a person gave have none of the latter."""
        return f"{self.name} {self.version}".strip()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.version, str):
            raise ValueError(f"a segmenter has a name and a version, got {self.name!r} and {self.version!r}")
        if not 0 <= self.detection_limit < 1:
            raise ValueError(f"a detection limit lies in [0, 1), got {self.detection_limit!r}")


def on_ct_grid(image: sitk.Image, ct: sitk.Image) -> sitk.Image:
    """Return an image on the network grid or a lattice of it on the exact grid of `ct`: linear, float32.

    It is 0 further than half a step outside the image.
    """
    return sitk.Resample(image, ct, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, 0.0, sitk.sitkFloat32)


@dataclass(frozen=True)
class Segmentation:
    """Lungs and infection on the CT grid: uint8 images of 0 and 1. Lungs INCLUDE the infection."""

    right_lung: sitk.Image
    left_lung: sitk.Image
    infection: sitk.Image
    segmenter: SegmenterCard

    @property
    def lungs(self) -> sitk.Image:
        """Both lungs as one uint8 mask of 0 and 1."""
        return sitk.Cast(sitk.Or(self.right_lung, self.left_lung), sitk.sitkUInt8)

    @property
    def ratio(self) -> float:
        """Infection ratio r in [0, 1]: infection volume / lung volume on the CT grid."""
        infected, lungs = volume_ml(self.infection), volume_ml(self.lungs)
        return infected / lungs if lungs else 0.0


def volume_ml(mask: sitk.Image) -> float:
    """Volume of a mask's nonzero voxels in ml."""
    voxel_mm3 = float(np.prod(mask.GetSpacing()))
    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask))) * voxel_mm3 / 1000.0


@dataclass(frozen=True)
class Attention:
    """One member's evidence as a map: A^ in [0, 1], float32 (Eq. 1, min-max per volume).

    `image` lies on a lattice of the network grid that loses nothing: the map is linear between its points.
    Min-max hides amplitude, so `raw_peak` (the largest value of A before it) always goes with the map.
    A dead map (no positive evidence anywhere) is all zeros with `raw_peak` 0.
    """

    image: sitk.Image
    raw_peak: float

    @property
    def is_dead(self) -> bool:
        """Whether the network found no evidence of this sign anywhere."""
        return self.raw_peak <= 0.0


@dataclass(frozen=True)
class MemberResult:
    """What one network of the bundle said.

    `logit` = `positive_evidence` - `negative_evidence` + `bias`, where the evidences are the means of
    ReLU(w.f) and ReLU(-w.f) over the feature map; `probability` of COVID-19 is its sigmoid.
    `attention` is the online attention, or Grad-CAM where `kind` is ``"baseline"``; `opposite` is the
    same of the CAP evidence ReLU(-w.f).
    """

    name: str
    sampling: str
    kind: str
    fold: int | None
    logit: float
    probability: float
    positive_evidence: float
    negative_evidence: float
    bias: float
    attention: Attention
    opposite: Attention


@dataclass(frozen=True)
class FoldAnswer:
    """Eq. 5 of the US and SS networks of one fold alone, with the decision's weight."""

    fold: int
    p_us: float
    p_ss: float
    probability: float


@dataclass(frozen=True)
class FoldAnswers:
    """What each of several folds would answer by itself; `spread` is the standard deviation (ddof 1) of that."""

    spread: float
    answers: tuple[FoldAnswer, ...]

    def __post_init__(self) -> None:
        if len(self.answers) < 2:
            raise ValueError(f"a spread is of two folds or more, got {len(self.answers)}")

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest probability of COVID-19 in [0, 1]."""
        probabilities = [answer.probability for answer in self.answers]
        return min(probabilities), max(probabilities)


@dataclass(frozen=True)
class Decision:
    """The ensemble's answer (Eq. 5): P = weight * P_US + (1 - weight) * P_SS.

    `p_us` and `p_ss` are the means over the members with uniform and with size-balanced sampling.

    `answer` is one of COVID, CAP and NO_PNEUMONIA (ratio 0, or below the segmenter's detection limit).
    `other_side` is the probability that a ratio just across the nearest cut-off would give, where the
    ratio lies close to one; else None. `folds` is there where two folds or more have networks of both samplings.
    """

    answer: str
    probability: float
    p_us: float
    p_ss: float
    weight: float
    form: str
    ratio: float
    stratum: str
    other_side: float | None = None
    folds: FoldAnswers | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Decision:
        """Return what `as_record` was made of.

        Raises:
            KeyError, TypeError, ValueError: it is not such a record.
        """
        folds = record.get("folds")
        if folds is not None:
            folds = FoldAnswers(folds["spread"], tuple(FoldAnswer(**answer) for answer in folds["answers"]))
        return cls(**{**record, "folds": folds})

    def as_record(self) -> dict[str, Any]:
        """Return the fields as plain values, `folds` only where there are several."""
        record = dataclasses.asdict(self)
        if self.folds is None:
            del record["folds"]
        return record


@dataclass(frozen=True)
class BundleCard:
    """Which bundle decided, what it learned from and what it is for."""

    name: str
    version: str
    learned_from: str
    intended_use: str
    sha256: str


@dataclass(frozen=True)
class Diagnosis:
    """All that `analyze` found in one CT.

    `attention` is A^ of the decision and `opposite` its evidence for CAP, float32 on the members' lattice;
    `on_ct_grid` brings them to the CT's voxels where those are wanted.
    """

    segmentation: Segmentation
    members: tuple[MemberResult, ...]
    decision: Decision
    attention: sitk.Image
    opposite: sitk.Image
    findings: tuple[Finding, ...]
    bundle: BundleCard
    ct_sha256: str
    software: tuple[tuple[str, str], ...]

    @property
    def attention_on_ct_grid(self) -> sitk.Image:
        """A^ of the decision on the CT's exact grid (float32, as large as the CT twice: ask once)."""
        return on_ct_grid(self.attention, self.segmentation.infection)

    def member(self, sampling: str, kind: str = "attention") -> MemberResult:
        """Return the first member with this sampling and kind; KeyError where the bundle has none."""
        for member in self.members:
            if (member.sampling, member.kind) == (sampling, kind):
                return member
        raise KeyError(f"the bundle {self.bundle.name} has no {kind} member with {sampling} sampling")
