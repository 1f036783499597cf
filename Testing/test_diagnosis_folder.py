"""The diagnosis folder gives back what was put in, with the CT's exact geometry."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.diagnosis import Decision, Diagnosis, FoldAnswer, FoldAnswers
from DualSamplingCOVIDLib.errors import InputError
from scene.cases import a_ct, a_diagnosis


def _saved(folder: Path, diagnosis: Diagnosis) -> Path:
    folder.mkdir()
    diagnosis_folder.save_report(folder, diagnosis)
    diagnosis_folder.save_masks(folder, diagnosis.segmentation)
    diagnosis_folder.save_maps(folder, diagnosis)
    diagnosis_folder.save_attention(folder, diagnosis)
    return folder


def _same_geometry(image: sitk.Image, ct: sitk.Image) -> None:
    assert image.GetSize() == ct.GetSize()
    assert image.GetSpacing() == pytest.approx(ct.GetSpacing(), abs=1e-9)
    assert image.GetOrigin() == pytest.approx(ct.GetOrigin(), abs=1e-6)
    assert image.GetDirection() == pytest.approx(ct.GetDirection(), abs=1e-9)


@pytest.mark.parametrize("oblique", [False, True])
def test_masks_label_and_map_have_the_geometry_of_the_ct(tmp_path: Path, oblique: bool) -> None:
    folder, ct = _saved(tmp_path / "d", a_diagnosis(oblique)), a_ct(oblique)
    for name in (diagnosis_folder.MASKS, diagnosis_folder.DECISION_LABEL, diagnosis_folder.DECISION_MAP):
        _same_geometry(sitk.ReadImage(folder / name), ct)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    diagnosis = a_diagnosis()
    loaded = diagnosis_folder.load(_saved(tmp_path / "d", diagnosis))
    assert loaded.decision.answer == diagnosis.decision.answer
    assert loaded.decision.ratio == pytest.approx(diagnosis.segmentation.ratio, rel=1e-5)
    assert loaded.segmentation.segmenter == diagnosis.segmentation.segmenter
    for name in ("right_lung", "left_lung", "infection"):
        expected, found = getattr(diagnosis.segmentation, name), getattr(loaded.segmentation, name)
        assert np.array_equal(sitk.GetArrayViewFromImage(expected), sitk.GetArrayViewFromImage(found)), name
    for expected, found in zip(diagnosis.members, loaded.members, strict=True):
        assert (expected.name, expected.logit) == (found.name, found.logit)
        assert found.attention.raw_peak == expected.attention.raw_peak
        difference = sitk.GetArrayFromImage(expected.attention.image - found.attention.image)
        assert np.abs(difference).max() == 0
    assert np.abs(sitk.GetArrayFromImage(diagnosis.attention - loaded.attention)).max() == 0


FOLDS = FoldAnswers(0.0707107, (FoldAnswer(0, 0.8, 0.7, 0.75), FoldAnswer(3, 0.6, 0.7, 0.65)))


def test_the_folds_answers_are_in_the_report_and_read_back(tmp_path: Path) -> None:
    diagnosis = a_diagnosis()
    decision = dataclasses.replace(diagnosis.decision, folds=FOLDS)
    folder = _saved(tmp_path / "d", dataclasses.replace(diagnosis, decision=decision))
    written = json.loads((folder / "report.json").read_text())["decision"]["folds"]
    assert written["spread"] == 0.0707107
    assert written["answers"][1] == {"fold": 3, "p_us": 0.6, "p_ss": 0.7, "probability": 0.65}
    loaded = diagnosis_folder.load(folder)
    assert loaded.decision.folds == FOLDS and FOLDS.range == (0.65, 0.75)
    again = tmp_path / "again"
    again.mkdir()
    diagnosis_folder.save_report(again, loaded)
    assert (again / "report.json").read_bytes() == (folder / "report.json").read_bytes()


def test_a_report_without_folds_has_no_such_key_and_is_read(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    assert "folds" not in json.loads((folder / "report.json").read_text())["decision"]
    assert diagnosis_folder.load(folder).decision.folds is None


@pytest.mark.parametrize("folds", [7, {"spread": 0.1}, {"spread": 0.1, "answers": [{"fold": 0}]}, {"answers": []}])
def test_folds_that_are_none_are_refused(tmp_path: Path, folds: object) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    report = json.loads((folder / "report.json").read_text())
    report["decision"]["folds"] = folds
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match="not a whole diagnosis folder"):
        diagnosis_folder.load(folder)


def test_a_spread_of_one_fold_is_none() -> None:
    with pytest.raises(ValueError, match="two folds or more, got 1"):
        FoldAnswers(0.0, FOLDS.answers[:1])


def test_a_decision_is_what_its_record_says() -> None:
    decision = a_diagnosis().decision
    assert Decision.from_record(decision.as_record()) == decision


def test_infection_lies_inside_the_lungs_as_an_overlapping_layer(tmp_path: Path) -> None:
    masks = sitk.ReadImage(_saved(tmp_path / "d", a_diagnosis()) / diagnosis_folder.MASKS)
    layers = sitk.GetArrayFromImage(masks)
    assert layers.shape[-1] == 2
    assert (layers[..., 0][layers[..., 1] == 1] > 0).all()
    assert (layers[..., 1] == 1).sum() == 7 * 7 * 7


def test_the_label_is_a_hundred_times_the_map_and_zero_is_transparent(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    label = sitk.GetArrayFromImage(sitk.ReadImage(folder / diagnosis_folder.DECISION_LABEL))
    a_hat = sitk.GetArrayFromImage(sitk.ReadImage(folder / diagnosis_folder.DECISION_MAP))
    assert label.max() == 100 and label.min() == 0
    assert np.abs(label - 100.0 * a_hat).max() <= 0.5 + 1e-4


def test_the_report_has_the_same_bytes_twice_and_names_the_phantoms(tmp_path: Path) -> None:
    first = (_saved(tmp_path / "a", a_diagnosis()) / "report.json").read_bytes()
    assert first == (_saved(tmp_path / "b", a_diagnosis()) / "report.json").read_bytes()
    assert "twelve synthetic phantoms" in json.loads(first)["notice"]
    assert json.loads(first)["notice"].startswith("Research use only")


def test_every_map_says_what_the_bundle_learned_from(tmp_path: Path) -> None:
    maps = [p for p in _saved(tmp_path / "d", a_diagnosis()).rglob("*.nrrd") if p.name != diagnosis_folder.MASKS]
    assert len(maps) >= 5
    for path in maps:
        notice = sitk.ReadImage(path).GetMetaData("notice")
        assert notice.startswith("Research use only") and "twelve synthetic phantoms" in notice


def test_the_masks_say_whose_they_are(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    card = a_diagnosis().segmentation.segmenter
    notice = sitk.ReadImage(folder / diagnosis_folder.MASKS).GetMetaData("notice")
    assert notice == f"Research use only. Masks by {card.name} {card.version}."


def test_what_a_part_of_a_diagnosis_lacks_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    (folder / diagnosis_folder.MASKS).unlink()
    with pytest.raises(InputError, match=rf"diagnosis folder: without {diagnosis_folder.MASKS} \(see --write"):
        diagnosis_folder.load(folder)


def test_a_missing_map_is_one_clear_line(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "d", a_diagnosis())
    (folder / diagnosis_folder.MEMBER_MAPS / "decision.nrrd").unlink()
    with pytest.raises(InputError, match="not a whole diagnosis folder"):
        diagnosis_folder.load(folder)
