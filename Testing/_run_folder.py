"""Run folders as `cross-validate` writes them, from hand-made logits."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.run_folder import CASE_COLUMNS, MODELS, PREDICTION_COLUMNS
from DualSamplingCOVIDLib.run_folder.volume import write_volume

SHAPE_KJI, SPACING_XYZ = (20, 32, 40), (8.0, 8.0, 14.0)


@dataclass(frozen=True)
class Scan:
    """A case as cases.csv names it; `fold` is None in the test set."""

    case_id: str
    patient_id: str
    covid: bool
    fold: int | None
    ratio: float


Logit = Callable[[int, str, Scan], float]
"""(fold, model, case) -> logit of COVID-19."""


def write_run(
    folder: Path,
    scans: Sequence[Scan],
    logit: Logit,
    folds: int,
    volumes: bool = False,
    cut_offs: CutOffs | None = None,
    grid: GridSpec | None = None,
    detection_limit: float = 0.0,
    notes: Sequence[str] = (),
    segmenter: tuple[str, str] = ("threshold", "1"),
) -> Path:
    """Write a finished run; with `volumes` each case has a prepared volume."""
    folder.mkdir(parents=True)
    cut_offs, grid = cut_offs or CutOffs(), grid or GridSpec(SHAPE_KJI, SPACING_XYZ)
    name, version = segmenter
    made_by = {"name": name, "version": version, "cut_offs": vars(cut_offs), "detection_limit": detection_limit}
    card = {
        "schema": 1,
        "software": {"torch": "2.13.0", "numpy": "2.4.6"},
        "cohort_sha256": "ab" * 32,
        "grid": {"shape_kji": grid.shape_kji, "spacing_xyz": grid.spacing_xyz},
        "segmenter": made_by,
        "models": list(MODELS),
        "folds": folds,
        "notes": list(notes),
    }
    (folder / "run.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CASE_COLUMNS)
        for scan in scans:
            prepared = f"cache/{scan.case_id}.npz" if volumes else ""
            if volumes:
                _write_volume(folder / prepared, scan)
            writer.writerow(
                [scan.case_id, scan.patient_id, COVID if scan.covid else CAP, "site", "50", "F",
                 "test" if scan.fold is None else "", "" if scan.fold is None else scan.fold, repr(scan.ratio),
                 cut_offs.stratum(scan.ratio), f"ct/{scan.case_id}.nii.gz", "", "", prepared]
            )  # fmt: skip
    for fold in range(folds):
        for model in MODELS:
            place = folder / "folds" / str(fold) / model
            place.mkdir(parents=True)
            with (place / "predictions.csv").open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(PREDICTION_COLUMNS)
                for scan in scans:
                    if scan.fold in (fold, None):
                        x = float(logit(fold, model, scan))
                        name = "test" if scan.fold is None else "validation"
                        writer.writerow([scan.case_id, name, repr(x), repr(1 / (1 + math.exp(-x)))])
            (place / "result.json").write_text("{}", encoding="utf-8")
    return folder


def scans_of(patients: int, folds: int, test_patients: int = 0, seed: int = 0, most_scans: int = 3) -> list[Scan]:
    """Return patients of both classes with 1 to `most_scans` scans; COVID-19 has the larger infections, as a rule."""
    rng = np.random.default_rng(seed)
    scans = []
    for patient in range(patients + test_patients):
        covid = patient % 2 == 0
        fold = (patient // 2) % folds if patient < patients else None
        for number in range(int(rng.integers(1, most_scans + 1))):
            ratio = float(np.clip(rng.lognormal(-3.4 if covid else -5.2, 1.3), 0, 0.6)) * float(rng.random() > 0.03)
            scans.append(Scan(f"p{patient:03}-{number}", f"p{patient:03}", covid, fold, round(ratio, 6)))
    return scans


def noisy_logits(scans: Sequence[Scan], seed: int = 0) -> Logit:
    """Return networks that share most of their errors; attention is better than the baseline."""
    rng = np.random.default_rng(seed)
    patients = {scan.patient_id: rng.normal() for scan in scans}
    shared = {scan.case_id: 1.4 * patients[scan.patient_id] + 0.8 * rng.normal() for scan in scans}
    skill = dict(zip(MODELS, (1.3, 2.2, 2.0), strict=True))
    own = {(fold, model, scan.case_id): rng.normal() for fold in range(10) for model in MODELS for scan in scans}

    def logit(fold: int, model: str, scan: Scan) -> float:
        evidence = skill[model] if scan.covid else -skill[model]
        return evidence + shared[scan.case_id] + 0.7 * own[fold, model, scan.case_id]

    return logit


def _write_volume(path: Path, scan: Scan) -> None:
    """Write two lungs with a lesion whose size follows the ratio, on the network grid."""
    path.parent.mkdir(exist_ok=True)
    k, j, i = np.indices(SHAPE_KJI)
    at = (k - 10) / 8, (j - 16) / 10

    def lung(centre: int) -> np.ndarray:
        return at[0] ** 2 + at[1] ** 2 + ((i - centre) / 7) ** 2 <= 1

    lungs = lung(10) | lung(29)
    size = 6 * scan.ratio ** (1 / 3)
    lesion = (((k - 7) / 2.2) ** 2 + ((j - 22) / 3) ** 2 + ((i - 29) / 3) ** 2 <= size**2) & lungs
    if not scan.ratio:
        lesion[:] = False
    image = np.where(lesion, 0.85, 0.35) + np.random.default_rng(3).normal(0, 0.03, SHAPE_KJI)
    write_volume(
        path,
        image=np.clip(np.where(lungs, image, 0), 0, 1).astype(np.float16),
        infection=(255 * lesion).astype(np.uint8),
        lungs=(255 * lungs).astype(np.uint8),
    )
