"""A run becomes a bundle that `analyze` reads: members of every fold, the run's segmenter, a card for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.run_folder import MODELS
from DualSamplingCOVIDLib.training.cross_validation import train_models
from DualSamplingCOVIDLib.training.run import load_run
from DualSamplingCOVIDLib.weights import read
from segmentation.vbnets import a_folder
from training.runs import CARD, CONFIG, CPU, a_run

LIMIT = 0.001


@pytest.fixture(scope="module")
def a_finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both folds; of each class in the folds two of six cases lie below the detection limit."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_models(a_run(folder, CONFIG.changed(models=MODELS, epochs=1)), range(2), CPU)
    _change_run(folder, lambda card: card["segmenter"].update(detection_limit=LIMIT))
    return folder


@pytest.fixture(scope="module")
def its_evaluation(a_finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    quick = ("--resamples", "40", "--permutations", "10", "--progress", "none")
    assert main(["evaluate", str(a_finished_run), "--output", str(folder), *quick]) == 0
    return folder / "evaluation.json"


def _change_run(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    change(card)
    (folder / "run.json").write_text(json.dumps(card), encoding="utf-8")


def _export(run: Path, output: Path, *more: str) -> int:
    return main(["bundle", "export", str(run), "--output", str(output), "--progress", "none", *more])


def test_every_folds_best_weights_become_members(a_finished_run: Path, its_evaluation: Path, tmp_path: Path) -> None:
    assert _export(a_finished_run, tmp_path / "mine", "--evaluation", str(its_evaluation)) == 0
    bundle = load_bundle(tmp_path / "mine")
    bundle.check_members()
    assert [(m.name, m.sampling, m.kind, m.fold, m.width) for m in bundle.members] == [
        (f"{model}-fold-{fold}", model[-2:].upper(), model.split("-")[0], fold, 2)
        for fold in (0, 1)
        for model in MODELS
    ]
    assert (
        bundle.segmenter == replace(CARD, detection_limit=LIMIT)
        and bundle.grid == CONFIG.grid
        and bundle.card.name == "mine"
    )
    for member in bundle.members:
        own = read(a_finished_run / f"folds/{member.fold}/{member.name.rsplit('-fold', 1)[0]}/weights.safetensors")
        assert all((bundle.weights(member)[name] == value).all() for name, value in own.items())
    about = json.loads((tmp_path / "mine" / "metadata.json").read_text(encoding="utf-8"))
    assert (about["authors"], about["copyright"], about["license"]) == ("", "", "")  # whose it is nobody asked
    record = json.loads(its_evaluation.read_text(encoding="utf-8"))
    assert "notes" in record  # which may name cases
    assert bundle.evaluation["evaluation"] == {key: value for key, value in record.items() if key != "notes"}
    assert bundle.evaluation["folds"] == {"run": 2, "exported": [0, 1]}
    rows = {(row["method"], row["set"]): row for row in record["tables"] if row["group"] == "all"}
    auc = rows["attention-ds", "validation"]["auc"]
    assert bundle.evaluation["cases"]["test"]["patients"] == 2
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    for text in (
        "# mine",
        "Research use only",
        "6 CTs with COVID-19 and 6 with CAP, of 12 patients, in 2 folds",
        "| learned from | 6 | 6 | 12 | 4 | 0 | 8 |",
        "threshold 1: cut-offs 0.001 / 0.005 / 0.03",
        "| best epoch of 1 | validation AUC | validation loss | n |",
        "| attention-ss | 1 | 1 |",
        "the mean of the figures of each fold's networks, while `analyze` takes the mean of their probabilities",
        "Of Attention RN34 + DS over all 2 folds of the run, which this bundle holds",
        f"| validation folds | {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), n = 12 |",
        "detection limit 0.001. Below it the answer is “no pneumonia found”",
        "2 of 6 CTs with COVID-19 and 2 of 6 with CAP of the validation folds, "
        "1 of 1 CTs with COVID-19 and 0 of 1 with CAP of the test set",
        "## Limits",
    ):
        assert text in card


def test_the_card_says_what_the_detection_limit_costs(
    a_finished_run: Path, its_evaluation: Path, tmp_path: Path
) -> None:
    assert _export(a_finished_run, tmp_path / "mine", "--evaluation", str(its_evaluation)) == 0
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8").splitlines()
    head = card.index("| cases | class | n | below the limit | named rightly | below the limit as not found |")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in card[head + 2 : head + 6]]
    assert [row[:4] for row in cells] == [
        ["validation folds", "COVID-19", "6", "2"],
        ["validation folds", "CAP", "6", "2"],
        ["test set", "COVID-19", "1", "1"],
        ["test set", "CAP", "1", "0"],
    ]
    detection = json.loads(its_evaluation.read_text(encoding="utf-8"))["detection"]
    assert [(float(row[4].split()[0]), float(row[5].split()[0])) for row in cells] == [
        pytest.approx((one["named"]["value"], one["found"]["value"]), abs=5e-4) for one in detection
    ]
    sizes = (("validation folds", 6), ("test set", 1))
    few = [f"{n} with {label} ({where})" for where, n in sizes for label in (COVID, CAP)]
    assert f"Intervals of so few patients are too narrow: {'; '.join(few)}." in card
    (answered,) = [line for line in card if line.startswith("What this bundle answers of the test set: AUC ")]
    assert answered.count("n = ") == 5
    assert float(cells[2][5].split()[0]) == 0.0  # the only COVID-19 case of the test set lies below


def test_a_part_of_the_folds_counts_what_it_learned_from_and_says_whose_figures_it_shows(
    a_finished_run: Path, its_evaluation: Path, tmp_path: Path
) -> None:
    assert _export(a_finished_run, tmp_path / "one", "--fold", "1", "--evaluation", str(its_evaluation)) == 0
    bundle = load_bundle(tmp_path / "one")
    learned = "3 CTs with COVID-19 and 3 with CAP, of 6 patients, outside fold 1 of 2"
    assert bundle.card.learned_from == learned
    assert bundle.evaluation["folds"] == {"run": 2, "exported": [1]}
    counts = bundle.evaluation["cases"]
    assert counts["learned from"] == {"COVID-19": 3, "CAP": 3, "patients": 6, "small": 2, "medium": 0, "large": 4}
    assert counts["best epoch chosen on"]["patients"] == 6
    card = (tmp_path / "one" / "README.md").read_text(encoding="utf-8")
    assert "What this bundle answers" not in card
    for text in (f"{learned}.", "over all 2 folds of the run, while this bundle holds fold 1 alone;"):
        assert text in card


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda card: card.update(cohort_sha256="cd" * 32), "not the same cohort"),
        (lambda card: card["grid"].update(spacing_xyz=[8.0, 8.0, 9.0]), "not the same network grid"),
        (lambda card: card["segmenter"].update(name="other"), "not the same segmenter"),
    ],
)
def test_the_evaluation_of_another_run_is_refused(
    a_finished_run: Path,
    its_evaluation: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    cause: str,
) -> None:
    run = shutil.copytree(a_finished_run, tmp_path / "run")
    _change_run(run, change)
    assert _export(run, tmp_path / "bundle", "--evaluation", str(its_evaluation)) == 3
    said = capsys.readouterr().err
    assert str(its_evaluation) in said and cause in said and said.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("text", ['{"auc": {"estimate": 0.75}}', '{"schema": 1}', "[]", ""])
def test_any_other_json_is_refused(
    a_finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "any.json").write_text(text, encoding="utf-8")
    assert _export(a_finished_run, tmp_path / "bundle", "--evaluation", str(tmp_path / "any.json")) == 3
    said = capsys.readouterr().err
    assert "any.json: " in said and said.count("\n") == 1 and not (tmp_path / "bundle").exists()


def test_analyze_shows_each_fold_and_decides_by_their_mean(a_finished_run: Path, tmp_path: Path) -> None:
    assert _export(a_finished_run, tmp_path / "bundle") == 0
    sitk.WriteImage(make_phantom(5, COVID, ratio=0.06, spacing_mm=(3.0, 3.0, 3.0)).ct, tmp_path / "ct.nii.gz")
    arguments = ["analyze", str(tmp_path / "ct.nii.gz"), "--bundle", str(tmp_path / "bundle"), "--progress", "none"]
    assert main([*arguments, "--write", "masks,report", "--output", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = {(m["sampling"], m["fold"]): m["probability"] for m in report["members"] if m["kind"] == "attention"}
    assert set(found) == {(sampling, fold) for sampling in ("US", "SS") for fold in (0, 1)}
    decision = report["decision"]
    for sampling, mean in (("US", decision["p_us"]), ("SS", decision["p_ss"])):
        assert mean == pytest.approx((found[sampling, 0] + found[sampling, 1]) / 2, abs=1e-5)
        assert found[sampling, 0] != found[sampling, 1]


def test_one_fold_may_be_chosen(a_finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _export(a_finished_run, tmp_path / "one", "--fold", "1", "--name", "fold-1") == 0
    bundle = load_bundle(tmp_path / "one")
    assert {member.fold for member in bundle.members} == {1} and bundle.card.name == "fold-1"
    assert "one: 3 members of 1 of 2 folds (1) (research use only)" in capsys.readouterr().out


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


@pytest.mark.parametrize("learned", [True, False])
def test_a_bundle_carries_the_segmenter_whose_masks_the_run_learned_from(
    a_finished_run: Path, tmp_path: Path, learned: bool
) -> None:
    run, bundle = Path(shutil.copytree(a_finished_run, tmp_path / "run")), tmp_path / "bundle"
    card = a_folder(run / "segmenter").card
    name = card.name if learned else "given masks"
    _change_run(run, lambda about: about["segmenter"].update(name=name, version=card.version))
    assert _export(run, bundle) == 0 and _export(run, bundle, "--overwrite") == 0
    assert (load_bundle(bundle).carried is not None) == (bundle / "segmenter").exists() == learned
    assert ("It lies in `segmenter/`" in (bundle / "README.md").read_text(encoding="utf-8")) == learned


def test_the_runs_own_segmenter_is_not_replaced_by_a_bundle(
    a_finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(a_finished_run, tmp_path / "run"))
    a_folder(run / "segmenter")
    before = {file.name: file.read_bytes() for file in (run / "segmenter").iterdir()}
    assert _export(run, run / "segmenter", "--overwrite") == 3
    assert "--overwrite replaces only what this command wrote" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (run / "segmenter").iterdir()} == before


def test_a_run_is_read_back_as_it_was_written(a_finished_run: Path) -> None:
    run = load_run(a_finished_run)
    training, validation, test = run.split(1)
    assert (len(training), len(validation), len(test)) == (6, 6, 2)
    assert not {c.patient_id for c in training} & {c.patient_id for c in validation}
    assert all(case.file.is_file() for case in (*training, *validation, *test))
