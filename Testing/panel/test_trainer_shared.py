"""A run that several computers share, and what the tab says of a scripted worker's stages: with real clicks."""

from __future__ import annotations

import json
import re

import pytest

from DualSamplingCOVIDLib.panel import time_left
from DualSamplingCOVIDLib.processes import computer, machine
from panel.trainee import WAIT

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

ELSEWHERE = {"host": "another-computer", "pid": 7, "since": "", "space": "", "process": "", "token": "0" * 32}
HERE = {**ELSEWHERE, "host": computer(), "machine": machine()}
RESULT = 'echo case_id > predictions.csv; echo "{}" > result.json\n'


def claim(model: str, said: dict[str, object]) -> str:
    """Lines of a script that lay a claim into a model's folder, seen from the first model's."""
    return f"mkdir -p ../../{model}; echo '{json.dumps(said)}' > ../../{model}/claim.json\n"


def at(number: int, model: str, fraction: float = 0.5) -> str:
    """A line of a script that tells which model is at work."""
    return f'echo \'{{"stage": "model {number} of 6: fold {model}, 3 min left", "fraction": {fraction}}}\'\n'


def test_the_model_at_work_is_the_one_that_the_worker_names(scripted):
    claims = claim("0/baseline-us", ELSEWHERE) + claim("0/attention-us", HERE)
    trainee = scripted(claims + at(3, "0 attention-ss") + "sleep 2\n" + at(3, "0 attention-ss") + WAIT)
    trainee.host.wait(lambda: "running" in trainee.states()[2], 20)
    assert trainee.states()[:4] == ["on another computer", "waiting", "running epoch 1/4", "waiting"]
    assert trainee.ui.trainStageLabel.text.startswith("Model 3 of 6: fold 0, attention-ss; ")
    trainee.host.wait(lambda: trainee.ui.trainProgressBar.value == round(1000 * 0.5 / 6), 10)
    trainee.press("Stop")
    trainee.finish(10)
    assert trainee.states() == ["on another computer", *["waiting"] * 5]
    assert trainee.ui.modelsTable.item(0, 2).toolTip() == "on another computer"


def test_a_failure_marks_the_model_that_failed(scripted):
    script = claim("0/baseline-us", ELSEWHERE) + at(2, "0 attention-us") + "sleep 1.5; kill -9 $$\n"
    trainee = scripted(script)
    trainee.finish(20)
    assert trainee.states() == ["on another computer", "failed", *["waiting"] * 4]


def test_an_error_before_a_models_first_step_marks_the_model_that_it_names(scripted):
    """The stage is still that of the model before, which is finished."""
    error = "error: model 4 of 6: fold 1 baseline-us, 3 min left: GPU memory ran out; take a smaller micro_batch"
    trainee = scripted(
        claim("0/attention-us", ELSEWHERE) + RESULT + at(1, "0 baseline-us", 1.0) + f"echo '{error}' >&2; exit 5\n"
    )
    trainee.finish(20)
    assert trainee.states() == ["finished", "on another computer", "waiting", "failed", "waiting", "waiting"]


def test_between_two_models_the_next_one_that_nobody_else_has_is_at_work(scripted):
    trainee = scripted(claim("0/attention-us", ELSEWHERE) + at(1, "0 baseline-us", 1.0) + RESULT + WAIT)
    trainee.host.wait(lambda: trainee.states()[0] == "finished", 20)
    assert trainee.states()[:4] == ["finished", "on another computer", "running epoch 1/4", "waiting"]
    trainee.host.wait(lambda: trainee.ui.trainStageLabel.text.startswith("Model 3 of 6"), 10)
    assert trainee.tab._jobsDone() == 1, "what is finished counts once"


def test_a_claim_that_comes_and_goes_is_followed(scripted):
    come = at(1, "0 baseline-us") + "sleep 1\n" + claim("1/attention-ss", ELSEWHERE)
    trainee = scripted(come + "sleep 3; rm ../../1/attention-ss/claim.json\n" + WAIT)
    trainee.host.wait(lambda: trainee.states()[5] == "on another computer", 20)
    trainee.host.wait(lambda: trainee.states()[5] == "waiting", 20)


@pytest.mark.parametrize("stage", ["preparing the cases", "measuring the attention"])
def test_the_time_left_of_other_stages_is_said_when_the_pace_is_known(scripted, monkeypatch, stage):
    monkeypatch.setattr(time_left, "_LEAST_SECONDS", 0.5)
    steps = "".join(f'echo \'{{"stage": "{stage}", "fraction": {n / 1000}}}\'; sleep 0.4\n' for n in range(1, 6))
    trainee = scripted(f'echo \'{{"stage": "{stage}", "fraction": 0.0}}\'; sleep 0.3\n' + steps + WAIT)
    label, name = trainee.ui.trainStageLabel, stage[0].upper() + stage[1:]
    trainee.host.wait(lambda: label.text == name, 10)
    trainee.host.wait(lambda: re.fullmatch(rf"{name}; about \d+ min left", label.text), 20)
    assert trainee.ui.trainProgressBar.value <= 5
    trainee.press("Stop")
    trainee.finish(10)


def test_a_new_stage_has_a_pace_of_its_own(scripted, monkeypatch):
    monkeypatch.setattr(time_left, "_LEAST_SECONDS", 0.5)
    lines = "".join(f'echo \'{{"stage": "preparing the cases", "fraction": {n / 10}}}\'; sleep 0.4\n' for n in range(5))
    trainee = scripted(lines + at(1, "0 baseline-us", 0.1) + WAIT)
    text = "Model 1 of 6: fold 0, baseline-us; time left not known yet"
    trainee.host.wait(lambda: trainee.ui.trainStageLabel.text == text, 20)


def test_a_training_that_is_stopped_says_how_to_go_on(scripted):
    trainee = scripted(at(1, "0 baseline-us") + WAIT)
    trainee.host.wait(lambda: "running" in trainee.states()[0], 20)
    trainee.press("Stop")
    trainee.finish(10)
    assert "Resume goes on" in trainee.message
