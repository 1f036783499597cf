"""Whole cohorts of phantoms: drawn with the paper's mix of classes and infection ratios, written with a manifest."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..cohort import NORMAL, PHANTOMS, Case, write_cohort_csv
from ..diagnosis import CAP, COVID
from ..parallel import spread
from ..progress import Progress, silent
from ..storage import write_text
from .generate import STRATA, Strata, draw_ratio, make_phantom
from .variety import FULL, Variety

SPLITS = ("train", "validation", "test", "train", "train")
NOTICE = "Computer-made phantoms, of no patient."


@dataclass(frozen=True)
class PlannedCase:
    """One phantom to be made: `make_phantom(seed, label, ratio=ratio)`; `ratio` is None for normal lungs."""

    case_id: str
    patient_id: str
    seed: int
    label: str
    ratio: float | None
    site: str
    age: int
    sex: str
    split: str


def draw_case(seed: int) -> tuple[str, float]:
    """Draw a label (COVID-19 or CAP, equally likely) and its infection ratio (Table III, TV set)."""
    rng = np.random.default_rng([seed, 0])
    label = COVID if rng.random() < 0.5 else CAP
    return label, draw_ratio(label, rng)


def cohort_plan(cases: int, seed: int, normals: float = 0.0, strata: Strata = STRATA) -> tuple[PlannedCase, ...]:
    """Plan a cohort: `normals` of the cases have no disease, half of the others COVID-19, half CAP.

    The ratios' `strata` follow Table III (TV set), or another mix, as closely as whole cases can. Of each label one
    case in five is in the split "test", one in "validation", the others in "train". The same arguments give the same
    plan.

    Raises:
        ValueError: `cases` below 1, or `normals` outside [0, 1].
    """
    if cases < 1 or not 0 <= normals <= 1:
        raise ValueError(f"a cohort needs at least one case and normals in [0, 1], got {cases} and {normals}")
    rng = np.random.default_rng([seed, 8])
    healthy = round(cases * normals)
    covid = (cases - healthy + 1) // 2
    contents: list[tuple[str, float | None]] = [(NORMAL, None)] * healthy
    for label, amount in ((COVID, covid), (CAP, cases - healthy - covid)):
        contents += _stratified(label, strata[label], amount, rng)
    seeds = rng.choice(2**31 - 1, cases, replace=False)
    order = rng.permutation(cases)
    splits = {label: itertools.cycle(SPLITS) for label in (COVID, CAP, NORMAL)}
    return tuple(
        _planned(number, int(seeds[number]), contents[which], next(splits[contents[which][0]]), rng)
        for number, which in enumerate(order)
    )


def _stratified(
    label: str, strata: tuple[tuple[float, float, int], ...], amount: int, rng: np.random.Generator
) -> list[tuple[str, float | None]]:
    """Draw `amount` ratios of a label, each stratum with its share (largest remainders)."""
    shares = np.array([count for _, _, count in strata], float)
    exact = amount * shares / shares.sum()
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: amount - counts.sum()]] += 1
    return [
        (label, float(np.exp(rng.uniform(np.log(low), np.log(high)))))
        for (low, high, _), count in zip(strata, counts, strict=True)
        for _ in range(count)
    ]


def _planned(
    number: int, seed: int, content: tuple[str, float | None], split: str, rng: np.random.Generator
) -> PlannedCase:
    label, ratio = content
    return PlannedCase(
        case_id=f"phantom-{number:04d}",
        patient_id=f"patient-{number:04d}",
        seed=seed,
        label=label,
        ratio=ratio,
        site=f"site-{rng.integers(1, 5)}",
        age=int(np.clip(rng.normal(50, 15), 18, 90)),
        sex=str(rng.choice(["F", "M"])),
        split=split,
    )


def write_cohort(
    folder: Path,
    cases: int,
    seed: int,
    progress: Progress = silent,
    normals: float = 0.0,
    spacing_mm: tuple[float, float, float] | None = None,
    variety: Variety = FULL,
    strata: Strata = STRATA,
) -> tuple[PlannedCase, ...]:
    """Write a cohort: `<case>/ct.nii.gz`, `lungs.nii.gz` (1 right, 2 left), `infection.nii.gz`, and `cohort.csv`.

    `phantoms.json` beside it says that they are computer-made, which a run, its report and its bundle then say too.
    Two processes share the work; paths in the manifest are relative to `folder`. `spacing_mm` (x, y, z) makes all CTs
    alike, else each draws its own; `variety` is what they may show, `strata` as in `cohort_plan`. Returns the plan.
    """
    plan = cohort_plan(cases, seed, normals, strata)
    folder.mkdir(parents=True, exist_ok=True)
    spread(partial(write_case, folder, spacing_mm=spacing_mm, variety=variety), plan, "phantoms", progress, processes=2)
    write_text(folder / PHANTOMS, json.dumps({"notice": NOTICE, "seed": seed, "cases": cases}, indent=2) + "\n")
    write_cohort_csv(folder / "cohort.csv", (_written(folder, case) for case in plan))
    return plan


def write_case(
    folder: Path,
    case: PlannedCase,
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    variety: Variety = FULL,
) -> None:
    """Make one planned phantom and write its three images into `folder / case_id`."""
    phantom = make_phantom(case.seed, case.label, ratio=case.ratio, spacing_mm=spacing_mm, variety=variety)
    lungs = sitk.Cast(phantom.right_lung + 2 * phantom.left_lung, sitk.sitkUInt8)
    (folder / case.case_id).mkdir(exist_ok=True)
    for name, image in (("ct", phantom.ct), ("lungs", lungs), ("infection", phantom.infection)):
        sitk.WriteImage(image, str(folder / case.case_id / f"{name}.nii.gz"), True, 1)


def _written(folder: Path, case: PlannedCase) -> Case:
    """Return the planned case as `write_case` leaves it in the folder."""
    ct, lungs, infection = (folder / case.case_id / f"{name}.nii.gz" for name in ("ct", "lungs", "infection"))
    return Case(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=ct,
        label=case.label,
        lungs=lungs,
        infection=infection,
        site=case.site,
        age=float(case.age),
        sex=case.sex,
        split=case.split,
    )
