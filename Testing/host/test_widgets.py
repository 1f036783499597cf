"""The stand-ins follow the scene and tell what happens, as Slicer's and CTK's widgets do."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def scene(slicer_host):
    return slicer_host.scene


@pytest.fixture
def selector(scene):
    """A node selector for volumes, label maps left out, with what it told."""
    import slicer

    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    made.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    made.addEnabled = made.removeEnabled = False
    return made


def listen(widget, signature):
    got = []
    assert widget.connect(signature, got.append)
    return got


def add(scene, name, kind="vtkMRMLScalarVolumeNode"):
    return scene.AddNewNodeByClass(kind, name)


def entries(selector):
    from PySide6.QtWidgets import QComboBox

    box = selector._native.findChild(QComboBox)
    return [box.itemText(index) for index in range(box.count())]


def test_a_selector_without_scene_is_disabled_and_remembers_what_was_asked(scene, selector):
    ct = add(scene, "CT")
    add(scene, "other")
    assert not selector.enabled
    assert selector.currentNode() is None
    selector.setCurrentNodeID(ct.GetID())
    assert selector.currentNode() is None
    selector.setMRMLScene(scene)
    assert selector.enabled
    assert selector.currentNode() is ct
    assert selector.mrmlScene() is scene


def test_a_selector_follows_added_renamed_and_removed_nodes(scene, selector):
    selector.setMRMLScene(scene)
    got, identifiers = (
        listen(selector, "currentNodeChanged(vtkMRMLNode*)"),
        listen(selector, "currentNodeIDChanged(QString)"),
    )
    first = add(scene, "first")
    assert selector.currentNode() is first, "without None the first node is selected by itself"
    second = add(scene, "second")
    assert entries(selector) == ["first", "second"]
    assert selector.currentNode() is first
    second.SetName("renamed")
    assert entries(selector) == ["first", "renamed"]
    identifier = second.GetID()
    scene.RemoveNode(first)
    assert selector.currentNode() is second
    scene.RemoveNode(second)
    assert selector.currentNode() is None and selector.currentNodeID == ""
    assert got == [first, second, None]
    assert identifiers == ["vtkMRMLScalarVolumeNode1", identifier, ""]


def test_with_none_nothing_is_selected_by_itself(scene, selector):
    selector.noneEnabled = True
    selector.noneDisplay = "Choose a CT"
    add(scene, "CT")
    selector.setMRMLScene(scene)
    assert entries(selector) == ["Choose a CT", "CT"]
    assert selector.currentNode() is None
    selector.setCurrentNodeIndex(0)
    assert selector.currentNode().GetName() == "CT"
    selector.setCurrentNode(None)
    assert selector.currentNode() is None


def test_a_selector_shows_what_its_filters_let_through(scene, selector):
    selector.setMRMLScene(scene)
    ct = add(scene, "CT")
    add(scene, "labels", "vtkMRMLLabelMapVolumeNode")
    hidden = scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.UnRegister(None)
    hidden.SetName("hidden")
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)
    add(scene, "model", "vtkMRMLModelNode")
    assert entries(selector) == ["CT"]
    selector.showHidden = True
    assert entries(selector) == ["CT", "hidden"]
    selector.showHidden = False
    selector.hideChildNodeTypes = []
    assert entries(selector) == ["CT", "labels"]
    selector.showChildNodeTypes = False
    assert entries(selector) == ["CT"]
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Modality", "CT")
    assert entries(selector) == [] and selector.currentNode() is None
    ct.SetAttribute("Modality", "CT")
    selector.removeAttribute("vtkMRMLScalarVolumeNode", "Modality")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Modality")
    assert entries(selector) == ["CT"]


def test_a_selector_is_empty_after_the_scene_was_closed(slicer_host, scene, selector):
    selector.setMRMLScene(scene)
    add(scene, "CT")
    add(scene, "CT 2")
    got = listen(selector, "currentNodeChanged(vtkMRMLNode*)")
    valid = listen(selector, "currentNodeChanged(bool)")
    slicer_host.closeScene()
    assert selector.currentNode() is None and selector.nodeCount() == 0
    assert got[-1] is None and valid[-1] is False


def test_creating_and_deleting_through_the_selector(slicer_host, scene, selector):
    selector.addEnabled = selector.removeEnabled = True
    selector.baseName = "mine"
    selector.setMRMLScene(scene)
    selector.show()
    assert entries(selector) == ["Create new Volume", "Delete current Volume"]
    slicer_host.choose(selector, "Create new Volume")
    assert selector.currentNode().GetName() == "mine"
    slicer_host.choose(selector, "Delete current Volume")
    assert selector.currentNode() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_deleted_selector_is_never_called_again(scene, selector):
    selector.setMRMLScene(scene)
    selector.delete()
    add(scene, "CT")


def test_the_scene_reaches_children_through_the_signal(scene, selector):
    import slicer

    panel = slicer.qMRMLWidget()
    assert panel.connect("mrmlSceneChanged(vtkMRMLScene*)", selector.setMRMLScene)
    panel.setMRMLScene(scene)
    assert selector.mrmlScene() is scene


def test_segments_can_be_chosen_by_their_identifier(scene):
    import slicer

    selector = slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(scene)
    got = listen(selector, "currentSegmentChanged(QString)")
    segmentation = add(scene, "masks", "vtkMRMLSegmentationNode")
    first = segmentation.GetSegmentation().AddEmptySegment("right", "right lung")
    assert selector.currentNode() is segmentation
    assert selector.currentSegmentID() == first == "right"
    segmentation.GetSegmentation().AddEmptySegment("left", "left lung")
    selector.setCurrentSegmentID("left")
    segmentation.GetSegmentation().RemoveSegment("left")
    assert selector.currentSegmentID() == "right"
    assert got == ["right", "left", "right"]
    assert selector.currentNodeID() == segmentation.GetID(), "a method here, a property in the node selector"


def test_a_collapsible_button_hides_what_it_holds(slicer_host):
    import ctk
    import qt

    button = ctk.ctkCollapsibleButton("Inputs")
    layout = qt.QVBoxLayout(button)
    shown, hidden = qt.QLabel("a"), qt.QLabel("b")
    for label in (shown, hidden):
        layout.addWidget(label)
    button.show()
    hidden.hide()
    got = listen(button, "contentsCollapsed(bool)")
    height = button.sizeHint.height()
    slicer_host.click(button)
    assert button.collapsed and got == [True] and not shown.visible
    assert button.sizeHint.height() < height
    slicer_host.click(button)
    assert not button.collapsed and shown.visible and not hidden.visible


def test_a_section_that_is_hidden_while_collapsed_comes_back_whole(slicer_host):
    import ctk
    import qt

    panel = qt.QWidget()
    button = ctk.ctkCollapsibleButton("Inputs")
    qt.QVBoxLayout(panel).addWidget(button)
    inner = qt.QLabel("a")
    qt.QVBoxLayout(button).addWidget(inner)
    button.collapsed = True
    panel.show()
    button.collapsed = False
    assert inner.visible


def test_a_slider_keeps_its_range_and_tells_once(slicer_host):
    import ctk

    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep, slider.decimals = 0.0, 2.0, 0.25, 2
    got = listen(slider, "valueChanged(double)")
    slider.value = 5.0
    assert slider.value == 2.0
    slider.setValue(2.0)
    assert got == [2.0]
    slider.suffix = " mm"
    slider.show()
    slicer_host.drag(slider, 0.5)
    assert slider.value == 0.5 and got[-1] == 0.5


def test_without_tracking_a_slider_tells_when_it_is_let_go(slicer_host):
    import ctk

    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep, slider.tracking = 0.0, 1.0, 0.01, False
    final, moving = listen(slider, "valueChanged(double)"), listen(slider, "valueIsChanging(double)")
    slider.show()
    slicer_host.drag(slider, 0.8)
    assert slider.value == pytest.approx(0.8)
    assert len(moving) >= 3 and len(final) < len(moving)


def test_a_path_can_be_browsed_typed_and_remembered(slicer_host, tmp_path):
    import ctk

    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Readable
    edit.settingKey = "bundles"
    got, valid = listen(edit, "currentPathChanged(QString)"), listen(edit, "validInputChanged(bool)")
    slicer_host.dialogs.will(str(tmp_path))
    edit.browse()
    assert [asked.kind for asked in slicer_host.dialogs.asked] == ["folder"]
    assert edit.currentPath == str(tmp_path) and got == [str(tmp_path)] and valid == [True]
    edit.addCurrentPathToHistory()
    other = ctk.ctkPathLineEdit()
    other.settingKey = "bundles"
    other.show()
    slicer_host.choose(other, str(tmp_path))
    assert other.currentPath == str(tmp_path)
    edit.filters = ctk.ctkPathLineEdit.Files
    slicer_host.dialogs.will("")
    edit.browse()
    assert slicer_host.dialogs.asked[-1].kind == "open file" and edit.currentPath == str(tmp_path)


def test_a_colour_is_asked_for(slicer_host):
    import ctk
    import qt

    button = ctk.ctkColorPickerButton()
    got = listen(button, "colorChanged(QColor)")
    button.show()
    slicer_host.dialogs.will(qt.QColor("#ff0000"))
    slicer_host.click(button)
    assert got == [qt.QColor("#ff0000")]


def test_a_table_node_is_shown(scene):
    import slicer

    table = add(scene, "volumes", "vtkMRMLTableNode")
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(table)
    slicer.util.updateTableFromArray(table, [np.array([1.5, 2.5])], ["volume"])
    assert view.model().rowCount() == 2
    assert view.model().data(view.model().index(1, 0)) == "2.5"
