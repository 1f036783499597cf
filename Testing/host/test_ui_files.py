"""Loading .ui files: as strict as a reviewer."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "example" / "Resources" / "UI" / "HostExample.ui"


def load(path):
    import slicer

    return slicer.util.loadUI(str(path))


def changed(tmp_path, right, wrong):
    text = EXAMPLE.read_text()
    assert right in text
    path = tmp_path / "changed.ui"
    path.write_text(text.replace(right, wrong))
    return path


def test_widgets_have_their_classes_names_and_properties(slicer_host):
    import slicer

    widget = load(EXAMPLE)
    ui = slicer.util.childWidgetVariables(widget)
    assert isinstance(widget, slicer.qMRMLWidget)
    assert isinstance(ui.input, slicer.qMRMLNodeComboBox)
    assert ui.input.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert (ui.input.addEnabled, ui.input.renameEnabled) == (False, False)
    assert (ui.threshold.value, ui.threshold.singleStep) == (0.5, 0.01)
    assert ui.bundle.filters == 0x11
    assert ui.apply.text == "Apply" and not ui.apply.enabled
    assert slicer.util.findChild(widget, "apply") is ui.apply
    assert slicer.util.findChildren(widget, className="ctkSliderWidget") == [ui.threshold]
    assert slicer.util.findChildren(widget, text="Apply") == [ui.apply]


def test_the_connections_of_the_file_are_made(slicer_host):
    widget = load(EXAMPLE)
    widget.setMRMLScene(slicer_host.scene)
    selector = widget.findChild("qMRMLNodeComboBox", "input")
    assert selector.mrmlScene() is slicer_host.scene and selector.enabled


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('class="ctkSliderWidget"', 'class="ctkRangeWidget"', "unknown widget class ctkRangeWidget"),
        ('class="QPushButton"', 'class="QPushButon"', "unknown widget class QPushButon"),
        ("<signal>mrmlSceneChanged(vtkMRMLScene*)", "<signal>sceneChanged()", "has no signal"),
        ("<slot>setMRMLScene(", "<slot>setScene(", "has no slot"),
        ("<receiver>input<", "<receiver>inptu<", "inptu"),
    ],
)
def test_what_does_not_exist_is_named(slicer_host, tmp_path, right, wrong, problem):
    with pytest.raises(RuntimeError, match=problem):
        load(changed(tmp_path, right, wrong))


def test_a_missing_file_is_named(slicer_host, tmp_path):
    with pytest.raises(RuntimeError, match=r"none\.ui"):
        load(tmp_path / "none.ui")
