"""Uniform and size-balanced sampling: the paper's weights, the frequencies, and reproducible epochs."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from torch.utils.data import DataLoader

from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.training.samplers import (
    GROUPS,
    SizeBalancedSampler,
    UniformSampler,
    group_of,
    group_probabilities,
    uniform_order,
)

SIZES = {(1, "small"): 0.01, (1, "large"): 0.1, (0, "small"): 0.0005, (0, "large"): 0.05}


def _cases(covid_small: int, covid_large: int, cap_small: int, cap_large: int) -> tuple[list[int], list[float]]:
    counts = (covid_small, covid_large, cap_small, cap_large)
    cases = [case for case, count in zip(SIZES, counts, strict=True) for _ in range(count)]
    return [label for label, _ in cases], [SIZES[case] for case in cases]


def test_groups_follow_the_cut_offs() -> None:
    ratios = [0.0299, 0.030, 0.9, 0.0, 0.001, 0.0011]
    group = group_of([1, 1, 1, 0, 0, 0], ratios, CutOffs())
    assert [GROUPS[index] for index in group] == [
        *("COVID-19 small", "COVID-19 large", "COVID-19 large"),
        *("CAP small", "CAP small", "CAP large"),
    ]
    assert group_of([1, 0], [0.06, 0.004], CutOffs(0.005, 0.02, 0.08)).tolist() == [0, 2]


def test_the_papers_covid_counts_give_a_weight_of_1_333() -> None:
    balance = group_probabilities(*_cases(469, 625, 300, 100), CutOffs())
    assert balance.counts == (469, 625, 300, 100)
    assert balance.weights == pytest.approx((1.333, 1, 1, 3), abs=5e-4)
    assert balance.probabilities == pytest.approx(np.array([625 / 469, 1, 1, 3]) / (625 / 469 + 5))


def test_a_weight_is_never_below_1() -> None:
    balance = group_probabilities(*_cases(20, 10, 5, 50), CutOffs())
    assert balance.weights == (1, 1, 1, 1) and balance.probabilities == (0.25,) * 4


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ((0, 5, 4, 2), (0, 1, 1, 2)),
        ((3, 0, 4, 0), (1, 0, 1, 0)),
        ((0, 0, 0, 7), (0, 0, 0, 1)),
        ((2, 6, 0, 0), (3, 1, 0, 0)),
    ],
)
def test_an_empty_group_gets_nothing(counts: tuple[int, ...], weights: tuple[int, ...]) -> None:
    labels, ratios = _cases(*counts)
    balance = group_probabilities(labels, ratios, CutOffs())
    assert balance.weights == weights
    assert balance.probabilities == pytest.approx(np.array(weights) / sum(weights))
    drawn = list(SizeBalancedSampler(labels, ratios, CutOffs(), seed=0))
    assert len(drawn) == sum(counts) and set(drawn) <= set(range(sum(counts)))


def test_the_balance_is_frozen() -> None:
    balance = group_probabilities(*_cases(1, 1, 1, 1), CutOffs())
    with pytest.raises(dataclasses.FrozenInstanceError):
        balance.counts = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("labels", "ratios"), [([], []), ([1, 0], [0.1]), ([2], [0.1]), ([1], [float("nan")]), ([1], [1.2]), ([0], [-0.1])]
)
def test_unusable_cases_are_refused(labels: list[int], ratios: list[float]) -> None:
    with pytest.raises(ValueError):
        group_of(labels, ratios, CutOffs())


def test_size_balanced_draws_have_the_groups_frequencies_and_are_uniform_inside() -> None:
    labels, ratios = _cases(20, 45, 60, 15)
    order = np.random.default_rng(3).permutation(len(labels))
    labels, ratios = [labels[i] for i in order], [ratios[i] for i in order]
    sampler = SizeBalancedSampler(labels, ratios, CutOffs(), seed=11)
    drawn: list[int] = []
    for epoch in range(100):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    group = group_of(labels, ratios, CutOffs())
    expected = len(drawn) * np.array(sampler.balance.probabilities)
    assert sampler.balance.weights == (2.25, 1, 1, 4)
    assert stats.chisquare(np.bincount(group[drawn], minlength=4), expected).pvalue > 0.01
    for index in range(4):
        inside = np.bincount(drawn, minlength=len(labels))[group == index]
        assert stats.chisquare(inside).pvalue > 0.01


def test_uniform_sampling_shows_each_case_exactly_once() -> None:
    sampler = UniformSampler(101, seed=5)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert set(Counter(sampler).items()) == {(index, 1) for index in range(101)}
    assert sorted(uniform_order(7, 0, 0).tolist()) == list(range(7))


@pytest.mark.parametrize("kind", ["uniform", "size-balanced"])
def test_an_epoch_depends_on_the_seed_and_its_number_alone(kind: str) -> None:
    def epoch_of(epoch: int, seed: int) -> list[int]:
        sampler = (
            UniformSampler(60, seed)
            if kind == "uniform"
            else SizeBalancedSampler(*_cases(10, 20, 20, 10), CutOffs(), seed)
        )
        sampler.set_epoch(epoch)
        assert len(sampler) == 60 and list(sampler) == list(sampler)
        return list(sampler)

    assert epoch_of(4, 1) == epoch_of(4, 1)
    assert epoch_of(4, 1) != epoch_of(5, 1) and epoch_of(4, 1) != epoch_of(4, 2)


def test_a_data_loader_takes_the_sampler() -> None:
    sampler = UniformSampler(6, seed=0)
    loader: DataLoader[int] = DataLoader(list(range(6)), batch_size=2, sampler=sampler)  # type: ignore[arg-type]
    assert [int(value) for batch in loader for value in batch] == list(sampler)
