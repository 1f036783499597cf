"""Which group a ratio is of, and refitted cut-offs."""

from __future__ import annotations

import numpy as np
import pytest

from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.evaluation.strata import PAPER_PROPORTIONS, Proportions, fit_cut_offs, proportions

PAPER = CutOffs()


def test_the_bounds_belong_to_the_middle_group() -> None:
    strata = [PAPER.stratum(ratio) for ratio in (0.0049, 0.005, 0.030, 0.0301)]
    assert strata == ["small", "medium", "medium", "large"]


def test_fitted_cut_offs_give_a_cohort_the_papers_strata() -> None:
    found = np.random.default_rng(2).lognormal(-4.0, 1.2, 2000)
    refitted = proportions(found, fit_cut_offs(found))
    assert refitted.below_minimal == pytest.approx(PAPER_PROPORTIONS.below_minimal, abs=0.002)
    assert refitted.below_small == pytest.approx(PAPER_PROPORTIONS.below_small, abs=0.002)
    assert refitted.above_large == pytest.approx(PAPER_PROPORTIONS.above_large, abs=0.002)


def test_a_segmenter_that_finds_twice_the_ratio_gets_twice_the_cut_offs() -> None:
    true = np.random.default_rng(3).lognormal(-4.5, 1.3, 4000)
    fitted = fit_cut_offs(2 * true, proportions(true, PAPER))
    assert (fitted.minimal, fitted.small, fitted.large) == pytest.approx((0.002, 0.010, 0.060), rel=0.03)


def test_many_cases_without_infection_still_give_rising_cut_offs() -> None:
    found = np.array([0.0] * 60 + [0.01] * 20 + [0.05] * 20)
    fitted = fit_cut_offs(found)
    assert 0 < fitted.minimal < fitted.small < fitted.large < 0.05
    assert np.mean(found < fitted.minimal) == 0.6


def test_ratios_that_cannot_be_parted_are_refused() -> None:
    with pytest.raises(ValueError, match="ratios are 1: do lungs and infection name the same mask"):
        fit_cut_offs([1.0] * 20)
    with pytest.raises(ValueError, match="above 0"):
        fit_cut_offs([0.0, 0.0])
    with pytest.raises(ValueError, match="stratum empty"):
        proportions([0.01, 0.02], PAPER)
    with pytest.raises(ValueError, match="stratum empty"):
        Proportions(0.5, 0.4, 0.1)
