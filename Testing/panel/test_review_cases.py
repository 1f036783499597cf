"""A radiologist reviews the cases that a run answered wrongly: real clicks and keys, real worker, real pixels."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.scene import compare, views
from DualSamplingCOVIDLib.scene.result import DECISION, allResults, results
from panel import reviewed_run as runs
from panel.study import PATIENT, recorded, worker

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_filters_combine_and_are_counted(reader):
    ui, host = reader.review, reader.host
    assert reader.cases() == runs.names(*sorted(runs.MISSED + runs.ALARMS))
    assert ui.countLabel.text == "5 of 24 cases: 3 false negatives, 2 false positives"
    host.choose(ui.answerSelector, "False negatives")
    assert reader.cases() == runs.names(*runs.MISSED)
    host.click(ui.lowConfidenceCheck)
    assert reader.cases() == runs.names(0, 4)
    assert ui.countLabel.text == "2 of 24 cases: 2 false negatives, 0 false positives"
    host.choose(ui.stratumSelector, "Medium infection")
    assert reader.cases() == runs.names(4)
    host.choose(ui.stratumSelector, "Any infection")
    host.choose(ui.answerSelector, "All cases")
    assert reader.cases() == runs.names(*runs.UNSURE)
    host.click(ui.disagreeCheck)
    assert reader.cases() == runs.names(0)
    host.click(ui.lowConfidenceCheck)
    assert reader.cases() == runs.names(*runs.DISAGREE)
    host.choose(ui.answerSelector, "False positives")
    assert reader.cases() == [] and ui.countLabel.text.startswith("0 of 24 cases")
    assert "research use only" in ui.researchLabel.text


def test_every_column_sorts_and_numbers_sort_as_numbers(reader):
    reader.host.choose(reader.review.answerSelector, "All cases")
    assert reader.cases() == runs.names(*range(24))  # case-2 before case-10
    reader.clickTitle("Case")
    assert reader.cases() == runs.names(*reversed(range(24)))
    reader.clickTitle("P")
    values = [float(reader.cell(case, "P")) for case in reader.cases()]
    assert values == sorted(values) and values[0] < 0.06 and values[-1] > 0.8
    reader.clickTitle("P")
    assert reader.cell(reader.cases()[0], "P") == f"{max(values):.2f}"
    reader.clickTitle("Ratio")
    assert [reader.cell(case, "Ratio") for case in reader.cases()[::8]] == [
        "0.05\N{NO-BREAK SPACE}% small",
        "2.00\N{NO-BREAK SPACE}% medium",
        "8.00\N{NO-BREAK SPACE}% large",
    ]
    reader.clickTitle("Fold")
    assert [reader.cell(case, "Fold") for case in reader.cases()] == ["0"] * 10 + ["1"] * 10 + ["test"] * 4
    reader.clickTitle("Label")
    assert [reader.cell(case, "Label") for case in reader.cases()] == ["CAP"] * 12 + ["COVID"] * 12
    assert reader.cell(runs.name(0), "US") == "0.73" and reader.cell(runs.name(0), "SS") == "0.12"
    assert reader.cell(runs.name(0), "Decision") == "CAP"  # Eq. 5: 0.35 x 0.73 + 0.65 x 0.12
    assert reader.cell(runs.name(0), "P") == "0.33" and reader.cell(runs.name(0), "Base") == "0.73"


def test_a_row_brings_ct_masks_and_every_map_at_the_peak(reader):
    own = reader.scene.AddNewNodeByClass("vtkMRMLModelNode", "the user's own")
    reader.clickCase(4)
    result = reader.shown(4)
    assert set(result.mapNames) == {DECISION, "baseline-us", "attention-us", "attention-ss"}
    assert result.segmentation.GetSegmentation().GetNumberOfSegments() == 3
    assert results(reader.scene) == []  # the Analyze tab knows nothing of it
    peak = views.attentionPeak(result, DECISION, opposite=False)
    assert peak is not None
    for view, axis in (("Red", 2), ("Green", 1)):
        node = reader.scene.GetSingletonNode(view, "vtkMRMLSliceNode")
        assert node.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(peak[axis], abs=1e-3)
        composite = views.compositeNode(reader.scene, view)
        assert composite.GetBackgroundVolumeID() == result.ct.GetID() and composite.GetLinkedControl()
        red, _, blue = reader.pixel(view, peak)
        assert red - blue > 60, view
    assert views.currentLayout(reader.scene) == views.READING_LAYOUT
    assert "missed COVID-19" in reader.review.caseLabel.text and "fold 0" in reader.review.caseLabel.text
    reader.host.click(reader.review.compareButton)
    reader.host.wait(None, 0.1)
    node = reader.scene.GetSingletonNode("DualSamplingSSAxial", "vtkMRMLSliceNode")
    assert node.GetSliceToRAS().GetElement(2, 3) == pytest.approx(peak[2], abs=1e-3)
    reader.clickCase(3)
    other = reader.shown(3)
    assert views.currentLayout(reader.scene) == compare.LAYOUT  # it goes on in the comparison
    composite = views.compositeNode(reader.scene, "DualSamplingSSAxial")
    assert composite.GetBackgroundVolumeID() == other.ct.GetID()
    reader.host.click(reader.review.compareButton)
    assert views.compositeNode(reader.scene, "Red").GetBackgroundVolumeID() == other.ct.GetID()
    assert own.GetScene() is not None and result.node.GetScene() is None


def test_a_case_that_nobody_has_seen_is_computed_once(reader):
    kept = reader.run / "review" / runs.name(runs.NEW)
    reader.clickCase(runs.NEW)
    reader.host.wait(lambda: reader.review.stageLabel.text.startswith("Asking"), 60)
    reader.shown(runs.NEW)
    assert (kept / "report.json").is_file() and not list(kept.parent.glob(".*"))
    assert "now gives" in reader.review.messageLabel.text  # the stored predictions are made up
    assert not list(Path(slicer.app.temporaryPath).glob("dual-sampling-*"))
    reader.clickCase(4)
    reader.shown(4)
    (kept / "report.json").touch()
    before = (kept / "report.json").stat().st_mtime_ns
    reader.clickCase(runs.NEW)
    reader.shown(runs.NEW)
    assert (kept / "report.json").stat().st_mtime_ns == before


def test_maps_of_other_predictions_are_not_shown(reader, monkeypatch):
    """The run was trained again: what is kept is of networks that are gone."""
    shutil.rmtree(reader.run / "review" / runs.name(4))
    shutil.copytree(reader.run / "review" / runs.name(0), reader.run / "review" / runs.name(4))
    reader.clickCase(4)
    reader.shown(4)
    stored = diagnosis_folder.load(reader.run / "review" / runs.name(4)).decision.probability
    judged = next(one for one in reader.tab._table._judged if one.case.case_id == runs.name(4))
    assert stored == pytest.approx(judged.probability, abs=1e-5)


def test_keys_walk_the_list_and_leave_the_comment_alone(reader):
    ui = reader.review
    reader.clickCase(0)
    reader.press("n")
    reader.shown(3)
    reader.press("n")
    reader.press("n")
    reader.press("n")  # the last one that was asked for is 10, whose CT is gone, and there is none behind it
    reader.press("n")
    reader.press("p")
    reader.press("p")
    reader.shown(4)
    assert ui.casesTable.currentRow() == 2
    reader.host.click(ui.commentEdit)
    reader.press("not pneumonia")
    assert ui.commentEdit.text == "not pneumonia"
    reader.shown(4)
    reader.host.click(ui.previousButton)
    reader.shown(3)
    assert runs.saved(reader)[runs.name(4)]["comment"] == "not pneumonia"
    reader.host.click(ui.previousButton)
    reader.shown(0)
    assert not ui.previousButton.enabled and ui.nextButton.enabled


def test_quick_presses_end_at_the_last_one_chosen(reader):
    shutil.rmtree(reader.run / "review")
    reader.clickCase(0)
    for _ in range(2):
        reader.host.wait(None, 0.3)
        reader.press("n")
    result = reader.shown(4)
    assert [r.node for r in allResults(reader.scene)] == [result.node]
    assert [folder.name for folder in (reader.run / "review").iterdir()] == [runs.name(4)]


def test_a_case_whose_ct_is_gone_is_named_and_the_others_work(reader):
    reader.clickCase(4)
    reader.shown(4)
    reader.clickCase(runs.GONE)
    reader.host.wait(lambda: not reader.tab.isRunning, 20)
    told = reader.review.messageLabel.text
    assert "gone.nrrd" in told and "\n" not in told and PATIENT not in told
    assert allResults(reader.scene) == []  # no picture of another case under this one's name
    reader.host.click(reader.review.flagButton)
    assert runs.saved(reader)[runs.name(runs.GONE)]["opinion"] == "flag"
    reader.clickCase(0)
    reader.shown(0)


def test_a_folder_that_is_no_run_is_named(reader, tmp_path):
    reader.host.write(reader.review.runFolderEdit, str(tmp_path))
    assert "not a folder of cross-validate" in reader.review.runLabel.text and reader.cases() == []
    reader.openRun()
    assert len(reader.cases()) == 5


def test_an_unfinished_run_shows_the_folds_that_are_finished(reader):
    (reader.run / "folds" / "1" / "attention-ss" / "result.json").unlink()
    reader.openRun()
    assert "10 are left out" in reader.review.runLabel.text
    assert reader.review.countLabel.text.startswith("2 of 14 cases: 2 false negatives")


@pytest.mark.parametrize("after", [0.0, 1.5])
def test_closing_the_scene_while_a_case_is_loaded_leaves_nothing(reader, after):
    reader.clickCase(runs.NEW)
    reader.host.wait(None, after)
    assert reader.tab.isRunning
    reader.scene.Clear(False)
    assert not reader.tab.isRunning and allResults(reader.scene) == []
    assert not list(Path(slicer.app.temporaryPath).glob("dual-sampling-*"))
    reader.host.wait(None, 0.3)
    assert not [line for line in os.popen("ps -eo args").read().splitlines() if str(reader.run) in line]
    reader.clickCase(0)
    reader.shown(0)


def test_stop_ends_the_work_and_the_case_can_be_chosen_again(reader):
    reader.clickCase(runs.NEW)
    reader.host.wait(lambda: reader.tab._job._worker.isRunning, 20)
    reader.host.click(reader.review.stopButton)
    reader.host.wait(lambda: not reader.tab.isRunning, 20)
    assert "Stopped" in reader.review.messageLabel.text and allResults(reader.scene) == []
    reader.clickCase(0)
    reader.shown(0)


def test_twenty_cases_leave_no_more_nodes_than_one(reader):
    reader.host.choose(reader.review.answerSelector, "All cases")
    reader.host.click(reader.review.nextButton)
    reader.shown(0)
    before = counted(reader)
    for number in [*runs.KEPT[1:], *runs.KEPT[:-1]]:
        reader.clickCase(number)
        result = reader.shown(number)
        if number == runs.KEPT[-1]:  # of the test set: every fold's networks, three more maps with their displays
            assert len(result.mapNames) == 7 and counted(reader) == (before[0] + 6, before[1] + 3)
        else:
            assert len(result.mapNames) == 4 and counted(reader) == before, number


def counted(reader: runs.Reader) -> tuple[int, int]:
    """Return how many nodes the scene and how many items the subject hierarchy has."""
    import vtk

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(reader.scene)
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    return int(reader.scene.GetNumberOfNodes()), int(found.GetNumberOfIds())


def test_the_case_is_not_saved_with_the_scene(reader, tmp_path):
    reader.clickCase(4)
    result = reader.shown(4)
    assert not any(node.GetSaveWithScene() for node in (result.ct, *result.parts()))
    before = counted(reader)
    reader.scene.SetURL(str(tmp_path / "scene.mrml"))
    reader.scene.StartState(slicer.vtkMRMLScene.SaveState)  # as Slicer's dialog does
    reader.scene.Commit()
    reader.scene.EndState(slicer.vtkMRMLScene.SaveState)
    text = (tmp_path / "scene.mrml").read_text()
    assert "case-4" not in text and "under review" not in text
    reader.host.wait(None, 0.1)
    assert counted(reader) == before and views.currentLayout(reader.scene) == views.READING_LAYOUT


def test_the_users_layout_comes_back_when_the_module_is_left(reader):
    views.useLayout(reader.scene, 4)
    reader.clickCase(4)
    reader.shown(4)
    assert views.currentLayout(reader.scene) == views.READING_LAYOUT
    reader.widget.exit()
    assert views.currentLayout(reader.scene) == 4
    reader.widget.enter()
    assert views.currentLayout(reader.scene) == views.READING_LAYOUT


def test_the_tabs_show_their_own_and_the_users_result_stays(reader, recorded_folder, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, recorded(recorded_folder))
    reader.host.choose(reader.ui.tabs, "Analyze")
    reader.loadCt()
    own = reader.analyze()
    reader.host.choose(reader.ui.tabs, "Review")
    reader.clickCase(4)
    case = reader.shown(4)
    red = views.compositeNode(reader.scene, "Red")
    assert red.GetBackgroundVolumeID() == case.ct.GetID()
    assert not own.segmentation.GetDisplayNode().GetVisibility()
    reader.host.choose(reader.ui.tabs, "Analyze")
    assert red.GetBackgroundVolumeID() == own.ct.GetID() and red.GetLabelVolumeID() == own.attention.GetID()
    assert own.segmentation.GetDisplayNode().GetVisibility()
    assert not case.segmentation.GetDisplayNode().GetVisibility()
    assert reader.ui.resultSelector.count == 1
    reader.host.choose(reader.ui.tabs, "Review")
    assert red.GetBackgroundVolumeID() == case.ct.GetID() and case.segmentation.GetDisplayNode().GetVisibility()
    reader.clickCase(3)
    reader.shown(3)
    assert results(reader.scene)[0].node is own.node and own.isComplete


def test_the_tab_fits_into_400_pixels(reader):
    from host.pythonqt.proxy import native_of

    reader.clickCase(0)
    reader.shown(0)
    assert native_of(reader.ui.tabs).minimumSizeHint().width() <= 380
    assert np.isfinite(native_of(reader.review.casesTable).height())
