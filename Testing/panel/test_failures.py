"""Whatever goes wrong: a clear message, a usable panel, the scene as before, no file and no process left."""

from __future__ import annotations

import os
import resource
import shutil
import time
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.panel import job as jobs
from DualSamplingCOVIDLib.scene import nodes
from DualSamplingCOVIDLib.scene.result import results
from panel.study import recorded, worker

QTimer = pytest.importorskip("PySide6.QtCore", reason="PySide6-Essentials is not installed").QTimer
slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

SLEEPER = """
echo "{\\"pid\\": $$}"
echo '{"stage": "asking the networks", "fraction": 0.4}'
while [ -e "$3" ]; do sleep 0.05; done
exit 130
"""
REAL = '$PYTHON "$@"'


def processes(folder: str) -> list[int]:
    """Processes that name a folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def clean(study):
    """The panel with a CT; afterwards nothing is left over and the panel can still analyse."""
    study.loadCt()
    study.host.wait(lambda: study.ui.analyzeButton.enabled)
    before = study.nodeIds()
    yield study
    assert study.nodeIds() == before, "nodes were left in the scene"
    assert_no_leftovers()
    assert study.ui.analyzeButton.enabled and study.ui.analyzeButton.text == "Analyze"
    assert study.ui.inputSection.enabled and not study.ui.progressBar.visible


def assert_no_leftovers() -> None:
    temporary = slicer.app.temporaryPath
    assert list(Path(temporary).glob(f"{jobs.FOLDER_PREFIX}*")) == []
    end = time.monotonic() + 5
    while processes(f"{temporary}/{jobs.FOLDER_PREFIX}"):
        assert time.monotonic() < end, "a process lives on"
        time.sleep(0.05)


def stage(study, text: str, seconds: float = 60) -> None:
    study.host.wait(lambda: text in study.ui.stageLabel.text.lower(), seconds)


def test_cancel_while_the_ct_is_exported(clean):
    clean.start()
    assert clean.ui.analyzeButton.text == "Cancel"
    clean.host.click(clean.ui.analyzeButton)
    clean.finish(30)
    assert clean.ui.messageLabel.text == "Cancelled: nothing was changed."


@pytest.mark.parametrize("during", ["reading the ct", "segmenting", "asking the networks"])
def test_cancel_while_the_worker_runs(clean, during):
    clean.start()
    stage(clean, during)
    clicked = time.monotonic()
    clean.host.click(clean.ui.analyzeButton)
    assert clean.ui.stageLabel.text == "Cancelling..." and not clean.ui.analyzeButton.enabled
    clean.finish(20)
    assert time.monotonic() - clicked < 12
    assert clean.ui.messageLabel.text == "Cancelled: nothing was changed."


def test_cancel_while_the_results_come_in(clean, recorded_folder, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, recorded(recorded_folder))
    clean.start()
    stage(clean, "adding lungs")
    clean.host.click(clean.ui.analyzeButton)
    clean.finish(5)
    assert clean.ui.messageLabel.text == "Cancelled: nothing was changed."


@pytest.mark.parametrize("steps", range(1, 8))
def test_cancel_at_every_step_of_the_import(clean, recorded_folder, tmp_path, monkeypatch, steps):
    worker(tmp_path, monkeypatch, recorded(recorded_folder))
    seen = []
    adding = nodes.addingDiagnosis

    def counting(*arguments):
        inner = adding(*arguments)
        for step in inner:
            seen.append(step)
            if len(seen) == steps:
                QTimer.singleShot(0, lambda: clean.ui.analyzeButton.click())
            yield step

    monkeypatch.setattr(nodes, "addingDiagnosis", counting)
    clean.start()
    clean.finish(20)
    assert len(seen) == steps
    assert clean.ui.messageLabel.text == "Cancelled: nothing was changed."


def test_a_worker_that_is_killed_is_told(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, 'echo \'{"stage": "asking the networks", "fraction": 0.4}\'; kill -9 $$')
    clean.start()
    clean.finish(20)
    assert "ended unexpectedly" in clean.ui.messageLabel.text and "memory" in clean.ui.messageLabel.text


def test_a_worker_out_of_memory_is_told(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "ulimit -v 600000; OMP_NUM_THREADS=1 " + REAL)
    clean.start()
    clean.finish(60)
    assert "memory ran out" in clean.ui.messageLabel.text.lower()


def test_a_worker_that_finds_the_disk_full_is_told(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "ulimit -f 20; " + REAL)
    clean.start()
    clean.finish(60)
    assert "disk full" in clean.ui.messageLabel.text


def test_a_full_disk_at_the_export_is_told(clean, monkeypatch):
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    clean.start()
    clean.finish(10)
    assert "the disk is full" in clean.ui.messageLabel.text and "MB are needed" in clean.ui.messageLabel.text


def test_a_bundle_that_is_removed_meanwhile_is_named(clean, tmp_path):
    folder = tmp_path / "bundles" / "mine"
    shutil.copytree(resources.path("Bundles/phantom-demo"), folder)
    clean.ui.bundleFolderEdit.currentPath = str(tmp_path / "bundles")
    clean.ui.bundleSelector.setCurrentIndex(clean.ui.bundleSelector.count - 1)
    clean.start()
    shutil.rmtree(folder)
    clean.finish(60)
    assert str(folder) in clean.ui.messageLabel.text and "no such folder" in clean.ui.messageLabel.text


def test_a_bundle_that_was_tampered_with_is_named(clean, tmp_path):
    folder = tmp_path / "bundles" / "mine"
    shutil.copytree(resources.path("Bundles/phantom-demo"), folder)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    clean.ui.bundleFolderEdit.currentPath = str(tmp_path / "bundles")
    clean.ui.bundleSelector.setCurrentIndex(clean.ui.bundleSelector.count - 1)
    clean.start()
    clean.finish(60)
    assert "altered or truncated" in clean.ui.messageLabel.text


def test_a_worker_that_cannot_start_is_told(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "")
    program = tmp_path / "bin" / "PythonSlicer"
    program.write_bytes(b"\x7fELFnot a program")
    clean.start()
    clean.finish(10)
    assert "PythonSlicer" in clean.ui.messageLabel.text


def test_results_that_are_not_whole_are_told(clean, recorded_folder, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    shutil.copytree(recorded_folder, broken)
    (broken / "attention" / "decision.nrrd").unlink()
    worker(tmp_path, monkeypatch, recorded(broken))
    clean.start()
    clean.finish(20)
    assert "not a whole diagnosis folder" in clean.ui.messageLabel.text


def test_the_log_keeps_what_the_worker_said(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "echo 'a warning of some library' >&2; exit 1")
    clean.start()
    clean.finish(20)
    assert "a warning of some library" in clean.ui.logBox.plainText
    assert "status 1" in clean.ui.messageLabel.text


def _breaks(*_values: object) -> None:
    raise RuntimeError("the label is gone")


def test_a_line_that_cannot_be_shown_does_not_end_the_work(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "echo 'a line' >&2; sleep 0.2; echo 'error: no lungs' >&2; exit 3")
    monkeypatch.setattr(clean.widget.tabs.analyze, "onLine", _breaks)
    told: list[str] = []
    monkeypatch.setattr(clean.widget.tabs.analyze, "tell", lambda said, isError=True: told.append(said))
    clean.start()
    clean.finish(20)
    assert "Unexpected RuntimeError: the label is gone" in told and told[-1] == "no lungs"


def test_what_goes_wrong_at_the_end_of_the_work_is_told(clean, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, "echo 'error: no lungs' >&2; exit 3")
    job = clean.widget.tabs.analyze._job
    monkeypatch.setattr(job, "onEnd", _breaks)
    clean.start()
    clean.finish(20)
    assert clean.ui.messageLabel.text == "Unexpected RuntimeError: the label is gone"


def test_closing_the_scene_ends_the_work(study, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, SLEEPER)
    study.loadCt()
    study.start()
    stage(study, "asking the networks")
    study.host.closeScene()
    assert not study.widget.tabs.analyze.isRunning
    assert_no_leftovers()
    assert study.ui.analyzeButton.text == "Analyze" and not study.ui.analyzeButton.enabled
    assert results(study.scene) == []


def test_closing_the_scene_while_the_worker_talks_raises_nothing(study, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, SLEEPER.replace("sleep 0.05", 'echo "a line"; echo "another" >&2; sleep 0.001'))
    study.loadCt()
    study.start()
    stage(study, "asking the networks")
    study.host.closeScene()
    study.host.wait(None, 0.3)
    assert_no_leftovers()


def test_leaving_slicer_ends_the_work(study, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, SLEEPER)
    study.loadCt()
    study.start()
    stage(study, "asking the networks")
    study.widget.onQuit()
    assert_no_leftovers()


def test_closing_the_module_ends_the_work(study, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, SLEEPER)
    study.loadCt()
    study.start()
    stage(study, "asking the networks")
    study.widget.cleanup()
    assert_no_leftovers()


def test_a_ct_that_is_deleted_meanwhile_is_told(study, recorded_folder, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, recorded(recorded_folder, pause="sleep 0.5"))
    ct = study.loadCt()
    study.start()
    stage(study, "segmenting")
    study.scene.RemoveNode(ct)
    study.finish(20)
    assert "deleted from the scene" in study.ui.messageLabel.text
    assert results(study.scene) == []
    assert_no_leftovers()


def test_no_slot_blocks_the_window_while_the_worker_runs(study):
    study.loadCt()
    study.start()
    stage(study, "reading the ct")
    study.host.watchdog.reset()
    stage(study, "writing")
    longest = study.host.watchdog.longest.seconds
    print(f"\nlongest slot while the worker runs: {1000 * longest:.0f} ms")
    assert longest < 1.0  # a slot that waits for the worker would take seconds; Benchmarks/window.py measures
    study.finish()


def test_fifty_imports_leave_memory_nodes_and_files_where_they_were(quick):
    quick.loadCt()
    quick.host.wait(lambda: quick.ui.analyzeButton.enabled)
    before, after_five = quick.nodeIds(), 0.0
    for index in range(50):
        quick.analyze()
        quick.host.dialogs.will(True)
        quick.host.click(quick.ui.removeResultButton)
        assert results(quick.scene) == []
        quick.openInput()
        if index == 4:
            after_five = resident_mb()
    grown = resident_mb() - after_five
    print(f"\nresident memory after 50 imports: {grown:+.1f} MB against after 5")
    assert grown < 50
    assert quick.nodeIds() == before
    assert_no_leftovers()


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6 if os.name == "posix" else 0.0
