"""How a cross-validation begins, or goes on: cases prepared, cut-offs refitted, folds made, all of it written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..analysis import software
from ..cohort import NORMAL, Case, check_cohort
from ..diagnosis import CAP, COVID, CutOffs, SegmenterCard
from ..errors import InputError
from ..evaluation.strata import fit_cut_offs
from ..progress import Progress, silent
from ..run_folder import CONFIG, RUN, SCHEMA, TEST, RunCase, read_begun
from ..segmentation import segmenter
from ..storage import sha256, write_text
from .config import Config, read_config
from .folds import make_folds
from .prepared import PreparedCase, prepare_cohort
from .run import TrainingRun, load_run, write_cases, write_json


def begin(cohort: Path, folder: Path, config: Config, progress: Progress = silent) -> TrainingRun:
    """Check the cohort and begin a run in `folder`, or go on with what is begun there.

    Raises:
        InputError: the cohort or the segmenter cannot be used, the cases are too few for the folds, or the folder's run
            is of another cohort, of other settings, or of CTs that have changed since.
    """
    given = cases = check_cohort(cohort)
    digest = sha256(cohort)
    segmenter(config.segmenter)  # before anything is written
    _check_begun(folder, config, cohort, digest)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, config.to_toml())
    if config.masks == "segmenter":
        cases = tuple(replace(case, lungs=None, infection=None) for case in cases)
    prepared = prepare_cohort(cases, config.grid, config.segmenter, folder / "cache", progress)
    if not (folder / RUN).exists():
        _write_run(folder, config, cohort, digest, given, prepared)
    run = load_run(folder)
    _check_unchanged(run, prepared)
    return run


def _check_begun(folder: Path, config: Config, cohort: Path, digest: str) -> None:
    """Refuse to go on with another run than the one that was begun."""
    if not (folder / CONFIG).exists():
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: exists and holds no run of cross-validate; choose another folder")
        return
    before, now = read_config(folder / CONFIG).values(), config.values()
    changed = [f"{key} {before[key]}, not {now[key]}" for key in before if before[key] != now[key]]
    if changed:
        raise InputError(f"{folder}: the run was begun with {'; '.join(changed)}; choose another folder")
    if (folder / RUN).exists() and read_begun(folder).cohort_sha256 != digest:
        raise InputError(f"{folder}: {cohort} has changed since the run was begun; choose another folder")


def _write_run(
    folder: Path, config: Config, cohort: Path, digest: str, cases: Sequence[Case], prepared: Sequence[PreparedCase]
) -> None:
    """Refit the segmenter's cut-offs, make the folds, and write cases.csv, then run.json."""
    usable = [(case, ready) for case, ready in zip(cases, prepared, strict=True) if case.label in (COVID, CAP)]
    learning = [(case, ready) for case, ready in usable if case.split != TEST]
    if {case.label for case, _ in learning} != {COVID, CAP}:
        raise InputError(f"{cohort}: cases of both classes, {COVID} and {CAP}, are needed outside the split {TEST!r}")
    try:
        cut_offs = fit_cut_offs([ready.ratio for _, ready in learning])
    except ValueError as error:
        raise InputError(f"{cohort}: {error}") from None
    strata = [cut_offs.stratum(ready.ratio) for _, ready in learning]
    patients, labels = [case.patient_id for case, _ in learning], [case.label for case, _ in learning]
    folds = iter(make_folds(patients, labels, strata, config.folds, config.seed))
    normals = [r.ratio for c, r in zip(cases, prepared, strict=True) if c.label == NORMAL and c.split != TEST]
    rows = [
        RunCase(
            case_id=case.case_id,
            patient_id=case.patient_id,
            label=case.label,
            site=case.site,
            age="" if case.age is None else f"{case.age:g}",
            sex=case.sex,
            split=case.split,
            fold=None if case.split == TEST else next(folds),
            ratio=ready.ratio,
            stratum=cut_offs.stratum(ready.ratio),
            image=case.image,
            lungs=case.lungs,
            infection=case.infection,
            prepared=ready.file,
        )
        for case, ready in usable
    ]
    write_cases(folder, rows)
    about = {
        "schema": SCHEMA,
        "software": dict(software()),
        "cohort_sha256": digest,
        "grid": {"shape_kji": list(config.grid_shape), "spacing_xyz": list(config.grid_spacing)},
        "segmenter": asdict(_card(config, [ready for _, ready in learning], normals, cut_offs)),
        "models": list(config.models),
        "folds": config.folds,
    }
    write_json(folder / RUN, about)


def _card(
    config: Config, learning: Sequence[PreparedCase], normals: Sequence[float], cut_offs: CutOffs
) -> SegmenterCard:
    """Return the card of whose masks the run learned from, with cut-offs (and, of normal lungs, the limit) refitted."""
    cards = {(c.segmenter.name, c.segmenter.version): c.segmenter for c in learning if c.segmenter is not None}
    back_end = segmenter(config.segmenter).card
    card = next(iter(cards.values()), back_end)
    if len(cards) > 1:
        card = replace(back_end, name=" and ".join(sorted(name for name, _ in cards)))
    found = float(np.percentile(normals, 95)) if normals else 0.0
    return replace(card, cut_offs=cut_offs, detection_limit=max(card.detection_limit, found))


def _check_unchanged(run: TrainingRun, prepared: Sequence[PreparedCase]) -> None:
    """Refuse to mix what was prepared before with CTs or masks of another content."""
    now = {case.case_id: case.file for case in prepared}
    changed = [case.case_id for case in run.cases if case.volume.name != now[case.case_id].name]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{run.folder}: CT, masks or segmenter of {changed[0]}{more} have changed since the run was begun; "
            "bring the old ones back, or choose another folder"
        )
