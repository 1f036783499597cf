"""QProcess truly runs: what it writes arrives through signals, and it can be ended."""

from __future__ import annotations

import os
import sys

import pytest

ECHO = "import os,sys; print(os.environ['FOO']); sys.stderr.write(sys.stdin.read()); sys.stderr.flush(); sys.exit(3)"


@pytest.fixture
def process(slicer_host):
    import qt

    made = qt.QProcess()
    yield made
    if made.state() != qt.QProcess.NotRunning:
        made.kill()
        made.waitForFinished(3000)


def test_streams_environment_and_status(slicer_host, process):
    import qt

    ends, out, err = [], [], []
    environment = qt.QProcessEnvironment.systemEnvironment()
    environment.insert("FOO", "bär")
    environment.insert("PYTHONIOENCODING", "utf-8")
    process.setProcessEnvironment(environment)
    assert process.connect("readyReadStandardOutput()", lambda: out.append(process.readAllStandardOutput().data()))
    assert process.connect("readyReadStandardError()", lambda: err.append(process.readAllStandardError().data()))
    assert process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ends.append((code, status)))
    process.start(sys.executable, ["-c", ECHO])
    assert process.waitForStarted(5000)
    assert process.processId() > 0
    process.write(b"from stdin")
    process.closeWriteChannel()
    slicer_host.wait(until=lambda: ends, seconds=10)
    assert ends == [(3, qt.QProcess.NormalExit)]
    assert b"".join(out).decode() == "bär\n"
    assert b"".join(err) == b"from stdin"
    assert isinstance(out[0], bytes)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_it_can_be_ended(slicer_host, process, how):
    import qt

    ends = []
    process.finished.connect(lambda code, status: ends.append(status))
    process.start(sys.executable, ["-c", "import time; print('up', flush=True); time.sleep(60)"])
    slicer_host.wait(until=lambda: process.bytesAvailable() > 0, seconds=10)
    pid = process.processId()
    getattr(process, how)()
    slicer_host.wait(until=lambda: ends, seconds=10)
    assert ends == [qt.QProcess.CrashExit]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_that_is_missing_is_an_error(slicer_host, process):
    import qt

    errors = []
    assert process.connect("errorOccurred(QProcess::ProcessError)", errors.append)
    process.start("/nowhere/PythonSlicer", [])
    slicer_host.wait(until=lambda: errors, seconds=5)
    assert errors == [qt.QProcess.FailedToStart]


def test_a_path_is_not_a_program(process):
    from pathlib import Path

    with pytest.raises(ValueError, match="Path"):
        process.start(Path(sys.executable), [])
