"""Each measure of one map against answers found by hand: a perfect, an inverted and a dead map among them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from DualSamplingCOVIDLib.evaluation.attention_quality import (
    Curves,
    average_precision,
    energy_inside,
    insertion_deletion,
    is_dead,
    lung_background,
    measure,
    overlap,
    peak,
    peak_distance_mm,
    rank_correlation,
)

SHAPE = (4, 6, 8)
SPACING = (1.0, 2.0, 5.0)


def volume(*parts: tuple[tuple[slice | int, ...], float]) -> np.ndarray:
    """Return zeros with these values in these parts."""
    result = np.zeros(SHAPE, np.float32)
    for part, value in parts:
        result[part] = value
    return result


LUNGS = volume((np.s_[:, 1:5, 1:7], 1.0))  # 96 voxels
INFECTION = volume((np.s_[1:3, 2:4, 3:6], 1.0))  # 12 voxels


def test_a_perfect_map_has_the_best_answer_in_every_measure() -> None:
    found = measure(INFECTION, INFECTION, LUNGS, SPACING)
    assert (found.pointing, found.peak_distance_mm) == (1.0, 0.0)
    assert (found.energy_infection, found.energy_lungs, found.dice, found.iou, found.auprc) == (1, 1, 1, 1, 1)
    assert found.prevalence == 12 / 96 and not found.dead


def test_an_inverted_map_has_the_worst() -> None:
    found = measure(1 - INFECTION, INFECTION, LUNGS, SPACING, tolerance_mm=0.5)
    assert found.pointing == 0 and found.energy_infection == 0 and found.dice == 0 and found.iou == 0
    assert found.energy_lungs == pytest.approx((96 - 12) / (192 - 12))
    assert found.auprc == pytest.approx(12 / 96)  # infection comes last, together, so precision is the prevalence


def test_a_dead_map_has_no_answers_but_says_so() -> None:
    found = measure(volume(), INFECTION, LUNGS, SPACING)
    assert found.dead and is_dead(volume()) and peak(volume()) is None
    figures = (found.pointing, found.peak_distance_mm, found.energy_infection, found.energy_lungs, found.dice,
               found.iou, found.auprc)  # fmt: skip
    assert all(math.isnan(value) for value in figures)
    assert found.prevalence == 12 / 96
    assert insertion_deletion(lambda _: 0.5, LUNGS, LUNGS, volume(), LUNGS, 4) is None


def test_without_infection_only_the_energy_in_the_lungs_is_defined() -> None:
    found = measure(LUNGS, volume(), LUNGS, SPACING)
    assert found.energy_lungs == 1 and found.prevalence == 0 and not found.dead
    figures = (found.pointing, found.energy_infection, found.dice, found.iou, found.auprc)
    assert all(math.isnan(value) for value in figures)


@pytest.mark.parametrize(
    ("top", "distance_mm"),
    [
        ((1, 2, 3), 0.0),
        ((1, 2, 0), 3.0),  # three voxels of 1 mm along i
        ((1, 0, 3), 4.0),  # two of 2 mm along j
        ((3, 2, 3), 5.0),  # one of 5 mm along k
        ((0, 1, 2), math.sqrt(25 + 4 + 1)),
    ],
)
def test_the_peaks_distance_is_in_mm_along_each_axis(top: tuple[int, int, int], distance_mm: float) -> None:
    a_hat = volume((top, 1.0))
    assert peak_distance_mm(a_hat, INFECTION, SPACING) == pytest.approx(distance_mm)
    for tolerance_mm, hit in ((distance_mm + 1e-6, 1.0), (distance_mm - 1e-6, 0.0)):
        assert measure(a_hat, INFECTION, LUNGS, SPACING, tolerance_mm).pointing == hit


def test_the_peak_of_a_plateau_is_its_first_voxel_the_cells_own_centre() -> None:
    a_hat = volume((np.s_[2:, 3, 5:], 1.0), ((3, 3, 7), 1.0 + 1e-7))
    assert peak(a_hat) == (2, 3, 5)


def test_energy_is_the_share_of_the_maps_sum_and_a_half_infected_voxel_counts_half() -> None:
    a_hat = volume(((0, 0, 0), 1.0), ((1, 2, 3), 0.5), ((1, 2, 2), 0.5))
    assert energy_inside(a_hat, INFECTION) == pytest.approx(0.25)
    assert energy_inside(a_hat, INFECTION / 2) == pytest.approx(0.125)


def test_dice_and_iou_are_of_the_voxels_where_t_is_at_least_a_half() -> None:
    a_hat = volume((np.s_[1, 2:4, 3:6], 0.4), (np.s_[1, 2:4, 6:8], 0.9), (np.s_[2], 0.399))
    # attended: 6 infected voxels and 4 others; infected: 12
    assert overlap(a_hat, INFECTION) == pytest.approx((2 * 6 / (10 + 12), 6 / 16))
    # half-infected voxels: what is in both is 3 of 10 and 6
    assert overlap(a_hat, INFECTION / 2) == pytest.approx((2 * 3 / (10 + 6), 3 / 13))
    assert overlap(a_hat, INFECTION, beta=0.5) == (0, 0)  # the four others alone


def test_average_precision_by_hand_and_only_over_the_lungs() -> None:
    a_hat, infection = volume(), volume()
    for index, (score, infected) in enumerate(((0.9, 1), (0.8, 0), (0.7, 1), (0.6, 0), (0.5, 0))):
        a_hat[0, 0, index], infection[0, 0, index] = score, infected
    lungs = volume((np.s_[0, 0, :5], 1.0))
    a_hat[3] = 1.0  # outside the lungs: of no account
    # recall rises by 1/2 at precision 1/1 and by 1/2 at precision 2/3
    assert average_precision(a_hat, infection, lungs) == pytest.approx((1 + 2 / 3) / 2)


def test_average_precision_weighs_voxels_by_their_shares() -> None:
    a_hat, infection, lungs = volume(), volume(), volume()
    a_hat[0, 0, :3], infection[0, 0, :3], lungs[0, 0, :3] = (0.9, 0.5, 0.1), (0.5, 0.5, 0.0), (1.0, 0.5, 1.0)
    # first voxel: half infected, half healthy; second: infected as far as it is lung
    assert average_precision(a_hat, infection, lungs) == pytest.approx(0.5 * 0.5 + 0.5 * (1.0 / 1.5))


def test_drawn_voxels_keep_average_precision_and_the_draw_is_repeatable() -> None:
    random = np.random.default_rng(7)
    lungs = np.ones((30, 40, 40), np.float32)
    infection = (random.random(lungs.shape) < 0.02).astype(np.float32)
    a_hat = np.clip(0.3 * infection + random.random(lungs.shape) * 0.7, 0, 1).astype(np.float32)
    whole = average_precision(a_hat, infection, lungs)
    drawn = average_precision(a_hat, infection, lungs, voxels=8000, seed=3)
    assert drawn == average_precision(a_hat, infection, lungs, voxels=8000, seed=3) != whole
    assert 0.05 < whole < 0.9 and drawn == pytest.approx(whole, rel=0.03)


def test_lung_background_is_the_healthy_lungs_median_times_each_voxels_share() -> None:
    lungs = LUNGS.copy()
    lungs[0, 1] = np.where(lungs[0, 1] > 0, 0.25, 0)
    image = np.where(INFECTION > 0, 0.9, 0.3).astype(np.float32) * lungs
    found = lung_background(image, INFECTION, lungs)
    np.testing.assert_allclose(found, 0.3 * lungs, atol=1e-6)
    assert found[0, 1, 1] == pytest.approx(0.075) and found[0, 0, 0] == 0


def linear(importance: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return a model that answers with the importance of what it is shown (1) over that of everything."""
    return lambda shown: float((importance * shown).sum(dtype=np.float64) / importance.sum(dtype=np.float64))


@pytest.mark.parametrize("steps", [96, 24, 5, 1])
def test_the_curves_of_a_linear_model_have_their_closed_form(steps: int) -> None:
    n = 96
    importance = volume()
    importance[LUNGS > 0] = np.random.default_rng(2).permutation(np.arange(1, n + 1))
    a_hat = (importance / n).astype(np.float32)
    found = insertion_deletion(linear(importance), LUNGS, volume(), a_hat, LUNGS, steps)
    assert found is not None and len(found.fractions) == steps + 1
    shown = np.array(found.fractions) * n
    expected = shown * (2 * n + 1 - shown) / (n * (n + 1))  # the m largest of 1..n, over their sum
    np.testing.assert_allclose(shown, np.round(np.linspace(0, n, steps + 1)))
    np.testing.assert_allclose(found.insertion, expected, atol=1e-6)
    np.testing.assert_allclose(found.deletion, 1 - expected, atol=1e-6)
    if steps == n:
        # sum over m of the trapezoids of m (2n + 1 - m) / (n (n + 1)) comes to 2/3 - 1/(6n)
        assert found.insertion_area == pytest.approx(2 / 3 - 1 / (6 * n), abs=1e-6)
        assert found.deletion_area == pytest.approx(1 / 3 + 1 / (6 * n), abs=1e-6)


def test_an_inverted_map_exchanges_the_areas() -> None:
    importance = volume()
    importance[LUNGS > 0] = np.arange(1, 97)
    right = insertion_deletion(linear(importance), LUNGS, volume(), importance / 96, LUNGS, 96)
    wrong = insertion_deletion(
        linear(importance), LUNGS, volume(), np.where(LUNGS > 0, 1 - importance / 97, 0), LUNGS, 96
    )
    assert right is not None and wrong is not None
    assert wrong.insertion_area == pytest.approx(right.deletion_area)
    assert wrong.insertion_area < 0.5 < right.insertion_area


def test_what_is_taken_away_becomes_background_and_the_inputs_stay_as_they_are() -> None:
    image, background, seen = 0.8 * LUNGS, 0.3 * LUNGS, []
    a_hat = volume((np.s_[0, 1, 1:7], 1.0), (np.s_[1:, 1:5, 1:7], 0.5))

    def model(shown: np.ndarray) -> float:
        seen.append(shown.copy())
        return 0.5

    insertion_deletion(model, image, background, a_hat, LUNGS, 16)
    half_shown, half_removed = seen[2], seen[2 + 15]
    np.testing.assert_allclose(half_shown[0, 1, 1:7], 0.8)
    np.testing.assert_allclose(half_removed[0, 1, 1:7], 0.3)
    assert half_shown[1:, 1:5, 1:7] == pytest.approx(0.3) and half_removed[1:, 1:5, 1:7] == pytest.approx(0.8)
    assert len(seen) == 2 * 16 and np.all(image == np.float32(0.8) * LUNGS) and np.all(background == 0.3 * LUNGS)


def test_areas_are_those_of_the_straight_lines_between_the_points() -> None:
    curves = Curves((0.0, 0.25, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    assert curves.insertion_area == pytest.approx(0.125 + 0.75) and curves.deletion_area == pytest.approx(0.125)


def test_rank_correlation_follows_the_order_in_the_lungs_alone() -> None:
    random = np.random.default_rng(1)
    first = random.random(SHAPE).astype(np.float32)
    outside = np.where(LUNGS > 0, first**3, random.random(SHAPE)).astype(np.float32)
    assert rank_correlation(first, outside, LUNGS) == pytest.approx(1.0)
    assert rank_correlation(first, 1 - first, LUNGS) == pytest.approx(-1.0)
    assert math.isnan(rank_correlation(first, volume(), LUNGS))
    small, order = volume((np.s_[0, 0, :4], 1.0)), volume()
    first[0, 0, :4], order[0, 0, :4] = (0.1, 0.2, 0.3, 0.4), (0.2, 0.1, 0.4, 0.3)
    assert rank_correlation(first, order, small) == pytest.approx(1 - 6 * 4 / (4 * 15))  # 1 - 6 sum d^2 / (n (n^2 - 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"infection": INFECTION[:3]}, "share one grid"),
        ({"a_hat": 2 * INFECTION}, "a_hat must lie in"),
        ({"lungs": LUNGS * np.nan}, "lungs must lie in"),
    ],
)
def test_arrays_that_cannot_be_measured_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {"a_hat": INFECTION, "infection": INFECTION, "lungs": LUNGS} | change
    with pytest.raises(ValueError, match=message):
        measure(**arrays, spacing_xyz=SPACING)


@pytest.mark.parametrize(("steps", "lungs"), [(0, LUNGS), (4, volume())])
def test_curves_without_steps_or_lungs_are_refused(steps: int, lungs: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one step"):
        insertion_deletion(lambda _: 0.5, LUNGS, volume(), INFECTION, lungs, steps)
