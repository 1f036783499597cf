"""The panel in the host."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.__main__ import main as command_line
from DualSamplingCOVIDLib.phantom import write_cohort
from host.fixtures import slicer_host
from panel import study as studies
from panel.trainee import BEGIN, CONFIG, STEPS, Trainee

__all__ = ["slicer_host"]


@pytest.fixture
def study(slicer_host) -> studies.Study:
    """The module's panel on the screen, with nothing loaded."""
    slicer_host.load(studies.MODULE)
    return studies.Study(slicer_host, slicer_host.open("DualSamplingCOVID"))


@pytest.fixture(scope="session")
def recorded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the worker writes of `studies.a_phantom`, made once."""
    folder = tmp_path_factory.mktemp("recorded")
    sitk.WriteImage(studies.a_phantom(), folder / "ct.nrrd")
    arguments = ["analyze", str(folder / "ct.nrrd"), "--output", str(folder / "output"), "--write", "masks,maps"]
    assert command_line([*arguments, "--progress", "none"]) == 0
    return folder / "output"


@pytest.fixture
def quick(study, recorded_folder, tmp_path, monkeypatch) -> studies.Study:
    """The panel with a worker that hands over the recorded folder at once."""
    studies.worker(tmp_path, monkeypatch, studies.recorded(recorded_folder))
    return study


@pytest.fixture(scope="session")
def a_reviewed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a reader has begun to look through, made once."""
    from panel import reviewed_run

    return reviewed_run.write_run(tmp_path_factory.mktemp("review") / "run")


@pytest.fixture
def reader(slicer_host, a_reviewed_run, tmp_path):
    """The Review tab with a run of its own opened."""
    from panel import reviewed_run

    slicer_host.load(studies.MODULE)
    widget = slicer_host.open("DualSamplingCOVID")
    found = reviewed_run.Reader(slicer_host, widget, reviewed_run.copied(a_reviewed_run, tmp_path))
    found.openRun()
    return found


@pytest.fixture(scope="session")
def a_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small phantoms with their masks, and settings that train on them in seconds."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 8, seed=5, spacing_mm=(6.0, 6.0, 6.0))
    (folder / "config.toml").write_text(CONFIG.format(epochs=6), encoding="utf-8")
    (folder / "long.toml").write_text(CONFIG.format(epochs=200), encoding="utf-8")
    return folder


@pytest.fixture
def trainee(slicer_host) -> Trainee:
    """The Trainer tab on the screen, with nothing chosen."""
    slicer_host.load(studies.MODULE)
    return Trainee(slicer_host, slicer_host.open("DualSamplingCOVID"))


@pytest.fixture
def scripted(trainee, a_cohort, tmp_path, monkeypatch):
    """Start a worker that writes what a script says, in the folder of the first model."""

    def start(script: str) -> Trainee:
        studies.worker(tmp_path, monkeypatch, BEGIN + STEPS + script)
        trainee.choose(a_cohort / "cohort.csv", tmp_path / "run")
        trainee.press("Start")
        return trainee

    return start
