"""The module round the Analyze tab: sample data, logic without panel, what is remembered, how narrow it may be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.panel.settings import OverlayDefaults, Preferences, bundles
from DualSamplingCOVIDLib.scene import compare, geometry
from DualSamplingCOVIDLib.scene.result import results
from panel.study import MODULE, a_phantom

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_the_sample_data_is_a_made_chest_ct(study):
    study.host.samples.click("DualSamplingCOVIDPhantom")
    node = study.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert node.GetName().startswith("Phantom CT")
    assert slicer.util.arrayFromVolume(node).min() < -900
    study.host.wait(lambda: study.ui.analyzeButton.enabled)


def test_the_logic_analyses_without_the_panel_and_without_qt():
    code = f"""
import sys, types
sys.path.insert(0, {str(MODULE.parent)!r})
from DualSamplingCOVIDLib.scene import headless, nodes
booted = headless.bootScene()
import slicer
slicer.mrmlScene = booted.scene
for name, members in {{
    "slicer.i18n": ("tr", "translate"),
    "slicer.ScriptedLoadableModule": ("ScriptedLoadableModule", "ScriptedLoadableModuleLogic",
                                      "ScriptedLoadableModuleTest", "ScriptedLoadableModuleWidget"),
}}.items():
    module = sys.modules[name] = types.ModuleType(name)
    for member in members:
        setattr(module, member, type(member, (), {{}}))
import DualSamplingCOVID as extension
logic = extension.DualSamplingCOVIDLogic()
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom
ct = nodes.addCt(booted.scene, make_phantom(20, COVID, ratio=0.06, spacing_mm=(2.5, 2.5, 2.5)).ct)
result = logic.analyze(ct, device="cpu")
assert result.summary.decision.ratio > 0.02 and result.ct is ct
assert [found.node for found in logic.results(ct)] == [result.node]
assert not {{"qt", "ctk", "PySide6"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_self_test_passes_in_the_host(study):
    module = sys.modules["DualSamplingCOVID"]
    test = module.DualSamplingCOVIDTest()
    test.runTest()
    assert len(results(study.scene)) == 1


def test_choices_are_remembered_on_this_computer(quick):
    quick.host.choose(quick.ui.deviceSelector, 2)
    quick.loadCt()
    quick.analyze()
    quick.host.drag(quick.ui.attentionSlider, 40)
    quick.host.drag(quick.ui.thresholdSlider, 25)
    quick.host.click(quick.ui.fillCheck)
    quick.host.click(quick.ui.preferencesSection)
    quick.host.click(quick.ui.keepOverlaysButton)
    again = Preferences(slicer.app.settings())
    assert again.device == "cpu"
    kept = again.overlays
    assert (round(kept.attention), round(kept.threshold), kept.filled) == (40, 25, True)
    quick.host.drag(quick.ui.attentionSlider, 100)
    quick.loadCt(name="other")
    quick.analyze()
    assert round(quick.ui.attentionSlider.value) == 40 and quick.ui.fillCheck.checked
    composite = quick.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetLabelOpacity() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    ("key", "text"), [("device", "abacus"), ("overlays/attention", "much"), ("overlays/threshold", "900")]
)
def test_settings_that_make_no_sense_read_as_the_default(study, key, text):
    slicer.app.settings().setValue(f"DualSamplingCOVID/{key}", text)
    preferences = Preferences(slicer.app.settings())
    assert preferences.device == "auto" and preferences.overlays == OverlayDefaults()


def test_only_whole_bundles_are_offered(tmp_path):
    import shutil

    for name in ("good", "broken"):
        shutil.copytree(resources.path("Bundles/phantom-demo"), tmp_path / name)
    (tmp_path / "broken" / "metadata.json").write_text("{}", encoding="utf-8")
    (tmp_path / "something else").mkdir()
    assert [bundle.folder.name for bundle in bundles(str(tmp_path))] == ["phantom-demo", "good"]


def test_surfaces_are_shown_in_3d(quick):
    quick.loadCt()
    result = quick.analyze()
    quick.host.click(quick.ui.show3DButton)
    assert result.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    slicer.app.layoutManager().threeDWidget(0).threeDView().resetFocalPoint()
    picture = quick.host.render("3D").astype(int)
    assert (np.ptp(picture, axis=2) > 30).sum() > 200
    quick.host.click(quick.ui.show3DButton)
    assert not result.segmentation.GetDisplayNode().GetVisibility3D()


def test_the_views_of_the_comparison_move_together(quick):
    quick.loadCt()
    result = quick.analyze()
    quick.host.click(quick.ui.compareButton)
    quick.host.wait(None, 0.1)
    first, *others = [f"DualSampling{row.tag}Axial" for row in compare.rows(result.summary)]
    logic = slicer.app.layoutManager().sliceWidget(first).sliceLogic()
    wanted = logic.GetSliceOffset() + 20.0
    logic.StartSliceOffsetInteraction()
    logic.SetSliceOffset(wanted)
    logic.EndSliceOffsetInteraction()
    for name in others:
        offset = slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceOffset()
        assert offset == pytest.approx(wanted, abs=1e-3), name


def test_the_panel_fits_into_400_pixels(quick):
    from host.pythonqt.proxy import native_of

    quick.loadCt()
    quick.analyze()
    for section in ("inputSection", "logSection", "preferencesSection"):
        if getattr(quick.ui, section).collapsed:
            quick.host.click(getattr(quick.ui, section))
    quick.openInput()
    quick.host.choose(quick.ui.maskSelector, 1)
    assert native_of(quick.ui.tabs).minimumSizeHint().width() <= 380


def test_a_dicom_tag_kept_on_the_node_is_not_exported(quick, tmp_path):
    node = quick.loadCt(a_phantom())
    node.SetAttribute("DICOM.PatientName", "Zyxwvut^Quentin")
    node.SetDescription("Zyxwvut")
    quick.widget.logic.exportVolume(node, tmp_path / "ct.nrrd")
    assert b"Zyxwvut" not in (tmp_path / "ct.nrrd").read_bytes()
    assert np.allclose(geometry.volumeMatrix(node), geometry.volumeMatrix(quick.ui.ctSelector.currentNode()))


def test_what_the_panel_reads_of_a_bundle_is_on_its_card(study):
    text = study.ui.bundleCard.text
    assert "phantoms only, never a patient" in text and "Research use only" in text
    assert Path(resources.path("Bundles/phantom-demo")).name in study.ui.bundleSelector.itemText(0)
