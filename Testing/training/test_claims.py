"""Several processes and computers share a run: each model is trained once, by whoever claimed it first."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import processes
from DualSamplingCOVIDLib.training import claims
from DualSamplingCOVIDLib.training.claims import CLAIM, Claim, Unreadable, claimed
from DualSamplingCOVIDLib.training.cross_validation import train_models
from DualSamplingCOVIDLib.training.run import load_run
from training.runs import CONFIG, CPU, a_run, numbers

MODELS = [(fold, model) for fold in range(2) for model in CONFIG.models]
ELSEWHERE = Claim("far-away", 4711, "2026-01-02 03:04:05 UTC", "", "abc-4711", "0" * 32)


@pytest.fixture(scope="module")
def a_dead_process() -> int:
    """The id of a process that was, and is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train_models(a_run(folder), range(2), CPU)
    return folder


def _leave(folder: Path, claim: Claim) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLAIM).write_text(json.dumps(asdict(claim)), encoding="utf-8")
    return folder / CLAIM


def _of_this_computer(pid: int) -> Claim:
    return replace(claims._own(), pid=pid, process=f"abc-{pid}", token="1" * 32)


def test_a_claim_says_who_has_the_model_and_goes_with_the_work(tmp_path: Path) -> None:
    with claimed(tmp_path / "model") as other:
        assert other is None
        written = json.loads((tmp_path / "model" / CLAIM).read_text(encoding="utf-8"))
        assert (written["host"], written["pid"]) == (platform.node(), os.getpid())
        with claimed(tmp_path / "model") as second:
            assert isinstance(second, Claim) and second.pid == os.getpid() and str(os.getpid()) in str(second)
        assert (tmp_path / "model" / CLAIM).exists()
    assert list((tmp_path / "model").iterdir()) == []
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "model"):
        raise KeyboardInterrupt
    assert list((tmp_path / "model").iterdir()) == []


def test_the_claim_of_a_dead_process_is_taken_over_with_what_it_left(tmp_path: Path, a_dead_process: int) -> None:
    _leave(tmp_path, _of_this_computer(a_dead_process))
    kept = f".x-abc-{a_dead_process + 1}-0.partial"
    for name in (f".x-abc-{a_dead_process}-0.partial", kept):
        (tmp_path / name).touch()
    with claimed(tmp_path) as other:
        assert other is None
        assert json.loads((tmp_path / CLAIM).read_text(encoding="utf-8"))["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [kept]


def test_an_id_that_is_ours_now_was_that_of_a_dead_process(tmp_path: Path) -> None:
    _leave(tmp_path, _of_this_computer(os.getpid()))
    with claimed(tmp_path) as other:
        assert other is None


@pytest.mark.parametrize(
    "change", [{"host": "far-away"}, {"space": "pid:[17]"}], ids=["another computer", "another container"]
)
def test_of_another_computer_or_container_nobody_knows_whether_it_lives(
    tmp_path: Path, a_dead_process: int, change: dict[str, str]
) -> None:
    theirs = replace(_of_this_computer(a_dead_process), **change)
    file = _leave(tmp_path, theirs)
    with claimed(tmp_path) as other:
        assert other == theirs
    assert file.exists()


@pytest.mark.parametrize(
    ("machine", "boot", "is_taken"),
    [("mine", "before", True), ("mine", "now", False), ("other", "before", False), ("mine", "", False)],
)
def test_what_is_older_than_the_computers_start_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, boot: str, is_taken: bool
) -> None:
    for name, text in (("MACHINE", "mine\n"), ("BOOT", "now\n")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(processes, name, tmp_path / name)
    theirs = replace(_of_this_computer(os.getppid()), machine=machine, boot=boot)  # an id that lives again
    _leave(tmp_path / "model", theirs)
    with claimed(tmp_path / "model") as other:
        assert (other is None) == is_taken


def test_where_nothing_names_the_machine_another_start_says_nothing(
    tmp_path: Path, a_dead_process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MACHINE", tmp_path / "none")
    theirs = replace(_of_this_computer(a_dead_process), machine="", boot="before")
    _leave(tmp_path / "model", theirs)
    with claimed(tmp_path / "model") as other:
        assert other == theirs


def test_who_died_while_taking_over_leaves_it_to_the_next(tmp_path: Path, a_dead_process: int) -> None:
    theirs = _of_this_computer(a_dead_process)
    _leave(tmp_path, theirs)
    half = replace(theirs, token="2" * 32)
    (tmp_path / f".{theirs.token}.{CLAIM}").write_text(json.dumps(asdict(half)), encoding="utf-8")
    with claimed(tmp_path) as other:
        assert other is None
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_keeps_its_claim(tmp_path: Path) -> None:
    theirs = _of_this_computer(os.getppid())
    _leave(tmp_path, theirs)
    with claimed(tmp_path) as other:
        assert other == theirs


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"host": "x"}', json.dumps({**asdict(ELSEWHERE), "pid": 0})])
def test_what_cannot_be_read_is_somebodys(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_TRIES", 2)
    (tmp_path / CLAIM).write_text(text, encoding="utf-8")
    with claimed(tmp_path) as other:
        assert isinstance(other, Unreadable)
    assert (tmp_path / CLAIM).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("leave_a_dead_one", [False, True])
def test_of_many_at_once_one_alone_gets_the_claim(tmp_path: Path, a_dead_process: int, leave_a_dead_one: bool) -> None:
    workers, rounds = 8, 20
    for number in range(rounds):
        folder = tmp_path / str(number)
        if leave_a_dead_one:
            _leave(folder, _of_this_computer(a_dead_process))
        together, all_asked = (threading.Barrier(workers, timeout=60) for _ in range(2))
        got: list[object] = []

        def work(folder: Path, together: threading.Barrier, all_asked: threading.Barrier, got: list[object]) -> None:
            together.wait()
            with claimed(folder) as other:
                got.append(other)
                all_asked.wait()

        threads = [threading.Thread(target=work, args=(folder, together, all_asked, got)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(other is None for other in got) == 1 and len(got) == workers
        assert list(folder.iterdir()) == []


def test_two_processes_train_each_model_once_between_them(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    a_run(folder)
    path = [str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "training.runs", str(folder), "2"]
    workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [worker.communicate()[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    trained = [{line for line in lines if line.startswith("model ")} for lines in said]
    assert not trained[0] & trained[1] and all(trained)
    assert {line.split(": ")[1] for lines in trained for line in lines} == {f"fold {k} {name}" for k, name in MODELS}
    assert any(line.startswith("said: fold 0 baseline-us is left to") for lines in said for line in lines)
    assert numbers(folder) == numbers(undisturbed)
    assert not list(folder.rglob(f"*{CLAIM}")) and not list(folder.rglob("*.partial*"))


def test_a_model_that_another_computer_has_is_left_to_it_and_named_at_the_end(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    file = _leave(run.model_folder(0, "attention-ss"), ELSEWHERE)
    said: list[str] = []
    train_models(run, [0], CPU, say=said.append)
    assert run.is_finished(0, "baseline-us") and not run.is_finished(0, "attention-ss")
    whose = "far-away, process 4711, since 2026-01-02 03:04:05 UTC"
    assert said == [
        f"fold 0 attention-ss is left to {whose}; if nothing works on it any more, delete {file}",
        f"in the hands of others: fold 0 attention-ss ({whose}); when they have ended, --resume goes on with what is "
        "left",
    ]
    assert [path.name for path in file.parent.iterdir()] == [CLAIM]
    file.unlink()
    train_models(run, [0], CPU, say=said.append)
    assert run.is_finished(0, "attention-ss") and len(said) == 2


def test_what_others_give_up_meanwhile_is_trained(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    file = _leave(run.model_folder(0, "baseline-us"), ELSEWHERE)
    said: list[str] = []

    def progress(stage: str, fraction: float) -> None:
        file.unlink(missing_ok=True) if "attention-ss" in stage else None

    train_models(run, [0], CPU, progress=progress, say=said.append)
    assert run.is_finished(0, "baseline-us") and run.is_finished(0, "attention-ss")
    assert len(said) == 1 and said[0].startswith("fold 0 baseline-us is left to")


def test_what_others_finish_meanwhile_is_not_trained_again(undisturbed: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    theirs = run.model_folder(0, "attention-ss")
    stages: set[str] = set()

    def progress(stage: str, fraction: float) -> None:
        stages.add(stage.partition(",")[0])
        if not theirs.exists():
            shutil.copytree(undisturbed / "folds" / "0" / "attention-ss", theirs)

    began = time.time_ns()
    train_models(run, [0], CPU, progress=progress)
    assert stages == {"model 1 of 2: fold 0 baseline-us"}
    assert all(path.stat().st_mtime_ns < began for path in theirs.iterdir()) and run.is_finished(0, "attention-ss")


def test_an_interrupted_training_gives_its_model_back(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")

    def interrupt(stage: str, fraction: float) -> None:
        assert (run.model_folder(0, "baseline-us") / CLAIM).exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_models(run, [0], CPU, progress=interrupt)
    assert not list(run.folder.rglob(f"*{CLAIM}"))


@pytest.fixture
def a_finished_copy(undisturbed: Path, tmp_path: Path) -> Path:
    """A run whose models are all finished; one still has the checkpoint, as after a kill before it was taken away."""
    folder = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    (folder / "folds" / "1" / "attention-ss" / "checkpoint").write_bytes(b"it has served")
    return folder


def test_what_a_process_left_that_died_over_a_finished_model_goes(a_finished_copy: Path, a_dead_process: int) -> None:
    model = a_finished_copy / "folds" / "1" / "attention-ss"
    before = numbers(a_finished_copy)
    file = _leave(model, _of_this_computer(a_dead_process))
    train_models(load_run(a_finished_copy), range(2), CPU)
    assert not file.exists() and not (model / "checkpoint").exists()
    assert numbers(a_finished_copy) == before


@pytest.mark.parametrize("whose", ["a living process", "another computer"])
def test_what_others_may_still_work_on_stays_though_the_model_is_finished(a_finished_copy: Path, whose: str) -> None:
    model = a_finished_copy / "folds" / "1" / "attention-ss"
    theirs = ELSEWHERE if whose == "another computer" else _of_this_computer(os.getppid())
    file = _leave(model, theirs)
    train_models(load_run(a_finished_copy), range(2), CPU)
    assert json.loads(file.read_text(encoding="utf-8")) == asdict(theirs) and (model / "checkpoint").exists()
