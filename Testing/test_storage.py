"""Files appear whole or not at all, whatever a scanner, another process or a power cut does meanwhile."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import storage
from DualSamplingCOVIDLib.processes import is_alive


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(partial: Path, file: Path) -> None:
        done.append("name")
        replace(partial, file)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    storage.write_text(tmp_path / "a.txt", "whole")
    assert done == ["file", "name", "folder"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "whole"


def test_a_name_that_somebody_holds_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    replace = os.replace

    def held(partial: Path, file: Path) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise PermissionError(13, "Access is denied")
        replace(partial, file)

    monkeypatch.setattr(os, "replace", held)
    storage.write_text(tmp_path / "a.txt", "whole")
    assert len(tries) == 4 and (tmp_path / "a.txt").read_text() == "whole"


def test_a_name_that_stays_held_is_an_error_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(partial: Path, file: Path) -> None:
        raise PermissionError(13, "Access is denied")

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(storage, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(PermissionError):
        storage.write_text(tmp_path / "a.txt", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_partial_files_are_named_after_their_process_and_others_are_left_alone(tmp_path: Path) -> None:
    seen: list[str] = []

    def write(partial: Path) -> None:
        seen.append(partial.name)
        partial.write_bytes(b"")

    storage.write_whole(tmp_path / "a.npz", write)
    storage.write_whole(tmp_path / "a.npz", write)
    assert seen[0] != seen[1]
    for name in seen:
        assert name.startswith(f".a.npz-{storage.process_name()}-") and name.endswith(".partial.npz")
    names = [f".a.npz-{process}-0a1b.partial.npz" for process in ("living-1", "dead-2")]
    for name in names:
        (tmp_path / name).touch()
    storage.remove_partials(tmp_path, "dead-2")
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", names[0]}


def test_what_a_killed_process_left_half_written_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from DualSamplingCOVIDLib import storage\n"
        "write = lambda partial: (partial.touch(), print('there', flush=True), time.sleep(600))\n"
        "storage.write_whole(pathlib.Path(sys.argv[1], 'a.npz'), write)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        (left,) = tmp_path.iterdir()
        storage.remove_abandoned(tmp_path)
        assert left.exists()
        process.kill()
        process.wait()
    elsewhere = f".b.npz-{'0' * 16}-00000000-{process.pid}-{'1' * 8}.partial.npz"
    for name in (elsewhere, ".mine.partial", "a.npz"):
        (tmp_path / name).touch()
    storage.remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {elsewhere, ".mine.partial", "a.npz"}
    then = time.time() - 25 * 3600
    for name in (elsewhere, ".mine.partial", "a.npz"):
        os.utime(tmp_path / name, (then, then))
    storage.remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".mine.partial", "a.npz"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not tell what has ended")
def test_a_process_that_ended_and_that_nobody_asks_after_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        assert is_alive(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        until = time.monotonic() + 30
        while is_alive(process.pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert process.returncode is None and not is_alive(process.pid)
        os.kill(process.pid, 0)  # the system still knows it


def test_of_two_who_write_the_same_file_neither_loses_a_line(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("")

    def add(name: str) -> None:
        for number in range(30):
            with storage.alone(file):
                storage.write_text(file, file.read_text() + f"{name}{number}\n")

    writers = [threading.Thread(target=add, args=(name,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(file.read_text().split()) == sorted(f"{name}{number}" for name in "ab" for number in range(30))


def test_a_lock_that_another_keeps_is_an_error_and_is_gone_with_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE_SECONDS", 0.1)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lines.txt")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(OSError), storage.alone(tmp_path / "lines.txt"):
        pass
    holder.kill()
    holder.wait()
    with storage.alone(tmp_path / "lines.txt"):
        pass


HOLD = """
import pathlib, sys, time
from DualSamplingCOVIDLib import storage
with storage.alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
