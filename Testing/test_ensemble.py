"""Eq. 5 and its fitted forms."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import CAP, COVID, NO_PNEUMONIA, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.ensemble import FittedWeights, combine, combine_maps, decide, fit_weights, weight

PAPER = CutOffs()
CARD = SegmenterCard("thresholds", "1", PAPER, detection_limit=0.0004)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.0, 0.35), (0.000999, 0.35), (0.001, 0.96), (0.005, 0.96), (0.030, 0.96), (0.0301, 0.35), (1.0, 0.35)],
)
def test_the_weight_is_that_of_equation_5(ratio: float, expected: float) -> None:
    assert weight(ratio, PAPER) == expected
    assert weight(ratio, PAPER, "table") == pytest.approx(1 - expected)


def test_the_printed_weight_is_on_uniform_sampling_and_the_tables_on_size_balanced() -> None:
    assert combine(0.9, 0.1, 0.01, PAPER) == pytest.approx(0.96 * 0.9 + 0.04 * 0.1)
    assert combine(0.9, 0.1, 0.01, PAPER, "table") == pytest.approx(0.04 * 0.9 + 0.96 * 0.1)
    assert combine(0.9, 0.1, 0.2, PAPER) == pytest.approx(0.35 * 0.9 + 0.65 * 0.1)


def test_the_cut_offs_of_the_segmenter_move_the_step() -> None:
    assert weight(0.04, CutOffs(0.002, 0.01, 0.05)) == 0.96


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="form must be"):
        weight(0.01, PAPER, "median")


@pytest.mark.parametrize(("p", "answer"), [(0.5, COVID), (0.4999, CAP)])
def test_one_half_and_more_is_covid(p: float, answer: str) -> None:
    decision = decide(p, p, 0.01, CARD)
    assert (decision.answer, decision.stratum, decision.form) == (answer, "medium", "equation")
    assert decision.probability == pytest.approx(p)


def test_below_the_detection_limit_there_is_no_pneumonia_to_name() -> None:
    decision = decide(0.99, 0.99, 0.0003, CARD)
    assert decision.answer == NO_PNEUMONIA
    assert decision.probability == pytest.approx(0.99)
    assert decide(0.99, 0.99, 0.0004, CARD).answer == COVID


def test_without_any_infection_there_is_no_pneumonia_to_name_whatever_the_limit() -> None:
    given = SegmenterCard("given masks", "1", PAPER, detection_limit=0.0)
    assert decide(0.99, 0.99, 0.0, given).answer == NO_PNEUMONIA
    assert decide(0.99, 0.99, 1e-6, given).answer == COVID


@pytest.mark.parametrize(
    ("ratio", "other"),
    [
        (0.00095, 0.96),
        (0.00105, 0.35),
        (0.0285, 0.35),
        (0.0315, 0.96),
        (0.030, 0.35),
        (0.001, 0.35),
    ],
)
def test_near_a_cut_off_the_other_side_is_told(ratio: float, other: float) -> None:
    decision = decide(1.0, 0.0, ratio, CARD)
    assert decision.other_side == pytest.approx(other)
    assert decision.probability == pytest.approx(1.31 - other)


@pytest.mark.parametrize("ratio", [0.0005, 0.0012, 0.005, 0.02, 0.034])
def test_far_from_the_cut_offs_there_is_no_other_side(ratio: float) -> None:
    assert decide(1.0, 0.0, ratio, CARD).other_side is None


def test_fitted_weights_decide_by_their_own_bins() -> None:
    fitted = FittedWeights(CutOffs(0.01, 0.02, 0.05), 0.1, 0.5, 0.9)
    decision = decide(1.0, 0.0, 0.049, CARD, fitted)
    assert (decision.form, decision.weight, decision.other_side) == ("fitted", 0.5, 0.9)
    assert decision.stratum == "large"
    with pytest.raises(ValueError, match="weights must lie"):
        FittedWeights(PAPER, 0.1, 1.2, 0.5)


def cohort(cases: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """US knows the middle bin, SS the outer ones; each guesses elsewhere."""
    rng = np.random.default_rng(1)
    covid = rng.random(cases) < 0.5
    ratios = rng.choice([0.0005, 0.01, 0.1], cases)
    good = np.where(covid, 0.8, 0.2)
    noise = rng.random(cases)
    middle = ratios == 0.01
    return np.where(middle, good, noise), np.where(middle, noise, good), ratios, covid


def test_fitting_finds_which_network_knows_which_bin() -> None:
    fitted = fit_weights(*cohort(), PAPER)
    assert fitted.between > 0.85
    assert fitted.below < 0.15 and fitted.above < 0.15


def test_a_bin_without_cases_or_with_agreement_gets_one_half() -> None:
    fitted = fit_weights([0.7, 0.2], [0.7, 0.2], [0.01, 0.02], [True, False], PAPER)
    assert (fitted.below, fitted.between, fitted.above) == (0.5, 0.5, 0.5)


def test_maps_combine_like_probabilities_and_keep_their_geometry() -> None:
    us, ss = sitk.Image([3, 4, 5], sitk.sitkFloat32) + 1.0, sitk.Image([3, 4, 5], sitk.sitkFloat32)
    for image in (us, ss):
        image.SetOrigin((1.0, 2.0, 3.0))
    both = combine_maps(us, ss, 0.35)
    assert both.GetPixelID() == sitk.sitkFloat32 and both.GetOrigin() == (1.0, 2.0, 3.0)
    assert sitk.GetArrayFromImage(both) == pytest.approx(np.full((5, 4, 3), 0.35))
