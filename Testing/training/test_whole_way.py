"""The whole way on the command line: phantoms, cross-validation, evaluation, a bundle of it, a CT analysed with it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.run_folder import MODELS

CONFIG = """
folds = 2
segmenter = "threshold"
grid_shape = [32, 32, 32]
grid_spacing = [12.0, 12.0, 12.0]
width = 2
epochs = 1
batch = 4
threads = 1
"""
QUIET = ("--progress", "none")


def test_from_phantoms_to_a_diagnosis_of_networks_that_learned_from_them(tmp_path: Path) -> None:
    cohort, run, bundle, out = (tmp_path / name for name in ("cohort", "run", "mine", "out"))
    (tmp_path / "small.toml").write_text(CONFIG, encoding="utf-8")
    assert main(["phantom", "--cases", "6", "--seed", "5", "--output", str(cohort), *QUIET]) == 0
    begun = [str(cohort / "cohort.csv"), "--output", str(run), "--config", str(tmp_path / "small.toml")]
    assert main(["cross-validate", *begun, "--device", "cpu", *QUIET]) == 0
    quick = ("--resamples", "40", "--permutations", "10")
    assert main(["evaluate", str(run), "--output", str(run / "evaluation"), *quick, *QUIET]) == 0
    evaluation = run / "evaluation" / "evaluation.json"
    assert main(["bundle", "export", str(run), "--output", str(bundle), "--evaluation", str(evaluation), *QUIET]) == 0

    with (cohort / "cohort.csv").open(encoding="utf-8") as stream:
        case = next(row for row in csv.DictReader(stream) if row["split"] == "test")  # no network learned from it
    masks = [word for name in ("lungs", "infection") for word in (f"--{name}", str(cohort / case[name]))]
    asked = [str(cohort / case["image"]), *masks, "--bundle", str(bundle), "--output", str(out)]
    assert main(["analyze", *asked, "--segmenter", "threshold", "--device", "cpu", "--write", "masks", *QUIET]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = {member["name"]: member["logit"] for member in report["members"]}
    said = {f"{m}-fold-{k}": _logit(run, k, m, case["case_id"]) for m in MODELS for k in (0, 1)}
    assert found == pytest.approx(said, abs=1e-3)  # a prepared case is stored in float16
    means = {
        kind: sum(1 / (1 + math.exp(-found[f"attention-{kind}-fold-{k}"])) for k in (0, 1)) / 2 for kind in ("us", "ss")
    }
    decision = report["decision"]
    assert (decision["p_us"], decision["p_ss"]) == pytest.approx((means["us"], means["ss"]), abs=1e-5)
    weight = decision["weight"]
    assert decision["probability"] == pytest.approx(weight * means["us"] + (1 - weight) * means["ss"], abs=1e-5)
    assert report["bundle"]["learned_from"].startswith("computer-made phantoms only, never a patient: ")
    assert "other-segmenter" not in [finding["code"] for finding in report["quality"]]


def _logit(run: Path, fold: int, model: str, case: str) -> float:
    """Return what a model of a run said of a case of the test set."""
    with (run / "folds" / str(fold) / model / "predictions.csv").open(encoding="utf-8") as stream:
        return next(float(row["logit"]) for row in csv.DictReader(stream) if row["case_id"] == case)
