"""The command line under watch ends when its lease does, with its children and without leftovers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import supervised

LIBRARY = Path(supervised.__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")


def _start(lease: Path, *arguments: str, code: str = "") -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    program = ["-c", code] if code else ["-m", "DualSamplingCOVIDLib.supervised"]
    command = [sys.executable, *program, str(lease), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _lease(folder: Path, holder: int) -> Path:
    lease = folder / "lease"
    lease.write_text(str(holder), encoding="ascii")
    return lease


def test_a_command_runs_to_its_end_with_its_status(tmp_path: Path) -> None:
    lease = _lease(tmp_path, os.getpid())
    process = _start(lease, "segment", str(tmp_path / "none.nrrd"), "--output", str(tmp_path / "o"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "none.nrrd" in said


def test_without_the_lease_the_command_is_cancelled_and_nothing_stays(tmp_path: Path) -> None:
    lease = _lease(tmp_path, os.getpid())
    output = tmp_path / "phantoms"
    process = _start(lease, "phantom", "--cases", "50", "--output", str(output), "--progress", "json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"pid": process.pid}
    assert "stage" in json.loads(process.stdout.readline())
    lease.unlink()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "cancelled: nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_the_holder_of_the_lease_has_died(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = _start(_lease(tmp_path, holder.pid), "phantom", "--cases", "50", "--output", str(tmp_path / "phantoms"))
    time.sleep(1.0)
    assert process.poll() is None
    holder.kill()
    holder.wait()
    process.communicate(timeout=30)
    assert process.returncode == 130


STUBBORN = """
import signal, subprocess, sys
from pathlib import Path
from DualSamplingCOVIDLib import __main__ as command_line, supervised
supervised.GRACE_SECONDS = 0.3

def deaf(arguments):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    child.wait()

command_line.main = deaf
supervised.main(Path(sys.argv[1]), [])
"""


def test_what_does_not_listen_is_ended_by_force_with_its_children(tmp_path: Path) -> None:
    lease = _lease(tmp_path, os.getpid())
    process = _start(lease, code=STUBBORN)
    assert process.stdout is not None
    process.stdout.readline()
    child = int(process.stdout.readline())
    lease.unlink()
    process.communicate(timeout=30)
    assert process.returncode == -9
    _until(lambda: not _lives(child), 5)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
