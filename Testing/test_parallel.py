"""Work spread over processes: in order, told as it goes, and ended at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import parallel
from DualSamplingCOVIDLib.parallel import spread
from DualSamplingCOVIDLib.processes import is_alive


def _square(number: int) -> int:
    time.sleep(0.02 * (5 - number))
    return number**2


def _process(_: int) -> int:
    return os.getpid()


def _threads(_: int) -> tuple[str, int]:
    import SimpleITK as sitk

    return os.environ["OMP_NUM_THREADS"], sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()


def _long(seconds: float) -> None:
    time.sleep(seconds)


def _named_by_a_file(work: tuple[str, float]) -> None:
    folder, seconds = work
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(seconds)


def _is_deaf(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def _fail(number: int) -> None:
    raise ValueError(f"item {number}")


def _silent(stage: str, fraction: float) -> None:
    pass


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system gives every process all cores")
def test_as_many_processes_as_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Pool(ProcessPoolExecutor):
        def __init__(self, processes: int, *arguments: object, **named: object) -> None:
            made.append(processes)
            super().__init__(1, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert spread(_square, range(5), "squaring", _silent) == [0, 1, 4, 9, 16]
    assert made == [3]


def test_results_come_in_the_items_order_and_progress_rises_to_one() -> None:
    heard: list[tuple[str, float]] = []
    assert spread(_square, range(5), "squaring", lambda *told: heard.append(told), 2) == [0, 1, 4, 9, 16]
    assert {stage for stage, _ in heard} == {"squaring"}
    assert [fraction for _, fraction in heard] == [0, 0.2, 0.4, 0.6, 0.8, 1]


def test_work_is_done_elsewhere_with_one_thread_each() -> None:
    assert os.getpid() not in spread(_process, range(4), "", _silent, 2)
    assert spread(_threads, [0], "", _silent) == [("1", 1)]


def test_nothing_to_do_starts_nothing() -> None:
    assert spread(_fail, [], "", _silent) == []


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="item 3"):
        spread(_fail, [3], "", _silent)


def test_cancelling_does_not_wait_for_what_has_begun() -> None:
    def cancel(stage: str, fraction: float) -> None:
        if fraction:
            raise KeyboardInterrupt

    since = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        spread(_long, [0.0, 60.0, 60.0], "", cancel, 2)
    assert time.perf_counter() - since < 30


def test_an_interrupt_waits_until_the_processes_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, started = ProcessPoolExecutor.submit, []
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(pool, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        future = submit(pool, *arguments)
        started.extend(pool._processes)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    since = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        spread(_long, [60.0, 60.0], "", _silent, 2)
    assert len(set(started)) == 2
    while any(map(is_alive, started)):
        assert time.perf_counter() - since < 30
        time.sleep(0.05)
    assert signal.signal(signal.SIGINT, usual) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_processes_leave_interrupts_to_their_parent() -> None:
    assert all(spread(_is_deaf, range(2), "", _silent, 2))


@pytest.mark.parametrize("seconds", [0.0, 600.0], ids=["waiting for work", "at work"])
def test_the_processes_end_with_a_parent_that_is_killed(tmp_path: Path, seconds: float) -> None:
    """Its end reaches them though nothing tells them of it."""
    code = (
        "import sys, time\n"
        "from DualSamplingCOVIDLib.parallel import spread\n"
        "from test_parallel import _named_by_a_file\n"
        "if __name__ == '__main__':\n"
        "    work = [(sys.argv[1], float(sys.argv[2]))] * 8\n"
        "    spread(_named_by_a_file, work, '', lambda stage, done: time.sleep(600) if done == 1 else None, 2)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(seconds)], env={**os.environ, "PYTHONPATH": path}
    ) as parent:
        since = time.perf_counter()
        while len(list(tmp_path.iterdir())) < 2 and time.perf_counter() - since < (60 if seconds else 20):
            time.sleep(0.05)
        workers = [int(file.name) for file in tmp_path.iterdir()]
        assert workers and all(map(is_alive, workers))
        parent.send_signal(signal.SIGKILL)
    since = time.perf_counter()
    while any(map(is_alive, workers)):
        assert time.perf_counter() - since < 10
        time.sleep(0.05)
