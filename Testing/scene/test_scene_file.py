"""A written .mrb, read back with slicer-core: geometry, values, codes, colours, hierarchy and views."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.diagnosis import volume_ml
from DualSamplingCOVIDLib.errors import ResourceError
from DualSamplingCOVIDLib.scene import colors, geometry, headless, nodes, result, views
from scene import cases

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("slicer.util")
vtk = pytest.importorskip("vtk")
vtk_to_numpy = pytest.importorskip("vtk.util.numpy_support").vtk_to_numpy


@pytest.fixture(scope="module", params=[False, True], ids=["straight", "oblique"])
def read_back(request, tmp_path_factory):
    """Return (scene, oblique) of a scene file that was written and read again."""
    path = tmp_path_factory.mktemp("scene") / "case.mrb"
    headless.writeScene(path, cases.a_ct(request.param), cases.a_diagnosis(request.param))
    booted = headless.bootScene()
    assert booted.scene.ReadFromMRB(str(path))
    yield booted.scene, request.param
    del booted


def as_array(matrix) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_of(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return as_array(matrix)


def segment_on_the_ct(node, identifier: str, ct: sitk.Image) -> np.ndarray:
    """Return a segment's voxels on the CT's grid [k, j, i]; its own axes must be the CT's, shifted by whole voxels."""
    labelmap, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    assert node.GetBinaryLabelmapRepresentation(identifier, labelmap)
    labelmap.GetImageToWorldMatrix(matrix)
    own_to_ct = np.linalg.inv(geometry.ijkToRas(ct)) @ as_array(matrix)
    assert np.allclose(own_to_ct[:3, :3], np.eye(3), atol=1e-5)
    shift = np.rint(own_to_ct[:3, 3]).astype(int)
    assert np.allclose(own_to_ct[:3, 3], shift, atol=1e-4)
    result = np.zeros(ct.GetSize()[::-1], np.uint8)
    low, high = np.asarray(labelmap.GetExtent()).reshape(3, 2).T
    if (high >= low).all():
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape((high - low + 1)[::-1])
        box = tuple(slice(a, b + 1) for a, b in zip((low + shift)[::-1], (high + shift)[::-1], strict=True))
        result[box] = voxels
    return result


def ras_of(image: sitk.Image, ijk) -> np.ndarray:
    """Return a voxel's RAS millimetres by SimpleITK's own transform."""
    lps = image.TransformIndexToPhysicalPoint([int(index) for index in ijk])
    return np.array([-lps[0], -lps[1], lps[2]])


def node_named(scene, name: str):
    found = scene.GetFirstNodeByName(name)
    assert found is not None, name
    return found


@pytest.mark.parametrize("name", ["CT", "attention"])
def test_voxels_lie_where_simpleitk_says(read_back, name):
    scene, oblique = read_back
    matrix, ct = matrix_of(node_named(scene, name)), cases.a_ct(oblique)
    for ijk in [(0, 0, 0), (43, 0, 0), (0, 39, 0), (0, 0, 35), (43, 39, 35)]:
        assert np.allclose((matrix @ [*ijk, 1])[:3], ras_of(ct, ijk), atol=1e-4)


def test_the_ct_keeps_every_voxel_and_the_lung_window(read_back):
    scene, oblique = read_back
    ct = node_named(scene, "CT")
    assert np.array_equal(slicer.util.arrayFromVolume(ct), sitk.GetArrayFromImage(cases.a_ct(oblique)))
    assert slicer.util.arrayFromVolume(ct).dtype == np.int16
    display = ct.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (1500, -600, 0)


def test_labels_are_hundredths_of_the_attention(read_back):
    scene, oblique = read_back
    labels = slicer.util.arrayFromVolume(node_named(scene, "attention"))
    expected = np.rint(100 * sitk.GetArrayFromImage(cases.a_map(oblique)))
    assert np.array_equal(labels, expected)
    assert labels[cases.HOT] == 100
    assert node_named(scene, "attention").IsA("vtkMRMLLabelMapVolumeNode")


def test_the_label_layer_wears_our_colours(read_back):
    scene, _ = read_back
    table = node_named(scene, "attention").GetDisplayNode().GetColorNode()
    assert table.GetName() == colors.TABLE_NAME
    assert table.GetNumberOfColors() == 101
    rgba = np.zeros((101, 4))
    for value in range(101):
        entry = [0.0] * 4
        assert table.GetColor(value, entry)
        rgba[value] = entry
        assert table.GetColorName(value) == str(value)
    assert np.allclose(rgba, colors.attentionColors(), atol=1 / 255)
    assert rgba[0, 3] == 0
    assert (np.diff(rgba[:, 3]) >= 0).all() and (np.diff(rgba[5:, 3]) > 0).all()  # 256 steps of alpha
    assert not table.GetHideFromEditors()


@pytest.mark.parametrize(
    ("identifier", "field", "name"),
    [
        ("right-lung", "right_lung", "right lung"),
        ("left-lung", "left_lung", "left lung"),
        ("infection", "infection", "infection"),
    ],
)
def test_segments_are_the_masks_on_the_ct_grid(read_back, identifier, field, name):
    scene, oblique = read_back
    node = node_named(scene, "lungs and infection")
    mask = getattr(cases.a_segmentation(oblique), field)
    array = segment_on_the_ct(node, identifier, cases.a_ct(oblique))
    assert np.array_equal(array, sitk.GetArrayFromImage(mask))
    assert node.GetSegmentation().GetSegment(identifier).GetName() == name


def test_the_segmentation_refers_to_the_ct(read_back):
    scene, _ = read_back
    node = node_named(scene, "lungs and infection")
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == node_named(scene, "CT").GetID()
    assert node.GetSegmentation().GetConversionParameter("Reference image geometry")


@pytest.mark.parametrize(
    ("identifier", "codes"),
    [
        ("right-lung", ["SCT^123037004", "SCT^39607008", "SCT^24028007"]),
        ("left-lung", ["SCT^123037004", "SCT^39607008", "SCT^7771000"]),
        ("infection", ["SCT^49755003", "SCT^23583003", "", "Anatomic codes", "SCT^39607008"]),
    ],
)
def test_segments_carry_their_snomed_codes(read_back, identifier, codes):
    scene, _ = read_back
    segment = node_named(scene, "lungs and infection").GetSegmentation().GetSegment(identifier)
    fields = segment.GetTerminology().split("~")
    assert len(fields) == 7
    for field, code in zip(fields[1:], codes, strict=False):
        assert field.startswith(code)


def test_lungs_are_outlined_and_infection_is_lightly_filled(read_back):
    scene, _ = read_back
    display = node_named(scene, "lungs and infection").GetDisplayNode()
    for identifier in ("right-lung", "left-lung"):
        assert display.GetSegmentVisibility2DOutline(identifier)
        assert not display.GetSegmentVisibility2DFill(identifier)
    assert display.GetSegmentVisibility2DOutline("infection")
    assert 0 < display.GetSegmentOpacity2DFill("infection") <= 0.3


@pytest.mark.parametrize(("sampling", "peak"), [("US", 2.5), ("SS", 1.25)])
def test_member_maps_stay_continuous_on_their_lattice(read_back, sampling, peak):
    scene, _ = read_back
    (found,) = result.results(scene)
    member = cases.a_member(sampling, peak)
    for opposite, expected in ((False, member.attention.image), (True, member.opposite.image)):
        image = found.map(member.name, opposite)
        assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
        assert np.allclose(geometry.ijkToRas(image), geometry.ijkToRas(expected))
    peaks = {network.name: network.raw_peak for network in found.summary.networks}
    assert peaks[member.name] == peak


def test_the_decisions_maps_are_sampled_on_the_members_lattice(read_back):
    scene, oblique = read_back
    (found,) = result.results(scene)
    grid = cases.a_member("US", 1.0).attention.image
    for opposite, source in ((False, cases.a_map(oblique)), (True, cases.a_map(oblique) * 0.5)):
        image = found.map("decision", opposite)
        assert np.allclose(geometry.ijkToRas(image), geometry.ijkToRas(grid))
        expected = sitk.Resample(source, grid, sitk.Transform(), sitk.sitkLinear, 0.0)
        assert np.allclose(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected), atol=1e-6)


def test_a_scene_that_is_opened_again_gives_the_diagnosis_back(read_back):
    scene, oblique = read_back
    (found,) = result.results(scene)
    expected, again = cases.a_diagnosis(oblique), found.diagnosis()
    assert diagnosis_folder.as_report(again) == diagnosis_folder.as_report(expected)
    for name in ("right_lung", "left_lung", "infection"):
        mask, original = getattr(again.segmentation, name), getattr(expected.segmentation, name)
        assert np.array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(original)), name
        assert np.allclose(geometry.ijkToRas(mask), geometry.ijkToRas(original))


def test_the_table_holds_the_volumes_of_each_side(read_back):
    scene, oblique = read_back
    (found,) = result.results(scene)
    lung = volume_ml(cases.a_segmentation(oblique).right_lung)
    assert found.table.GetNumberOfRows() == 3
    assert found.table.GetCellText(0, 0) == "Right lung"
    assert float(found.table.GetCellText(0, 1)) == pytest.approx(lung, rel=1e-5)
    assert float(found.table.GetCellText(0, 3)) == pytest.approx(100 * 7**3 / (28 * 24 * 15), rel=1e-5)


def test_everything_lies_under_one_study(read_back):
    scene, _ = read_back
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.GetItemByName(nodes.STUDY_NAME)
    assert hierarchy.GetItemAttribute(study, "Level") == "Study"
    names = ["CT", "attention", "lungs and infection", "lung volumes", "attention map decision"]
    for name in [*names, "attention map US-fold0", "attention map SS-fold0"]:
        item = hierarchy.GetItemByDataNode(node_named(scene, name))
        assert hierarchy.GetItemParent(item) == study, name


def test_every_result_says_its_use_and_its_origin(read_back):
    scene, _ = read_back
    for name in ["attention", "lungs and infection", "lung volumes", "attention map US-fold0", result.NODE_NAME]:
        text = node_named(scene, name).GetDescription()
        assert text.startswith("Research use only")
        assert "twelve synthetic phantoms" in text


def test_views_show_the_labels_over_the_ct_at_the_infection(read_back):
    scene, oblique = read_back
    focus = ras_of(cases.a_ct(oblique), (12, 20, 18))  # the centre of cases.LESION
    for tag, orientation, axis in (("Red", "Axial", 2), ("Green", "Coronal", 1)):
        composite = scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{tag}")
        assert composite.GetBackgroundVolumeID() == node_named(scene, "CT").GetID()
        assert composite.GetLabelVolumeID() == node_named(scene, "attention").GetID()
        assert composite.GetLinkedControl()
        slice_node = scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        assert slice_node.GetOrientation() == orientation
        assert np.isclose(slice_node.GetSliceToRAS().GetElement(axis, 3), focus[axis], atol=1e-3)


def test_the_file_leaves_a_slicer_without_the_extension_its_views(read_back):
    scene, _ = read_back
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def test_masks_are_deflated_and_nothing_is_left_beside_the_file(tmp_path):
    path = tmp_path / "case.mrb"
    headless.writeScene(path, cases.a_ct(), cases.a_diagnosis())
    headless.writeScene(path, cases.a_ct(), cases.a_diagnosis())
    assert [file.name for file in tmp_path.iterdir()] == ["case.mrb"]
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.compress_size / info.file_size for info in archive.infolist()}
    assert sizes["case/Data/lungs and infection.seg.nrrd"] < 0.1


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ResourceError, match=r"missing.case\.mrb: the scene could not be written"):
        headless.writeScene(tmp_path / "missing" / "case.mrb", cases.a_ct(), cases.a_diagnosis())


def test_without_infection_the_segment_is_empty_and_views_go_to_the_peak(tmp_path):
    diagnosis = cases.a_diagnosis(infected=False)
    headless.writeScene(tmp_path / "case.mrb", cases.a_ct(), diagnosis)
    booted = headless.bootScene()
    assert booted.scene.ReadFromMRB(str(tmp_path / "case.mrb"))
    node = node_named(booted.scene, "lungs and infection")
    array = segment_on_the_ct(node, "infection", cases.a_ct())
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert array.sum() == 0
    (found,) = result.results(booted.scene)
    assert views.largestInfection(found) is None
    peak = views.attentionPeak(found, "decision", opposite=False)
    assert np.linalg.norm(peak - ras_of(cases.a_ct(), cases.HOT[::-1])) < 4.0  # a lattice step
    assert np.isclose(
        booted.scene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetSliceToRAS().GetElement(2, 3), peak[2]
    )
