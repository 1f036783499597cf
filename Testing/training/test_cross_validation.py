"""A cross-validation is trained once, whatever interrupts it, and its numbers are those of an undisturbed one."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from DualSamplingCOVIDLib import weights
from DualSamplingCOVIDLib.errors import InputError, ResourceError
from DualSamplingCOVIDLib.network.device import has_bfloat16
from DualSamplingCOVIDLib.run_folder import RunProgress, read_json
from DualSamplingCOVIDLib.training import recorded
from DualSamplingCOVIDLib.training.cross_validation import train_models
from DualSamplingCOVIDLib.training.fit import Step, predict
from DualSamplingCOVIDLib.training.prepared import PreparedDataset
from DualSamplingCOVIDLib.training.recorded import RecordedTrainer
from training.runs import CONFIG, CPU, a_run, numbers

MODELS = [(fold, model) for fold in range(2) for model in CONFIG.models]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train_models(a_run(folder), range(2), CPU)
    return folder


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_model_of_every_fold_leaves_what_the_run_folder_promises(undisturbed: Path) -> None:
    for fold, model in MODELS:
        folder = undisturbed / "folds" / str(fold) / model
        names = {path.name for path in folder.iterdir() if "tfevents" not in path.name}
        assert names == {"steps.jsonl", "epochs.jsonl", "weights.safetensors", "result.json", "predictions.csv"}
        steps, epochs = _lines(folder / "steps.jsonl"), _lines(folder / "epochs.jsonl")
        assert [(step["epoch"], step["step"]) for step in steps] == [(e, s) for e in range(3) for s in range(2)]
        assert set(steps[0]) == set(Step._fields)
        assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
        assert all(math.isfinite(value) for line in steps + epochs for value in line.values())
        result = read_json(folder / "result.json")
        assert result["best"] == max(epochs, key=lambda epoch: (epoch["validation_auc"], -epoch["validation_loss"]))
        weights.check_hash(folder / "weights.safetensors", result["sha256"])
        assert (result["device"], result["threads"]) == ("CPU", 1) and result["software"]["torch"] == torch.__version__
        assert (result["arithmetic"], result["begun_with"]) == ("bfloat16" if has_bfloat16(CPU) else "float32", {})
        scalars = [path.name for path in folder.glob("events.out.tfevents.*")]
        assert scalars and all(re.fullmatch(r"events\.out\.tfevents\.\d+\.0", name) for name in scalars)
        assert result["settings"]["sampling"] == model[-2:].upper() and result["seconds"] >= 0
        assert (result["size_balanced_groups"] is None) == model.endswith("us")


def test_the_state_of_a_finished_run_is_what_its_models_results_say(undisturbed: Path) -> None:
    progress = RunProgress(undisturbed)
    assert progress.is_finished and [(one.fold, one.model) for one in progress.models] == list(MODELS)
    for one in progress.models:
        assert len(one.epochs) == progress.plan.epochs == 3 and one.best is not None
        result = read_json(undisturbed / "folds" / str(one.fold) / one.model / "result.json")
        assert one.best._asdict() == result["best"]


def test_predictions_are_of_the_folds_own_cases_and_of_all_test_cases(undisturbed: Path) -> None:
    seen: dict[str, int] = {}
    for fold in range(2):
        with (undisturbed / "folds" / str(fold) / "attention-ss" / "predictions.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            assert float(row["probability"]) == pytest.approx(1 / (1 + math.exp(-float(row["logit"]))))
        for row in rows:
            if row["set"] == "validation":
                assert row["case_id"] not in seen
                seen[row["case_id"]] = fold
        assert [row["case_id"] for row in rows if row["set"] == "test"] == ["case-12", "case-13"]
    assert len(seen) == 12


def test_predictions_are_those_of_the_weights_that_were_kept(undisturbed: Path) -> None:
    from DualSamplingCOVIDLib.network.resnet import ResNet34
    from DualSamplingCOVIDLib.training.run import load_run

    run = load_run(undisturbed)
    folder = run.model_folder(1, "attention-ss")
    network = ResNet34(2)
    network.load_state_dict(weights.read(folder / "weights.safetensors"))
    logits = predict(network, PreparedDataset(run.split(1)[1]), 2, CPU)
    with (folder / "predictions.csv").open(encoding="utf-8") as stream:
        stored = [float(row["logit"]) for row in csv.DictReader(stream) if row["set"] == "validation"]
    assert logits.tolist() == pytest.approx(stored, abs=1e-5)


def test_killed_at_ten_random_moments_the_numbers_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    """In processes of their own, ended by SIGKILL."""
    undisturbed = tmp_path / "undisturbed"
    config = CONFIG.changed(epochs=8)
    train_models(a_run(undisturbed, config), range(2), CPU)
    rng = random.Random(11)
    kills = 0
    while kills < 10:  # on a quick computer a run may end before
        folder = tmp_path / f"run-{kills}"
        a_run(folder, config)
        kills += _trained_over_kills(folder, 10 - kills, rng)
        assert numbers(folder) == numbers(undisturbed)
        for steps in undisturbed.rglob("steps.jsonl"):
            assert _without_speed(folder / steps.relative_to(undisturbed)) == _without_speed(steps)
        left = {path.name for path in folder.rglob("*")} & {"checkpoint", "claim.json"}
        assert not left and not list(folder.rglob("*.partial*"))
    assert kills == 10


def _trained_over_kills(folder: Path, most: int, rng: random.Random) -> int:
    """Train a run to its end, killed at random moments, so often at most; return how often it was."""
    command = [sys.executable, "-m", "training.runs", str(folder)]
    path = [str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    kills, finished = 0, {}
    while True:
        process = subprocess.Popen(command, env=environment)
        began = _size(folder)
        while process.poll() is None and _size(folder) == began:  # until it writes
            time.sleep(0.01)
        try:
            process.wait(rng.uniform(0.0, 0.4) if kills < most else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        status = process.wait()
        for result in folder.rglob("result.json"):
            assert finished.setdefault(result, result.stat().st_mtime_ns) == result.stat().st_mtime_ns
        if status == 0:
            return kills
        assert status == -signal.SIGKILL
        kills += 1


def _size(folder: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_size for path in sorted(folder.glob("folds/*/*/*")) if path.exists())


def _without_speed(path: Path) -> list[dict[str, float]]:
    return [{key: value for key, value in line.items() if key != "samples_per_second"} for line in _lines(path)]


@pytest.mark.parametrize("after", [0.01, 0.34, 0.5, 0.99])
def test_an_interruption_repeats_one_epoch_at_most_and_no_finished_model(
    tmp_path: Path, after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path / "run")
    seen: list[tuple[str, int]] = []
    ended = RecordedTrainer.step_ended

    def step_ended(self: RecordedTrainer, step: Step) -> None:
        seen.append((str(self.folder), step.epoch))
        ended(self, step)

    def interrupt(stage: str, fraction: float) -> None:
        if "fold 0 attention-ss" in stage and fraction >= after:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecordedTrainer, "step_ended", step_ended)
    with pytest.raises(KeyboardInterrupt):
        train_models(run, [0], CPU, progress=interrupt)
    before = len(seen)
    assert run.is_finished(0, "baseline-us") and not run.is_finished(0, "attention-ss")
    models = RunProgress(run.folder).models
    assert [model.is_finished for model in models] == [True, False, False, False]
    assert [bool(model.steps) for model in models] == [True, True, False, False]
    train_models(run, [0], CPU)
    assert all(folder.endswith("attention-ss") for folder, _ in seen[before:])
    repeated = {epoch for _, epoch in seen[before:]} & {epoch for f, epoch in seen[:before] if f == seen[-1][0]}
    assert len(repeated) <= 1
    steps = _lines(Path(seen[-1][0]) / "steps.jsonl")
    assert [(step["epoch"], step["step"]) for step in steps] == [(e, s) for e in range(3) for s in range(2)]


def _interrupted(folder: Path) -> Path:
    """Leave a run whose first model stands after its first epoch; return its checkpoint."""

    def interrupt(stage: str, fraction: float) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    run = a_run(folder)
    with pytest.raises(KeyboardInterrupt):
        train_models(run, [0], CPU, progress=interrupt)
    return folder / "folds" / "0" / "baseline-us" / "checkpoint"


def test_a_sitting_with_other_threads_is_warned_of_and_one_with_the_same_is_not(tmp_path: Path) -> None:
    from DualSamplingCOVIDLib.training.run import load_run

    folder = tmp_path / "run"
    checkpoint = _interrupted(folder)
    sitting = torch.load(checkpoint, weights_only=True)["sitting"]
    assert (sitting["threads"], sitting["compile"], sitting["device"]) == (1, 0, "CPU")
    said: dict[int, list[str]] = {1: [], 2: []}

    def interrupt(stage: str, fraction: float) -> None:
        raise KeyboardInterrupt

    def say(threads: int, line: str) -> None:
        said[threads].append(line)
        raise KeyboardInterrupt

    for threads in (2, 1):
        run = load_run(folder)
        run = replace(run, config=run.config.changed(threads=threads))
        with pytest.raises(KeyboardInterrupt):
            train_models(run, [0], CPU, progress=interrupt, say=partial(say, threads))
    assert said[1] == []
    assert said[2] == [
        "warning: model 1 of 2: fold 0 baseline-us was begun with threads 1, not 2: its numbers may differ from an "
        "undisturbed run's"
    ]


def test_a_sitting_on_another_device_or_in_other_arithmetic_is_warned_of_and_kept(tmp_path: Path) -> None:
    from DualSamplingCOVIDLib.training.run import load_run

    folder = tmp_path / "run"
    checkpoint = _interrupted(folder)
    state = torch.load(checkpoint, weights_only=True)
    torch.save({**state, "sitting": {**state["sitting"], "device": "NVIDIA H100", "arithmetic": "float16"}}, checkpoint)
    said: list[str] = []
    train_models(load_run(folder), [0], CPU, say=said.append)
    assert len(said) == 1 and "was begun with device NVIDIA H100, not CPU and arithmetic float16, not" in said[0]
    result = read_json(folder / "folds" / "0" / "baseline-us" / "result.json")
    assert result["begun_with"] == {"device": "NVIDIA H100", "arithmetic": "float16"} and result["device"] == "CPU"


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _of_other_settings(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    torch.save({**state, "settings": {**state["settings"], "epochs": 9}}, path)


class _Code:
    """Leaves a file beside the checkpoint where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path.with_name("was-run"),)


def _code(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "more": _Code(path)}, path)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (_cut_short, "damaged or no checkpoint"),
        (_code, "damaged or no checkpoint"),
        (_of_other_settings, "other settings"),
    ],
)
def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path: Path, damage: object, cause: str) -> None:
    checkpoint = _interrupted(tmp_path / "run")
    damage(checkpoint)  # type: ignore[operator]
    from DualSamplingCOVIDLib.training.run import load_run

    with pytest.raises(InputError, match=cause) as caught:
        train_models(load_run(tmp_path / "run"), [0], CPU)
    text = str(caught.value)
    assert str(checkpoint) in text and text.endswith("delete it to train this model anew") and "\n" not in text
    assert not checkpoint.with_name("was-run").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_is_said_and_the_last_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = _interrupted(tmp_path / "run")
    before = checkpoint.read_bytes()
    monkeypatch.setattr(recorded, "write_whole", lambda file, write: write(Path("/dev/full")))
    from DualSamplingCOVIDLib.training.run import load_run

    with pytest.raises(ResourceError, match="checkpoint: cannot be written: the disk is full"):
        train_models(load_run(tmp_path / "run"), [0], CPU)
    assert checkpoint.read_bytes() == before


def test_a_prepared_case_that_is_gone_is_named_and_what_was_finished_stays(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    from DualSamplingCOVIDLib.training.run import load_run

    shutil.rmtree(folder / "folds" / "1" / "attention-ss")
    (folder / "cache" / "3.npz").unlink()
    with pytest.raises(InputError, match=r"3\.npz: the prepared case case-3 is gone; start again"):
        train_models(load_run(folder), range(2), CPU)
    assert (folder / "folds/1/baseline-us/result.json").exists()
    shutil.copy(undisturbed / "cache" / "3.npz", folder / "cache" / "3.npz")
    train_models(load_run(folder), range(2), CPU)
    assert numbers(folder) == numbers(undisturbed)


def test_memory_does_not_grow_over_the_epochs(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", CONFIG.changed(epochs=24, models=("attention-us",)))
    resident: list[int] = []

    def note(stage: str, fraction: float) -> None:
        if math.isclose(fraction * 24 % 1, 0, abs_tol=1e-6):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * os.sysconf("SC_PAGESIZE") // 2**20)

    train_models(run, [0], CPU, progress=note)
    print(f"resident over 24 epochs: {resident[5]} to {resident[-1]} MB")
    assert resident[-1] - resident[5] <= 8


def test_scalars_go_to_tensorboard_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with the writer's documented interface."""
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, log_dir: str, purge_step: int) -> None:
            written.append((log_dir, 0.0, purge_step))

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

        def close(self) -> None:
            written.append(("closed", 0.0, 0))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(recorded, "has_tensorboard", lambda: True)
    run = a_run(tmp_path / "run", CONFIG.changed(models=("attention-us",)))
    train_models(run, [0], CPU)
    folder = run.model_folder(0, "attention-us")
    assert written[0] == (str(folder), 0.0, 0) and written[-1][0] == "closed"
    lines = _lines(folder / "steps.jsonl")
    assert [w[1:] for w in written if w[0] == "training/bce"] == [(line["bce"], n) for n, line in enumerate(lines)]
    assert [w[2] for w in written if w[0] == "validation/auc"] == [2, 4, 6]
