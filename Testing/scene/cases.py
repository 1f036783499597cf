"""A small CT with a diagnosis whose every voxel is known."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import (
    COVID,
    Attention,
    BundleCard,
    CutOffs,
    Decision,
    Diagnosis,
    MemberResult,
    Segmentation,
    SegmenterCard,
)

SHAPE = (36, 40, 44)  # k, j, i
HOT = (18, 20, 12)  # k, j, i of the attention's peak
LESION = (slice(15, 22), slice(17, 24), slice(9, 16))


def an_image(array: np.ndarray, oblique: bool = False) -> sitk.Image:
    """Return a [k, j, i] array as an LPS image; `oblique` turns its axes about all three of the patient's."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.7, 1.3, 2.5))
    image.SetOrigin((-31.25, 17.5, -204.75))
    if oblique:
        turn = sitk.Euler3DTransform()
        turn.SetRotation(0.21, -0.13, 0.34)
        image.SetDirection(turn.GetMatrix())
    return image


def a_ct(oblique: bool = False) -> sitk.Image:
    """Return an int16 CT: air lungs in soft tissue, with a gradient so that no two slices are equal."""
    array = np.full(SHAPE, 40, np.int16)
    array[4:32, 8:32, 5:20] = -850
    array[4:32, 8:32, 24:39] = -850
    array += np.arange(SHAPE[0], dtype=np.int16)[:, None, None]
    array[LESION] = -400
    return an_image(array, oblique)


def a_map(oblique: bool = False) -> sitk.Image:
    """Return A^ on the CT grid: a cone that peaks with 1 at HOT and is 0 beyond ten voxels."""
    distance = np.sqrt(sum((axis - centre) ** 2 for axis, centre in zip(np.indices(SHAPE), HOT, strict=True)))
    return an_image(np.clip(1.0 - distance / 10.0, 0.0, 1.0).astype(np.float32), oblique)


def a_segmentation(oblique: bool = False, infected: bool = True) -> Segmentation:
    right, left, infection = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    right[4:32, 8:32, 5:20] = 1
    left[4:32, 8:32, 24:39] = 1
    if infected:
        infection[LESION] = 1
    card = SegmenterCard("fixture", "1", CutOffs(), 0.0005)
    return Segmentation(*(an_image(mask, oblique) for mask in (right, left, infection)), segmenter=card)


def a_member(sampling: str, peak: float) -> MemberResult:
    """Return a member whose maps lie on an own, patient-aligned grid of 20 x 16 x 24 voxels (k, j, i)."""
    ramp = np.linspace(0, 1, 20 * 16 * 24, dtype=np.float32).reshape(20, 16, 24)
    image = sitk.GetImageFromArray(ramp)
    image.SetSpacing((3.0, 3.0, 4.0))
    image.SetOrigin((-30.0, 10.0, -200.0))
    attention = Attention(image, peak)
    return MemberResult(
        name=f"{sampling}-fold0",
        sampling=sampling,
        kind="attention",
        fold=0,
        logit=1.0,
        probability=0.731,
        positive_evidence=1.5,
        negative_evidence=0.5,
        bias=0.0,
        attention=attention,
        opposite=attention,
    )


def a_diagnosis(oblique: bool = False, infected: bool = True) -> Diagnosis:
    """Return a diagnosis of `a_ct` with the same geometry."""
    segmentation = a_segmentation(oblique, infected)
    return Diagnosis(
        segmentation=segmentation,
        members=(a_member("US", 2.5), a_member("SS", 1.25)),
        decision=Decision(COVID, 0.73, 0.80, 0.66, 0.5, "table", segmentation.ratio, "medium"),
        attention=a_map(oblique),
        opposite=a_map(oblique) * 0.5,
        findings=(),
        bundle=BundleCard("fixture", "1.0", "twelve synthetic phantoms", "tests", "0" * 64),
        ct_sha256="0" * 64,
        software=(),
    )
