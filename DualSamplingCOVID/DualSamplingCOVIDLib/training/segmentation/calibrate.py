"""How a trained segmenter's ratios are to be read: cut-offs and detection limit from phantoms that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk

from ...diagnosis import CutOffs, SegmenterCard, volume_ml
from ...evaluation.strata import fit_cut_offs
from ...parallel import spread
from ...phantom import NORMAL, PlannedCase, cohort_plan, make_phantom
from ...progress import Progress, silent
from ...segmentation.vbnet import VBNetSegmenter

NORMAL_SHARE = 2 / 3
LEAST_LIMIT = 0.0005
"""No limit is lower: phantoms are made with infections from there on."""
SEED = 77


class Measured(NamedTuple):
    """What a segmenter found in one phantom: the ratios and Dice of both lungs together and of the infection."""

    label: str
    true_ratio: float
    found_ratio: float
    lungs: float
    infection: float


def measure(folder: Path, cases: int, seed: int = SEED, progress: Progress = silent) -> list[Measured]:
    """Segment held-out phantoms with the paper's mix of ratios, two thirds of them normal."""
    plan = cohort_plan(cases, seed, NORMAL_SHARE)
    return spread(partial(_measured, folder), plan, "segmenting held-out phantoms", progress)


def calibrated(card: SegmenterCard, found: Sequence[Measured]) -> SegmenterCard:
    """Return the card with cut-offs that keep the paper's strata; its limit is the normals' 95th percentile.

    Where that is below `LEAST_LIMIT`, it is `LEAST_LIMIT`.

    Raises:
        ValueError: no infection was found, or there is no normal case.
    """
    normals = [one.found_ratio for one in found if one.label == NORMAL]
    if not normals:
        raise ValueError("a detection limit needs normal cases")
    cut_offs: CutOffs = fit_cut_offs([one.found_ratio for one in found if one.label != NORMAL])
    return SegmenterCard(card.name, card.version, cut_offs, max(LEAST_LIMIT, float(np.percentile(normals, 95))))


def figures(found: Sequence[Measured]) -> dict[str, Any]:
    """Return what the metadata keeps of the measurement."""
    sick = [one for one in found if one.label != NORMAL]
    small = [one.infection for one in sick if one.true_ratio < 0.005]
    normals = [one.found_ratio for one in found if one.label == NORMAL]
    return {
        "phantoms": len(found),
        "normal": len(normals),
        "lung_dice": round(float(np.mean([one.lungs for one in found])), 4),
        "infection_dice": round(float(np.mean([one.infection for one in sick])), 4),
        "infection_dice_below_0.005": round(float(np.mean(small)), 4) if small else None,
        "below_0.005": len(small),
        "normal_ratio_median": round(float(np.median(normals)), 5) if normals else None,
        "normal_ratio_largest": round(max(normals), 5) if normals else None,
    }


@cache
def _segmenter(folder: Path) -> VBNetSegmenter:
    return VBNetSegmenter(folder, "cpu")


def _measured(folder: Path, case: PlannedCase) -> Measured:
    phantom = make_phantom(case.seed, case.label, ratio=case.ratio)
    found = _segmenter(folder).segment(phantom.ct)
    lungs = sitk.Or(phantom.right_lung, phantom.left_lung)
    return Measured(
        case.label, phantom.ratio, found.ratio, _dice(found.lungs, lungs), _dice(found.infection, phantom.infection)
    )


def _dice(one: sitk.Image, other: sitk.Image) -> float:
    total = volume_ml(one) + volume_ml(other)
    return 2 * volume_ml(sitk.And(one, other)) / total if total else 1.0
