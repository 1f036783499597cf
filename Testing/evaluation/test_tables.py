"""The paper's TV columns from its recovered counts, through the whole command; and what the tables of a run must be."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from _run_folder import Scan, noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.diagnosis import STRATA, CutOffs
from DualSamplingCOVIDLib.ensemble import weight
from DualSamplingCOVIDLib.evaluation.bootstrap import patient_bootstrap
from DualSamplingCOVIDLib.evaluation.evaluate import evaluate
from DualSamplingCOVIDLib.evaluation.metrics import auc, scores
from DualSamplingCOVIDLib.run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, read_run

PAPER = json.loads((Path(__file__).parents[1] / "data" / "paper_tables.json").read_text(encoding="utf-8"))
ROWS = (BASELINE_US, ATTENTION_US, ATTENTION_SS, "attention-ds")
FIGURES = ("accuracy", "sensitivity", "specificity", "f1")
RATIOS = dict(zip(STRATA, (0.0005, 0.01, 0.05), strict=True))
FOLDS = 5


def paper_run(folder: Path) -> Path:
    """Write a run of the TV set's size whose four methods have the paper's confusion matrices in every stratum."""
    scans: list[Scan] = []
    logits: dict[tuple[str, str], float] = {}
    recovered = [PAPER["tv_true_positive_true_negative"][title] for title in PAPER["models"]]
    for row, (stratum, ratio) in enumerate(RATIOS.items()):
        w = weight(ratio, CutOffs())
        for side, label in enumerate(("covid", "cap")):
            n = PAPER["tv_counts"][label][row]
            right = dict(zip(ROWS, (method[row][side] for method in recovered), strict=True))
            for number, (us, ss) in enumerate(_answers(n, *(right[name] for name in ROWS[1:]), w)):
                case = f"{stratum}-{label}-{number}"
                sign = 1 if label == "covid" else -1
                fold = (number // 2) % FOLDS  # two scans a patient
                scans.append(Scan(case, f"{stratum}-{label}-{number // 2}", label == "covid", fold, ratio))
                of_model = {
                    BASELINE_US: 0.9 if number < right[BASELINE_US] else 0.1,
                    ATTENTION_US: us,
                    ATTENTION_SS: ss,
                }
                for model, p in of_model.items():
                    logits[model, case] = sign * float(np.log(p / (1 - p)))
    return write_run(folder, scans, lambda fold, model, scan: logits[model, scan.case_id], FOLDS)


def _answers(n: int, us: int, ss: int, ds: int, w: float) -> list[tuple[float, float]]:
    """Return the probabilities of the true class by US and SS of n cases: `us`, `ss` and (by Eq. 5) `ds` are right."""
    both = min(us, ss) - max(0, ds - max(us, ss))
    wins = ds - both  # cases in which the networks disagree and the ensemble follows the right one
    cases = [(0.9, 0.9)] * both
    for number in range((us - both) + (ss - both)):
        us_is_right, won = number < us - both, number < wins
        share = w if us_is_right else 1 - w  # of the network that is right
        sure, unsure = (0.999, 0.499) if won else (0.501, 0.001)
        assert (share * sure + (1 - share) * unsure > 0.5) == won
        cases.append((sure, unsure) if us_is_right else (unsure, sure))
    return cases + [(0.1, 0.1)] * (n - len(cases))


def read_table(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return a table's lines by (results, method)."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {(line["results"], line["method"]): line for line in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def the_papers_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    run = paper_run(folder / "run")
    arguments = ["evaluate", str(run), "--output", str(folder / "out"), "--resamples", "40", "--permutations", "5"]
    assert main([*arguments, "--progress", "none"]) == 0
    return folder / "out" / "tables"


@pytest.mark.parametrize("figure", FIGURES)
def test_table_2_has_the_papers_tv_column(the_papers_tables: Path, figure: str) -> None:
    table = read_table(the_papers_tables / "table2.csv")
    assert [round(float(table[figure, row]["tv"]), 3) for row in ROWS] == PAPER["table2_tv"][figure]
    counts = PAPER["tv_counts"]
    covid, cap = sum(counts["covid"]), sum(counts["cap"])
    expected = {"sensitivity": covid, "specificity": cap}.get(figure, covid + cap)
    assert {int(table[figure, row]["tv_n"]) for row in ROWS} == {expected}


@pytest.mark.parametrize("figure", FIGURES)
def test_table_3_has_the_papers_tv_columns(the_papers_tables: Path, figure: str) -> None:
    table = read_table(the_papers_tables / "table3.csv")
    for row, expected in zip(ROWS, PAPER["table3_tv"][figure], strict=True):
        assert [round(float(table[figure, row][f"tv_{stratum}"]), 3) for stratum in STRATA] == expected
    assert [int(table["number of covid images", ""][f"tv_{s}"]) for s in STRATA] == PAPER["tv_counts"]["covid"]
    assert [int(table["number of cap images", ""][f"tv_{s}"]) for s in STRATA] == PAPER["tv_counts"]["cap"]


def test_the_papers_layout_is_written_to_read(the_papers_tables: Path) -> None:
    lines = (the_papers_tables / "table3.md").read_text(encoding="utf-8").splitlines()
    assert "| Results | Method | TV set < 0.005 | TV set 0.005 – 0.030 | TV set > 0.030 |" in lines
    assert "| No. of images | COVID-19 | 151 | 318 | 625 |" in lines
    page = (the_papers_tables / "table2.html").read_text(encoding="utf-8")
    assert "<td>Attention RN34 + DS</td><td>0.954 (" in page and "Research use only" in page


@pytest.fixture(scope="module")
def a_run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = scans_of(24, folds=3, test_patients=12)
    return write_run(tmp_path_factory.mktemp("tables") / "run", scans, noisy_logits(scans), 3)


def _p(logits: Sequence[float]) -> np.ndarray:
    return 1 / (1 + np.exp(-np.array(logits)))


def test_rows_are_the_figures_of_the_predictions(a_run_folder: Path) -> None:
    run = read_run(a_run_folder)
    found = evaluate(run, resamples=200, permutations=20)
    p = _p([run.model(case.fold or 0, ATTENTION_SS).logits[case.case_id] for case in run.validation])
    covid = np.array([case.is_covid for case in run.validation])
    row = found.row(ATTENTION_SS, "validation")
    expected = scores(p, covid)
    assert (row.auc.value, row.f1.value) == pytest.approx((expected.auc, expected.f1))
    assert (row.auc.n, row.sensitivity.n, row.specificity.n) == (len(covid), covid.sum(), (~covid).sum())
    folds = np.array([case.fold for case in run.validation])
    by_fold = [auc(p[folds == fold], covid[folds == fold]) for fold in range(3)]
    assert row.auc.fold_mean == pytest.approx(np.mean(by_fold)) and row.auc.folds == 3
    assert row.auc.fold_mean != pytest.approx(row.auc.value, abs=1e-6)
    interval = patient_bootstrap(auc, p, covid, [case.patient_id for case in run.validation], 200)
    assert (row.auc.low, row.auc.high) == pytest.approx((interval.low, interval.high))


def test_test_rows_are_mean_and_deviation_over_the_fold_models(a_run_folder: Path) -> None:
    run = read_run(a_run_folder)
    row = evaluate(run, resamples=20, permutations=20).row(BASELINE_US, "test")
    covid = [case.is_covid for case in run.test]
    values = [
        auc(_p([run.model(fold, BASELINE_US).logits[case.case_id] for case in run.test]), covid) for fold in range(3)
    ]
    assert (row.auc.value, row.auc.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert row.auc.models == 3 and row.patients == 12


def test_strata_add_up_and_every_number_has_its_n(a_run_folder: Path) -> None:
    found = evaluate(read_run(a_run_folder), resamples=20, permutations=20)
    for method in found.sets[0].probabilities:
        for name in ("validation", "test"):
            whole, parts = found.row(method, name), [found.row(method, name, stratum) for stratum in STRATA]
            assert sum(part.covid for part in parts) == whole.covid
            right = sum(part.accuracy.value * part.accuracy.n for part in parts if part.accuracy.n)
            assert right == pytest.approx(whole.accuracy.value * whole.accuracy.n)
