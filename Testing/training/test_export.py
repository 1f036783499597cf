"""A run becomes a bundle that `analyze` reads: members of every fold, the run's segmenter, a card for people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.training.cross_validation import train_models
from DualSamplingCOVIDLib.training.run import load_run
from DualSamplingCOVIDLib.weights import read
from training.runs import CARD, CONFIG, CPU, a_run

MODELS = ("attention-us", "attention-ss")


@pytest.fixture(scope="module")
def a_finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_models(a_run(folder, CONFIG.changed(models=MODELS, epochs=1)), range(2), CPU)
    return folder


def _export(run: Path, output: Path, *more: str) -> int:
    return main(["bundle", "export", str(run), "--output", str(output), "--progress", "none", *more])


def test_every_folds_best_weights_become_members(a_finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"auc": {"estimate": 0.75}}')
    assert _export(a_finished_run, tmp_path / "mine", "--evaluation", str(tmp_path / "evaluation.json")) == 0
    bundle = load_bundle(tmp_path / "mine")
    bundle.check_members()
    assert [(m.name, m.sampling, m.kind, m.fold, m.width) for m in bundle.members] == [
        (f"{model}-fold-{fold}", model[-2:].upper(), "attention", fold, 2) for fold in (0, 1) for model in MODELS
    ]
    assert bundle.segmenter == CARD and bundle.grid == CONFIG.grid and bundle.card.name == "mine"
    for member in bundle.members:
        own = read(a_finished_run / f"folds/{member.fold}/{member.name.rsplit('-fold', 1)[0]}/weights.safetensors")
        assert all((bundle.weights(member)[name] == value).all() for name, value in own.items())
    assert bundle.evaluation["evaluation"] == {"auc": {"estimate": 0.75}}
    assert bundle.evaluation["cases"]["test"]["patients"] == 2
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    for text in (
        "# mine",
        "Research use only",
        "6 CTs with COVID-19 and 6 with CAP, of 12 patients, in 2 folds",
        "| folds | 6 | 6 | 12 | 4 | 0 | 8 |",
        "threshold 1: cut-offs 0.001 / 0.005 / 0.03",
        "| attention-ss | 1 | 0 |",
        '"estimate": 0.75',
        "## Limits",
    ):
        assert text in card


def test_analyze_shows_each_fold_and_decides_by_their_mean(a_finished_run: Path, tmp_path: Path) -> None:
    assert _export(a_finished_run, tmp_path / "bundle") == 0
    sitk.WriteImage(make_phantom(5, COVID, ratio=0.06, spacing_mm=(3.0, 3.0, 3.0)).ct, tmp_path / "ct.nii.gz")
    arguments = ["analyze", str(tmp_path / "ct.nii.gz"), "--bundle", str(tmp_path / "bundle"), "--progress", "none"]
    assert main([*arguments, "--write", "masks,report", "--output", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = {(m["sampling"], m["fold"]): m["probability"] for m in report["members"]}
    assert set(found) == {(sampling, fold) for sampling in ("US", "SS") for fold in (0, 1)}
    decision = report["decision"]
    for sampling, mean in (("US", decision["p_us"]), ("SS", decision["p_ss"])):
        assert mean == pytest.approx((found[sampling, 0] + found[sampling, 1]) / 2, abs=1e-5)
        assert found[sampling, 0] != found[sampling, 1]


def test_one_fold_may_be_chosen(a_finished_run: Path, tmp_path: Path) -> None:
    assert _export(a_finished_run, tmp_path / "one", "--fold", "1", "--name", "fold-1") == 0
    bundle = load_bundle(tmp_path / "one")
    assert {member.fold for member in bundle.members} == {1} and bundle.card.name == "fold-1"


def _unfinished(run: Path) -> None:
    for fold in range(2):
        (run / f"folds/{fold}/attention-ss/result.json").unlink()


def _altered(run: Path) -> None:
    (run / "folds/1/attention-us/weights.safetensors").write_bytes(b"other")


def _not_begun(run: Path) -> None:
    (run / "run.json").unlink()


def _patient_in_two_folds(run: Path) -> None:
    cases = run / "cases.csv"
    cases.write_text(cases.read_text().replace("patient-2,", "patient-0,"))


@pytest.mark.parametrize(
    ("damage", "status", "cause"),
    [
        (_unfinished, 3, "no fold has its attention models"),
        (_altered, 4, "not the weights that result.json speaks of"),
        (_not_begun, 3, "not all prepared"),
        (_patient_in_two_folds, 3, "patient 'patient-0' is in fold 1, but in fold 0 on line 2"),
        (shutil.rmtree, 3, "no run of cross-validate"),
    ],
)
def test_what_is_no_finished_run_is_refused(
    a_finished_run: Path,
    tmp_path: Path,
    damage: object,
    status: int,
    cause: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(a_finished_run, tmp_path / "run")
    damage(tmp_path / "run")  # type: ignore[operator]
    assert _export(tmp_path / "run", tmp_path / "bundle") == status
    assert cause in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_run_is_read_back_as_it_was_written(a_finished_run: Path) -> None:
    run = load_run(a_finished_run)
    training, validation, test = run.split(1)
    assert (len(training), len(validation), len(test)) == (6, 6, 2)
    assert not {c.patient_id for c in training} & {c.patient_id for c in validation}
    assert all(case.file.is_file() for case in (*training, *validation, *test))
