"""The paper's figures from the paper's counts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib.evaluation.metrics import Confusion, auc, confusion, scores

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
    whole = Confusion(*(sum(cells) for cells in zip(*map(dataclasses.astuple, counts(model)), strict=True)))
    assert round(getattr(whole, figure), 3) == PAPER["table2_tv"][figure][row]


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
    for matrix in (Confusion(0, 0, 10, 0), Confusion(0, 0, 9, 1), Confusion(4, 1, 0, 0)):
        assert math.isnan(matrix.f1)  # with and without an error alike


@pytest.mark.parametrize(("p", "covid"), [([0.1, 0.2], [True]), ([1.2], [True]), ([float("nan")], [True])])
def test_what_is_no_prediction_is_refused(p: list[float], covid: list[bool]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        scores(p, covid)
