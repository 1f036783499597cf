"""A radiologist loads a CT, clicks Analyze and reads the answer: with real clicks, the real worker and real pixels."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from ct import _dicom_files
from DualSamplingCOVIDLib.ct import read_ct
from DualSamplingCOVIDLib.diagnosis import NO_PNEUMONIA
from DualSamplingCOVIDLib.scene import geometry, overlays, views
from DualSamplingCOVIDLib.scene.result import DECISION, results
from panel.study import PATIENT, a_phantom, pressing, recorded, worker

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

DATA = os.environ.get("DUALSAMPLING_TEST_DATA", "")


def turned(image: sitk.Image, degrees: float = 20.0) -> sitk.Image:
    """The same voxels on axes at an angle to all three of the patient's."""
    turn = sitk.VersorTransform((2.0, -1.0, 2.0), np.radians(degrees))
    axes = np.array(turn.GetMatrix()).reshape(3, 3) @ np.array(image.GetDirection()).reshape(3, 3)
    copy = sitk.Image(image)
    copy.SetDirection(axes.ravel().tolist())
    return copy


def assert_hot_and_plain(study, result) -> None:
    """The attention's colour where the map is hot, the plain CT where it is not, in axial and in coronal view."""
    result.segmentation.GetDisplayNode().SetVisibility(False)  # its outlines may run through those points
    attention = result.map(DECISION, opposite=False)
    lattice = sitk.Resample(attention, geometry.volumeGrid(result.attention), sitk.Transform(), sitk.sitkLinear, 0.0)
    values = sitk.GetArrayViewFromImage(lattice)
    hot = np.array(np.unravel_index(np.argmax(values), values.shape))
    for view in ("Red", "Green"):
        point = views._ras(lattice, hot)
        views.jumpTo(study.scene, point)
        red, _, blue = study.pixel(view, point)
        assert red - blue > 60, f"{view}: {red}, {blue} at the peak"
        cold = coldest(study, view, values, lattice, point)
        colour = study.pixel(view, cold)
        assert np.ptp(colour) <= 2, f"{view}: {colour} where the map is zero"


def coldest(study, view: str, values: np.ndarray, lattice: sitk.Image, through: np.ndarray) -> np.ndarray:
    """A point of the shown slice, inside the CT, where the map is next to zero."""
    axis = 2 if view == "Red" else 1
    size = np.array(lattice.GetSize())
    for kji in np.argwhere(values < 0.004)[::97]:
        point = views._ras(lattice, kji)
        point[axis] = through[axis]
        lps = [-point[0], -point[1], point[2]]
        index = np.array(lattice.TransformPhysicalPointToIndex(lps))
        if (index > 2).all() and (index < size - 3).all():
            around = tuple(slice(i - 2, i + 3) for i in index[::-1])
            if values[around].max() < 0.004:
                return point
    raise AssertionError("the map is nowhere zero in this slice")


def test_a_click_on_analyze_gives_segmentation_label_layer_and_table(study):
    ct = study.loadCt()
    result = study.analyze()
    summary = result.summary
    assert summary.decision.ratio > 0.02 and summary.decision.answer != NO_PNEUMONIA
    assert [result.segmentation.GetSegmentation().GetNthSegment(i).GetName() for i in range(3)] == [
        "right lung",
        "left lung",
        "infection",
    ]
    assert result.attention.GetImageData().GetDimensions() == ct.GetImageData().GetDimensions()
    assert np.allclose(geometry.volumeMatrix(result.attention), geometry.volumeMatrix(ct))
    assert result.table.GetNumberOfRows() == 3
    assert study.ui.headlineLabel.text.startswith(("COVID-19 rather", "Community-acquired"))
    assert "Research use only" in study.ui.researchLabel.text
    assert summary.bundle.learned_from in study.ui.researchLabel.text
    assert study.ui.volumesTable.item(2, 1).text() == f"{summary.sides[2].lung_ml:.1f}"
    assert_hot_and_plain(study, result)


def test_an_oblique_ct_is_shown_where_it_lies(study):
    study.loadCt(turned(a_phantom()))
    assert_hot_and_plain(study, study.analyze())


def test_a_ct_under_a_rotation_is_analysed_as_it_lies_in_the_world(study):
    ct = study.loadCt()
    untouched = geometry.volumeMatrix(ct)
    transform = study.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    rotation = np.eye(4)
    rotation[:3, :3] = np.array(sitk.VersorTransform((0, 0, 1), np.radians(30)).GetMatrix()).reshape(3, 3)
    rotation[:3, 3] = 12, -7, 40
    transform.SetMatrixTransformToParent(geometry.toMatrix(rotation))
    ct.SetAndObserveTransformNodeID(transform.GetID())
    result = study.analyze()
    assert np.allclose(geometry.volumeMatrix(result.attention), rotation @ untouched)
    assert np.allclose(geometry.volumeMatrix(ct), untouched) and ct.GetParentTransformNode() is transform
    assert_hot_and_plain(study, result)
    lungs = geometry.segmentImage(result.segmentation, "right-lung")
    centre = np.argwhere(sitk.GetArrayViewFromImage(lungs)).mean(axis=0)
    ras = views._ras(lungs, np.rint(centre).astype(int))
    ijk = np.linalg.inv(rotation @ untouched) @ [*ras, 1.0]
    hu = slicer.util.arrayFromVolume(ct)[tuple(np.rint(ijk[2::-1]).astype(int))]
    assert hu < -500


def test_a_sheared_and_shifted_ct_keeps_its_lungs_and_says_that_it_was_resampled(study):
    ct = study.loadCt()
    straight = study.analyze().summary
    transform = study.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "gantry")
    shear = np.eye(4)
    shear[1, 2] = 0.05
    shear[:3, 3] = 130, -40, 150
    transform.SetMatrixTransformToParent(geometry.toMatrix(shear))
    ct.SetAndObserveTransformNodeID(transform.GetID())
    study.host.dialogs.will(pressing("Keep both"))
    result = study.analyze()
    assert "transform-resampled" in [finding.code for finding in result.summary.findings]
    assert "bends or shears" in study.ui.detailsLabel.text
    for before, after in zip(straight.sides, result.summary.sides, strict=True):
        assert after.lung_ml == pytest.approx(before.lung_ml, rel=0.02)
    assert result.summary.decision.ratio == pytest.approx(straight.decision.ratio, rel=0.1)
    assert_hot_and_plain(study, result)


def test_a_ct_under_a_bending_transform_is_shown_and_analysed_in_one_place(study):
    ct = study.loadCt()
    grid = slicer.vtkMRMLGridTransformNode()
    study.scene.AddNode(grid)
    array = np.zeros((9, 9, 9, 3))
    array[..., 0] = 12.0 * np.sin(np.linspace(0, np.pi, 9))[:, None, None]
    displacement = sitk.DisplacementFieldTransform(displaced(array))
    path = study.host.app.temporaryPath + "/bend.h5"
    sitk.WriteTransform(displacement, path)
    storage = grid.CreateDefaultStorageNode()
    storage.SetFileName(path)
    assert storage.ReadData(grid)
    Path(path).unlink()
    ct.SetAndObserveTransformNodeID(grid.GetID())
    result = study.analyze()
    assert "transform-resampled" in [finding.code for finding in result.summary.findings]
    assert_hot_and_plain(study, result)


def displaced(array: np.ndarray) -> sitk.Image:
    """A displacement field (LPS mm, [k, j, i, 3]) over the phantom and beyond."""
    image = sitk.GetImageFromArray(array, isVector=True)
    ct = a_phantom()
    extent = np.array(ct.GetSize()) * np.array(ct.GetSpacing())
    image.SetSpacing((1.5 * extent / 8).tolist())
    image.SetOrigin((np.array(ct.GetOrigin()) - 0.25 * extent).tolist())
    return image


def test_a_ct_that_moved_since_is_told_and_not_reported(quick, tmp_path):
    ct = quick.loadCt()
    result = quick.analyze()
    transform = quick.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(
        geometry.toMatrix(np.array([[1.0, 0, 0, 60], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    )
    ct.SetAndObserveTransformNodeID(transform.GetID())
    quick.widget.enter()
    assert result.isCtMoved and "moved since" in quick.ui.messageLabel.text
    quick.host.dialogs.will(str(tmp_path))
    quick.host.click(quick.ui.saveReportButton)
    quick.finish(20)
    assert "moved since" in quick.ui.messageLabel.text and not list(tmp_path.glob("*report*"))
    ct.SetAndObserveTransformNodeID(None)
    assert not result.isCtMoved


def test_masks_that_were_edited_are_not_reported_under_the_old_answer(quick, tmp_path):
    quick.loadCt()
    result = quick.analyze()
    infection = geometry.segmentImage(result.segmentation, "infection")
    result.segmentation.GetSegmentation().RemoveSegment("infection")
    smaller = sitk.BinaryErode(infection, [1, 1, 1])
    result.segmentation.AddSegmentFromBinaryLabelmapRepresentation(
        geometry.orientedMask(smaller), "infection", (0.2, 0.9, 0.2), "infection"
    )
    quick.host.dialogs.will(str(tmp_path))
    quick.host.click(quick.ui.saveReportButton)
    quick.finish(20)
    assert "edited since" in quick.ui.messageLabel.text and not list(tmp_path.glob("*report*"))


def test_the_button_says_what_is_missing(study):
    assert not study.ui.analyzeButton.enabled
    assert "Load a chest CT" in study.ui.analyzeButton.toolTip
    study.loadCt(sitk.Image(64, 64, 64, sitk.sitkInt16) + 40, name="MR")
    study.host.wait(lambda: "no chest CT" in study.ui.analyzeButton.toolTip)
    assert not study.ui.analyzeButton.enabled
    study.loadCt()
    study.host.wait(lambda: study.ui.analyzeButton.enabled)


def test_the_first_chest_ct_is_chosen_by_itself(study):
    from DualSamplingCOVIDLib.scene import nodes

    nodes.addCt(study.scene, sitk.Image(64, 64, 64, sitk.sitkInt16) + 40)
    wanted = nodes.addCt(study.scene, a_phantom())
    study.widget.enter()
    assert study.ui.ctSelector.currentNode() is wanted


def test_a_second_analysis_of_one_ct_replaces_or_keeps_after_asking(quick):
    quick.loadCt()
    first = quick.analyze()
    quick.host.dialogs.will(pressing("Cancel"))
    quick.start()
    assert not quick.widget.tabs.analyze.isRunning and len(results(quick.scene)) == 1
    quick.host.dialogs.will(pressing("Keep both"))
    second = quick.analyze()
    assert first.attention is not None and second.attention.GetName() != first.attention.GetName()
    quick.host.dialogs.will(pressing("Replace"))
    third = quick.analyze()
    assert [result.node for result in results(quick.scene)] == [third.node]


def test_a_second_ct_gets_its_own_results(quick):
    quick.loadCt(name="one")
    first = quick.analyze()
    quick.loadCt(name="other")
    second = quick.analyze()
    assert first.ct.GetName() == "one" and second.ct.GetName() == "other"
    assert first.segmentation is not second.segmentation
    assert quick.ui.resultSelector.count == 2
    quick.host.choose(quick.ui.resultSelector, 0)
    assert first.segmentation.GetDisplayNode().GetVisibility()
    assert not second.segmentation.GetDisplayNode().GetVisibility()
    composite = quick.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetBackgroundVolumeID() == first.ct.GetID()
    assert composite.GetLabelVolumeID() == first.attention.GetID()


def test_results_come_back_with_a_saved_scene(quick, tmp_path):
    from DualSamplingCOVIDLib.scene import headless

    quick.loadCt()
    told = quick.analyze().summary
    headline, details = quick.ui.headlineLabel.text, quick.ui.detailsLabel.text
    headless._writeBundle(quick.scene, tmp_path / "study.mrb")
    layout = quick.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == views.READING_LAYOUT  # saved in the user's own, and back again
    quick.host.closeScene()
    assert layout.GetViewArrangement() != views.READING_LAYOUT
    assert "No result yet" in quick.ui.headlineLabel.text
    assert quick.scene.ReadFromMRB(str(tmp_path / "study.mrb"))
    quick.host.wait(lambda: quick.ui.headlineLabel.text == headline)
    (again,) = results(quick.scene)
    assert again.summary == told
    assert quick.ui.detailsLabel.text == details
    quick.host.click(quick.ui.readingButton)
    quick.host.choose(quick.ui.mapSelector, 1)
    assert slicer.util.arrayFromVolume(again.attention).max() > 90
    assert overlays.shownMap(again)[0] == told.networks[0].name


def test_existing_segments_replace_the_segmenter(study):
    ct = study.loadCt()
    first = study.analyze()
    study.openInput()
    study.host.choose(study.ui.maskSelector, 1)
    assert "segmentation" in study.ui.analyzeButton.toolTip
    study.ui.segmentationSelector.setCurrentNode(first.segmentation)
    study.host.dialogs.will(pressing("Keep both"))
    second = study.analyze()
    assert second.summary.segmenter.name == "given masks"
    assert second.summary.decision.ratio == pytest.approx(first.summary.decision.ratio, rel=0.02)
    for before, after in zip(first.summary.sides, second.summary.sides, strict=True):
        assert after.lung_ml == pytest.approx(before.lung_ml, rel=1e-3)
    assert second.ct is ct


def test_the_table_is_saved_as_csv(quick, tmp_path):
    quick.loadCt()
    summary = quick.analyze().summary
    quick.host.dialogs.will(str(tmp_path / "volumes.csv"))
    quick.host.click(quick.ui.saveTableButton)
    lines = (tmp_path / "volumes.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "side,lung_ml,infection_ml,infected_fraction"
    assert lines[3].startswith(f"Both lungs,{summary.sides[2].lung_ml:.1f},")


def test_save_report_writes_the_folder_of_the_command_line(study, recorded_folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        worker(tmp_path, patch, recorded(recorded_folder))
        study.loadCt()
        study.analyze()
    study.host.dialogs.will(str(tmp_path))
    study.host.click(study.ui.saveReportButton)
    study.finish()
    folder = tmp_path / "dual-sampling-report"
    assert folder.is_dir(), study.ui.messageLabel.text
    written = {path.name for path in folder.iterdir()}
    assert written >= {"report.json", "report.html", "figure.png", "lungs-infection.seg.nrrd", "attention.nrrd"}
    assert written >= {"attention-label.nrrd", "run.json", "attention", "scene.mrb"}
    assert (folder / "report.json").read_bytes() == (recorded_folder / "report.json").read_bytes()
    assert str(folder) in study.ui.messageLabel.text


def a_dicom_series(folder: Path, monkeypatch) -> list[Path]:
    """The phantom as DICOM slices, from the feet up, with the patient's name in each header."""
    monkeypatch.setattr(_dicom_files, "SPACING", a_phantom().GetSpacing())
    monkeypatch.setattr(_dicom_files, "NAME", PATIENT)
    files = _dicom_files.write_series(folder, sitk.GetArrayFromImage(a_phantom()).astype(np.int16))
    height = {path: float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in files}
    ordered = [path.rename(folder / f"{n:03}") for n, path in enumerate(sorted(files, key=height.__getitem__))]
    assert all(b"Zyxwvut" in path.read_bytes() for path in ordered)
    return ordered


def test_a_patients_name_leaves_the_scene_nowhere(study, tmp_path, tmp_path_factory, monkeypatch):
    """Planted in the DICOM header and in the volume's name: not in temporary files, results, log or report."""
    assert "Zyxwvut" in PATIENT
    kept = tmp_path / "kept"
    spy = f'cp -r "$(dirname "$3")" {kept}-$RANDOM\n'
    worker(tmp_path, monkeypatch, spy + '$PYTHON "$@"')
    node = study.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", PATIENT)
    storage = node.CreateDefaultStorageNode()
    study.scene.AddNode(storage)
    node.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetSingleFile(False)
    for path in a_dicom_series(tmp_path_factory.mktemp("dicom"), monkeypatch):
        storage.SetFileName(storage.GetFileName() or str(path))
        storage.AddFileName(str(path))
    assert storage.ReadData(node)
    study.ui.ctSelector.setCurrentNode(node)
    study.analyze()
    study.host.dialogs.will(str(tmp_path))
    study.host.click(study.ui.saveReportButton)
    study.finish()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "bin" not in path.parts]
    assert len(files) > 15 and len([path for path in tmp_path.iterdir() if path.name.startswith("kept")]) == 2
    with zipfile.ZipFile(tmp_path / "dual-sampling-report" / "scene.mrb") as archive:
        assert all(b"Zyxwvut" not in archive.read(name) for name in archive.namelist())
    for path in files:
        assert b"Zyxwvut" not in path.read_bytes() and "Zyxwvut" not in str(path), path
    assert "Zyxwvut" not in study.ui.logBox.plainText
    for result in results(study.scene):
        for part in result.parts():
            assert "Zyxwvut" not in part.GetName() and "Zyxwvut" not in str(part.GetDescription())
        assert "Zyxwvut" not in result.node.GetParameter("report")


@pytest.mark.skipif(not DATA, reason="DUALSAMPLING_TEST_DATA names no folder of real CTs")
def test_covid_p001_is_analysed_and_shown(study):
    path = Path(DATA) / "ct" / "covid-P001"
    study.loadCt(read_ct(path).image)
    result = study.analyze(240)
    assert 0.01 < result.summary.decision.ratio < 0.03
    assert_hot_and_plain(study, result)
