"""A run's best models as a bundle: one member a model and fold, with a model card for people to read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import __version__, weights
from ..bundle import Bundle, Member, load_bundle, save_bundle
from ..diagnosis import CAP, COVID, STRATA, BundleCard
from ..errors import BundleError, InputError
from ..progress import Progress, silent
from ..run_folder import ATTENTION_SS, ATTENTION_US, RESULT, SAMPLING_AND_KIND, TEST, WEIGHTS, RunCase, read_json
from .run import TrainingRun, load_run

NEEDED = (ATTENTION_US, ATTENTION_SS)
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
    evaluation: dict[str, Any] | None = None,
    folds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Make a bundle in the new folder `folder` of the finished models of a run.

    Args:
        run_folder: what `cross-validate` wrote.
        folder: the bundle.
        name: what it is called.
        evaluation: what `evaluate` found; the best epochs' validation figures alone where it is None.
        folds: which folds' models become members; all that are finished where it is None.
        progress: told how many members are written.

    Raises:
        InputError: the run cannot be read, or no fold is finished.
        BundleError: weights are not those that were written.
    """
    run = load_run(run_folder)
    chosen = sorted(set(range(run.config.folds) if folds is None else folds))
    finished = [(k, m) for k in chosen for m in run.config.models if run.is_finished(k, m)]
    complete = [k for k in chosen if all((k, model) in finished for model in NEEDED)]
    if not complete or (folds is not None and complete != chosen):
        which = "no fold" if folds is None else f"not every one of the folds {', '.join(map(str, chosen))}"
        raise InputError(f"{run_folder}: {which} has its attention models, US and SS, finished")
    jobs = [(fold, model) for fold, model in finished if fold in complete]
    results = {job: read_json(run.model_folder(*job) / RESULT) for job in jobs}
    figures = {
        "evaluation": evaluation,
        "validation": {f"{model} fold {fold}": result["best"] for (fold, model), result in results.items()},
        "cases": _counts(run),
    }
    card = BundleCard(name, __version__, _learned_from(run), INTENDED_USE, "")
    grid = run.config.grid
    save_bundle(folder, _members(run, results, progress), card, grid, run.segmenter, figures)
    (folder / "README.md").write_text(model_card(run, card, results, evaluation), encoding="utf-8")
    return load_bundle(folder)


def model_card(
    run: TrainingRun,
    card: BundleCard,
    results: dict[tuple[int, str], dict[str, Any]],
    evaluation: dict[str, Any] | None,
) -> str:
    """Return the model card in Markdown: data, figures, segmenter, intended use and limits."""
    training, segmenter = run.config.training, run.segmenter
    cut_offs = segmenter.cut_offs
    grid = run.config.grid
    lines = [f"# {card.name}", "", "**Research use only.** Not a medical device.", ""]
    lines += ["## Intended use", "", card.intended_use, "", "## Data", "", card.learned_from + ".", ""]
    lines += ["| cases | COVID-19 | CAP | patients | small | medium | large |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {where} | {n['COVID-19']} | {n['CAP']} | {n['patients']} | {n['small']} | {n['medium']} | {n['large']} |"
        for where, n in _counts(run).items()
    ]
    lines += ["", "Small, medium and large are the strata of the infection ratio.", "", "## Networks", ""]
    lines += [
        f"3D ResNet34 of width {training.width} with online attention, on a grid of "
        f"{' x '.join(map(str, grid.shape_kji))} voxels (k, j, i) of {' x '.join(map(str, grid.spacing_xyz))} mm "
        f"(x, y, z); {training.epochs} epochs, batch {training.batch}, learning rate {training.learning_rate:g}, "
        f"schedule {training.schedule}, augmentation {training.augmentation}, seed {run.config.seed}.",
        "",
        "| model | fold | best epoch | validation AUC | validation loss |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {model} | {fold} | {r['best']['epoch']} | {r['best']['validation_auc']:.3f} "
        f"| {r['best']['validation_loss']:.3f} |"
        for (fold, model), r in results.items()
    ]
    lines += ["", "## Evaluation", ""]
    lines += _evaluation(evaluation)
    lines += [
        "",
        "## Segmenter",
        "",
        f"{segmenter.name} {segmenter.version}: cut-offs {cut_offs.minimal:.4g} / {cut_offs.small:.4g} / "
        f"{cut_offs.large:.4g} (refitted on the cases of the folds), detection limit {segmenter.detection_limit:.4g}.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
    ]
    return "\n".join(lines) + "\n"


def _evaluation(evaluation: dict[str, Any] | None) -> list[str]:
    if evaluation is None:
        return [
            "Not evaluated: `dualsampling-covid evaluate` gives tables with intervals, and `--evaluation` adds them."
        ]
    return ["```json", json.dumps(evaluation, indent=1), "```"]


def _members(
    run: TrainingRun, results: dict[tuple[int, str], dict[str, Any]], progress: Progress
) -> Iterator[tuple[Member, dict[str, Tensor]]]:
    """Yield one member after the other: all weights at once may be more than the memory."""
    for number, ((fold, model), result) in enumerate(results.items()):
        progress("writing the members", number / len(results))
        file = run.model_folder(fold, model) / WEIGHTS
        try:
            weights.check_hash(file, result["sha256"])
        except BundleError:
            raise BundleError(f"{file}: missing, or not the weights that result.json speaks of") from None
        sampling, kind = SAMPLING_AND_KIND[model]
        member = f"{model}-fold-{fold}"
        width = run.config.training.width
        yield Member(member, sampling, kind, fold, width, f"{member}.safetensors", ""), weights.read(file)


def _counts(run: TrainingRun) -> dict[str, dict[str, int]]:
    """Return how many cases and patients the folds and the test set have."""
    parts = {"folds": run.validation, TEST: run.test}
    return {name: _count(cases) for name, cases in parts.items() if cases}


def _count(cases: Sequence[RunCase]) -> dict[str, int]:
    labels, strata = Counter(case.label for case in cases), Counter(case.stratum for case in cases)
    named = {label: labels[label] for label in (COVID, CAP)}
    patients = len({case.patient_id for case in cases})
    return {**named, "patients": patients, **{name: strata[name] for name in STRATA}}


def _learned_from(run: TrainingRun) -> str:
    n = _counts(run)["folds"]
    sites = sorted({case.site for case in run.validation if case.site})
    where = f" of {len(sites)} sites" if sites else ""
    return (
        f"{n['COVID-19']} CTs with COVID-19 and {n['CAP']} with CAP, of {n['patients']} patients{where}, "
        f"in {run.config.folds} folds"
    )
