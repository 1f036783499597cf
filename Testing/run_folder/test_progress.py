"""What is read of a run while it grows."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import processes, resources
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.run_folder import Plan, RunProgress, is_finished, read_plan
from DualSamplingCOVIDLib.training import claims
from DualSamplingCOVIDLib.training.config import Config, read_config


@pytest.fixture
def a_run(tmp_path: Path) -> Path:
    """A run of which one model has begun."""
    (tmp_path / "folds" / "0" / "baseline-us").mkdir(parents=True)
    (tmp_path / "config.toml").write_text('folds = 2\nmodels = ["baseline-us"]\nepochs = 4\n', encoding="utf-8")
    return tmp_path


def _add(run: Path, name: str, *lines: dict[str, float]) -> None:
    with (run / "folds" / "0" / "baseline-us" / name).open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def _epoch(number: int, loss: float, auc: float) -> dict[str, float]:
    losses = {"bce": 0.5, "attention": 0.25, "active_fraction": 1.0}
    return {"epoch": number, **losses, "validation_loss": loss, "validation_auc": auc}


def _step(epoch: int, number: int, bce: float) -> dict[str, float]:
    return {"epoch": epoch, "step": number, "bce": bce, "attention": 0.25}


def test_lines_are_read_once_and_half_a_line_only_when_it_is_whole(a_run: Path) -> None:
    progress = RunProgress(a_run)
    _add(a_run, "steps.jsonl", _step(0, 0, 0.75), {"epoch": 0}, _step(0, 1, 0.5))
    path = a_run / "folds" / "0" / "baseline-us" / "steps.jsonl"
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"epoch": 1, "step": 0, ')
    assert progress.read() and progress.models[0].steps == [(0.75, 0.25), (0.5, 0.25)]
    assert progress.models[0].steps_an_epoch == 2
    assert not progress.read()
    with path.open("a", encoding="utf-8") as stream:
        stream.write('"bce": 0.25, "attention": 0.0}\n')
    assert progress.read() and progress.models[0].steps[2:] == [(0.25, 0.0)]


def test_a_file_that_a_resume_wrote_anew_is_read_anew(a_run: Path) -> None:
    _add(a_run, "steps.jsonl", *(_step(0, number, 0.5) for number in range(4)))
    progress = RunProgress(a_run)
    assert len(progress.models[0].steps) == 4
    path = a_run / "folds" / "0" / "baseline-us" / "steps.jsonl"
    anew = path.with_name("anew")
    anew.write_text("".join(json.dumps(_step(0, number, 0.125)) + "\n" for number in range(5)), encoding="utf-8")
    anew.replace(path)
    progress.read()
    assert progress.models[0].steps == [(0.125, 0.25)] * 5


def test_the_best_epoch_is_that_of_the_trainer(a_run: Path) -> None:
    """The highest AUC, of equal ones the lowest loss; an AUC that is no number is never the best."""
    _add(
        a_run,
        "epochs.jsonl",
        _epoch(0, 0.1, math.nan),
        _epoch(1, 0.5, 0.75),
        _epoch(2, 0.4, 0.75),
        _epoch(3, 0.6, 0.75),
    )
    best = RunProgress(a_run).models[0].best
    assert best is not None and (best.epoch, best.validation_auc, best.validation_loss) == (2, 0.75, 0.4)


def test_a_run_that_begins_later_is_noticed(tmp_path: Path) -> None:
    progress = RunProgress(tmp_path / "run")
    assert not progress.is_begun and progress.models == [] and not progress.read() and not progress.is_finished
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("folds = 3\n", encoding="utf-8")
    assert progress.read() and len(progress.models) == 9


def test_whole_folds_are_those_whose_every_model_is_finished(a_run: Path) -> None:
    progress = RunProgress(a_run)
    assert progress.whole_folds == ()
    _add(a_run, "predictions.csv", {})
    _add(a_run, "result.json", {})
    progress.read()
    assert progress.whole_folds == (0,) and progress.finished == 1 and not progress.is_finished


@pytest.mark.parametrize(
    ("result", "predictions", "expected"),
    [
        ("{}", "case", True),
        ("", "case", False),
        ('{"best": {"ep', "case", False),
        ("{}", "", False),
        ("{}", None, False),
    ],
)
def test_a_model_is_finished_when_its_result_and_predictions_are_whole(
    a_run: Path, result: str, predictions: str | None, expected: bool
) -> None:
    folder = a_run / "folds" / "0" / "baseline-us"
    (folder / "result.json").write_text(result, encoding="utf-8")
    if predictions is not None:
        (folder / "predictions.csv").write_text(predictions, encoding="utf-8")
    assert is_finished(a_run, 0, "baseline-us") is expected


def test_tables_are_shown_of_the_networks_as_they_are_alone(a_run: Path) -> None:
    folder = a_run / "folds" / "0" / "baseline-us"
    (folder / "predictions.csv").write_text("case", encoding="utf-8")
    (folder / "result.json").write_text('{"sha256": "ab"}', encoding="utf-8")
    record = {"run": {"weights": {"0/baseline-us": "ab"}}, "tables": [], "methods": {}}
    (a_run / "evaluation").mkdir()
    (a_run / "evaluation" / "evaluation.json").write_text(json.dumps(record), encoding="utf-8")
    assert RunProgress(a_run).tables() == record
    (folder / "result.json").write_text('{"sha256": "cd"}', encoding="utf-8")  # trained again
    assert RunProgress(a_run).tables() is None


def test_the_plan_without_a_file_is_the_papers() -> None:
    config = Config()
    assert read_plan(None) == Plan(
        config.folds, config.models, config.training.epochs, config.training.augmentation, config.training.width
    )


def test_the_try_out_is_a_valid_file_of_settings() -> None:
    path = resources.path("Training/try-out.toml")
    config, plan = read_config(path), read_plan(path)
    assert set(config.values()) >= set(tomllib.loads(path.read_text(encoding="utf-8")))
    assert (plan.folds, plan.epochs, plan.models) == (config.folds, config.training.epochs, config.models)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folds = 'many'", "folds must be a whole number"),
        ("epochs = 0", "epochs must be"),
        ("models = 3", "models must be a list"),
        ("= 1", "not a TOML file"),
    ],
)
def test_settings_that_make_no_sense_are_named_with_their_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_claim_of_another_computer_is_noticed_and_one_of_this_is_not(
    a_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, place = RunProgress(a_run), a_run / "folds" / "0" / "baseline-us"
    with claims.claimed(place):
        assert not progress.read() and not progress.models[0].is_elsewhere
        with monkeypatch.context() as patch:
            patch.setattr(processes.platform, "node", lambda: "another")
            assert progress.read() and progress.models[0].is_elsewhere
        assert progress.read() and not progress.models[0].is_elsewhere
        with monkeypatch.context() as patch:
            patch.setattr(processes, "MACHINE", a_run / "config.toml")  # another computer of this name
            assert progress.read() and progress.models[0].is_elsewhere
            (place / "predictions.csv").write_text("case_id\n", encoding="utf-8")
            (place / "result.json").write_text("{}", encoding="utf-8")
            assert progress.read() and not progress.models[0].is_elsewhere, "it is finished"
            (place / "result.json").unlink()
            assert progress.read() and progress.models[0].is_elsewhere
    assert progress.read() and not progress.models[0].is_elsewhere


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"host": '])
def test_what_is_no_claim_is_nobodys(a_run: Path, text: str) -> None:
    (a_run / "folds" / "0" / "baseline-us" / "claim.json").write_text(text, encoding="utf-8")
    assert not RunProgress(a_run).models[0].is_elsewhere
