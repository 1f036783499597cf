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
from DualSamplingCOVIDLib.run_folder import MODELS, read_begun, read_run


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
    (tmp_path / "config.toml").write_text("folds = 2\n", encoding="utf-8")
    with pytest.raises(InputError, match="not all prepared; go on with cross-validate --resume"):
        read_run(tmp_path)


def test_test_cases_have_no_fold_of_their_own_and_unprepared_ones_no_volume(a_run_folder: Path) -> None:
    run = read_begun(a_run_folder)
    assert run.validation[0].own_fold == run.validation[0].fold
    with pytest.raises(ValueError, match="is of the test set"):
        _ = run.test[0].own_fold
    with pytest.raises(InputError, match="no prepared volume of case 'p000-0'"):
        _ = run.cases[0].volume


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
