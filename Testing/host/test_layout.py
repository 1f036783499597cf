"""Layouts make their views, and views are drawn with slicer-core's own displayable managers."""

from __future__ import annotations

import numpy as np
import pytest

CUSTOM = """
<layout type="horizontal" split="true">
 <item><view class="vtkMRMLSliceNode" singletontag="Red">
  <property name="orientation" action="default">Axial</property></view></item>
 <item><view class="vtkMRMLSliceNode" singletontag="Extra">
  <property name="orientation" action="default">Coronal</property>
  <property name="viewlabel" action="default">X</property></view></item>
</layout>"""


@pytest.fixture
def manager(slicer_host):
    import slicer

    return slicer.app.layoutManager()


def a_ramp(anterior=0):
    """Return a CT that is dark at the patient's right and bright at the left, 60 mm wide; `anterior` is added there."""
    import slicer

    array = np.zeros((60, 60, 60), np.int16)
    array[...] = np.linspace(0, 1000, 60).astype(np.int16)
    array[:, :20] += anterior
    node = slicer.util.addVolumeFromArray(array, ijkToRAS=np.diag([-1.0, -1.0, 1.0, 1.0]), name="ramp")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, 1000)
    return node


def test_the_first_layout_is_four_up(manager):
    import slicer

    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert set(manager.sliceViewNames()) == {"Red", "Green", "Yellow"}
    assert manager.threeDViewCount == 1
    for name in manager.sliceViewNames():
        widget = manager.sliceWidget(name)
        assert widget.mrmlSliceNode().GetLayoutName() == name
        assert widget.sliceLogic().GetSliceCompositeNode().GetLayoutName() == name
        assert widget.sliceView().mrmlSliceNode() is widget.mrmlSliceNode()
    assert manager.sliceWidget("Blue") is None and manager.threeDWidget(1) is None


def test_a_custom_layout_makes_its_views(manager):
    changes = []
    assert manager.connect("layoutChanged(int)", changes.append) is True
    assert manager.connect("layoutChange(int)", changes.append) is False
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(501, CUSTOM)
    manager.setLayout(501)
    assert manager.layout == 501 and changes == [501]
    assert manager.shownSliceViewNames() == ("Red", "Extra")
    assert "Extra" in manager.sliceViewNames()
    node = manager.sliceWidget("Extra").mrmlSliceNode()
    assert (node.GetOrientation(), node.GetLayoutLabel()) == ("Coronal", "X")
    manager.layout = 3
    assert changes == [501, 3] and "Extra" in manager.sliceViewNames()


def test_layers_reach_the_views(slicer_host, manager):
    import slicer

    ramp = a_ramp()
    slicer.util.setSliceViewerLayers(background=ramp, fit=True)
    composite = manager.sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == ramp.GetID()
    assert manager.mrmlSliceLogics().GetNumberOfItems() == 3
    slicer.util.resetSliceViews()
    slicer.util.resetThreeDViews()
    assert manager.threeDWidget(0).threeDView().resets == 1


def test_pixels_are_where_the_voxels_are(slicer_host, manager):
    import slicer

    slicer.util.setSliceViewerLayers(background=a_ramp(), fit=True)
    pixels = slicer_host.render("Red")
    assert pixels.shape == (400, 400, 3) and pixels.dtype == np.uint8
    row = pixels[200, :, 0].astype(int)
    assert (np.diff(row[30:370]) >= 0).all(), "the patient's right is on the left, where the ramp is dark"
    assert row[30] < 30 and row[370] > 220
    assert (pixels == slicer_host.render("Red")).all(), "a picture is the same twice"
    slicer.util.setSliceViewerLayers(background=a_ramp(anterior=500), fit=True)
    changed = slicer_host.render("Red").astype(int) - pixels
    assert changed[60, 100, 0] > 90 and changed[340, 100, 0] == 0, "anterior is above"


def test_segments_lie_over_the_image(slicer_host, manager):
    import slicer
    from vtk.util import numpy_support  # noqa: F401

    ramp = a_ramp()
    slicer.util.setSliceViewerLayers(background=ramp, fit=True)
    before = slicer_host.render("Red").astype(int)
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[20:40, 20:40, 20:40] = 1
    labelmap = slicer.util.addVolumeFromArray(
        labels, ijkToRAS=np.diag([-1.0, -1.0, 1.0, 1.0]), nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "masks")
    segmentation.CreateDefaultDisplayNodes()
    logic = slicer.modules.segmentations.logic()
    assert logic.ImportLabelmapToSegmentationNode(labelmap, segmentation)
    changed = np.abs(slicer_host.render("Red").astype(int) - before).sum(axis=2) > 30
    rows, columns = np.nonzero(changed)
    assert changed.mean() / (20 / 60) ** 2 * (400 / 400) > 0.2 and changed[200, 200]
    assert abs(rows.mean() - 200) < 12 and abs(columns.mean() - 200) < 12


def test_an_empty_view_is_black_and_silent(slicer_host, capfd):
    import slicer

    slicer_host.requireRendering()
    ramp = a_ramp()
    assert slicer_host.render("Red").max() == 0
    slicer.util.setSliceViewerLayers(background=ramp, fit=True)
    assert slicer_host.render("Red").max() > 200
    slicer_host.closeScene()
    assert slicer_host.render("Red").max() == 0
    assert "ERR" not in capfd.readouterr().err


def test_a_surface_is_drawn_in_3d(slicer_host, manager):
    import slicer
    import vtk

    empty = slicer_host.render("3D")
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(40)
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "ball")
    model.SetAndObservePolyData(sphere.GetOutput())
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(1, 0, 0)
    manager.threeDWidget(0).threeDView().resetFocalPoint()
    red, _, blue = slicer_host.render("3D")[200, 200].astype(int)
    assert red > 100 and blue < 80
    assert (empty[200, 200] != (red, 0, blue)).any()


def test_the_window_picture_has_the_panel_left_and_the_views_right(slicer_host, manager, tmp_path):
    import slicer

    from host.test_module import EXAMPLE

    slicer_host.requireRendering()
    slicer_host.load(EXAMPLE)
    slicer_host.open("HostExample")
    slicer.util.setSliceViewerLayers(background=a_ramp(), fit=True)
    node = manager.sliceWidget("Red").mrmlSliceNode()
    before = (node.GetDimensions(), node.GetFieldOfView())
    picture = slicer_host.windowPicture(tmp_path / "window.png", size=(1000, 600), panelWidth=400)
    assert picture.shape == (600, 1000, 3)
    assert picture[:, :400].mean() > 200, "the panel is light"
    red_bar, blue_bar = picture[10, 600], picture[10, 990]
    assert red_bar[0] > 200 and red_bar[2] < 100 and blue_bar[2] > 180
    assert np.ptp(picture[100:200, 450:690]) > 150
    assert (node.GetDimensions(), node.GetFieldOfView()) == before
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    one = slicer_host.windowPicture(size=(1000, 600), panelWidth=400)
    assert one[10, 990][0] > 200, "one view fills the place"


def test_views_stay_when_the_scene_is_closed(slicer_host, manager):
    import slicer

    slicer.util.setSliceViewerLayers(background=a_ramp())
    slicer_host.closeScene()
    assert set(manager.sliceViewNames()) == {"Red", "Green", "Yellow"}
    assert manager.sliceWidget("Red").mrmlSliceNode().GetScene() is slicer.mrmlScene
    slicer.util.setSliceViewerLayers(background=a_ramp(), fit=True)
    assert slicer_host.render("Red").max() > 200


def test_nodes_get_items_in_the_subject_hierarchy(slicer_host):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    ramp = a_ramp()
    assert hierarchy.GetItemByDataNode(ramp)
    assert not hierarchy.GetItemByDataNode(ramp.GetDisplayNode())
    count = hierarchy.GetNumberOfItems()
    slicer.mrmlScene.RemoveNode(ramp)
    assert hierarchy.GetNumberOfItems() == count - 1
