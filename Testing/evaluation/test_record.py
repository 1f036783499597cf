"""evaluation.json read back: for its own run, and refused for any other."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from _run_folder import noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.evaluation.evaluate import Evaluation, evaluate
from DualSamplingCOVIDLib.evaluation.record import SCHEMA, as_record, read_record
from DualSamplingCOVIDLib.run_folder import read_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    scans = scans_of(18, folds=3, test_patients=6)
    folder = tmp_path_factory.mktemp("record") / "run"
    return evaluate(read_run(write_run(folder, scans, noisy_logits(scans), 3, detection_limit=0.0123)), 20, 10)


def _written(made: Evaluation, folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    data = as_record(made)
    change(data)
    path = folder / "evaluation.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_what_was_written_is_read_for_its_own_run(made: Evaluation, tmp_path: Path) -> None:
    found = read_record(_written(made, tmp_path), made.run)
    assert found.data["schema"] == SCHEMA and found.decision == "Attention RN34 + DS"
    row = made.row("attention-ds", "test")
    figure = found.figures["test", "sensitivity"]
    assert (figure.value, figure.low, figure.high, figure.n) == (
        row.sensitivity.value,
        None if math.isnan(row.sensitivity.low) else row.sensitivity.low,
        None if math.isnan(row.sensitivity.high) else row.sensitivity.high,
        row.covid,
    )
    assert len(found.figures) == 2 * 5
    for one, own in zip(found.detection, made.detection, strict=True):
        assert (one.set, one.label, one.n, one.below) == (own.set, own.label, own.n, own.below)
        assert (one.named.value, one.found.low) == (own.named.value, own.found.low)


def _run(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["run"].update({key: value})


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda data: data.update(schema=1), "schema 1, not 3"),
        (lambda data: data.clear(), "schema None, not 3"),
        (lambda data: data.pop("run"), "damaged (KeyError: 'run')"),
        (lambda data: data.pop("detection"), "damaged (KeyError: 'detection')"),
        (lambda data: data["tables"][0].pop("method"), "damaged (KeyError: 'method')"),
        (lambda data: data.update(detection=3), "damaged (TypeError"),
        (_run("cohort_sha256", "cd" * 32), "not the same cohort"),
        (_run("grid", {"shape_kji": [20, 32, 41], "spacing_xyz": [8.0, 8.0, 14.0]}), "not the same network grid"),
        (lambda data: data["run"]["segmenter"].update(version="2"), "not the same segmenter"),
        (lambda data: data["run"]["segmenter"].update(detection_limit=0.0124), "not the same segmenter"),
        (lambda data: data["run"]["segmenter"]["cut_offs"].update(large=0.04), "not the same segmenter"),
        (_run("folds", 5), "not the same number of folds"),
        (_run("weights", {"0/attention-us": "ef" * 32}), "not the same networks"),
        (lambda data: data["run"].update(folds=5, cohort_sha256=""), "not the same cohort, number of folds"),
    ],
)
def test_another_record_is_refused_in_one_line(
    made: Evaluation, tmp_path: Path, change: Callable[[dict[str, Any]], object], cause: str
) -> None:
    path = _written(made, tmp_path, change)
    with pytest.raises(InputError) as caught:
        read_record(path, made.run)
    assert str(caught.value).startswith(f"{path}: ") and cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "cause"), [("{", "not JSON"), ("[1]", "no JSON object")])
def test_a_file_that_is_no_record_is_refused(made: Evaluation, tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "any.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=cause):
        read_record(tmp_path / "any.json", made.run)


def test_software_may_differ(made: Evaluation, tmp_path: Path) -> None:
    record = read_record(_written(made, tmp_path), replace(made.run, software=(("torch", "9"),)))
    assert record.decision and record.figures


def test_the_record_of_a_run_whose_networks_were_trained_anew_is_refused(made: Evaluation, tmp_path: Path) -> None:
    path, run = _written(made, tmp_path), tmp_path / "run"
    shutil.copytree(made.run.folder, run)
    assert read_record(path, read_run(run)).decision == "Attention RN34 + DS"
    (run / "folds" / "1" / "attention-ss" / "result.json").write_text('{"sha256": "ef"}', encoding="utf-8")
    with pytest.raises(InputError, match="not the same networks"):
        read_record(path, read_run(run))
