"""The host itself: what is there while it is awake, and that nothing of it stays."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

EARLIER: list[Any] = []


def test_slicer_has_what_slicer_has_and_not_what_slicer_core_adds(slicer_host):
    import slicer

    assert slicer.app.majorVersion == 5 and slicer.app.minorVersion == 12
    assert Path(slicer.app.temporaryPath).is_dir()
    assert slicer.app.applicationLogic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.mrmlScene() is slicer.mrmlScene
    assert slicer.app.slicerHome
    for name in ("loadUI", "VTKObservationMixin", "getNode", "arrayFromVolume"):
        assert hasattr(slicer.util, name)
        assert not hasattr(slicer, name), f"slicer.{name} is slicer-core's own copy"
    with pytest.raises(AttributeError, match="creating new attributes"):
        slicer.app.mine = 1
    with pytest.raises(AttributeError):
        slicer.app.noSuchThing()


def test_texts_are_translated_by_name(slicer_host):
    from slicer.i18n import tr as _
    from slicer.i18n import translate

    assert _("Analyze {name}").format(name="CT") == "Analyze CT"
    assert translate("context", "text") == "text"
    with pytest.raises(TypeError):
        _(b"bytes")


def test_signals_of_the_application(slicer_host):
    import slicer

    got = []
    assert slicer.app.connect("startupCompleted()", lambda: got.append("up")) is True
    assert slicer.app.connect("startupComplete()", print) is False
    assert slicer.app.aboutToQuit.connect(lambda: got.append("down")) is True
    slicer.app.startupCompleted.emit()
    slicer.app.aboutToQuit.emit()
    assert got == ["up", "down"]


def test_the_main_window_has_the_parts_that_modules_look_for(slicer_host):
    import slicer

    probe = slicer.util.findChild(slicer.util.mainWindow(), "DataProbeCollapsibleWidget")
    slicer.util.setDataProbeVisible(False)
    assert not probe.visible
    slicer.util.setDataProbeVisible(True)
    assert probe.visible
    slicer.util.showStatusMessage("hello")
    assert slicer.util.mainWindow().statusBar().currentMessage() == "hello"


def test_files_are_read_and_written_through_slicer_util(slicer_host, tmp_path):
    import numpy as np
    import slicer

    node = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="CT")
    assert slicer.util.saveNode(node, str(tmp_path / "ct.nrrd"))
    read = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"), {"name": "again"})
    assert read.GetName() == "again"
    assert np.array_equal(slicer.util.arrayFromVolume(read), slicer.util.arrayFromVolume(node))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer_host.closeScene()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert slicer.util.getNode("again") is not None
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


def test_observers_of_a_mixin_end_with_removeObservers(slicer_host):
    import slicer

    class Listener(slicer.util.VTKObservationMixin):
        pass

    listener, got = Listener(), []

    def slot(caller, event):
        got.append(caller)

    listener.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, slot)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    assert got == [slicer.mrmlScene]
    listener.removeObservers()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    assert got == [slicer.mrmlScene]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_every_test_has_a_scene_of_its_own_and_the_last_one_is_gone(slicer_host, turn):
    import slicer
    import vtk

    from host.test_module import EXAMPLE

    gc.collect()
    assert len(EARLIER) == turn - 1
    assert all(each.Get() is None for each in EARLIER), "an earlier scene is still held by something"
    EARLIER.append(vtk.vtkWeakReference())
    EARLIER[-1].Set(slicer.mrmlScene)
    assert EARLIER[-1].Get() is slicer.mrmlScene
    slicer_host.load(EXAMPLE)
    slicer_host.open("HostExample")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")


def test_a_sleeping_host_leaves_no_names_behind(slicer_host):
    import slicer

    slicer_host.close()
    for name in ("qt", "ctk", "SampleData", "slicer.i18n", "slicer.ScriptedLoadableModule"):
        assert name not in sys.modules
        with pytest.raises(ImportError):
            importlib.import_module(name)
    for name in ("app", "modules", "mrmlScene", "qMRMLNodeComboBox", "i18n"):
        assert not hasattr(slicer, name)
    assert hasattr(slicer, "loadUI"), "slicer-core's own copies are back"
    assert slicer.util.messageBox.__module__ == "slicer.util"
    assert slicer.util.pip_install.__module__ == "slicer.util"


def test_closing_raises_what_a_slot_left_behind(slicer_host):
    import qt

    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 // 0)
    button.click()
    with pytest.raises(ZeroDivisionError):
        slicer_host.close()


def test_without_opengl_pictures_are_skipped_with_a_reason(slicer_host, monkeypatch):
    monkeypatch.setattr("host.driver.rendering_problem", lambda: "no OpenGL here")
    with pytest.raises(pytest.skip.Exception, match="no OpenGL here"):
        slicer_host.render("Red")
    with pytest.raises(pytest.skip.Exception, match="no OpenGL here"):
        slicer_host.windowPicture()


def test_the_probe_survives_a_machine_without_opengl(monkeypatch):
    from host import environment

    environment.rendering_problem.cache_clear()
    monkeypatch.setattr(environment, "_PROBE", "import os; os.abort()")
    assert "libegl1" in environment.rendering_problem()
    environment.rendering_problem.cache_clear()


def test_the_product_needs_nothing_of_the_host():
    root = Path(__file__).resolve().parents[2] / "DualSamplingCOVID"
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import host" not in text and "from host" not in text and "PySide6" not in text, path
