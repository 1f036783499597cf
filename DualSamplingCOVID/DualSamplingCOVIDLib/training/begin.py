"""How a cross-validation begins, or goes on: cases prepared, cut-offs refitted, folds made, all of it written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..analysis import software
from ..cohort import NORMAL, PHANTOM_NOTE, PHANTOMS, Case, check_cohort, read_cohort
from ..diagnosis import CAP, COVID, CutOffs, SegmenterCard
from ..errors import InputError
from ..evaluation.strata import fit_cut_offs
from ..progress import Progress, Say, silent, unsaid
from ..run_folder import CONFIG, RUN, SCHEMA, SEGMENTER, TEST, read_begun
from ..segmentation import finder, keep, kept, segmenter
from ..storage import remove_abandoned, sha256, write_text
from .config import Config, read_config
from .folds import check_patients, make_folds
from .prepared import PreparedCase, prepare_cohort, same_ct_notes
from .provenance import check_lungs_of_both_classes, mask_notes
from .run import TrainingRun, as_run_case, load_run, write_cases, write_json
from .settings import OF_THE_MACHINE

LEAST_NORMALS = 20
"""So many cases of normal lungs are needed to refit the detection limit: of fewer, one alone would make it."""


def begin(
    cohort: Path,
    folder: Path,
    config: Config,
    progress: Progress = silent,
    device: str = "auto",
    say: Say = unsaid,
) -> TrainingRun:
    """Check the cohort and begin a run in `folder`, or go on with what is begun there.

    Args:
        cohort: cohort.csv.
        folder: the run folder.
        config: the settings; those of the machine may be others than the run was begun with.
        progress: told how many cases are prepared.
        device: where the segmenter computes.
        say: told what a person should know when the run begins.

    Raises:
        InputError: the cohort or the segmenter cannot be used, the cases are too few for the folds, whose lungs they
            are would tell the class, some cannot be prepared, or the folder's run is of another cohort, of other
            settings, or of CTs that have changed since.
    """
    # once the run is begun its cases are prepared, and what has changed of them is noticed without their headers
    given = cases = read_cohort(cohort) if (folder / RUN).exists() else check_cohort(cohort, progress)
    digest = sha256(cohort)
    name = kept(config.segmenter, folder / SEGMENTER) if (folder / RUN).exists() else config.segmenter
    segmenter(name)  # before anything is written
    _check_begun(folder, config, cohort, digest)
    if config.masks == "segmenter":
        cases = tuple(replace(case, lungs=None, infection=None) for case in cases)
    usable = [case for case in cases if case.label in (COVID, CAP)]
    if not (folder / RUN).exists():
        learning = [case for case in usable if case.split != TEST]
        _check_classes(cohort, learning, config.folds)
        check_lungs_of_both_classes(cohort, learning)
        say(_held_out(len(usable) - len(learning)))
        if any(case.split for case in learning):
            say("the splits train and validation are for fit: the folds are made anew, by patient")
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, config.to_toml())
    try:
        prepared = prepare_cohort(cases, config.grid, name, folder / "cache", progress, device)
    except InputError as error:
        raise InputError(f"{cohort}: {error}") from None
    if not (folder / RUN).exists():
        notes = mask_notes(usable) + same_ct_notes(prepared)
        for note in notes:
            say(f"warning: {note}")
        if (cohort.parent / PHANTOMS).exists():
            notes.append(PHANTOM_NOTE)
            say(PHANTOM_NOTE)
        if any(case.lungs is None or case.infection is None for case in cases):
            keep(config.segmenter, folder / SEGMENTER)
        _write_run(folder, config, cohort, digest, given, prepared, notes, say)
    run = replace(load_run(folder), config=config)
    _check_unchanged(run, prepared)
    return run


def _check_classes(cohort: Path, learning: Sequence[Case], folds: int) -> None:
    """Refuse cases that cannot make the folds, before hours go into preparing them."""
    if {case.label for case in learning} != {COVID, CAP}:
        raise InputError(f"{cohort}: cases of both classes, {COVID} and {CAP}, are needed outside the split {TEST!r}")
    try:
        check_patients([case.patient_id for case in learning], [case.label for case in learning], folds)
    except InputError as error:
        raise InputError(f"{cohort}: {error}") from None


def _held_out(cases: int) -> str:
    if cases == 1:
        return "1 case is held out for the test"
    return f"{cases or 'no'} cases are held out for the test"


def _check_begun(folder: Path, config: Config, cohort: Path, digest: str) -> None:
    """Refuse to go on with another run than the one that was begun."""
    if not (folder / CONFIG).exists():
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: exists and holds no run of cross-validate; choose another folder")
        return
    before, now = read_config(folder / CONFIG).values(), config.values()
    changed = [
        f"{key} {before[key]}, not {now[key]}"
        for key in before
        if before[key] != now[key] and key not in OF_THE_MACHINE
    ]
    if changed:
        raise InputError(f"{folder}: the run was begun with {'; '.join(changed)}; choose another folder")
    if (folder / RUN).exists() and read_begun(folder).cohort_sha256 != digest:
        raise InputError(f"{folder}: {cohort} has changed since the run was begun; choose another folder")


def _write_run(
    folder: Path,
    config: Config,
    cohort: Path,
    digest: str,
    cases: Sequence[Case],
    prepared: Sequence[PreparedCase],
    notes: Sequence[str],
    say: Say,
) -> None:
    """Refit the segmenter's cut-offs, make the folds, and write cases.csv, then run.json."""
    usable = [(case, ready) for case, ready in zip(cases, prepared, strict=True) if case.label in (COVID, CAP)]
    learning = [(case, ready) for case, ready in usable if case.split != TEST]
    try:
        cut_offs = fit_cut_offs([ready.ratio for _, ready in learning])
    except ValueError as error:
        raise InputError(f"{cohort}: {error}") from None
    strata = [cut_offs.stratum(ready.ratio) for _, ready in learning]
    patients, labels = [case.patient_id for case, _ in learning], [case.label for case, _ in learning]
    folds = iter(make_folds(patients, labels, strata, config.folds, config.seed))
    card, normals = _card(
        config,
        [ready for _, ready in learning],
        [ready for ready in prepared if ready.label == NORMAL and ready.split != TEST],
        cut_offs,
        say,
    )
    rows = [as_run_case(case, ready, None if case.split == TEST else next(folds), cut_offs) for case, ready in usable]
    write_cases(folder, rows)
    about = {
        "schema": SCHEMA,
        "software": dict(software()),
        "cohort_sha256": digest,
        "grid": {"shape_kji": list(config.grid_shape), "spacing_xyz": list(config.grid_spacing)},
        "segmenter": asdict(card),
        "detection_limit_normals": normals,
        "models": list(config.models),
        "folds": config.folds,
        "notes": list(notes),
    }
    write_json(folder / RUN, about)


def _card(
    config: Config,
    learning: Sequence[PreparedCase],
    normals: Sequence[PreparedCase],
    cut_offs: CutOffs,
    say: Say,
) -> tuple[SegmenterCard, int]:
    """Return the card of who found the infection that the run learned from, cut-offs (of normals, the limit) refitted.

    The number is that of the normal cases that the limit was refitted on: those with masks of the same segmenter, 0
    where they are fewer than `LEAST_NORMALS` and its own limit stands.
    """
    cards = {finder(c.segmenter): c.segmenter for c in learning if c.segmenter is not None}
    back_end = segmenter(config.segmenter).card
    card = next(iter(cards.values()), back_end)
    card = replace(card, name=finder(card)[0], cut_offs=cut_offs)
    if len(cards) > 1:
        card = replace(back_end, name=" and ".join(sorted(name for name, _ in cards)), cut_offs=cut_offs)
    ratios = [case.ratio for case in normals if case.segmenter is not None and finder(case.segmenter) == finder(card)]
    whose = f"{len(ratios)} of {len(normals)} normal cases have masks of {card.title}"
    if len(ratios) < LEAST_NORMALS:
        if normals:
            say(
                f"the detection limit stays {card.detection_limit:.4g}: {whose}, {LEAST_NORMALS} are needed to refit it"
            )
        return card, 0
    limit = max(card.detection_limit, float(np.percentile(ratios, 95)))
    say(f"the detection limit is {limit:.4g}, refitted: {whose}")
    return replace(card, detection_limit=limit), len(ratios)


def _check_unchanged(run: TrainingRun, prepared: Sequence[PreparedCase]) -> None:
    """Refuse to mix what was prepared before with CTs or masks of another content."""
    now = {case.case_id: case.file for case in prepared}
    changed = [case.case_id for case in run.cases if case.volume.name != now[case.case_id].name]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{run.folder}: CT, masks or segmenter of {changed[0]}{more} have changed since the run was begun, or "
            "another version of this program began it; bring the old ones back, or choose another folder"
        )
