"""A run folder is read whole, and every problem of it is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from _run_folder import noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.run_folder import MODELS, read_begun, read_epochs, read_run, read_state


@pytest.fixture(scope="module")
def a_written_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = scans_of(12, folds=3, test_patients=4)
    return write_run(tmp_path_factory.mktemp("run") / "run", scans, noisy_logits(scans), 3)


@pytest.fixture
def a_run_folder(a_written_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(a_written_run, tmp_path / "run"))


def test_a_run_gives_its_cases_and_logits(a_run_folder: Path) -> None:
    scans = scans_of(12, folds=3, test_patients=4)
    run = read_run(a_run_folder)
    assert [case.case_id for case in run.cases] == [scan.case_id for scan in scans]
    assert [case.fold for case in run.cases] == [scan.fold for scan in scans]
    assert {case.set for case in run.test} == {"test"} and len(run.validation) + len(run.test) == len(scans)
    assert run.segmenter.cut_offs == CutOffs() and run.grid_spacing_xyz == (8.0, 8.0, 14.0)
    assert not run.unfinished and len(run.models) == 9
    logit = noisy_logits(scans)
    model = run.model(1, "attention-ss")
    assert set(model.logits) == {scan.case_id for scan in scans if scan.fold in (1, None)}
    assert all(model.logits[scan.case_id] == logit(1, "attention-ss", scan) for scan in scans if scan.fold == 1)
    first = run.cases[0]
    assert first.image == a_run_folder / "ct" / f"{first.case_id}.nii.gz" and first.prepared is None


def test_a_model_without_result_is_unfinished_and_no_error(a_run_folder: Path) -> None:
    (a_run_folder / "folds/2/attention-us/result.json").unlink()
    shutil.rmtree(a_run_folder / "folds/0/baseline-us")
    run = read_run(a_run_folder)
    assert run.unfinished == ("folds/0/baseline-us", "folds/2/attention-us")
    with pytest.raises(KeyError):
        run.model(2, "attention-us")
    assert run.model(2, MODELS[0]).logits


def test_a_begun_run_is_read_whatever_is_finished_and_whichever_models_it_trains(a_run_folder: Path) -> None:
    card = json.loads((a_run_folder / "run.json").read_text(encoding="utf-8"))
    card["models"] = ["attention-us", "baseline-us"]
    (a_run_folder / "run.json").write_text(json.dumps(card), encoding="utf-8")
    (a_run_folder / "folds/1/baseline-us/result.json").unlink()
    (a_run_folder / "folds/0/attention-us/predictions.csv").unlink()
    begun = read_begun(a_run_folder)
    assert begun.model_names == ("attention-us", "baseline-us") and len(begun.validation) + len(begun.test) > 12
    assert begun.is_finished(0, "baseline-us") and not begun.is_finished(1, "baseline-us")
    assert begun.weights(1) == {"attention-us": a_run_folder / "folds/1/attention-us/weights.safetensors"}
    with pytest.raises(InputError, match=r"models are attention-us, baseline-us, needed: .*attention-ss"):
        read_run(a_run_folder)


def test_a_model_that_is_not_known_is_refused(a_run_folder: Path) -> None:
    text = (a_run_folder / "run.json").read_text(encoding="utf-8")
    (a_run_folder / "run.json").write_text(text.replace('"attention-ss"', '"attention-xx"'), encoding="utf-8")
    with pytest.raises(InputError, match="models are baseline-us, attention-us, attention-xx, known: baseline-us"):
        read_begun(a_run_folder)


def test_a_run_whose_cases_are_not_prepared_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    with pytest.raises(InputError, match="not all prepared; go on with cross-validate --resume"):
        read_run(tmp_path)


def test_test_cases_have_no_fold_of_their_own_and_unprepared_ones_no_volume(a_run_folder: Path) -> None:
    run = read_begun(a_run_folder)
    assert run.validation[0].own_fold == run.validation[0].fold
    with pytest.raises(ValueError, match="is of the test set"):
        _ = run.test[0].own_fold
    with pytest.raises(InputError, match="no prepared volume of case 'p000-0'"):
        _ = run.cases[0].volume


CONFIG = """folds = 2
epochs = 4
models = ["baseline-us", "attention-ss"]
"""


def _epochs(folder: Path, *aucs_and_losses: tuple[float, float], rest: str = "") -> None:
    folder.mkdir(parents=True)
    numbers = {"bce": 0.5, "attention": 0.1, "active_fraction": 1.0}
    lines = (
        {"epoch": epoch, **numbers, "validation_loss": loss, "validation_auc": auc}
        for epoch, (auc, loss) in enumerate(aucs_and_losses)
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "epochs.jsonl").write_text(text + rest, encoding="utf-8")


def test_the_state_of_a_run_says_what_waits_runs_and_is_finished(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    state = read_state(tmp_path)
    assert not state.prepared and not state.finished
    places = [(fold, name) for fold in (0, 1) for name in ("baseline-us", "attention-ss")]
    assert [(one.fold, one.model, one.state) for one in state.models] == [(*place, "waiting") for place in places]
    assert {(one.epochs_done, one.epochs, one.best) for one in state.models} == {(0, 4, None)}

    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    _epochs(tmp_path / "folds/0/baseline-us", (0.7, 0.6), (0.9, 0.5), (0.9, 0.4), (0.8, 0.3))
    (tmp_path / "folds/0/baseline-us/result.json").write_text("{}", encoding="utf-8")
    _epochs(tmp_path / "folds/0/attention-ss", (0.6, 0.7), rest='{"epoch": 1, "bce"')  # it is being written
    (tmp_path / "folds/1/baseline-us").mkdir(parents=True)
    state = read_state(tmp_path)
    assert state.prepared and not state.finished
    assert [(one.state, one.epochs_done) for one in state.models] == [
        ("finished", 4), ("running", 1), ("running", 0), ("waiting", 0)
    ]  # fmt: skip
    best = state.models[0].best
    assert best is not None and (best.epoch, best.validation_auc, best.validation_loss) == (2, 0.9, 0.4)

    for fold, name in places:
        (tmp_path / f"folds/{fold}/{name}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"folds/{fold}/{name}/result.json").write_text("{}", encoding="utf-8")
    assert read_state(tmp_path).finished


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "not a folder of cross-validate: config.toml cannot be read"),
        ("folds = ", "config.toml: not the settings of a run"),
        ("folds = 2\nmodels = []", "config.toml: 'epochs' is missing"),
        ('folds = "two"\nepochs = 1\nmodels = []', "config.toml: not the settings of a run"),
    ],
)
def test_what_has_no_state_is_named(tmp_path: Path, config: str | None, said: str) -> None:
    if config is not None:
        (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_state(tmp_path)
    assert said in str(raised.value) and str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_line_that_is_no_epoch_is_named(tmp_path: Path) -> None:
    _epochs(tmp_path / "model", (0.6, 0.7), rest='{"epoch": 1}\n')
    with pytest.raises(InputError, match=r"epochs\.jsonl line 2: not an epoch"):
        read_epochs(tmp_path / "model")


def _lines(path: Path, change: Callable[[list[str]], object]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(number: int, column: int, text: str) -> Callable[[list[str]], None]:
    """Return what puts a text into a cell of line `number` (1 is the header)."""

    def change(lines: list[str]) -> None:
        cells = lines[number - 1].split(",")
        cells[column] = text
        lines[number - 1] = ",".join(cells)

    return change


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("cases.csv", _cell(2, 2, "flu"), "cases.csv line 2: label 'flu' is neither"),
        ("cases.csv", _cell(3, 0, "p000-0"), "cases.csv line 3: case_id 'p000-0' is already on line 2"),
        ("cases.csv", _cell(2, 7, "7"), "fold '7' is none of 0 to 2"),
        ("cases.csv", _cell(2, 8, "1.5"), "ratio '1.5' is not in [0, 1]"),
        ("cases.csv", _cell(2, 9, "tiny"), "stratum 'tiny' is not that of ratio"),
        ("cases.csv", _cell(2, 6, "test"), "a case of the test set has no fold, got '0'"),
        ("cases.csv", _cell(1, 8, "share"), "no column ratio"),
        ("cases.csv", lambda lines: lines.__setitem__(1, lines[1] + ",more"), "line 2: not as many fields"),
        ("cases.csv", lambda lines: lines.__delitem__(slice(1, None)), "cases.csv: no cases"),
        ("folds/0/baseline-us/predictions.csv", _cell(2, 2, "nan"), "predictions.csv line 2: logit 'nan'"),
        ("folds/0/baseline-us/predictions.csv", _cell(2, 3, "0.999"), "probability 0.999 is not that of logit"),
        ("folds/0/baseline-us/predictions.csv", _cell(2, 1, "test"), "set 'test', but 'p000-0' is in the validation"),
        ("folds/0/baseline-us/predictions.csv", _cell(2, 0, "other"), "'other' is no case of this fold"),
        ("folds/0/baseline-us/predictions.csv", lambda lines: lines.pop(), "no prediction of 1 cases"),
        ("folds/0/baseline-us/predictions.csv", lambda lines: lines.append(lines[1]), "case 'p000-0' twice"),
        ("run.json", lambda lines: lines.__setitem__(0, "["), "run.json: not JSON"),
        ("run.json", lambda lines: lines.__setitem__(1, '"schema": 9,'), "schema 9 is not the 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(
    a_run_folder: Path, file: str, change: Callable[[list[str]], object], said: str
) -> None:
    _lines(a_run_folder / file, change)
    with pytest.raises(InputError) as raised:
        read_run(a_run_folder)
    assert said in str(raised.value) and str(a_run_folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_all_problems_are_named_at_once(a_run_folder: Path) -> None:
    _lines(a_run_folder / "cases.csv", _cell(2, 2, "flu"))
    _lines(a_run_folder / "folds/1/attention-us/predictions.csv", _cell(2, 2, "x"))
    with pytest.raises(InputError, match=r"label 'flu'.*; folds/1/attention-us/predictions.csv line 2: logit 'x'"):
        read_run(a_run_folder)


def test_a_patient_in_two_folds_is_refused(a_run_folder: Path) -> None:
    _lines(a_run_folder / "cases.csv", _cell(2, 1, "p003"))
    with pytest.raises(InputError, match="patient 'p003' is in fold 1, but in fold 0 on line 2"):
        read_run(a_run_folder)


def test_a_missing_part_of_the_card_is_named(a_run_folder: Path) -> None:
    card = json.loads((a_run_folder / "run.json").read_text(encoding="utf-8"))
    del card["segmenter"]
    (a_run_folder / "run.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(InputError, match="'segmenter' is missing"):
        read_run(a_run_folder)
    with pytest.raises(InputError, match="not a folder of cross-validate"):
        read_run(a_run_folder / "cache")
