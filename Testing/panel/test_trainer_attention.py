"""Whether a finished run's attention is measured: with real clicks, and a worker that says what it was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from panel.study import worker

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def finished_run(folder: Path, settings: str) -> Path:
    """Write a run of which every model is finished, as far as the tab looks."""
    folder.mkdir()
    (folder / "config.toml").write_text(settings, encoding="utf-8")
    for fold in range(2):
        for model in ("baseline-us", "attention-us", "attention-ss"):
            place = folder / "folds" / str(fold) / model
            place.mkdir(parents=True)
            (place / "predictions.csv").write_text("case_id\n", encoding="utf-8")
            (place / "result.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("settings", "measured"), [("folds = 2\n", True), ("folds = 2\nwidth = 4\n", False)])
def test_the_attention_is_measured_where_the_box_is_ticked(trainee, tmp_path, monkeypatch, settings, measured):
    """The box is ticked for the paper's networks and not for small ones, until a person clicks it."""
    worker(tmp_path, monkeypatch, 'echo "$@" >&2; exit 130\n')
    run, ui = finished_run(tmp_path / "run", settings), trainee.ui
    trainee.browse(ui.runFolderEdit, run)
    trainee.host.choose(ui.trainDeviceSelector, "CPU")
    assert ui.attentionCheckBox.checked == measured
    told = f"evaluate {run} --output {run}/evaluation --overwrite"
    asked = {True: f"{told} --attention --device cpu --progress json", False: f"{told} --progress json"}
    for ticked in (measured, not measured):
        assert ui.attentionCheckBox.checked == ticked
        trainee.press("Evaluate")
        trainee.finish(10)
        assert ui.trainLogBox.plainText.splitlines()[-1].endswith(asked[ticked])
        assert trainee.message == "Stopped: nothing was written, but what is measured of the attention is kept."
        trainee.host.click(ui.attentionCheckBox)


def test_the_box_follows_the_settings(trainee, tmp_path):
    box = trainee.ui.attentionCheckBox
    assert box.checked
    trainee.host.choose(trainee.ui.settingsSelector, "Try-out: small, minutes")
    assert not box.checked
    trainee.host.choose(trainee.ui.settingsSelector, "The paper's")
    assert box.checked
