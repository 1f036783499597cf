"""A run's best models as a bundle: one member a model and fold, with a model card for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import __version__, bundle
from ..bundle import Bundle, Member, load_bundle, save_bundle
from ..cohort import PHANTOM_NOTE
from ..diagnosis import CAP, COVID, NO_PNEUMONIA, STRATA, BundleCard
from ..ensemble import is_found
from ..errors import InputError
from ..evaluation.record import Figure, Record, read_record
from ..evaluation.tables import TITLES, too_narrow
from ..progress import Progress, silent
from ..run_folder import (
    ATTENTION_SS,
    ATTENTION_US,
    RESULT,
    SAMPLING_AND_KIND,
    SEGMENTER,
    TEST,
    VALIDATION,
    RunCase,
    read_json,
    read_weights,
)
from ..segmentation import finder, trained
from .run import TrainingRun, load_run

NEEDED = (ATTENTION_US, ATTENTION_SS)
OWN = " (the run's own, in no figure below)"
_SETS = {VALIDATION: "validation folds", TEST: "test set"}
INTENDED_USE = (
    "To tell COVID-19 from community acquired pneumonia on chest CT of adults with pneumonia, for research. "
    "Research use only: not a medical device, and no basis for a decision about a patient."
)
LIMITS = (
    "The networks know two diseases; of any other, or of healthy lungs, they still name one of the two.",
    "CTs of other sites, scanners, slice thicknesses and patients than those counted above may be read worse.",
    "Ratios, strata and the ensemble's weights belong to the segmenter named above.",
    "The best epoch was chosen on the validation folds, so their figures are optimistic.",
    "Probabilities are not calibrated unless the evaluation says so.",
)


def export_bundle(
    run_folder: Path,
    folder: Path,
    name: str,
    evaluation: Path | None = None,
    folds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Make a bundle in the new folder `folder` of the finished models of a run.

    Args:
        run_folder: what `cross-validate` wrote.
        folder: the bundle.
        name: what it is called.
        evaluation: the file in which `evaluate` wrote what it found in this run; the best epochs' validation figures
            alone where it is None.
        folds: which folds' models become members; all that are finished where it is None.
        progress: told how many members are written.

    Raises:
        InputError: the run cannot be read, no fold is finished, or the evaluation is not one of this run.
        BundleError: weights are not those that were written.
    """
    run = load_run(run_folder)
    chosen = sorted(set(range(run.config.folds) if folds is None else folds))
    finished = [(k, m) for k in chosen for m in run.config.models if run.is_finished(k, m)]
    complete = [k for k in chosen if all((k, model) in finished for model in NEEDED)]
    if not complete or (folds is not None and complete != chosen):
        which = "no fold" if folds is None else f"not every one of the folds {', '.join(map(str, chosen))}"
        raise InputError(f"{run_folder}: {which} has its attention models, US and SS, finished")
    record = None if evaluation is None else read_record(evaluation, run)
    jobs = [(fold, model) for fold, model in finished if fold in complete]
    results = {job: read_json(run.model_folder(*job) / RESULT) for job in jobs}
    figures = {
        "folds": {"run": run.folds, "exported": complete},
        "evaluation": None if record is None else {key: of for key, of in record.data.items() if key != "notes"},
        "validation": {f"{model} fold {fold}": result["best"] for (fold, model), result in results.items()},
        "cases": _counts(run, complete),
    }
    card = BundleCard(name, __version__, _learned_from(run, complete), INTENDED_USE, "")
    grid = run.config.grid
    save_bundle(folder, _members(run, jobs, progress), card, grid, run.segmenter, figures, _carried(run))
    (folder / "README.md").write_text(model_card(run, card, results, record), encoding="utf-8")
    return load_bundle(folder)


def model_card(
    run: TrainingRun,
    card: BundleCard,
    results: dict[tuple[int, str], dict[str, Any]],
    evaluation: Record | None,
) -> str:
    """Return the model card in Markdown: data, figures, segmenter, intended use and limits."""
    training, segmenter = run.config.training, run.segmenter
    folds = sorted({fold for fold, _ in results})
    cut_offs = segmenter.cut_offs
    grid = run.config.grid
    others = evaluation is not None and evaluation.independent_test is not None
    lines = [f"# {card.name}", "", "**Research use only.** Not a medical device.", ""]
    lines += ["## Intended use", "", card.intended_use, "", "## Data", "", card.learned_from + ".", ""]
    lines += ["| cases | COVID-19 | CAP | patients | small | medium | large |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {where + OWN if where == TEST and others else where} | "
        f"{n['COVID-19']} | {n['CAP']} | {n['patients']} | {n['small']} | {n['medium']} | {n['large']} |"
        for where, n in _counts(run, folds).items()
    ]
    lines += ["", "Small, medium and large are the strata of the infection ratio. Each network learned from the cases "]
    lines[-1] += "outside its fold, and its best epoch was chosen on those inside."
    lines += ["", "## Networks", ""]
    lines += [
        f"3D ResNet34 of width {training.width} with online attention, on a grid of "
        f"{' x '.join(map(str, grid.shape_kji))} voxels (k, j, i) of {' x '.join(map(str, grid.spacing_xyz))} mm "
        f"(x, y, z); {training.epochs} epochs, batch {training.batch}, {training.optimiser}, learning rate "
        f"{training.learning_rate:g}, schedule {training.schedule}, augmentation {training.augmentation}, "
        f"seed {run.config.seed}.",
        "",
        f"| model | fold | best epoch of {training.epochs} | validation AUC | validation loss | n |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {model} | {fold} | {r['best']['epoch'] + 1} | {r['best']['validation_auc']:.3f} "
        f"| {r['best']['validation_loss']:.3f} | {r['cases']['validation']} |"
        for (fold, model), r in results.items()
    ]
    lines += ["", "## Evaluation", ""]
    lines += _evaluation(run, folds, evaluation)
    lines += [
        "",
        "## Segmenter",
        "",
        f"{segmenter.title}: cut-offs {cut_offs.minimal:.4g} / {cut_offs.small:.4g} / "
        f"{cut_offs.large:.4g} (refitted on the cases of all folds), detection limit {segmenter.detection_limit:.4g}. "
        f"Below it the answer is “{NO_PNEUMONIA}”, whatever the networks say: {_below(run, evaluation)}.",
        *(["", f"It lies in `{bundle.SEGMENTER}/`, and `analyze` takes it."] if _carried(run) is not None else []),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
    ]
    return "\n".join(lines) + "\n"


def _evaluation(run: TrainingRun, folds: Sequence[int], evaluation: Record | None) -> list[str]:
    if evaluation is None:
        return [
            "Not evaluated: `dualsampling-covid evaluate` gives tables with intervals, and `--evaluation` adds them."
        ]
    here = "which this bundle holds" if len(folds) == run.folds else f"while this bundle holds {_named(folds)} alone"
    lines = [
        f"Of {evaluation.decision} over all {run.folds} folds of the run, {here}; threshold 0.5, 95 % intervals by "
        "patient-clustered bootstrap. Of test cases: the mean of the figures of each fold's networks, while `analyze` "
        "takes the mean of their probabilities. Every number of the evaluation is in `metadata.json`.",
        "",
        "| cases | " + " | ".join(TITLES.values()) + " |",
        "|---" * (len(TITLES) + 1) + "|",
    ]
    for name in dict.fromkeys(where for where, _ in evaluation.figures):
        cells = [
            f"{_figure(evaluation.figures[name, metric])}, n = {evaluation.figures[name, metric].n}"
            for metric in TITLES
        ]
        lines.append(f"| {_SETS.get(name, name)} | " + " | ".join(cells) + " |")
    if evaluation.answered and len(folds) == run.folds:
        found = ", ".join(f"{TITLES[name]} {_figure(one)}, n = {one.n}" for name, one in evaluation.answered.items())
        lines += ["", f"What this bundle answers of the test set: {found}."]
    counted = [(one.patients, one.label, _SETS.get(one.set, one.set)) for one in evaluation.detection]
    for sentence in too_narrow(counted):
        lines += ["", sentence]
    if evaluation.independent_test is not None:
        own = f"; the run's own {len(run.test)} test cases are in no figure" if run.test else ""
        lines += ["", f"The test set is {evaluation.independent_test}{own}."]
    lines += [
        "",
        "Below the detection limit no disease is named. Of each class: the share that the decision calls by its name, "
        "and the same with the cases below the limit counted as not found.",
        "",
        "| cases | class | n | below the limit | named rightly | below the limit as not found |",
        "|---|---|---|---|---|---|",
    ]
    for one in evaluation.detection:
        cells = [_SETS.get(one.set, one.set), one.label, str(one.n), str(one.below)]
        lines.append("| " + " | ".join([*cells, _figure(one.named), _figure(one.found)]) + " |")
    return lines


def _figure(found: Figure) -> str:
    if found.value is None:
        return "–"
    bounds = "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{found.value:.3f}{bounds}"


def _members(
    run: TrainingRun, jobs: Sequence[tuple[int, str]], progress: Progress
) -> Iterator[tuple[Member, dict[str, Tensor]]]:
    """Yield one member after the other: all weights at once may be more than the memory."""
    for number, (fold, model) in enumerate(jobs):
        progress("writing the members", number / len(jobs))
        sampling, kind = SAMPLING_AND_KIND[model]
        member = f"{model}-fold-{fold}"
        width = run.config.training.width
        yield Member(member, sampling, kind, fold, width, f"{member}.safetensors", ""), read_weights(run, fold, model)


def _taught(run: TrainingRun, folds: Sequence[int]) -> tuple[RunCase, ...]:
    """Return the cases that at least one of these folds' networks learned from."""
    return tuple(case for case in run.validation if set(folds) - {case.fold})


def _counts(run: TrainingRun, folds: Sequence[int]) -> dict[str, dict[str, int]]:
    """Return how many cases and patients these folds' networks learned from and were chosen on, and of the test set."""
    parts = {
        "learned from": _taught(run, folds),
        "best epoch chosen on": tuple(case for case in run.validation if case.fold in folds),
        TEST: run.test,
    }
    return {name: _count(cases) for name, cases in parts.items() if cases}


def _count(cases: Sequence[RunCase]) -> dict[str, int]:
    labels, strata = Counter(case.label for case in cases), Counter(case.stratum for case in cases)
    named = {label: labels[label] for label in (COVID, CAP)}
    patients = len({case.patient_id for case in cases})
    return {**named, "patients": patients, **{name: strata[name] for name in STRATA}}


def _learned_from(run: TrainingRun, folds: Sequence[int]) -> str:
    cases = _taught(run, folds)
    n = _count(cases)
    sites = sorted({case.site for case in cases if case.site})
    where = f" of {len(sites)} sites" if sites else ""
    if len(folds) == run.folds:
        which = f"in {run.folds} folds"
    elif len(folds) == 1:
        which = f"outside fold {folds[0]} of {run.folds}"
    else:
        which = f"by the networks of {_named(folds)} of {run.folds}"
    if PHANTOM_NOTE in run.notes:
        return f"computer-made phantoms only, never a patient: {n[COVID]} of COVID-19 and {n[CAP]} of CAP, {which}"
    return f"{n[COVID]} CTs with COVID-19 and {n[CAP]} with CAP, of {n['patients']} patients{where}, {which}"


def _named(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"


def _carried(run: TrainingRun) -> Path | None:
    """Return the folder of the segmenter that the run has kept, if the masks it learned from are all of that one."""
    folder = run.folder / SEGMENTER
    if not folder.is_dir():
        return None
    card = trained.load(folder).card
    return folder if finder(card) == finder(run.segmenter) else None


def _below(run: TrainingRun, evaluation: Record | None) -> str:
    """Say how many of the run's cases lie below the detection limit; its own test only where that is the test set."""
    limit, found = run.segmenter.detection_limit, []
    test = run.test if evaluation is None or evaluation.independent_test is None else ()
    for name, cases in ((VALIDATION, run.validation), (TEST, test)):
        below = Counter(case.label for case in cases if not is_found(case.ratio, limit))
        every = Counter(case.label for case in cases)
        if cases:
            found.append(
                f"{below[COVID]} of {every[COVID]} CTs with COVID-19 and {below[CAP]} of {every[CAP]} with CAP of the "
                f"{_SETS[name]}"
            )
    return ", ".join(found)
