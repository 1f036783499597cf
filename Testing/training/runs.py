"""Runs of a few hand-made cases, so small that a whole cross-validation takes seconds."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs, SegmenterCard
from DualSamplingCOVIDLib.run_folder import RunCase
from DualSamplingCOVIDLib.run_folder.volume import write_volume
from DualSamplingCOVIDLib.training.config import Config
from DualSamplingCOVIDLib.training.cross_validation import train_models
from DualSamplingCOVIDLib.training.run import TrainingRun, load_run, write_cases, write_json

SHAPE = (32, 32, 32)
CONFIG = Config().changed(
    folds=2,
    models=("baseline-us", "attention-ss"),
    grid_shape=SHAPE,
    grid_spacing=(8.0, 8.0, 8.0),
    threads=1,
    width=2,
    epochs=3,
    batch=4,
    micro_batch=2,
    learning_rate=3e-3,
    augmentation="mirror-and-shift",
)
CARD = SegmenterCard("threshold", "1", CutOffs(), 0.0)
CPU = torch.device("cpu")


def a_run(folder: Path, config: Config = CONFIG, cases: int = 12, tests: int = 2) -> TrainingRun:
    """Write a run that has begun: COVID-19 is a bright ball, CAP is none; the last `tests` cases are of no fold."""
    (folder / "cache").mkdir(parents=True)
    rng = np.random.default_rng(7)
    rows = []
    for number in range(cases + tests):
        file = folder / "cache" / f"{number}.npz"
        covid = number % 2 == 0
        image = rng.normal(0.3, 0.05, config.grid_shape).clip(0, 1)
        centre = rng.integers(10, 22, 3)
        squares = [(a - c) ** 2 for a, c in zip(np.indices(config.grid_shape), centre, strict=True)]
        ball = np.sum(squares, axis=0) < 49
        image[ball] += 0.5 * covid
        infection = (ball * covid * 255).astype(np.uint8)
        lungs = np.full(config.grid_shape, 255, np.uint8)
        write_volume(file, image.astype(np.float16), infection, lungs)
        inside = number < cases
        rows.append(
            RunCase(
                case_id=f"case-{number}",
                patient_id=f"patient-{number}",
                label=COVID if covid else CAP,
                site="",
                age="",
                sex="",
                split="" if inside else "test",
                fold=number // 2 % config.folds if inside else None,
                ratio=0.05 if number % 3 else 0.0005,
                stratum="large" if number % 3 else "small",
                image=folder / f"{number}.nii.gz",
                lungs=None,
                infection=None,
                prepared=file,
            )
        )
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    write_cases(folder, rows)
    card = {"name": "threshold", "version": "1", "detection_limit": 0.0}
    card["cut_offs"] = {"minimal": 0.001, "small": 0.005, "large": 0.030}
    grid = {"shape_kji": list(config.grid_shape), "spacing_xyz": list(config.grid_spacing)}
    about = {"schema": 1, "software": {}, "cohort_sha256": "", "grid": grid, "segmenter": card}
    write_json(folder / "run.json", {**about, "models": list(config.models), "folds": config.folds, "notes": []})
    return load_run(folder)


def numbers(folder: Path) -> dict[str, bytes]:
    """Return what a finished run found: weights, predictions and epochs, byte for byte."""
    kept = ("weights.safetensors", "predictions.csv", "epochs.jsonl")
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.name in kept}


def _told(stage: str, fraction: float) -> None:
    print(stage.partition(",")[0], flush=True)


def _say(line: str) -> None:
    print(f"said: {line}", flush=True)


if __name__ == "__main__":
    """Train a run; with a second argument, when so many processes are ready to."""
    begun = load_run(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        (begun.folder / f"ready-{os.getpid()}").touch()
        while len(list(begun.folder.glob("ready-*"))) < int(sys.argv[2]):
            time.sleep(0.01)
    train_models(begun, range(begun.config.folds), CPU, progress=_told, say=_say)
