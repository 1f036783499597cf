"""What a reader leaves beside a run, and the maps of one of its cases: the command `review`."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from _run_folder import noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib import diagnosis_folder
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.commands.review import diagnose
from DualSamplingCOVIDLib.errors import BundleError, InputError, ResourceError
from DualSamplingCOVIDLib.evaluation.cases import judge, judge_run
from DualSamplingCOVIDLib.evaluation.methods import PAPER_METHODS, case_sets
from DualSamplingCOVIDLib.review_folder import AGREE, FLAG, Opinion, Opinions, case_folder
from DualSamplingCOVIDLib.run_folder import read_run
from DualSamplingCOVIDLib.segmentation import ThresholdSegmenter
from panel import reviewed_run as runs

CARD = ThresholdSegmenter().card


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_run(tmp_path_factory.mktemp("review") / "run", kept=(0, 20))


def test_answers_are_those_of_the_evaluation(tmp_path: Path) -> None:
    scans = scans_of(24, folds=3, test_patients=8, seed=2)
    run = read_run(write_run(tmp_path / "run", scans, noisy_logits(scans), 3))
    evaluated = {one.case.case_id: one for cases in case_sets(run)[:2] for one in judge(cases)}
    reviewed = judge_run(run)
    assert len(reviewed) == len(evaluated) == len(scans)
    for one in reviewed:
        expected = evaluated[one.case.case_id]
        assert one.probabilities == {method: expected.probabilities[method] for method in PAPER_METHODS}
        assert (one.right, one.networks_disagree) == (expected.right, expected.networks_disagree)


def test_answers_need_no_torch_and_no_scikit_learn(a_run: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from DualSamplingCOVIDLib.evaluation.cases import judge_run
from DualSamplingCOVIDLib.run_folder import read_run
print(len(judge_run(read_run(Path({str(a_run)!r})))))
assert not {{"torch", "sklearn", "skimage", "matplotlib"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == str(runs.CASES), done.stderr


def test_the_maps_are_of_the_cases_own_fold_and_the_decision_is_the_runs(a_run: Path) -> None:
    found = diagnosis_folder.load(a_run / "review" / runs.name(0))
    judged = judge_run(read_run(a_run))[0]
    assert [(m.name, m.fold) for m in found.members] == [
        (name, 0) for name in ("baseline-us", "attention-us", "attention-ss")
    ]
    assert found.decision.probability == pytest.approx(judged.probability, abs=1e-5)
    assert found.decision.weight == 0.35 and found.decision.answer == judged.answer
    assert {finding.code for finding in found.findings} >= {"other-probability", "other-ratio"}  # both are made up
    ct = sitk.ReadImage(a_run / "ct-0.nrrd")
    assert found.segmentation.infection.GetSize() == ct.GetSize()
    given = sitk.GetArrayFromImage(sitk.ReadImage(a_run / "infection-0.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(found.segmentation.infection), given)
    assert found.attention.GetSize() == (9, 9, 9)


def test_a_run_of_the_segmenters_masks_is_reviewed_with_those(a_run: Path, tmp_path: Path) -> None:
    run = runs.copied(a_run, tmp_path)
    text = (run / "config.toml").read_text(encoding="utf-8")
    assert 'masks = "cohort"' in text
    (run / "config.toml").write_text(text.replace('masks = "cohort"', 'masks = "segmenter"'), encoding="utf-8")
    arguments = ["review", str(run), "--case", runs.name(0), "--output", str(tmp_path / "out"), "--progress", "none"]
    assert main([*arguments, "--device", "cpu"]) == 0
    found = sitk.GetArrayFromImage(diagnosis_folder.load(tmp_path / "out").segmentation.infection)
    given = sitk.GetArrayFromImage(sitk.ReadImage(run / "infection-0.nrrd"))
    assert found.any() and not np.array_equal(found, given)


@pytest.mark.parametrize(
    ("masks", "name", "version", "told"),
    [
        ("cohort", "vbnet", "9", False),  # nobody was asked
        ("segmenter", "threshold", CARD.version, False),
        ("segmenter", "given masks and threshold", "9", False),
        ("segmenter", "threshold", "9", True),
        ("segmenter", "vbnet", CARD.version, True),
    ],
)
def test_masks_of_another_segmenter_than_the_runs_are_told(
    a_run: Path, tmp_path: Path, masks: str, name: str, version: str, told: bool
) -> None:
    run = runs.copied(a_run, tmp_path)
    text = (run / "config.toml").read_text(encoding="utf-8")
    (run / "config.toml").write_text(text.replace('masks = "cohort"', f'masks = "{masks}"'), encoding="utf-8")
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    about["segmenter"].update(name=name, version=version)
    (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
    found = diagnose(read_run(run), runs.name(0), "cpu")
    texts = [finding.message for finding in found.findings if finding.code == "other-segmenter"]
    assert texts == (
        [f"the masks are of threshold {CARD.version}, those of the run of {name} {version}"] if told else []
    )
    if masks == "segmenter":
        assert (found.segmentation.segmenter.name, found.segmentation.segmenter.version) == ("threshold", CARD.version)


def test_a_test_case_is_answered_by_every_fold(a_run: Path) -> None:
    found = diagnosis_folder.load(a_run / "review" / runs.name(20))
    assert [member.fold for member in found.members] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("case", "told"),
    [("case-99", "has no case 'case-99' of a class"), (runs.name(runs.GONE), "gone.nrrd")],
)
def test_what_cannot_be_used_is_one_line(a_run: Path, tmp_path: Path, capsys, case: str, told: str) -> None:
    arguments = ["review", str(a_run), "--case", case, "--output", str(tmp_path / "out"), "--progress", "none"]
    assert main(arguments) == 3
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said and not (tmp_path / "out").exists()


def test_overwrite_does_not_replace_what_analyze_wrote(a_run: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "analysed"
    folder.mkdir()
    for name in ("report.json", "run.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    arguments = ["review", str(a_run), "--case", runs.name(0), "--output", str(folder), "--overwrite"]
    assert main([*arguments, "--device", "cpu", "--progress", "none"]) == 3
    assert "written by analyze or report; --overwrite replaces only what this command wrote" in capsys.readouterr().err
    assert {file.name for file in folder.iterdir()} == {"report.json", "run.json"}


def test_weights_that_the_run_did_not_leave_are_not_asked(a_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run"))
    of_fold = [run / "folds" / str(fold) / "attention-us" / "weights.safetensors" for fold in range(2)]
    shutil.copy(of_fold[1], of_fold[0])
    with pytest.raises(BundleError, match="not the weights that result"):
        diagnose(read_run(run), runs.name(0), "cpu")


def test_opinions_come_back(tmp_path: Path) -> None:
    opinions = Opinions(tmp_path)
    opinions.read()
    assert opinions.of("a").is_empty
    opinions.save(Opinion("a", AGREE, 'with "quotes", and commas'))
    opinions.save(Opinion("b", FLAG))
    opinions.save(Opinion("a", "", "second thoughts"))
    again = Opinions(tmp_path)
    again.read()
    assert (again.of("a").opinion, again.of("a").comment) == ("", "second thoughts")
    assert again.of("b").opinion == FLAG and again.of("b").time.endswith("Z")
    with (tmp_path / "review.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["case_id"] for row in csv.DictReader(stream)] == ["a", "b"]
    assert {path.name for path in tmp_path.iterdir()} == {"review.csv", ".review.csv.lock"}


def test_what_cannot_be_written_is_saved_with_the_next(tmp_path: Path) -> None:
    opinions = Opinions(tmp_path / "share")
    opinions.read()
    with pytest.raises(ResourceError, match="cannot be written"):
        opinions.save(Opinion("a", FLAG))
    assert opinions.unsaved == ("a",) and opinions.of("a").opinion == FLAG
    (tmp_path / "share").mkdir()
    opinions.save(Opinion("b", AGREE))
    again = Opinions(tmp_path / "share")
    again.read()
    assert again.of("a").opinion == FLAG and again.of("b").opinion == AGREE and not opinions.unsaved


def test_a_row_that_somebody_else_changed_is_not_overwritten(tmp_path: Path) -> None:
    mine, theirs = Opinions(tmp_path), Opinions(tmp_path)
    mine.save(Opinion("a", AGREE))
    theirs.read()
    theirs.save(Opinion("a", FLAG, "look again"))
    theirs.save(Opinion("b", FLAG))
    with pytest.raises(InputError, match="somebody has changed what it says of a;"):
        mine.save(Opinion("a", AGREE, "no"))
    assert mine.of("a").comment == "look again"
    mine.save(Opinion("c", AGREE))  # other rows are no quarrel
    theirs.read()
    assert theirs.of("b").opinion == FLAG and theirs.of("c").opinion == AGREE and theirs.of("a").comment == "look again"


def test_reading_again_forgets_nothing_that_is_still_to_be_saved(tmp_path: Path) -> None:
    mine, theirs = Opinions(tmp_path), Opinions(tmp_path)
    mine.read()
    (tmp_path / "review.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        mine.save(Opinion("a", FLAG))
    (tmp_path / "review.csv").rmdir()
    theirs.save(Opinion("a", AGREE))
    theirs.save(Opinion("b", AGREE))
    mine.read()
    assert mine.of("a").opinion == FLAG and mine.of("b").opinion == AGREE
    with pytest.raises(InputError, match="somebody has changed what it says of a;"):
        mine.save_rest()
    assert mine.of("a").opinion == AGREE and not mine.unsaved


@pytest.mark.parametrize("case_id", ["", "..", "a/b", "a\\b", "c:d"])
def test_a_case_that_names_no_folder_is_refused(tmp_path: Path, case_id: str) -> None:
    with pytest.raises(InputError, match="cannot name a folder"):
        case_folder(tmp_path, case_id)
