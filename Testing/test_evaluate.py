"""`evaluate` through the command line: what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from _run_folder import noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.evaluation.attention_networks import MapModel
from DualSamplingCOVIDLib.report import evaluation as report
from DualSamplingCOVIDLib.run_folder import MODELS, read_run
from DualSamplingCOVIDLib.training.cross_validation import train_models
from training.runs import CONFIG, CPU
from training.runs import a_run as a_begun_run


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = scans_of(12, folds=2)
    return write_run(tmp_path_factory.mktemp("evaluate") / "run", scans, noisy_logits(scans), 2)


def _evaluate(run: Path, output: Path, *more: str) -> int:
    quick = ("--resamples", "40", "--permutations", "10", "--progress", "none")
    return main(["evaluate", str(run), "--output", str(output), *quick, *more])


def test_a_run_without_test_cases_gives_its_folder(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()}
    assert _evaluate(a_run, tmp_path / "out") == 0
    assert "research use only" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "out").rglob("*.png")}
    assert {"roc-validation.png", "ratios.png", "reliability-validation.png"} <= names
    assert not any("test" in name or "spread" in name for name in names)
    header = (tmp_path / "out" / "tables" / "table2.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "results,method,tv,tv_low,tv_high,tv_n,tv_fold_mean,tv_folds"
    assert before == {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()}


def test_what_the_run_warns_of_stands_beside_its_figures(tmp_path: Path) -> None:
    note = "The cases a and b are the same CT: it counts twice."
    scans = scans_of(12, folds=2)
    run = write_run(tmp_path / "run", scans, noisy_logits(scans), 2, notes=[note])
    assert _evaluate(run, tmp_path / "out") == 0
    assert note in json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["notes"]
    assert note in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_unfinished_run_is_refused_and_named(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(a_run, tmp_path / "run")
    (run / "folds/1/attention-us/result.json").unlink()
    assert _evaluate(run, tmp_path / "out") == 3
    assert "not finished: folds/1/attention-us" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("run.json", "run.json"),
        ("cases.csv", "cases.csv"),
        ("folds/0/attention-ss/predictions.csv", "not finished: folds/0/attention-ss;"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, named: str
) -> None:
    run = shutil.copytree(a_run, tmp_path / "run")
    (run / missing).unlink()
    assert _evaluate(run, tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    assert _evaluate(a_run, tmp_path / "out") == 3
    assert capsys.readouterr().err.endswith("out: exists already; choose another folder\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert _evaluate(a_run, tmp_path / "out", "--overwrite") == 3
    for mark in ("evaluation.json", "report.html"):
        (tmp_path / "out" / mark).write_text("of before", encoding="utf-8")
    assert _evaluate(a_run, tmp_path / "out", "--overwrite") == 0
    assert not (tmp_path / "out" / "mine.txt").exists() and (tmp_path / "out" / "report.html").is_file()


def test_what_fails_half_way_leaves_nothing(a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.charts, "write", fail)
    assert _evaluate(a_run, tmp_path / "out") == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["0", "39", "-3", "many"])
def test_resamples_must_be_enough_for_an_interval(a_run: Path, tmp_path: Path, value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        _evaluate(a_run, tmp_path / "out", "--resamples", value)
    assert ended.value.code == 2


def test_the_run_cannot_be_replaced_by_its_evaluation(a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _evaluate(a_run, a_run, "--overwrite") == 3
    assert "which overwriting would delete" in capsys.readouterr().err and (a_run / "run.json").is_file()


@pytest.fixture(scope="module")
def a_trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that cross-validation itself wrote: its folder is what `evaluate` reads."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_models(a_begun_run(folder, CONFIG.changed(models=MODELS, epochs=1)), range(CONFIG.folds), CPU)
    return folder


def test_what_cross_validation_writes_is_evaluated(a_trained_run: Path, tmp_path: Path) -> None:
    run = read_run(a_trained_run)
    assert not run.unfinished and (len(run.validation), len(run.test)) == (12, 2)
    assert _evaluate(a_trained_run, tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert "attention_quality" not in record and not (tmp_path / "out" / "attention").exists()
    rows = {(row["method"], row["set"]): row for row in record["tables"] if row["group"] == "all"}
    assert {rows[model, "validation"]["auc"]["n"] for model in MODELS} == {12}
    assert {rows[model, "test"]["auc"]["models"] for model in MODELS} == {CONFIG.folds}


def test_attention_is_measured_where_it_is_asked_for(a_trained_run: Path, tmp_path: Path) -> None:
    assert _evaluate(a_trained_run, tmp_path / "out", "--attention", "--seed", "2", "--device", "cpu") == 0
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    titles = [table["title"] for table in record["attention_quality"]]
    assert titles[0] == "Attention quality, COVID-19 cases"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(title in page for title in titles) and "paper's Fig. 5; the median" in page
    quality = json.loads((tmp_path / "out" / "attention" / "attention-quality.json").read_text(encoding="utf-8"))
    assert dict(quality["settings"])["seed"] == record["settings"]["seed"] == 2
    assert (tmp_path / "out" / "attention" / "attention-grid.png").is_file()
    assert (tmp_path / "out" / "tables" / "attention-quality-1.md").is_file()
    assert (tmp_path / "out" / "attention" / "attention-quality.csv").is_file()


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "or choose --device cpu"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), "close other programs"),
    ],
)
def test_a_full_gpu_is_one_line_and_leaves_nothing(
    a_trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    told: str,
) -> None:
    def full(*_: object) -> None:
        raise failure

    run = shutil.copytree(a_trained_run, tmp_path / "run", ignore=shutil.ignore_patterns("attention"))
    monkeypatch.setattr(MapModel, "map", full)
    assert _evaluate(run, tmp_path / "out", "--attention", "--device", "cpu") == 5
    said = capsys.readouterr().err
    assert said.startswith("error: memory ran out") and told in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
