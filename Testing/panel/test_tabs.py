"""Three tabs, one scene, one set of views: whose layout is shown, and what a failure of one does to the others."""

from __future__ import annotations

import pytest

from DualSamplingCOVIDLib.scene import charts, views
from panel.trainee import Trainee

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_the_users_layout_lies_under_the_results_and_that_under_the_charts(quick, tmp_path):
    layout = quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    own = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    layout.SetViewArrangement(own)
    quick.loadCt()
    quick.analyze()
    assert layout.GetViewArrangement() == views.READING_LAYOUT
    trainee = Trainee(quick.host, quick.widget)
    trainee.browse(trainee.ui.runFolderEdit, tmp_path / "run")
    quick.host.click(trainee.ui.chartsButton)
    assert layout.GetViewArrangement() == charts.LAYOUT
    quick.scene.StartState(slicer.vtkMRMLScene.SaveState)
    assert layout.GetViewArrangement() == own, "the scene is saved in the user's own layout"
    quick.scene.EndState(slicer.vtkMRMLScene.SaveState)
    assert layout.GetViewArrangement() == charts.LAYOUT
    quick.host.choose(quick.ui.tabs, "Review")
    assert layout.GetViewArrangement() == views.READING_LAYOUT
    quick.host.choose(quick.ui.tabs, "Train")
    assert layout.GetViewArrangement() == charts.LAYOUT
    quick.widget.exit()
    assert layout.GetViewArrangement() == own


def test_what_goes_wrong_in_one_tab_is_told_there_and_the_others_go_on(quick, monkeypatch):
    def breaks() -> None:
        raise RuntimeError("the charts are gone")

    layout = quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    own = layout.GetViewArrangement()
    quick.loadCt()
    quick.analyze()
    monkeypatch.setattr(quick.widget.tabs.trainer, "leave", breaks)
    quick.widget.exit()
    assert layout.GetViewArrangement() == own
    assert quick.widget.tabs.trainerUi.trainMessageLabel.text == "Unexpected RuntimeError: the charts are gone"
