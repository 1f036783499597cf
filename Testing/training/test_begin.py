"""How a run begins and goes on: what was prepared is reused, and whatever has changed since is noticed."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.phantom import write_cohort
from DualSamplingCOVIDLib.run_folder.volume import stored
from DualSamplingCOVIDLib.segmentation import trained
from DualSamplingCOVIDLib.training.config import read_config
from segmentation.vbnets import a_folder
from training.runs import numbers

CONFIG = """
folds = 2
models = ["attention-us", "attention-ss"]
grid_shape = [32, 32, 32]
grid_spacing = [12.0, 12.0, 12.0]
width = 2
epochs = 1
batch = 4
threads = 1
"""


@pytest.fixture(scope="module")
def a_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 10, seed=5, spacing_mm=(4.0, 4.0, 4.0))
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def _cross_validate(cohort: Path, run: Path, *more: str) -> int:
    arguments = ["cross-validate", str(cohort / "cohort.csv"), "--output", str(run), "--progress", "none"]
    return main([*arguments, "--device", "cpu", "--config", str(cohort / "config.toml"), *more])


@pytest.fixture(scope="module")
def a_run(a_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which the first fold is trained."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    assert _cross_validate(a_cohort, folder, "--fold", "0") == 0
    return folder


@pytest.fixture
def a_copy(a_run: Path, a_cohort: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Cohort and run, to be changed; files keep the time of their change."""
    return Path(shutil.copytree(a_cohort, tmp_path / "cohort")), Path(shutil.copytree(a_run, tmp_path / "run"))


def test_the_folder_of_a_run_is_what_was_agreed(a_run: Path, a_cohort: Path) -> None:
    assert {path.name for path in a_run.iterdir()} == {"config.toml", "run.json", "cases.csv", "cache", "folds"}
    assert read_config(a_run / "config.toml") == read_config(a_cohort / "config.toml")
    about = json.loads((a_run / "run.json").read_text(encoding="utf-8"))
    assert about["schema"] == 1 and about["folds"] == 2 and about["models"] == ["attention-us", "attention-ss"]
    assert about["grid"] == {"shape_kji": [32, 32, 32], "spacing_xyz": [12.0, 12.0, 12.0]}
    assert about["segmenter"]["name"] == "given masks"
    with (a_run / "cases.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        *("case_id", "patient_id", "label", "site", "age", "sex", "split", "fold", "ratio", "stratum"),
        *("image", "lungs", "infection", "prepared"),
    ]
    assert len(rows) == 10
    for row in rows:
        assert (row["fold"] == "") == (row["split"] == "test")
        assert row["infection"] == str(a_cohort / row["case_id"] / "infection.nii.gz")
        masks = [sitk.GetArrayFromImage(sitk.ReadImage(row[name])) > 0 for name in ("infection", "lungs")]
        assert float(row["ratio"]) == pytest.approx(np.sum(masks[0] & masks[1]) / np.sum(masks[1]), rel=1e-6)
        image, infection, lungs = stored(a_run / row["prepared"], "image", "infection", "lungs")
        assert [array.dtype.name for array in (image, infection, lungs)] == ["float16", "uint8", "uint8"]
        assert image.shape == infection.shape == lungs.shape == (32, 32, 32)
        assert (image[lungs == 0] == 0).all()
        assert (infection <= lungs).all() and infection.any()
        assert lungs.sum() / 255 * 12**3 == pytest.approx(masks[1].sum() * 4**3, rel=0.05)
    assert {path.name for path in (a_run / "folds").iterdir()} == {"0"}


def test_a_run_is_not_begun_over_another(a_run: Path, a_cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _cross_validate(a_cohort, a_run) == 3
    assert "holds a run already; add --resume" in capsys.readouterr().err


@pytest.mark.parametrize("exists", [False, True])
def test_there_is_nothing_to_go_on_with_where_no_run_is(
    a_cohort: Path, tmp_path: Path, exists: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "mistyped"
    if exists:
        run.mkdir()
    assert _cross_validate(a_cohort, run, "--resume") == 3
    assert f"{run}: holds no run to go on with" in capsys.readouterr().err
    assert run.exists() == exists and not list(tmp_path.glob("mistyped/*"))


def test_going_on_trains_the_other_fold_and_prepares_nothing_anew(
    a_copy: tuple[Path, Path], a_cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run = a_copy
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert _cross_validate(a_cohort, run, "--resume") == 0
    kept = {path for path in before if path.parent.name == "cache" or path.parent.parent.name == "0"}
    assert all(path.stat().st_mtime_ns == before[path] for path in kept) and len(kept) > 20
    assert len(list((run / "folds").rglob("result.json"))) == 4
    assert len(list((run / "cache").glob("*.npz"))) == 10


def test_a_touched_file_is_read_again_and_found_to_be_the_same(a_copy: tuple[Path, Path]) -> None:
    cohort, run = a_copy
    os.utime(cohort / "phantom-0003" / "ct.nii.gz")
    assert _cross_validate(cohort, run, "--resume", "--fold", "0") == 0
    assert len(list((run / "cache").glob("*.npz"))) == 10


def _other_ct(cohort: Path, run: Path) -> None:
    path = str(cohort / "phantom-0003" / "ct.nii.gz")
    ct = sitk.ReadImage(path)
    ct[0, 0, 0] = ct[0, 0, 0] + 1
    sitk.WriteImage(ct, path)


def _the_same_ct(cohort: Path, run: Path) -> None:
    for name in ("ct", "lungs", "infection"):
        shutil.copy(cohort / "phantom-0004" / f"{name}.nii.gz", cohort / "phantom-0003" / f"{name}.nii.gz")


def _gone(cohort: Path, run: Path) -> None:
    (cohort / "phantom-0003" / "ct.nii.gz").unlink()


def _other_settings(cohort: Path, run: Path) -> None:
    (cohort / "config.toml").write_text(CONFIG.replace("epochs = 1", "epochs = 2"), encoding="utf-8")


def _other_cohort(cohort: Path, run: Path) -> None:
    path = cohort / "cohort.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("site-1", "site-9"), encoding="utf-8")


def _two_labels(cohort: Path, run: Path) -> None:
    path = cohort / "cohort.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    other = next(row for row in rows if row["label"] != rows[0]["label"] and row["split"] == rows[0]["split"])
    path.write_text(path.read_text(encoding="utf-8").replace(other["patient_id"], rows[0]["patient_id"]))


def _patient_in_two_folds(cohort: Path, run: Path) -> None:
    path = run / "cases.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    one, other = (next(row["patient_id"] for row in rows if row["fold"] == fold) for fold in "01")
    path.write_text(path.read_text(encoding="utf-8").replace(f",{one},", f",{other},"))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (_other_ct, "of phantom-0003 have changed since the run was begun"),
        (_the_same_ct, "the cases phantom-0003 and phantom-0004 are the same CT under two patient_ids"),
        (_gone, "image phantom-0003/ct.nii.gz does not exist"),
        (_other_settings, "begun with epochs 1, not 2"),
        (_other_cohort, "cohort.csv has changed since the run was begun"),
        (_two_labels, "cohort.csv has changed since the run was begun"),
        (_patient_in_two_folds, "is in fold 0, but in fold 1"),
    ],
)
def test_what_has_changed_is_named_and_nothing_finished_is_lost(
    a_copy: tuple[Path, Path], change: object, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, run = a_copy
    finished = sorted(run.rglob("result.json"))
    change(cohort, run)  # type: ignore[operator]
    assert _cross_validate(cohort, run, "--resume") == 3
    error = capsys.readouterr().err
    assert cause in error and "Traceback" not in error
    assert sorted(run.rglob("result.json")) == finished


def test_a_run_keeps_the_networks_that_find_its_masks(a_cohort: Path, tmp_path: Path) -> None:
    """A copy that an interrupted beginning left half-written, or of what was there before, is made anew.

    Once the run is begun they are what it goes on with, whatever becomes of those that were named.
    """
    cohort = Path(shutil.copytree(a_cohort, tmp_path / "cohort"))
    given = (cohort / "cohort.csv").read_text(encoding="utf-8")
    held_out = next(row for row in given.splitlines() if row.endswith(",test"))
    unmarked = held_out.replace(f"{held_out.split(',')[0]}/infection.nii.gz", "")
    (cohort / "cohort.csv").write_text(given.replace(held_out, unmarked), encoding="utf-8")
    taught, kept = a_folder(tmp_path / "taught"), tmp_path / "run" / "segmenter"
    shutil.copytree(a_folder(tmp_path / "before", seed=1).folder, kept)
    config = f'{CONFIG}segmenter = "vbnet:{taught.folder}"\n'
    (tmp_path / "run" / "config.toml").write_text(config, encoding="utf-8")
    (kept / "metadata.json").write_text("{")
    options = ("--fold", "0", "--resume", "--segmenter", f"vbnet:{taught.folder}")
    assert _cross_validate(cohort, tmp_path / "run", *options) == 0
    assert (trained.load(kept).fine, trained.load(kept).card) == (taught.fine, taught.card)
    assert {path.name for path in kept.iterdir()} == {path.name for path in taught.folder.iterdir()}
    a_folder(tmp_path / "taught", seed=1)
    assert _cross_validate(cohort, tmp_path / "run", *options) == 0
    assert trained.load(kept).fine == taught.fine


def test_given_lungs_leave_cut_offs_and_limit_to_who_finds_the_infection(
    a_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where only some cases have them, and of normal cases that have none."""
    cohort = Path(shutil.copytree(a_cohort, tmp_path / "cohort"))
    with (cohort / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row["infection"] = ""
        row["lungs"] = row["lungs"] if number % 4 else ""  # half of one class lacks them
    brighter = sitk.ReadImage(str(cohort / rows[1]["image"])) + 3
    sitk.WriteImage(brighter, str(cohort / "healthy.nii.gz"))
    healthy = {"case_id": "healthy", "patient_id": "healthy", "label": "normal", "image": "healthy.nii.gz", "lungs": ""}
    rows.append({**rows[1], **healthy, "split": "train"})
    with (cohort / "cohort.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert _cross_validate(cohort, tmp_path / "run", "--fold", "0", "--segmenter", "threshold") == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert about["segmenter"]["name"] == "threshold"
    assert "1 of 1 normal cases have masks of threshold" in capsys.readouterr().err


def test_networks_that_nobody_asked_are_not_kept(a_cohort: Path, tmp_path: Path) -> None:
    taught = a_folder(tmp_path / "taught")
    options = ("--fold", "0", "--segmenter", f"vbnet:{taught.folder}")
    assert _cross_validate(a_cohort, tmp_path / "run", *options) == 0
    assert not (tmp_path / "run" / "segmenter").exists()


def test_an_unusable_cohort_or_fold_leaves_nothing(
    a_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cross_validate(a_cohort, tmp_path / "run", "--fold", "2") == 3
    assert "--fold 2: the folds are 0 to 1" in capsys.readouterr().err
    assert _cross_validate(a_cohort, tmp_path / "run", "--segmenter", "none") == 3
    assert "unknown segmenter 'none'" in capsys.readouterr().err
    broken = Path(shutil.copytree(a_cohort, tmp_path / "broken"))
    (broken / "phantom-0000" / "lungs.nii.gz").write_bytes(b"no mask")
    assert _cross_validate(broken, tmp_path / "run") == 3
    error = capsys.readouterr().err
    assert "line 2: lungs" in error and "damaged" in error
    assert not (tmp_path / "run").exists()


def test_cases_that_cannot_be_prepared_are_listed_together_and_the_run_goes_on_without_their_lines(
    a_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, run = Path(shutil.copytree(a_cohort, tmp_path / "cohort")), tmp_path / "run"
    for name in ("phantom-0003", "phantom-0007"):  # headers say nothing of it
        ct = sitk.ReadImage(str(cohort / name / "ct.nii.gz"))
        sitk.WriteImage(ct * 0, str(cohort / name / "ct.nii.gz"))
    assert _cross_validate(cohort, run) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    said = [f"line {n + 2}: case phantom-000{n}: {cohort / f'phantom-000{n}'}" for n in (3, 7)]
    assert line.startswith(f"error: {cohort / 'cohort.csv'}: {said[0]}") and f"; {said[1]}" in line
    ready = {path: path.stat().st_mtime_ns for path in (run / "cache").glob("*.npz")}
    assert len(ready) == 8 and not (run / "run.json").exists()
    table = (cohort / "cohort.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (cohort / "cohort.csv").write_text("".join(table[:4] + table[5:8] + table[9:]), encoding="utf-8")
    assert _cross_validate(cohort, run, "--resume", "--fold", "0") == 0
    assert {path: path.stat().st_mtime_ns for path in (run / "cache").glob("*.npz")} == ready


def test_an_interruption_says_how_to_go_on(
    a_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from DualSamplingCOVIDLib.training import begin

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(begin, "prepare_cohort", interrupt)
    assert _cross_validate(a_cohort, tmp_path / "run") == 130
    assert capsys.readouterr().err.endswith("cancelled: what is finished is kept; go on with --resume\n")
    monkeypatch.undo()
    assert _cross_validate(a_cohort, tmp_path / "run", "--resume", "--fold", "1") == 0
    assert len(list((tmp_path / "run").rglob("result.json"))) == 2


def _in_a_process(cohort: Path, run: Path, *more: str, **named: Any) -> subprocess.Popen[str]:
    """Cross-validate in a process of its own."""
    options = ["--output", str(run), "--progress", "none", "--device", "cpu", "--config", str(cohort / "config.toml")]
    command = [sys.executable, "-m", "DualSamplingCOVIDLib", "cross-validate", str(cohort / "cohort.csv"), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([*command, *more], env=environment, stderr=subprocess.PIPE, text=True, **named)


def _await_the_end_of_its_own(session: int) -> None:
    """Wait for the processes of a killed one, which outlive it by what they are writing; some systems keep the dead."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def _ready(run: Path) -> dict[Path, int]:
    """Return when each prepared case was written; one is prepared when its note, which comes last, is there."""
    return {path: path.stat().st_mtime_ns for path in run.glob("cache/[!.]*.npz") if path.with_suffix(".json").exists()}


def test_killed_while_cases_are_prepared_the_numbers_are_those_of_an_undisturbed_run(
    a_cohort: Path, a_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with _in_a_process(a_cohort, run, "--fold", "0", start_new_session=True) as process:
        while process.poll() is None and not _ready(run):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (run / "run.json").exists()
    _await_the_end_of_its_own(process.pid)
    ready = _ready(run)
    assert 0 < len(ready) < 10
    assert _cross_validate(a_cohort, run, "--resume", "--fold", "0") == 0
    assert all(path.stat().st_mtime_ns == before for path, before in ready.items())
    assert numbers(run) == numbers(a_run) and len(numbers(run)) == 6
    assert not list(run.rglob("*.partial*"))


def test_where_the_disk_is_full_while_a_model_trains_the_finished_stay_and_room_is_all_it_takes(
    a_copy: tuple[Path, Path], a_cohort: Path, tmp_path: Path
) -> None:
    cohort, run = a_copy
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.glob("folds/0/**/*") if path.is_file()}
    limit = 50_000  # steps and notes fit, a checkpoint does not

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with _in_a_process(cohort, run, "--resume", preexec_fn=small_files) as process:
        said = process.communicate()[1].splitlines()
    model = run / "folds" / "1" / "attention-us"
    assert process.returncode == 5, said
    assert said[-1] == (
        f"error: {model / 'checkpoint'}: cannot be written: the disk is full; the last checkpoint stays; make room, "
        "and go on with --resume"
    )
    assert (model / "steps.jsonl").stat().st_size > 0 and not list(run.rglob("*.partial*"))
    assert not list(run.rglob("claim.json")) and not list(run.glob("folds/1/*/result.json"))
    assert all((path.stat().st_mtime_ns, path.read_bytes()) == kept for path, kept in before.items())
    whole = Path(shutil.copytree(run, tmp_path / "undisturbed"))
    shutil.rmtree(whole / "folds" / "1")
    for folder in (run, whole):
        assert _cross_validate(cohort, folder, "--resume") == 0
    assert numbers(run) == numbers(whole) and len(numbers(run)) == 12
