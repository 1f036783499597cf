"""A researcher trains on a cohort of their own: with real clicks, the real worker, and what can go wrong."""

from __future__ import annotations

import json
import time

import pytest

from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.panel import packages
from DualSamplingCOVIDLib.run_folder import MODELS
from DualSamplingCOVIDLib.scene import charts
from panel.study import worker
from panel.test_failures import assert_no_leftovers, processes
from panel.trainee import WAIT, cells

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_from_a_cohort_to_analyze(trainee, a_cohort, tmp_path):
    """Started, stopped in the middle, gone on with, evaluated, exported, and chosen in the Analyze tab."""
    host, ui, run = trainee.host, trainee.ui, tmp_path / "run"
    usual = host.layoutManager.layout
    trainee.choose(a_cohort / "cohort.csv", run, a_cohort / "config.toml")
    assert ui.cohortCard.text.startswith("8 CTs of ")
    assert [row[:3] for row in trainee.rows()] == [(str(f), model, "waiting") for f in range(2) for model in MODELS]

    trainee.press("Start")
    host.wait(lambda: trainee.states().count("finished") >= 1, 240)
    running = next(state for state in trainee.states() if state.startswith("running"))
    assert running in [f"running epoch {n}/6" for n in range(1, 7)]
    trainee.ui.modelsTable.selectRow(0)  # a fold's curves stay when the next one is at work
    assert trainee.showsCharts() and trainee.curves(charts.AUC_VIEW)["baseline-us"].shape == (2, 6)
    trainee.press("Stop")
    assert ui.trainStageLabel.text == "Stopping..." and not ui.trainButton.enabled
    trainee.finish(20)
    assert trainee.message.startswith("Stopped: what is finished is kept, and Resume goes on")
    assert not processes(str(run))
    kept = {path: path.stat().st_mtime_ns for path in run.rglob("result.json")}
    assert kept

    assert not ui.attentionCheckBox.checked, "small networks learn faster than their attention is measured"
    host.click(ui.attentionCheckBox)
    trainee.press("Resume")
    trainee.finish(400)
    assert trainee.message.startswith("Finished. Research use only"), trainee.ui.trainLogBox.plainText
    assert trainee.states() == ["finished"] * 6
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for row in trainee.rows():
        best = json.loads((run / "folds" / row[0] / row[1] / "result.json").read_text(encoding="utf-8"))["best"]
        assert row[3:] == (f"{best['validation_auc']:.3f}", str(best["epoch"] + 1))

    record = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    shown = cells(ui.resultsTable)
    decision = next(
        r for r in record["tables"] if (r["method"], r["set"], r["group"]) == ("attention-ds", "validation", "all")
    )
    assert shown[4] == ("Attention DS", *(f"{decision[m]['value']:.3f}" for m in
                        ("auc", "accuracy", "sensitivity", "specificity", "f1")))  # fmt: skip
    assert (
        "95 % interval" in ui.resultsTable.item(4, 1).toolTip() and "Research use only" in ui.tablesResearchLabel.text
    )
    host.click(ui.openReportButton)
    assert host.dialogs.asked[-1].text == (run / "evaluation" / "report.html").as_uri()

    assert record["attention_quality"] and (run / "evaluation" / "attention" / "attention-grid.png").stat().st_size > 0
    assert len(list((run / "cache" / "attention").glob("*.json"))) == 3, "each COVID-19 case of the folds"

    host.click(ui.exportButton)
    trainee.finish(120)
    assert "chosen in the Analyze tab" in trainee.message
    bundle = load_bundle(run / "bundle")
    assert len(bundle.members) == 6 and bundle.evaluation
    panel = trainee.widget.ui
    assert panel.tabs.currentWidget() == panel.analyzeTab
    assert panel.bundleSelector.itemData(panel.bundleSelector.currentIndex) == str(run / "bundle")
    assert panel.bundleSelector.itemText(panel.bundleSelector.currentIndex).startswith("run ")
    assert host.layoutManager.layout == usual
    assert_no_leftovers()


def test_slicer_closed_while_it_trains_leaves_no_process(trainee, a_cohort, tmp_path):
    trainee.choose(a_cohort / "cohort.csv", tmp_path / "run", a_cohort / "long.toml")
    trainee.press("Start")
    trainee.host.wait(lambda: "running" in " ".join(trainee.states()), 240)
    assert processes(str(tmp_path / "run"))
    slicer.app.aboutToQuit.emit()
    end = time.monotonic() + 5
    while processes(str(tmp_path / "run")):
        assert time.monotonic() < end, "a process lives on"
        time.sleep(0.05)
    assert_no_leftovers()


def test_the_curves_grow_while_it_trains(scripted):
    trainee = scripted(
        "step 0 0 0.9; step 0 1 0.7; epoch 0 0.65 0.6; sleep 2.5\n"
        "step 1 0 0.6; step 1 1 0.5; epoch 1 0.55 0.8; step 2 0 0.45; printf '{\"epoch\": 2, ' >> steps.jsonl\n" + WAIT
    )
    trainee.host.wait(lambda: trainee.rows()[0][3:] == ("0.600", "1"), 20)
    nodes = trainee.chartNodes()
    assert trainee.states()[0] == "running epoch 2/4" and trainee.states()[1:] == ["waiting"] * 5
    trainee.host.wait(lambda: trainee.rows()[0][3:] == ("0.800", "2"), 20)
    loss = trainee.curves(charts.LOSS_VIEW)
    assert loss["cross-entropy"].tolist() == [[1, 2, 3, 4, 5], [0.9, 0.7, 0.6, 0.5, 0.45]]
    assert loss["validation loss"].tolist() == [[2, 4], [0.65, 0.55]]
    assert "attention loss" not in loss, "the baseline has none"
    auc = trainee.curves(charts.AUC_VIEW)
    assert auc["baseline-us"].tolist() == [[1, 2], [0.6, 0.8]] and auc["attention-us"].shape == (2, 0)
    assert trainee.chartNodes() == nodes, "nodes are used again"
    trainee.press("Stop")
    trainee.finish(10)
    assert trainee.states()[0] == "stopped at epoch 2/4" and trainee.ui.trainButton.text == "Resume"


def test_a_clicked_model_shows_its_curves(scripted):
    trainee = scripted("mkdir ../attention-us; cd ../attention-us; step 0 0 0.3\n" + WAIT)
    trainee.host.wait(lambda: len(trainee.rows()) == 6, 10)
    assert trainee.curves(charts.LOSS_VIEW)["cross-entropy"].size == 0, "that of the model at work"
    trainee.ui.modelsTable.setCurrentCell(1, 1)
    trainee.host.wait(lambda: trainee.curves(charts.LOSS_VIEW)["cross-entropy"].size == 2, 10)


def test_charts_are_drawn(scripted):
    trainee = scripted("step 0 0 0.9; step 0 1 0.2; epoch 0 0.65 0.6\n" + WAIT)
    trainee.host.wait(lambda: trainee.rows()[0][3] == "0.600", 20)
    chart = trainee.scene.GetSingletonNode(charts.LOSS_VIEW, "vtkMRMLPlotViewNode").GetPlotChartNode()
    assert chart.GetYAxisRange() == (0.0, pytest.approx(1.25 * 0.9)), "room for the legend above the curves"
    picture = trainee.host.render(charts.LOSS_VIEW).astype(int)
    assert ((picture[..., 2] - picture[..., 0]) > 80).sum() > 100, "the blue line of the cross-entropy"


def test_a_worker_that_is_killed_is_told_and_its_model_failed(scripted):
    trainee = scripted("step 0 0 0.9; epoch 0 0.65 0.6; sleep 0.5; kill -9 $$\n")
    trainee.finish(20)
    assert "ended unexpectedly" in trainee.message and "memory" in trainee.message
    assert trainee.states() == ["failed", *["waiting"] * 5]
    assert trainee.ui.trainButton.text == "Resume" and trainee.ui.trainButton.enabled
    assert_no_leftovers()


def test_an_error_of_the_worker_is_told_in_its_words(scripted):
    trainee = scripted("echo 'error: model 1: GPU memory ran out; take a smaller micro_batch' >&2; exit 5\n")
    trainee.finish(20)
    assert trainee.message == "model 1: GPU memory ran out; take a smaller micro_batch"
    assert "GPU memory ran out" in trainee.ui.trainLogBox.plainText


def test_a_cohort_with_errors_is_listed_before_anything_runs(trainee, a_cohort, tmp_path):
    text = (a_cohort / "cohort.csv").read_text(encoding="utf-8").replace("COVID-19", "covid", 1)
    (tmp_path / "cohort.csv").write_text(text, encoding="utf-8")  # and its images are not there
    trainee.choose(tmp_path / "cohort.csv", tmp_path / "run")
    problems = [trainee.ui.problemList.item(row).text() for row in range(trainee.ui.problemList.count)]
    assert len(problems) >= 8 and all(problem.startswith("line ") for problem in problems)
    assert any("label 'covid' is none of" in problem for problem in problems)
    assert not trainee.ui.trainButton.enabled and f"{len(problems)} problems" in trainee.ui.trainButton.toolTip
    assert not (tmp_path / "run").exists()
    trainee.browse(trainee.ui.cohortEdit, a_cohort / "cohort.csv")
    assert not trainee.ui.problemList.visible and trainee.ui.trainButton.enabled


def test_problems_that_the_worker_finds_are_listed_too(scripted, a_cohort):
    cohort = a_cohort / "cohort.csv"
    said = f"error: {cohort}: line 2: image a; b is no CT; line 5: patient 'x' is labelled CAP, but normal on line 3"
    trainee = scripted(f'echo "{said}" >&2; exit 3\n')
    trainee.finish(20)
    problems = [trainee.ui.problemList.item(row).text() for row in range(trainee.ui.problemList.count)]
    assert problems == ["line 2: image a; b is no CT", "line 5: patient 'x' is labelled CAP, but normal on line 3"]
    assert "2 problems" in trainee.message


@pytest.mark.parametrize(
    ("made", "said"),
    [("other.txt", "holds other files"), ("config.toml", "not a TOML file"), ("", "Choose the cohort first")],
)
def test_what_keeps_it_from_starting_is_said(trainee, tmp_path, made, said):
    run = tmp_path / "run"
    run.mkdir()
    if made:
        (run / made).write_text("= no TOML", encoding="utf-8")
        cohort = tmp_path / "cohort.csv"
        cohort.write_text("case_id,patient_id,image,label\n1,1,cohort.csv,CAP\n", encoding="utf-8")
        trainee.browse(trainee.ui.cohortEdit, cohort)
    trainee.browse(trainee.ui.runFolderEdit, run)
    assert not trainee.ui.trainButton.enabled
    assert said in trainee.ui.trainButton.toolTip and said in trainee.ui.trainStageLabel.text


def test_a_run_folder_says_what_it_holds_and_keeps_its_settings(trainee, a_cohort, tmp_path):
    run = tmp_path / "run"
    (run / "folds" / "0" / "baseline-us").mkdir(parents=True)
    (run / "config.toml").write_text('folds = 3\nepochs = 7\nmodels = ["baseline-us"]\n', encoding="utf-8")
    (run / "folds" / "0" / "baseline-us" / "predictions.csv").write_text("case_id\n", encoding="utf-8")
    (run / "folds" / "0" / "baseline-us" / "result.json").write_text("{}", encoding="utf-8")
    trainee.choose(a_cohort / "cohort.csv", run)
    assert "1 of 3 models are finished" in trainee.ui.runCard.text
    assert trainee.ui.settingsCard.text.startswith("3 folds × 1 models, 7 epochs")
    assert trainee.ui.settingsSelector.currentText == "Those of the run" and not trainee.ui.settingsSelector.enabled
    assert trainee.ui.trainButton.text == "Resume"
    trainee.host.choose(trainee.ui.foldSelector, "Fold 0 alone")
    assert "Fold 0 is finished" in trainee.ui.trainButton.toolTip
    trainee.host.choose(trainee.ui.foldSelector, "Fold 1 alone")
    assert trainee.ui.trainButton.enabled


def test_closing_the_scene_ends_the_work_and_takes_the_charts_out(scripted):
    trainee = scripted("step 0 0 0.9\n" + WAIT)
    trainee.host.wait(lambda: trainee.showsCharts() and trainee.chartNodes() > 0, 20)
    trainee.host.closeScene()
    assert not trainee.tab.isRunning and "Resume goes on" in trainee.message
    assert trainee.chartNodes() == 0 and not trainee.showsCharts()
    assert_no_leftovers()
    assert trainee.ui.trainButton.text == "Resume" and trainee.ui.trainButton.enabled


def test_the_users_layout_comes_back_with_another_tab_or_module(scripted):
    trainee = scripted("step 0 0 0.9\n" + WAIT)
    host, tabs = trainee.host, trainee.widget.ui.tabs
    host.wait(trainee.showsCharts, 20)
    host.choose(tabs, "Analyze")
    assert host.layoutManager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    host.choose(tabs, "Train")
    assert trainee.showsCharts()
    trainee.widget.exit()
    assert not trainee.showsCharts()
    trainee.widget.enter()
    assert trainee.showsCharts()
    host.click(trainee.ui.chartsButton)
    assert host.layoutManager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def test_a_saved_scene_holds_nothing_of_the_training(scripted, tmp_path):
    trainee = scripted("step 0 0 0.9\n" + WAIT)
    trainee.host.wait(lambda: trainee.showsCharts() and trainee.chartNodes() > 0, 20)
    path = tmp_path / "scene.mrml"
    trainee.scene.SetURL(str(path))
    trainee.scene.StartState(trainee.scene.SaveState)
    assert trainee.scene.Commit(str(path))
    trainee.scene.EndState(trainee.scene.SaveState)
    text = path.read_text(encoding="utf-8")
    assert (
        "<PlotChart" not in text
        and "plotChart:" not in text
        and f'currentViewArrangement="{charts.LAYOUT}"' not in text
    )
    assert str(tmp_path) not in text.replace(str(path), "") and "phantom-" not in text
    assert trainee.showsCharts(), "it goes on as before"


def test_the_try_out_is_one_click_away(trainee, a_cohort, tmp_path, monkeypatch):
    worker(tmp_path, monkeypatch, 'echo "$@" >&2; exit 130\n')
    trainee.choose(a_cohort / "cohort.csv", tmp_path / "run")
    assert "Full size" in trainee.ui.settingsCard.text and len(trainee.rows()) == 15
    trainee.host.choose(trainee.ui.settingsSelector, "Try-out: small, minutes")
    assert "not to be believed" in trainee.ui.settingsCard.text and len(trainee.rows()) == 6
    trainee.host.choose(trainee.ui.foldSelector, "Fold 1 alone")
    trainee.press("Start")
    trainee.finish(10)
    said = trainee.ui.trainLogBox.plainText
    assert "try-out.toml" in said and "--fold 1" in said and "--device cpu" in said and "--resume" not in said


def test_the_page_fits_into_400_pixels(trainee, a_cohort, tmp_path):
    from host.pythonqt.proxy import native_of

    trainee.choose(a_cohort / "cohort.csv", tmp_path / "run")
    trainee.host.click(trainee.ui.trainLogSection)
    assert native_of(trainee.widget.ui.tabs).minimumSizeHint().width() <= 380


@pytest.mark.parametrize(("settings", "missing"), [("", "scikit-learn>=1.4"), ('augmentation = "monai"', "monai>=1.4")])
def test_nothing_is_installed_without_consent(trainee, a_cohort, tmp_path, monkeypatch, settings, missing):
    version = packages.Package.version
    monkeypatch.setattr(
        packages.Package, "version", lambda self: None if self.requirement == missing else version(self)
    )
    (tmp_path / "mine.toml").write_text(settings, encoding="utf-8")
    trainee.choose(a_cohort / "cohort.csv", tmp_path / "run", tmp_path / "mine.toml")
    trainee.host.dialogs.will(False)
    trainee.press("Start")
    asked = trainee.host.dialogs.asked[-1]
    assert asked.text.startswith("Train needs Python packages") and f"- {missing}\n" in asked.text
    assert trainee.message.startswith("Nothing was installed, and Train needs") and not trainee.tab.isRunning
    assert trainee.host.packages.installed == []


def test_what_goes_wrong_when_a_run_has_ended_is_told(scripted, monkeypatch):
    trainee = scripted("exit 0")

    def breaks(_command: str) -> None:
        raise RuntimeError("the table is gone")

    monkeypatch.setattr(trainee.tab, "onDone", breaks)
    trainee.finish()
    assert trainee.message == "Unexpected RuntimeError: the table is gone"
    assert trainee.ui.trainButton.text == "Resume" and trainee.ui.trainInputSection.enabled
