"""`slicer_host` for tests: `from host.fixtures import slicer_host` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from . import environment


@pytest.fixture
def slicer_host() -> Iterator[Any]:
    """A running host with an empty scene and default settings; exceptions of slots fail the test.

    Qt and VTK stay for the whole process; scene, views, windows, modules and settings are new for each test, so that
    nothing of one test can be seen in the next.
    """
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")
    if environment.qt_problem():
        pytest.skip(environment.qt_problem())
    from .driver import Host

    host = Host()
    try:
        yield host
    finally:
        host.close()
