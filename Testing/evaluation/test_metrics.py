"""The paper's figures from the paper's counts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib.evaluation.metrics import (
    Confusion,
    Scores,
    auc,
    confusion,
    mean_std,
    mean_std_scores,
    pooled,
    scores,
)

PAPER = json.loads((Path(__file__).parents[1] / "data" / "paper_tables.json").read_text(encoding="utf-8"))
MODELS = list(enumerate(PAPER["models"]))
FIGURES = ("accuracy", "sensitivity", "specificity", "f1")


def counts(model: str) -> list[Confusion]:
    """Return the recovered confusion matrix of each stratum of the TV set."""
    groups = zip(
        PAPER["tv_true_positive_true_negative"][model],
        PAPER["tv_counts"]["covid"],
        PAPER["tv_counts"]["cap"],
        strict=True,
    )
    return [Confusion(tp, covid - tp, tn, cap - tn) for (tp, tn), covid, cap in groups]


def cases_of(matrix: Confusion) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and truth that give this confusion matrix."""
    p = np.repeat([0.9, 0.1, 0.1, 0.9], [*vars(matrix).values()])
    return p, np.repeat([True, True, False, False], [*vars(matrix).values()])


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize(("row", "model"), MODELS)
def test_table_3_follows_from_its_counts(row: int, model: str, figure: str) -> None:
    found = [round(getattr(scores(*cases_of(matrix)), figure), 3) for matrix in counts(model)]
    assert found == PAPER["table3_tv"][figure][row]


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize(("row", "model"), MODELS)
def test_table_2_follows_from_the_sum_of_its_counts(row: int, model: str, figure: str) -> None:
    small, medium, large = counts(model)
    assert round(getattr(small + medium + large, figure), 3) == PAPER["table2_tv"][figure][row]


def test_counting_gives_back_the_matrix_and_one_half_is_covid() -> None:
    matrix = Confusion(3, 2, 5, 1)
    assert confusion(*cases_of(matrix)) == matrix
    assert confusion([0.5, 0.5], [True, False]) == Confusion(1, 0, 0, 1)


def test_auc_counts_ties_as_one_half() -> None:
    assert auc([0.1, 0.4, 0.4, 0.8], [False, False, True, True]) == pytest.approx(3.5 / 4)


def test_figures_without_cases_are_not_numbers() -> None:
    found = scores([0.2, 0.7], [True, True])
    assert math.isnan(found.auc) and math.isnan(found.specificity)
    assert found.sensitivity == 0.5


@pytest.mark.parametrize(("p", "covid"), [([0.1, 0.2], [True]), ([1.2], [True]), ([float("nan")], [True])])
def test_what_is_no_prediction_is_refused(p: list[float], covid: list[bool]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        scores(p, covid)


def test_pooling_differs_from_averaging_the_folds() -> None:
    low, high = ([0.1, 0.2], [False, True]), ([0.6, 0.7], [False, True])
    both = pooled([low, high])
    assert both.mean_fold_auc == 1.0
    assert both.scores.auc == pytest.approx(0.75)
    assert both.confusion == Confusion(1, 1, 1, 1)


def test_the_deviation_is_that_of_a_sample() -> None:
    assert mean_std([0.9, 0.8, 1.0]) == pytest.approx((0.9, 0.1))
    assert math.isnan(mean_std([0.9])[1])
    with pytest.raises(ValueError, match="no values"):
        mean_std([])


def test_models_are_averaged_figure_by_figure() -> None:
    mean, deviation = mean_std_scores([Scores(0.9, 0.8, 0.7, 0.6, 0.5), Scores(0.7, 0.8, 0.9, 0.6, 0.3)])
    assert mean.auc == pytest.approx(0.8) and mean.f1 == pytest.approx(0.4)
    assert deviation.accuracy == 0.0 and deviation.auc == pytest.approx(0.2 / math.sqrt(2))
