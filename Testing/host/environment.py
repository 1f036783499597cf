"""What must be set before Qt and VTK start, and whether this machine can render at all."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

_PROBE = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render(); assert w.SupportsOpenGL()"
_OFFSCREEN = {"QT_QPA_PLATFORM": "offscreen", "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}


def prepare() -> None:
    """Choose the platforms without a screen, unless the person who runs the tests chose others."""
    for name, value in _OFFSCREEN.items():
        os.environ.setdefault(name, value)


@functools.cache
def rendering_problem() -> str:
    """Return why nothing can be rendered here, empty where it can.

    A process of its own is asked, because VTK without OpenGL ends in a segmentation fault, not in an exception.
    """
    prepare()
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=120, check=False)
    return "" if done.returncode == 0 else "no OpenGL for offscreen rendering: install libegl1 and libgl1-mesa-dri"


@functools.cache
def qt_problem() -> str:
    """Return why Qt cannot run here, empty where it can; a process is asked, as Qt aborts without its libraries."""
    prepare()
    code = "from PySide6 import QtWidgets, QtUiTools, QtTest; QtWidgets.QApplication([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return f"Qt cannot run here (Debian: libgl1 libegl1 libxkbcommon0 libglib2.0-0 libfontconfig1 libdbus-1-3): {last}"
