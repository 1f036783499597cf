"""Adding a diagnosis to a scene that already lives, as the panel does."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.scene import colors, headless, nodes, result, views
from scene import cases

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("slicer.util")


@pytest.fixture
def booted():
    scene = headless.bootScene()
    views.useReadingLayout(scene.scene)
    headless.addSliceLogics(scene)
    return scene


def test_a_ct_that_has_a_study_keeps_it(booted):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(booted.scene)
    ct = nodes.addCt(booted.scene, cases.a_ct())
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "from DICOM")
    hierarchy.CreateItem(study, ct)
    added = nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis())
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(added.attention)) == study
    assert hierarchy.GetItemByName(nodes.STUDY_NAME) == 0


def test_the_ct_node_keeps_its_name_and_voxels(booted):
    ct = nodes.addCt(booted.scene, cases.a_ct())
    ct.SetName("the user's name")
    image = ct.GetImageData()
    nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis())
    assert ct.GetName() == "the user's name"
    assert ct.GetImageData() is image


def test_a_second_diagnosis_shares_the_colour_table(booted):
    ct = nodes.addCt(booted.scene, cases.a_ct())
    first = nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis())
    second = nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis())
    assert first.attention.GetDisplayNode().GetColorNode() is second.attention.GetDisplayNode().GetColorNode()
    assert first.attention is not second.attention
    assert first.attention.GetName() != second.attention.GetName()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(booted.scene)
    one, other = (hierarchy.GetItemByDataNode(found.attention) for found in (first, second))
    assert hierarchy.GetItemParent(one) == hierarchy.GetItemParent(other)
    assert [found.node for found in result.results(booted.scene, ct)] == [first.node, second.node]


def test_a_removed_result_leaves_the_scene_as_it_was_and_the_other_result_alone(booted):
    ct = nodes.addCt(booted.scene, cases.a_ct())
    first = nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis())
    before = booted.scene.GetNumberOfNodes()
    nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis()).remove()
    assert booted.scene.GetNumberOfNodes() == before
    assert [found.node for found in result.results(booted.scene)] == [first.node]
    assert first.attention is not None and first.mapNames == ("decision", "US-fold0", "SS-fold0")


@pytest.mark.parametrize("steps", range(1, 6))
def test_an_import_that_is_stopped_leaves_the_scene_as_it_was(booted, steps):
    ct = nodes.addCt(booted.scene, cases.a_ct())
    nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis()).remove()
    before = booted.scene.GetNumberOfNodes()
    importing = nodes.addingDiagnosis(booted.scene, ct, cases.a_diagnosis())
    for _ in range(steps):
        next(importing)
    importing.close()
    assert booted.scene.GetNumberOfNodes() == before


def test_another_map_refills_the_label_layer_on_the_cts_geometry(booted):
    ct = nodes.addCt(booted.scene, cases.a_ct(oblique=True))
    added = nodes.addDiagnosis(booted.scene, ct, cases.a_diagnosis(oblique=True))
    member_map = cases.a_member("US", 1.0).attention.image
    nodes.refillAttention(added.attention, member_map)
    expected = sitk.Resample(member_map, cases.a_ct(oblique=True), sitk.Transform(), sitk.sitkLinear, 0.0)
    labels = slicer.util.arrayFromVolume(added.attention)
    assert labels.max() > 50
    assert np.abs(labels - 100 * sitk.GetArrayFromImage(expected)).max() <= 0.51


def test_the_reading_layout_shows_axial_beside_coronal(booted):
    layout = booted.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    views.useReadingLayout(booted.scene)
    description = layout.GetCurrentLayoutDescription()
    assert views.currentLayout(booted.scene) == views.READING_LAYOUT > 100
    assert description.count("vtkMRMLSliceNode") == 2
    assert description.index("Axial") < description.index("Coronal")


def test_the_whole_ct_fits_each_view(booted):
    ct = nodes.addCt(booted.scene, cases.a_ct())
    diagnosis = cases.a_diagnosis()
    views.showResult(booted.scene, nodes.addDiagnosis(booted.scene, ct, diagnosis))
    axial = booted.scene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetFieldOfView()
    coronal = booted.scene.GetSingletonNode("Green", "vtkMRMLSliceNode").GetFieldOfView()
    assert axial[:2] == pytest.approx((44 * 1.7, 44 * 1.7))
    assert coronal[:2] == pytest.approx((36 * 2.5, 36 * 2.5))


def test_the_focus_lies_inside_the_larger_of_two_lesions(booted):
    diagnosis = cases.a_diagnosis()
    array = np.zeros(cases.SHAPE, np.uint8)
    array[10, 12, 8] = array[10, 12, 34] = array[10, 12, 35] = 1
    two = cases.an_image(array)
    segmentation = dataclasses.replace(diagnosis.segmentation, infection=two)
    ct = nodes.addCt(booted.scene, cases.a_ct())
    found = nodes.addDiagnosis(booted.scene, ct, dataclasses.replace(diagnosis, segmentation=segmentation))
    focus = views.focusPoint(found)
    ijk = two.TransformPhysicalPointToIndex([-focus[0], -focus[1], focus[2]])
    assert ijk in ((34, 12, 10), (35, 12, 10))


def test_without_infection_the_focus_is_the_peak_of_the_map(booted):
    diagnosis = cases.a_diagnosis(infected=False)
    us = diagnosis.member("US").attention.image
    ct = nodes.addCt(booted.scene, cases.a_ct())
    found = nodes.addDiagnosis(booted.scene, ct, dataclasses.replace(diagnosis, attention=us))
    lps = us.TransformIndexToPhysicalPoint((23, 15, 19))
    assert views.focusPoint(found) == pytest.approx([-lps[0], -lps[1], lps[2]])


def test_a_dead_map_without_infection_is_shown_at_the_middle_of_the_ct(booted):
    diagnosis = cases.a_diagnosis(infected=False)
    ct = nodes.addCt(booted.scene, cases.a_ct())
    found = nodes.addDiagnosis(booted.scene, ct, dataclasses.replace(diagnosis, attention=diagnosis.attention * 0.0))
    lps = cases.a_ct().TransformContinuousIndexToPhysicalPoint((21.5, 19.5, 17.5))
    assert views.focusPoint(found) == pytest.approx([-lps[0], -lps[1], lps[2]])


def test_the_table_runs_from_transparent_to_hot_and_never_to_grey():
    table = colors.attentionColors()
    assert table.shape == (101, 4)
    assert ((table >= 0) & (table <= 1)).all()
    assert table[0, 3] == 0
    assert (np.diff(table[:, 3]) > 0).all()
    assert (np.diff(table[:, :3].sum(axis=1)) >= 0).all()
    assert (table[:, 0] - table[:, 2] >= 0.49).all()


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_a_threshold_hides_what_lies_below_and_is_told_again(booted, threshold):
    node = colors.attentionColorNode(booted.scene)
    colors.hideBelow(node, threshold)
    alphas = [colors._alpha(node, value) for value in range(101)]
    assert all(alpha == 0 for value, alpha in enumerate(alphas) if value < 100 * threshold)
    assert all(alpha > 0 for value, alpha in enumerate(alphas) if value >= max(100 * threshold, 5))
    assert colors.hiddenBelow(node) == pytest.approx(threshold if threshold > 0.02 else 0.0, abs=1e-9)


def test_without_slicer_core_the_reason_names_the_package():
    library = Path(headless.__file__).parents[2]
    code = (
        "import sys; sys.modules['slicer'] = None; import DualSamplingCOVIDLib.scene\n"
        "from DualSamplingCOVIDLib.scene import headless\n"
        "answer = headless.isAvailable(); assert not answer; print(answer.reason)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=library, capture_output=True, text=True, check=True)
    assert "slicer-core" in done.stdout
    assert headless.isAvailable()


def test_importing_the_scene_files_loads_neither_slicer_nor_vtk():
    library = Path(headless.__file__).parents[2]
    code = (
        "import sys\nfrom DualSamplingCOVIDLib.scene import colors, headless, nodes, result, views\n"
        "assert not {'slicer', 'vtk', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=library, check=True)
