"""A cohort that came after a run becomes its test set: `evaluate RUN --test COHORT`."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
import torch

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.cohort import NORMAL, PHANTOM_NOTE, Case, read_cohort, write_cohort_csv
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.phantom import write_cohort
from DualSamplingCOVIDLib.run_folder import MODELS, read_run
from DualSamplingCOVIDLib.training import independent as module
from segmentation.vbnets import a_folder

CONFIG = """
folds = 2
segmenter = "threshold"
grid_shape = [32, 32, 32]
grid_spacing = [12.0, 12.0, 12.0]
width = 2
epochs = 1
batch = 4
micro_batch = 2
threads = 1
"""
TESTS = 6
QUICK = ("--resamples", "40", "--permutations", "10", "--progress", "none", "--device", "cpu")


@pytest.fixture(scope="module")
def a_folder_of_cts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cohort.csv` has all cases, the last ones held out; `later.csv` has those alone, in other splits."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 18, seed=5, spacing_mm=(4.0, 4.0, 4.0))
    cases = read_cohort(folder / "cohort.csv")
    inside, later = cases[:-TESTS], cases[-TESTS:]
    assert {case.label for case in later} == {COVID, CAP}
    held_out = [replace(case, split="test") for case in later]
    write_cohort_csv(folder / "cohort.csv", [replace(case, split="") for case in inside] + held_out)
    splits = ("train", "validation", "test", "", "", "train")
    write_cohort_csv(folder / "later.csv", [replace(c, split=s) for c, s in zip(later, splits, strict=True)])
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def a_run_with_tests(a_folder_of_cts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("with") / "run"
    arguments = ["cross-validate", str(a_folder_of_cts / "cohort.csv"), "--output", str(run)]
    options = ["--config", str(a_folder_of_cts / "config.toml"), "--device", "cpu", "--progress", "none"]
    assert main([*arguments, *options]) == 0
    return run


@pytest.fixture(scope="module")
def a_run(a_run_with_tests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, as if it had never known of its test cases."""
    run = Path(shutil.copytree(a_run_with_tests, tmp_path_factory.mktemp("without") / "run"))
    for case in read_run(run).test:
        case.volume.unlink()
    for table in (run / "cases.csv", *run.glob("folds/*/*/predictions.csv")):
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        table.write_text("".join(line for line in lines if ",test," not in line), encoding="utf-8")
    assert not read_run(run).test
    return run


def _evaluate(run: Path, output: Path, *more: object) -> int:
    return main(["evaluate", str(run), "--output", str(output), *QUICK, *map(str, more)])


def _record(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    return found


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _answers(output: Path) -> list[dict[str, str]]:
    with (output / "cases.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _later(folder: Path, name: str, change: Callable[[list[Case]], Sequence[Case]]) -> Path:
    """Write another cohort of later.csv's cases beside it."""
    cases = list(read_cohort(folder / "later.csv"))
    write_cohort_csv(folder / name, change([replace(case, split="") for case in cases]))
    return folder / name


def test_a_later_cohort_gives_the_figures_of_a_test_split_and_leaves_the_run_as_it_was(
    a_run: Path, a_run_with_tests: Path, a_folder_of_cts: Path, tmp_path: Path
) -> None:
    before = _files(a_run)
    assert _evaluate(a_run_with_tests, tmp_path / "split") == 0
    assert _evaluate(a_run, tmp_path / "later", "--test", a_folder_of_cts / "later.csv") == 0
    split, later = _record(tmp_path / "split"), _record(tmp_path / "later")
    for part in ("tables", "detection", "comparisons", "calibration"):
        assert {row["set"] for row in later[part]} == {"validation", "test"}
        assert later[part] == split[part]
    assert later["uncertainty"] == split["uncertainty"] and later["uncertainty"]["n"] == TESTS
    (row,) = [r for r in later["tables"] if (r["method"], r["set"], r["group"]) == ("attention-ds", "test", "all")]
    assert (row["auc"]["n"], row["auc"]["models"]) == (TESTS, 2)
    assert _answers(tmp_path / "later") == _answers(tmp_path / "split")
    assert split["independent_test"] is None and split["notes"] == later["notes"]
    made, note = split["notes"]
    assert made == PHANTOM_NOTE and note.startswith("Intervals of so few patients are too narrow: 5 with COVID-19")
    after = _files(a_run)
    assert {name: file for name, file in after.items() if not name.startswith("cache/test/")} == before
    assert len([name for name in after if name.endswith(".npz")]) == 12 + TESTS

    again = module.with_test_cohort(read_run(a_run), a_folder_of_cts / "later.csv", torch.device("cpu"))
    assert again.models == read_run(a_run_with_tests).models
    assert _files(a_run) == after  # nothing was prepared again


def test_report_and_model_card_say_whose_test_set_it_is(
    a_run_with_tests: Path, a_folder_of_cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def two_scans(cases: list[Case]) -> list[Case]:
        patient = next(case.patient_id for case in cases[1:] if case.label == cases[0].label)
        return [replace(cases[0], patient_id=patient), *cases[1:]]

    def renamed(cases: list[Case]) -> list[Case]:
        return [replace(case, case_id=f"new-{n}", patient_id=f"one-{n}") for n, case in enumerate(cases)]

    run = Path(shutil.copytree(a_run_with_tests, tmp_path / "run"))
    for case in read_run(run).test:  # other CTs than the cohort's, as far as the run knows
        case.volume.with_suffix(".json").write_text('{"ct": "other"}', encoding="utf-8")
    cohort = _later(a_folder_of_cts, "renamed.csv", lambda cases: two_scans(renamed(cases)))
    assert _evaluate(run, tmp_path / "out", "--test", cohort) == 0
    left = f"The run's own {TESTS} test cases are left out: another cohort is the test set."
    assert f"{left}\n" in capsys.readouterr().err
    record = _record(tmp_path / "out")
    sha256 = record["independent_test"].pop("cohort_sha256")
    assert record["independent_test"] == {"cases": 6, "patients": 5} and record["notes"][:-1] == [PHANTOM_NOTE, left]
    assert {row["case_id"] for row in _answers(tmp_path / "out") if row["set"] == "test"} == {
        f"new-{n}" for n in range(TESTS)
    }
    told = "The test set is an independent cohort (6 CTs of 5 patients) that came after the run"
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count(told) == 2 and sha256 in page and left.replace("'", "&#39;") in page
    assert "renamed.csv" not in page and "one-3" not in page
    assert told in (tmp_path / "out/tables/table2.md").read_text(encoding="utf-8")

    arguments = ["bundle", "export", str(run), "--output", str(tmp_path / "bundle"), "--progress", "none"]
    assert main([*arguments, "--evaluation", str(tmp_path / "out/evaluation.json")]) == 0
    card = (tmp_path / "bundle/README.md").read_text(encoding="utf-8")
    assert f"{told}; the run's own {TESTS} test cases are in no figure." in card
    assert "| test (the run's own, in no figure below) | " in card and "of the test set." not in card
    assert load_bundle(tmp_path / "bundle").evaluation["evaluation"]["independent_test"]["patients"] == 5


def _a_patient(run: Path, cases: list[Case]) -> list[Case]:
    return [*cases[:2], replace(cases[2], patient_id="patient-0003"), *cases[3:]]


def _a_name(run: Path, cases: list[Case]) -> list[Case]:
    return [*cases[:2], replace(cases[2], case_id="phantom-0003"), *cases[3:]]


def _a_ct(run: Path, cases: list[Case]) -> list[Case]:
    """A CT of the run in another format, turned, under another name."""
    copy = cases[0].image.parent / "copy.nrrd"
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(read_run(run).validation[3].image), "RAS"), copy)
    return [*cases, Case("copy", "somebody", copy, CAP)]


def _normals(run: Path, cases: list[Case]) -> list[Case]:
    return [replace(case, label=NORMAL) for case in cases]


def _many_problems(run: Path, cases: list[Case]) -> list[Case]:
    return [
        replace(cases[0], label="flu"),
        cases[1],
        replace(cases[2], image=cases[2].image.parent / "gone"),
        *cases[3:],
    ]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (_a_patient, "the patient 'patient-0003' of case 'phantom-0014' is in the run, in case 'phantom-0003'; an ind"),
        (_a_name, "the run has a case 'phantom-0003' as well: call it otherwise"),
        (_a_ct, "the case 'copy' is the same CT as 'phantom-0003' in the run; an independent test set has nothing of"),
        (_normals, "no cases of COVID-19 or CAP"),
        (
            _many_problems,
            "line 2: label 'flu' is none of COVID-19, CAP, normal; line 4: image phantom-0014/gone does not",
        ),
    ],
)
def test_what_cannot_be_a_test_set_is_one_line_that_names_it(
    a_run: Path,
    a_folder_of_cts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path, list[Case]], list[Case]],
    cause: str,
) -> None:
    cohort = _later(a_folder_of_cts, "refused.csv", lambda cases: change(a_run, cases))
    assert _evaluate(a_run, tmp_path / "out", "--test", cohort) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"error: {cohort}: {cause}") and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_ct_of_the_run_is_known_without_the_runs_cache(
    a_run: Path,
    a_folder_of_cts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run", ignore=shutil.ignore_patterns("cache")))
    monkeypatch.setattr(module, "spread", lambda work, cases, *_: [work(case) for case in cases])
    cohort = _later(a_folder_of_cts, "copied.csv", lambda cases: _a_ct(run, cases))
    assert _evaluate(run, tmp_path / "out", "--test", cohort) == 3
    assert "the case 'copy' is the same CT as 'phantom-0003' in the run" in capsys.readouterr().err


def test_all_cases_of_the_runs_own_cohort_are_counted_and_one_is_named(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(a_run, tmp_path / "out", "--test", a_folder_of_cts / "cohort.csv") == 3
    assert "is in the run, in case 'phantom-0000' (12 such cases in all); an " in capsys.readouterr().err


def test_an_unfinished_run_is_refused_before_anything_is_prepared(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run", ignore=shutil.ignore_patterns("test")))
    (run / "folds/1/attention-us/result.json").unlink()
    assert _evaluate(run, tmp_path / "out", "--test", a_folder_of_cts / "later.csv") == 3
    assert "not finished: folds/1/attention-us" in capsys.readouterr().err
    assert not (run / "cache/test").exists() and not (tmp_path / "out").exists()


def test_weights_that_are_not_the_runs_are_refused(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run"))
    shutil.copy(run / "folds/0/attention-us/weights.safetensors", run / "folds/1/attention-us/weights.safetensors")
    assert _evaluate(run, tmp_path / "out", "--test", a_folder_of_cts / "later.csv") == 4
    said = capsys.readouterr().err
    assert "folds/1/attention-us/weights.safetensors: missing, or not the weights that" in said
    assert not (tmp_path / "out").exists()


def test_normal_cases_are_left_out_and_one_class_will_do(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_cap(cases: list[Case]) -> list[Case]:
        return [replace(case, label=COVID if case.label == COVID else NORMAL) for case in cases]

    cohort = _later(a_folder_of_cts, "no-cap.csv", no_cap)
    covid = sum(case.label == COVID for case in read_cohort(cohort))
    assert _evaluate(a_run, tmp_path / "out", "--test", cohort) == 0
    assert f"{TESTS - covid} normal cases are left out: the networks know COVID-19 and CAP only" in (
        capsys.readouterr().err
    )
    rows = {
        row["method"]: row
        for row in _record(tmp_path / "out")["tables"]
        if (row["set"], row["group"]) == ("test", "all")
    }
    assert (rows["attention-us"]["covid"], rows["attention-us"]["cap"]) == (covid, 0)
    assert rows["attention-us"]["auc"]["value"] is None


def test_attention_is_that_of_the_folds_cases_whatever_the_test_set(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run"))
    assert _evaluate(run, tmp_path / "out", "--attention", "--test", a_folder_of_cts / "later.csv") == 0
    with (tmp_path / "out/attention/attention-maps.csv").open(encoding="utf-8", newline="") as stream:
        measured = {row["case_id"] for row in csv.DictReader(stream)}
    assert measured == {case.case_id for case in read_run(run).validation if case.is_covid}
    assert {row["set"] for row in _record(tmp_path / "out")["tables"]} == {"validation", "test"}


def test_a_cancelled_evaluation_leaves_what_is_prepared_and_no_folder(
    a_run: Path,
    a_folder_of_cts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    run = Path(shutil.copytree(a_run, tmp_path / "run", ignore=shutil.ignore_patterns("test")))
    monkeypatch.setattr(module, "predict", interrupt)
    assert _evaluate(run, tmp_path / "out", "--test", a_folder_of_cts / "later.csv") == 130
    assert capsys.readouterr().err.endswith(
        "cancelled: nothing was written, but maps and prepared cases are kept in the run\n"
    )
    assert not (tmp_path / "out").exists() and len(list((run / "cache/test").glob("*.npz"))) == TESTS


def test_strata_are_by_the_cut_offs_of_the_run(a_run: Path, a_folder_of_cts: Path) -> None:
    run = read_run(a_run)
    low = replace(run.segmenter, cut_offs=CutOffs(1e-6, 2e-6, 3e-6))
    cohort = a_folder_of_cts / "later.csv"
    found = module.with_test_cohort(replace(run, segmenter=low), cohort, torch.device("cpu")).test
    assert [case.stratum for case in found] == ["large"] * TESTS
    usual = {case.stratum for case in module.with_test_cohort(run, cohort, torch.device("cpu")).test}
    assert usual - {"large"}


def test_the_networks_tell_how_far_they_are(a_run: Path, a_folder_of_cts: Path) -> None:
    told: list[tuple[str, float]] = []
    cohort = a_folder_of_cts / "later.csv"
    module.with_test_cohort(read_run(a_run), cohort, torch.device("cpu"), lambda *step: told.append(step))
    steps = [fraction for stage, fraction in told if stage == "asking the networks"]
    assert steps == pytest.approx([n / 18 for n in range(19)])  # six networks, three micro-batches each
    assert ("preparing the cases", 1.0) in told


@pytest.mark.parametrize(("masks", "kept"), [("cohort", True), ("segmenter", True), ("segmenter", False)])
def test_masks_are_found_as_in_the_run(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: str, kept: bool
) -> None:
    run = Path(shutil.copytree(a_run, tmp_path / "run"))
    text = (run / "config.toml").read_text(encoding="utf-8")
    (run / "config.toml").write_text(text.replace('masks = "cohort"', f'masks = "{masks}"'), encoding="utf-8")
    if kept:
        a_folder(run / "segmenter")
    asked: list[Any] = []

    def prepare(*arguments: Any) -> None:
        asked.extend(arguments)
        raise InputError("asked")

    monkeypatch.setattr(module, "prepare_cohort", prepare)
    with pytest.raises(InputError, match="asked"):
        module.with_test_cohort(read_run(run), a_folder_of_cts / "later.csv", torch.device("cpu"))
    cases, grid, name, folder, _, device = asked
    assert {case.lungs is None for case in cases} == {case.infection is None for case in cases} == {masks != "cohort"}
    assert (grid.shape_kji, grid.spacing_xyz) == ((32, 32, 32), (12.0, 12.0, 12.0))
    assert name == (f"vbnet:{run / 'segmenter'}" if kept else "threshold")
    assert (folder, device) == (run / "cache" / "test", "cpu")


def test_what_may_spoil_the_comparison_is_said_and_kept(
    a_run: Path, a_folder_of_cts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP without an infection mask, a run whose own CTs and cache are gone."""

    def one_class(cases: list[Case]) -> list[Case]:
        return [replace(case, infection=None if case.label == CAP else case.infection) for case in cases]

    run = Path(shutil.copytree(a_run, tmp_path / "run"))
    shutil.rmtree(run / "cache")
    table = run / "cases.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("/ct.nii.gz", "/gone.nii.gz"), encoding="utf-8")
    said: list[str] = []
    monkeypatch.setattr(module, "spread", lambda work, cases, *_: [work(case) for case in cases])
    cohort = _later(a_folder_of_cts, "mixed.csv", one_class)
    cap = sum(case.label == CAP for case in read_cohort(cohort))
    found = module.with_test_cohort(read_run(run), cohort, torch.device("cpu"), say=said.append)
    assert [line.removeprefix("warning: ") for line in said] == list(found.notes)[1:]
    made, of_label, of_segmenter, unknown = found.notes
    assert made == PHANTOM_NOTE
    assert f"of the test have goes with their label (COVID-19: {TESTS - cap} with lungs and infection given" in of_label
    assert of_segmenter.startswith(
        f"Test cases have other masks (threshold with given lungs 2 in {cap} of {TESTS}) than"
    )
    assert unknown.startswith("Of 12 of the run's 12 cases neither CT nor prepared volume is there")
    assert {len(model.logits) for model in found.models} == {6 + TESTS} and len(found.models) == 2 * len(MODELS)
