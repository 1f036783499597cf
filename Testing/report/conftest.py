"""A small CT (96 x 96 x 60 voxels of 3.5 x 3.5 x 5 mm) with two lungs, one lesion and the diagnosis of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import (
    COVID,
    Attention,
    BundleCard,
    CutOffs,
    Decision,
    Diagnosis,
    Finding,
    FoldAnswer,
    FoldAnswers,
    MemberResult,
    Segmentation,
    SegmenterCard,
)

SPACING = (3.5, 3.5, 5.0)
SIZE = (96, 96, 60)
ORIGIN = (-166.25, -150.0, 10.0)
LESION_LPS = np.array([80.0, 70.0, 110.0])  # in the left lung, posterior, below the middle


def _ball(points: np.ndarray, centre: np.ndarray, radii: tuple[float, float, float]) -> np.ndarray:
    return (((points - centre) / np.array(radii)) ** 2).sum(axis=-1) <= 1


def _points(image: sitk.Image) -> np.ndarray:
    k, j, i = np.indices(image.GetSize()[::-1])
    return np.stack([i, j, k], axis=-1) * np.array(image.GetSpacing()) + np.array(image.GetOrigin())


def _like(array: np.ndarray, reference: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(reference)
    return image


def _empty(size: tuple[int, int, int], spacing: tuple[float, ...], origin: tuple[float, ...]) -> sitk.Image:
    image = sitk.Image(size, sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def _attention(hot: np.ndarray, raw_peak: float) -> Attention:
    grid = _empty((64, 64, 48), (5.0, 5.0, 6.0), (-160.0, -150.0, 12.0))
    distance = np.linalg.norm(_points(grid) - hot, axis=-1)
    heat = np.exp(-((distance / 25) ** 2)).astype(np.float32) if raw_peak else np.zeros(distance.shape, np.float32)
    return Attention(_like(heat, grid), raw_peak)


def _member(sampling: str, kind: str, probability: float, hot: np.ndarray, raw_peak: float) -> MemberResult:
    logit = float(np.log(probability / (1 - probability)))
    attention = _attention(hot, raw_peak)
    negative, bias = 0.5, 0.125
    return MemberResult(
        f"{kind}-{sampling.lower()}", sampling, kind, 0, logit, probability, logit + negative - bias, negative, bias,
        attention, _attention(np.array([-70.0, 30.0, 150.0]), 1.75),
    )  # fmt: skip


@pytest.fixture(scope="session")
def a_case() -> tuple[sitk.Image, Diagnosis]:
    grid = _empty(SIZE, SPACING, ORIGIN)
    points = _points(grid)
    body = _ball(points, np.array([0.0, 15.0, 150.0]), (155.0, 110.0, 400.0))
    right = _ball(points, np.array([-70.0, 15.0, 150.0]), (50.0, 75.0, 120.0))
    left = _ball(points, np.array([70.0, 15.0, 150.0]), (50.0, 75.0, 120.0))
    lesion = _ball(points, LESION_LPS, (22.0, 14.0, 20.0)) & left
    small = _ball(points, np.array([-80.0, 20.0, 190.0]), (10.0, 10.0, 10.0))
    ct = np.full(body.shape, -1000, np.int16)
    ct[body] = 40
    ct[right | left] = -850
    ct[lesion | small] = -350
    masks = [_like(mask.astype(np.uint8), grid) for mask in (right, left, lesion | small)]
    card = SegmenterCard("thresholds", "1.0", CutOffs(), 0.002)
    segmentation = Segmentation(masks[0], masks[1], masks[2], card)
    ratio = segmentation.ratio
    heat = np.exp(-((np.linalg.norm(points - LESION_LPS, axis=-1) / 25) ** 2)).astype(np.float32)
    diagnosis = Diagnosis(
        segmentation,
        (
            _member("US", "attention", 0.91, LESION_LPS, 3.21),
            _member("SS", "attention", 0.72, LESION_LPS, 2.5),
            _member("US", "baseline", 0.66, LESION_LPS + np.array([0.0, 0.0, 20.0]), 1.5),
        ),
        Decision(COVID, 0.9024, 0.91, 0.72, 0.96, "equation", ratio, "medium", None),
        _like(heat, grid),
        _like(np.zeros_like(heat), grid),
        (Finding("thick-slices", "Slices are 5.0 mm thick; small lesions may be missed."),),
        BundleCard("phantom-demo", "0.1", "160 synthetic chest CTs, no patient", "Demonstration only", "ab" * 32),
        "cd" * 32,
        (("python", "3.11.9"), ("torch", "2.13.0")),
    )
    return _like(ct, grid), diagnosis


@pytest.fixture(scope="session")
def a_case_of_folds(a_case: tuple[sitk.Image, Diagnosis]) -> tuple[sitk.Image, Diagnosis]:
    """The same by three folds' networks: by themselves two of them answer COVID-19 and one CAP."""
    ct, diagnosis = a_case
    said = ((0.9, 0.8, 0.7), (0.6, 0.7, 0.5), (0.3, 0.6, 0.1))  # of each fold: US, SS and the baseline
    members = tuple(
        dataclasses.replace(member, name=f"{member.name}-fold-{fold}", fold=fold, probability=probability)
        for fold, probabilities in enumerate(said)
        for member, probability in zip(diagnosis.members, probabilities, strict=True)
    )
    answers = tuple(FoldAnswer(fold, us, ss, 0.5 * (us + ss)) for fold, (us, ss, _) in enumerate(said))
    decision = dataclasses.replace(
        diagnosis.decision, probability=0.65, p_us=0.6, p_ss=0.7, weight=0.5, folds=FoldAnswers(0.2, answers)
    )
    return ct, dataclasses.replace(diagnosis, members=members, decision=decision)


@pytest.fixture(scope="session")
def flipped() -> Callable[[sitk.Image], sitk.Image]:
    """The same volume stored the other way round along i and k: other voxel order, same patient."""
    return lambda image: sitk.Flip(image, (True, False, True))


@pytest.fixture(scope="session")
def a_flipped_case(
    a_case: tuple[sitk.Image, Diagnosis], flipped: Callable[[sitk.Image], sitk.Image]
) -> tuple[sitk.Image, Diagnosis]:
    ct, diagnosis = a_case
    old = diagnosis.segmentation
    masks = dataclasses.replace(
        old,
        right_lung=flipped(old.right_lung),
        left_lung=flipped(old.left_lung),
        infection=flipped(old.infection),
    )
    return flipped(ct), dataclasses.replace(
        diagnosis, segmentation=masks, attention=flipped(diagnosis.attention), opposite=flipped(diagnosis.opposite)
    )
