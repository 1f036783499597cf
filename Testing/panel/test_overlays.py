"""What lies over the CT, and where the views look: changed by clicks, seen in pixels and in the layout."""

from __future__ import annotations

import numpy as np
import pytest

from DualSamplingCOVIDLib.scene import geometry, views
from DualSamplingCOVIDLib.scene.result import DECISION

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_overlay_controls_change_what_they_say(quick):
    quick.loadCt()
    result = quick.analyze()
    result.segmentation.GetDisplayNode().SetVisibility(False)
    peak = views.attentionPeak(result, DECISION, opposite=False)
    views.jumpTo(quick.scene, peak)
    shown = quick.pixel("Red", peak)
    assert shown[0] - shown[2] > 60
    quick.host.drag(quick.ui.attentionSlider, 0)
    faint = quick.pixel("Red", peak)
    assert np.ptp(faint) <= 2
    quick.host.drag(quick.ui.attentionSlider, 50)
    half = quick.pixel("Red", peak)
    assert 10 < half[0] - half[2] < shown[0] - shown[2] - 10
    quick.host.drag(quick.ui.attentionSlider, 100)
    values = slicer.util.arrayFromVolume(result.attention)
    warm = np.argwhere((values > 35) & (values < 45))[0]
    point = (geometry.volumeMatrix(result.attention) @ [*warm[::-1], 1.0])[:3]
    views.jumpTo(quick.scene, point)
    before = quick.pixel("Red", point)
    quick.host.drag(quick.ui.thresholdSlider, 60)
    assert np.ptp(before) > 10 and np.ptp(quick.pixel("Red", point)) <= 2
    views.jumpTo(quick.scene, peak)
    assert np.array_equal(quick.pixel("Red", peak), shown)


def test_another_map_fills_the_layer_and_its_peak_is_told(quick):
    quick.loadCt()
    result = quick.analyze()
    decision = slicer.util.arrayFromVolume(result.attention).copy()
    titles = [quick.ui.mapSelector.itemText(index) for index in range(quick.ui.mapSelector.count)]
    assert len(titles) == 8  # decision, US, SS and baseline, each for COVID-19 and for CAP
    quick.host.choose(quick.ui.mapSelector, next(i for i, title in enumerate(titles) if "Grad-CAM" in title))
    grad_cam = slicer.util.arrayFromVolume(result.attention)
    assert grad_cam.max() > 90 and not np.array_equal(grad_cam, decision)
    assert "raw attention peak" in quick.ui.peakLabel.text
    quick.host.choose(quick.ui.mapSelector, 0)
    again = slicer.util.arrayFromVolume(result.attention).astype(int)
    assert np.abs(again - decision).max() <= 1 and (again != decision).mean() < 1e-3  # rounding at halves


def test_lungs_and_infection_can_be_hidden_and_filled(quick):
    quick.loadCt()
    result = quick.analyze()
    quick.host.drag(quick.ui.attentionSlider, 0)
    colour = np.array([0.35, 0.65, 0.95]) * 255

    def blue() -> int:
        return int((np.abs(quick.host.render("Red").astype(int) - colour) < 25).all(axis=2).sum())

    outlined = blue()
    assert outlined > 50
    quick.host.click(quick.ui.lungsCheck)
    assert blue() == 0
    quick.host.click(quick.ui.lungsCheck)
    assert blue() == outlined
    plain = quick.host.render("Red")
    quick.host.click(quick.ui.fillCheck)
    assert result.segmentation.GetDisplayNode().GetSegmentVisibility2DFill("right-lung")
    assert (quick.host.render("Red") != plain).any(axis=2).sum() > 10 * outlined
    quick.host.click(quick.ui.lungsCheck)
    green = np.array([0.2, 0.9, 0.2]) * 255

    def infected(tolerance: int) -> int:
        return int((np.abs(quick.host.render("Red").astype(int) - green) < tolerance).all(axis=2).sum())

    drawn = infected(25)
    assert drawn > 30
    quick.host.drag(quick.ui.infectionSlider, 50)
    assert infected(25) < drawn / 4
    quick.host.drag(quick.ui.infectionSlider, 100)
    assert infected(25) == drawn
    quick.host.click(quick.ui.infectionCheck)
    assert infected(25) == 0
    quick.host.click(quick.ui.lungsCheck)
    quick.host.drag(quick.ui.lungsSlider, 0)
    assert blue() == 0


def test_the_buttons_go_where_they_say(quick):
    quick.loadCt()
    result = quick.analyze()
    for button, point in (
        (quick.ui.peakButton, views.attentionPeak(result, DECISION, opposite=False)),
        (quick.ui.lesionButton, views.largestInfection(result)),
    ):
        views.jumpTo(quick.scene, np.zeros(3))
        quick.host.click(button)
        for view, axis in (("Red", 2), ("Green", 1)):
            matrix = quick.scene.GetSingletonNode(view, "vtkMRMLSliceNode").GetSliceToRAS()
            assert matrix.GetElement(axis, 3) == pytest.approx(point[axis], abs=1e-3)


@pytest.mark.parametrize(("button", "view"), [("readingButton", "Red"), ("compareButton", "DualSamplingUSAxial")])
def test_who_looks_elsewhere_before_the_views_have_their_sizes_stays_there(quick, button, view):
    quick.loadCt()
    quick.analyze()
    getattr(quick.ui, button).click()
    point = np.array([11.0, -12.0, 13.0])
    views.jumpTo(quick.scene, point)
    node = quick.scene.GetSingletonNode(view, "vtkMRMLSliceNode")
    field = node.GetFieldOfView()
    node.SetFieldOfView(5.0, 5.0, 1.0)
    quick.host.wait(seconds=0.1)
    assert node.GetSliceToRAS().GetElement(2, 3) == pytest.approx(point[2], abs=1e-3)
    assert node.GetFieldOfView()[:2] == pytest.approx(field[:2])


def test_layouts_change_and_the_users_own_comes_back(quick):
    layout = quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    quick.loadCt()
    quick.analyze()
    assert layout.GetViewArrangement() == views.READING_LAYOUT
    quick.host.click(quick.ui.fourUpButton)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    quick.host.click(quick.ui.userLayoutButton)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    quick.host.click(quick.ui.fourUpButton)
    quick.widget.exit()
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_compare_shows_the_six_rows_of_fig_5_and_leaves_nothing_behind(quick):
    from DualSamplingCOVIDLib.scene import compare

    quick.loadCt()
    result = quick.analyze()
    rows = compare.rows(result.summary)
    assert [row.tag for row in rows] == ["Original", "Lungs", "Infection", "Baseline", "US", "SS"]
    displays = result.segmentation.GetNumberOfDisplayNodes()
    quick.host.click(quick.ui.compareButton)
    pictures = {}
    for row in rows:
        for plane in ("Axial", "Coronal"):
            picture = quick.host.render(f"DualSampling{row.tag}{plane}").astype(int)
            pictures[row.tag, plane] = np.ptp(picture, axis=2) > 20
    for plane in ("Axial", "Coronal"):
        assert pictures["Original", plane].sum() == 0
        for tag in ("Lungs", "Infection", "Baseline", "US", "SS"):
            assert pictures[tag, plane].sum() > 20, (tag, plane)
        assert pictures["Lungs", plane].sum() > 3 * pictures["Infection", plane].sum()
    quick.host.click(quick.ui.compareButton)
    assert quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement() == views.READING_LAYOUT
    assert result.segmentation.GetNumberOfDisplayNodes() == displays
    assert quick.scene.GetNodesByName("compared map US").GetNumberOfItems() == 0
    assert (np.ptp(quick.host.render("Red").astype(int), axis=2) > 20).sum() > 20
