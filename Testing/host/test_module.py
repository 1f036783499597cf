"""A whole module in the host: loaded by its file, used by clicks, unloaded without a trace."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent / "example" / "HostExample.py"
OTHER = """
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin
class Other(ScriptedLoadableModule):
    pass
class OtherWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def setup(self):
        self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "other")
"""


@pytest.fixture
def example(slicer_host):
    """The panel of the example module, on the screen."""
    slicer_host.load(EXAMPLE)
    return slicer_host.open("HostExample")


def a_volume(name="CT"):
    import slicer

    array = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    return slicer.util.addVolumeFromArray(array, name=name)


def test_the_module_says_what_it_is(slicer_host):
    import slicer

    entry = slicer_host.load(EXAMPLE)
    assert slicer.modules.hostexample is entry
    assert (entry.title, entry.categories, entry.dependencies) == ("Host example", ["Testing"], ["Segmentations"])
    assert slicer.util.modulePath("HostExample") == str(EXAMPLE)
    with pytest.raises(AttributeError, match="creating new attributes"):
        entry.titel = "a slip"
    with pytest.raises(AttributeError, match="QStringList"):
        entry.categories = "Testing"


def test_a_click_reaches_the_slot_and_the_scene(slicer_host, example):
    import slicer

    a_volume()
    assert example.ui.input.currentNode().GetName() == "CT"
    slicer_host.click(example.ui.apply)
    slicer_host.click(example.ui.apply)
    node = slicer.mrmlScene.GetSingletonNode("HostExample", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("clicks") == "2"
    assert node.GetAttribute("ModuleName") == "HostExample"
    assert example.logic.getParameterNode() is node
    assert example.logic.getAllParameterNodes() == [node]
    slicer_host.raiseFailures()


def test_what_a_person_cannot_reach_cannot_be_clicked(slicer_host, example):
    from host.mouse import Unreachable

    with pytest.raises(Unreachable, match="disabled"):
        slicer_host.click(example.ui.apply)
    slicer_host.click(example.ui.inputs)
    assert example.ui.inputs.collapsed
    with pytest.raises(Unreachable, match="hidden"):
        slicer_host.choose(example.ui.device, "cpu")


def test_choosing_dragging_and_writing(slicer_host, example):
    from host.mouse import Unreachable

    for name in ("first", "second"):
        a_volume(name)
    slicer_host.choose(example.ui.device, "cpu")
    assert example.ui.device.currentText == "cpu"
    slicer_host.choose(example.ui.input, "second")
    assert example.ui.input.currentNode().GetName() == "second"
    slicer_host.choose(example.ui.input, 0)
    assert example.ui.input.currentNode().GetName() == "first"
    slicer_host.drag(example.ui.threshold, 0.25)
    assert example.ui.threshold.value == pytest.approx(0.25)
    slicer_host.write(example.ui.bundle, "/somewhere")
    assert example.ui.bundle.currentPath == "/somewhere"
    with pytest.raises(Unreachable, match="no entry 'gpu'"):
        slicer_host.choose(example.ui.device, "gpu")


def test_an_error_display_is_recorded_and_the_exception_fails_the_test(slicer_host, example):
    slicer_host.click(example.ui.fail)
    (shown,) = slicer_host.dialogs.of_kind("error")
    assert shown.text == "Failed.\n\nbroken on purpose"
    assert "ValueError" in shown.details
    with pytest.raises(ValueError, match="broken on purpose"):
        slicer_host.raiseFailures()


def test_the_watchdog_names_the_slow_slot(slicer_host, example):
    slicer_host.click(example.ui.slow)
    slowest = slicer_host.watchdog.longest
    assert slowest.name == "HostExampleWidget.onSlow"
    assert 0.25 <= slowest.seconds < 1.0


def test_the_watchdog_sees_a_blocked_event_loop(slicer_host):
    import time

    import qt

    slicer_host.wait(seconds=0.1)
    assert slicer_host.watchdog.longest_gap < 0.1
    qt.QTimer.singleShot(30, lambda: time.sleep(0.3))
    slicer_host.wait(seconds=0.5)
    assert slicer_host.watchdog.longest_gap >= 0.3


def test_waiting_ends_with_the_condition_or_with_an_exception(slicer_host):
    import qt

    done = []
    qt.QTimer.singleShot(20, lambda: done.append(1))
    slicer_host.wait(until=lambda: done, seconds=5)
    with pytest.raises(AssertionError, match="within"):
        slicer_host.wait(until=lambda: False, seconds=0.05)
    qt.QTimer.singleShot(0, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        slicer_host.wait(until=lambda: False, seconds=5)


def test_samples_are_registered_at_startup_and_can_be_clicked(slicer_host, example):
    node = slicer_host.samples.click("HostExampleBox")
    assert node.GetName() == "box"
    assert slicer_host.samples.named("HostExampleBox").category == "Host example"
    with pytest.raises(AssertionError, match="no sample"):
        slicer_host.samples.click("nothing")


def test_entering_leaving_and_closing_the_scene(slicer_host, example):
    calls = sys.modules["HostExample"].CALLS
    assert calls == ["enter"]
    slicer_host.closeScene()
    assert calls == ["enter", "scene closed"]
    slicer_host.moduleManager.unloadAll()
    assert calls[-1] == "cleanup"


def test_two_modules_leave_no_nodes_and_no_observers(slicer_host, tmp_path):
    import slicer

    path = tmp_path / "Other.py"
    path.write_text(OTHER)
    slicer_host.load(EXAMPLE)
    slicer_host.load(path)
    first, second = slicer_host.open("HostExample"), slicer_host.open("Other")
    assert slicer.util.selectedModule() == "Other"
    assert second.node.GetScene() is slicer.mrmlScene
    assert len(first.Observations) == 2
    observed = weakref.ref(first)
    slicer_host.moduleManager.unloadAll()
    assert not first.Observations
    assert not hasattr(slicer.modules, "hostexample") and not hasattr(slicer.modules, "OtherWidget")
    assert "Other" not in sys.modules
    assert str(tmp_path) not in sys.path
    del first, second
    gc.collect()
    assert observed() is None, "something still holds the panel"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_nothing_of_one_test_is_seen_in_the_next(slicer_host, turn):
    import slicer

    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert not slicer.app.settings().contains("turn")
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert not hasattr(slicer.modules, "hostexample")
    a_volume(turn)
    slicer.app.settings().setValue("turn", turn)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    slicer_host.load(EXAMPLE)
    slicer_host.open("HostExample")


def test_the_picture_of_a_panel(slicer_host, example, tmp_path):
    picture = slicer_host.screenshot(example.parent, tmp_path / "panel.png", width=500)
    assert picture.shape[1] == 500
    assert picture.shape[0] > 150
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert (tmp_path / "panel.png").stat().st_size > 1000


def test_reloading_as_a_developer_does(slicer_host):
    import slicer

    slicer.app.settings().setValue("Developer/DeveloperMode", True)
    slicer_host.load(EXAMPLE)
    before = slicer_host.open("HostExample")
    assert before.developerMode
    slicer_host.click(before.reloadButton)
    slicer_host.wait(seconds=0.05)
    after = slicer.modules.hostexample.widgetRepresentation().self()
    assert after is not before
    assert slicer.modules.HostExampleWidget is after


def test_the_self_test_of_a_module_runs(slicer_host):
    import slicer

    slicer_host.load(EXAMPLE)
    slicer.modules.HostExampleInstance.runTest()
    assert sys.modules["HostExample"].CALLS == ["test"]


def test_what_lies_below_is_scrolled_to(slicer_host, example):
    import qt

    got = []
    for index in range(60):
        button = qt.QPushButton(f"button {index}")
        button.connect("clicked()", lambda index=index: got.append(index))
        example.layout.addWidget(button)
    slicer_host.wait(seconds=0.1)
    assert button._native.visibleRegion().isEmpty()
    slicer_host.click(button)
    assert got == [59]
    slicer_host.click(example.ui.slow)
    assert slicer_host.watchdog.slots[-1].name == "HostExampleWidget.onSlow"


def test_an_entry_that_a_person_cannot_see_cannot_be_chosen(slicer_host, example):
    from host.mouse import Unreachable

    example.ui.device.view().setRowHidden(1, True)
    with pytest.raises(Unreachable, match="could not be clicked"):
        slicer_host.choose(example.ui.device, "cpu")
    slicer_host.choose(example.ui.device, "auto")
