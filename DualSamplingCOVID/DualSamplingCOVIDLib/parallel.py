"""The same work on many cases, one core each."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from .progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], stage: str, progress: Progress, processes: int | None = None
) -> list[Result]:
    """Do `work` on every item in processes of their own and return what it returned, in the items' order.

    Args:
        work: a function of a module, or a `functools.partial` of one: it travels to the processes.
        items: what to work on.
        stage: what the work is called to the person who waits.
        progress: told how many items are done; raising from it ends all processes at once.
        processes: how many; one for each of `cores` when None.
    """
    if not items:
        return []
    progress(stage, 0.0)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes or cores(), len(items)), spawn, initializer=_quietly) as pool:
        results: dict[int, Result] = {}
        try:
            with _interrupts_held_back():
                pending = {pool.submit(work, item): index for index, item in enumerate(items)}
            for future in as_completed(pending):
                results[pending[future]] = future.result()
                progress(stage, len(results) / len(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():  # leaving would wait for the items they have begun
                child.kill()
            raise
    return [results[index] for index in range(len(items))]


def cores() -> int:
    """Return how many cores this process may use, which on a shared computer are often fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the processes are started: one that is half started would complain on its own.

    They inherit the blocked signal, so that Ctrl-C in a terminal, which goes to all, reaches the parent alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if os.name == "posix" else set()
    try:
        yield
    finally:
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, usual)
    if held:
        signal.raise_signal(signal.SIGINT)


def _quietly() -> None:
    """Leave interrupts to the parent, and the other cores to the other processes; end with the parent."""
    import SimpleITK as sitk

    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if "torch" in sys.modules:  # by the script that was started; else it reads the environment
        sys.modules["torch"].set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _end_with_parent() -> None:
    """End this process when its parent has died: one that is killed tells nobody, and work is waited for for good."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
