"""Maps brought together: how dead maps enter, intervals by patient, and one method against another."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.evaluation.attention_quality import Curves, MapMeasures
from DualSamplingCOVIDLib.evaluation.attention_tables import (
    ALL,
    DS,
    GRAD_CAM,
    MEASURES,
    STAGES,
    US,
    MapQuality,
    mean_interval,
    median_cases,
    summarise,
)

NAN = math.nan


def a_map(case: int, method: str = US, energy: float = 0.5, *, patient: int | None = None, stratum: str = "small",
          label: str = COVID, prevalence: float = 0.1, sanity: tuple[float, ...] = ()) -> MapQuality:  # fmt: skip
    """Return a map whose measures all follow from its energy; NaN is a dead map."""
    dead = math.isnan(energy)
    measures = MapMeasures(dead, prevalence, energy, 10 * energy, energy, energy, energy, energy, energy)
    curves = None if dead else Curves((0.0, 1.0), (0.0, energy), (energy, 0.0))
    person = f"patient-{case if patient is None else patient}"
    checked = tuple(zip(STAGES, sanity, strict=False))
    return MapQuality(f"case-{case}", person, label, 0, 0.01, stratum, method, 1.0, measures, False, curves, checked)


def half_empty(row: MapQuality) -> MapQuality:
    """Return a combined map of which one member's is dead."""
    return dataclasses.replace(
        row, one_member_empty=True, measures=dataclasses.replace(row.measures, dice=NAN, iou=NAN)
    )


def test_each_mean_has_its_cases_and_patients_by_stratum() -> None:
    rows = [a_map(0, energy=0.2, patient=7), a_map(1, energy=0.4, patient=7), a_map(2, energy=0.9, stratum="large")]
    found = summarise(rows, resamples=50)
    small, medium, large, every = (
        found.figure(US, "energy_infection", stratum) for stratum in ("small", "medium", "large", ALL)
    )
    assert (small.mean, small.n, small.patients) == (pytest.approx(0.3), 2, 1)
    assert (large.mean, large.n) == (0.9, 1) and medium.n == 0 and math.isnan(medium.mean)
    assert every.mean == pytest.approx(0.5) and (every.n, every.patients) == (3, 2)
    assert found.figure(US, "insertion").mean == pytest.approx(0.25)


def test_dead_maps_are_counted_and_enter_no_mean_but_the_one_that_says_so() -> None:
    rows = [a_map(0, energy=0.6), a_map(1, energy=0.8), a_map(2, energy=NAN, prevalence=0.2)]
    found = summarise(rows, resamples=20)
    for measure in ("pointing", "energy_infection", "energy_lungs", "dice", "iou"):
        figure = found.figure(US, measure)
        assert (figure.mean, figure.n, figure.dead, figure.undefined) == (pytest.approx(0.7), 2, 1, 0)
        assert figure.with_dead == pytest.approx(1.4 / 3)
    assert found.figure(US, "auprc").with_dead == pytest.approx((0.6 + 0.8 + 0.2) / 3)
    for measure in ("peak_distance_mm", "insertion", "deletion"):
        assert math.isnan(found.figure(US, measure).with_dead) and found.figure(US, measure).dead == 1


def test_a_combined_map_with_an_empty_member_is_left_out_of_dice_and_iou_alone() -> None:
    rows = [a_map(0, DS, 0.6), half_empty(a_map(1, DS, 0.4)), a_map(2, DS, NAN), half_empty(a_map(3, DS, 0.3))]
    rows[3] = dataclasses.replace(rows[3], measures=dataclasses.replace(rows[3].measures, prevalence=0.0))
    found = summarise([*rows, a_map(0, GRAD_CAM, 0.5), a_map(1, GRAD_CAM, 0.2)], resamples=20)
    for measure in ("dice", "iou"):
        figure = found.figure(DS, measure)
        assert (figure.mean, figure.n, figure.dead, figure.one_member_empty) == (0.6, 1, 2, 1)
        assert figure.undefined == 1 and figure.with_dead == pytest.approx(0.6 / 3)
    energy = found.figure(DS, "energy_lungs")
    assert energy.mean == pytest.approx((0.6 + 0.4 + 0.3) / 3)
    assert (energy.n, energy.dead, energy.one_member_empty) == (3, 1, 0)
    paired = found.difference("dice", first=DS)
    assert (paired.n, paired.dead_first, paired.mean) == (1, 1, pytest.approx(0.1))
    assert paired.with_dead == pytest.approx((0.1 - 0.2) / 2)
    assert [row["one_member_empty"] for row in found.maps_as_table() if row["method"] == DS] == [
        False,
        True,
        False,
        True,
    ]


def test_without_dead_maps_both_means_agree() -> None:
    found = summarise([a_map(0, energy=0.6), a_map(1, energy=0.8)], resamples=20)
    for measure in MEASURES:
        figure = found.figure(US, measure)
        assert figure.with_dead == pytest.approx(figure.mean) and figure.dead == 0


def test_cases_without_infection_are_undefined_not_dead_and_not_zero() -> None:
    empty = a_map(1, energy=0.8, prevalence=0.0)
    measures = dataclasses.replace(empty.measures, pointing=NAN, peak_distance_mm=NAN, energy_infection=NAN)
    rows = [a_map(0, energy=0.6), dataclasses.replace(empty, measures=measures), a_map(2, energy=NAN, prevalence=0.0)]
    found = summarise(rows, resamples=20)
    energy, lungs = found.figure(US, "energy_infection"), found.figure(US, "energy_lungs")
    assert (energy.mean, energy.n, energy.dead, energy.undefined, energy.with_dead) == (0.6, 1, 0, 2, 0.6)
    assert (lungs.n, lungs.dead, lungs.undefined) == (2, 1, 0)
    assert lungs.with_dead == pytest.approx(1.4 / 3)


def test_only_the_cases_of_the_label_count() -> None:
    rows = [a_map(0, energy=0.6), a_map(1, energy=0.1, label=CAP)]
    assert summarise(rows, resamples=5).figure(US, "dice").mean == 0.6
    assert summarise(rows, label=CAP, resamples=5).figure(US, "dice").mean == 0.1


def test_repeated_scans_of_a_patient_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(3).random(30)
    once = mean_interval(list(values), [f"{p}" for p in range(30)], 400, 0)
    thrice = mean_interval(list(np.repeat(values, 3)), [f"{p}" for p in np.repeat(range(30), 3)], 400, 0)
    assert thrice.estimate == pytest.approx(once.estimate) == pytest.approx(values.mean())
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    # a normal approximation, in which the interval of a mean of 30 is about +- 2 standard errors wide
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(30), rel=0.15)


def test_the_paired_difference_sees_what_two_separate_intervals_do_not() -> None:
    level = np.random.default_rng(4).random(24)
    rows = [a_map(case, GRAD_CAM, 0.6 * float(level[case])) for case in range(24)]
    rows += [a_map(case, US, 0.6 * float(level[case]) + 0.05 + 0.01 * (case % 2)) for case in range(24)]
    found = summarise(rows, resamples=300)
    us, baseline = (found.figure(method, "energy_infection") for method in (US, GRAD_CAM))
    paired = found.difference("energy_infection")
    assert (paired.first, paired.second, paired.n, paired.patients) == (US, GRAD_CAM, 24, 24)
    assert paired.mean == pytest.approx(0.055) and 0.05 <= paired.low < paired.mean < paired.high <= 0.06
    assert us.low < baseline.high  # side by side they overlap


def test_a_pair_with_a_dead_map_is_left_out_and_counted_and_taken_as_worst_beside_that() -> None:
    rows = [a_map(0, US, 0.6), a_map(0, GRAD_CAM, 0.4), a_map(1, US, NAN), a_map(1, GRAD_CAM, 0.5)]
    rows += [a_map(2, US, NAN), a_map(2, GRAD_CAM, NAN), a_map(3, US, 0.9)]
    paired = summarise(rows, resamples=50).difference("energy_infection")
    assert paired.mean == pytest.approx(0.2) and paired.n == 1
    assert (paired.dead_first, paired.dead_second, paired.with_dead_n) == (2, 1, 3)
    assert paired.with_dead == pytest.approx((0.2 - 0.5 + 0.0) / 3)
    distance = summarise(rows, resamples=50).difference("peak_distance_mm")
    assert distance.mean == pytest.approx(2.0) and math.isnan(distance.with_dead)


def test_the_difference_is_taken_within_each_stratum() -> None:
    rows = [a_map(0, US, 0.6), a_map(0, GRAD_CAM, 0.4)]
    rows += [a_map(1, US, 0.3, stratum="large"), a_map(1, GRAD_CAM, 0.7, stratum="large")]
    found = summarise(rows, resamples=20)
    means = [found.difference("dice", stratum).mean for stratum in ("small", "large", ALL)]
    assert means == pytest.approx([0.2, -0.4, -0.1])
    empty = found.difference("dice", "medium")
    assert empty.n == 0 and math.isnan(empty.mean) and empty.first == US


def test_the_sanity_check_averages_the_cases_that_have_one() -> None:
    rows = [a_map(0, sanity=(0.8, 0.2)), a_map(1, sanity=(0.4, NAN)), a_map(2)]
    rows = [
        dataclasses.replace(r, sanity=r.sanity + tuple((s, 0.0) for s in STAGES[2:]) if r.sanity else ()) for r in rows
    ]
    found = {figure.stage: figure for figure in summarise(rows, resamples=20).sanity}
    assert (found["fc"].mean, found["fc"].n, found["fc"].undefined) == (pytest.approx(0.6), 2, 0)
    assert (found["layer4"].mean, found["layer4"].n, found["layer4"].undefined) == (0.2, 1, 1)
    assert list(found) == list(STAGES)


def test_the_median_case_stands_for_its_stratum() -> None:
    rows = [a_map(case, energy=energy) for case, energy in enumerate((0.9, 0.1, 0.5, 0.7))]
    rows += [a_map(9, energy=NAN, stratum="large"), a_map(8, energy=0.3, stratum="large"), a_map(7, GRAD_CAM, 0.5)]
    assert median_cases(rows) == {"small": "case-2", "large": "case-9"}


def test_tables_and_json_carry_every_number_with_its_n() -> None:
    rows = [a_map(0, US, 0.6, sanity=(1.0,) * 6), a_map(0, GRAD_CAM, NAN)]
    found = summarise(rows, settings=(("tolerance_mm", 10.0),), resamples=20)
    assert len(found.as_table()) == 2 * 4 * len(MEASURES)
    assert {"method", "stratum", "measure", "mean", "low", "high", "n", "dead"} <= set(found.as_table()[0])
    assert len(found.differences_as_table()) == 4 * (len(MEASURES) - 1) and len(found.sanity_as_table()) == 2 * 6
    assert found.maps_as_table()[0]["dead"] is True and found.maps_as_table()[1]["insertion"] == pytest.approx(0.3)
    record = json.loads(found.as_json())
    assert record["settings"] == [["tolerance_mm", 10.0]]
    dead = next(row for row in record["maps"] if row["method"] == GRAD_CAM)
    assert dead["measures"]["dice"] is None and "NaN" not in found.as_json()


def test_one_patient_has_a_mean_but_no_interval() -> None:
    found = mean_interval([0.2, 0.4], ["p", "p"], 50, 0)
    assert found.estimate == pytest.approx(0.3) and math.isnan(found.low) and math.isnan(found.high)
