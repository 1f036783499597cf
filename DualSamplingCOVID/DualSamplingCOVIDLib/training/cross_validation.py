"""Cross-validation: every model of every fold, trained once, whatever interrupts it (section IV-C)."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from .. import weights
from ..analysis import software
from ..progress import Progress, Say, silent, unsaid
from ..run_folder import PREDICTION_COLUMNS, PREDICTIONS, RESULT, TEST, VALIDATION, WEIGHTS
from ..storage import write_text, write_whole
from .claims import CLAIM, Claim, Unreadable, claimed
from .distributed import ALONE, Team
from .fit import Fitted, predict
from .memory import gpu_memory_named
from .prepared import PreparedDataset
from .recorded import CHECKPOINT, RecordedTrainer
from .run import TrainingRun, write_json

_FREE, _FINISHED, _HELD = range(3)
"""How a model stands, as rank 0 tells the others."""

Job = tuple[int, str]
"""Fold and model."""


def train_models(
    run: TrainingRun,
    folds: Sequence[int],
    device: torch.device,
    team: Team = ALONE,
    progress: Progress = silent,
    say: Say = unsaid,
) -> None:
    """Train every model of these folds that is not finished; each leaves weights, predictions and result.json.

    A model that another process has claimed is left to it; several computers share a run in this way.

    Args:
        run: what was begun.
        folds: which folds.
        device: where to compute.
        team: the processes that train together.
        progress: told each model's share; its name says how long the rest may take.
        say: told which models others have.

    Raises:
        InputError: a checkpoint or a prepared case cannot be read.
        ResourceError: memory or disk ran out; what was finished stays.
    """
    jobs = [(fold, model) for fold in folds for model in run.config.models]
    others: dict[Job, Claim | Unreadable] = {}
    took: list[float] = []
    waiting = jobs
    if team.leads:
        _tidy(run, jobs)
    team.wait()
    with repeatable(device, run.config.threads):
        while waiting:  # again while others may have given up what was theirs
            held, trained = [], len(took)
            for job in waiting:
                leads = team.leads and not run.is_finished(*job)
                with claimed(run.model_folder(*job)) if leads else nullcontext() as other:
                    state = team.told(_state(run, job, other), device)
                    if state == _HELD:
                        held.append(job)
                        if other is not None and job not in others:
                            others[job] = other
                            say(_skipped(run, job, other))
                    if state == _FREE:
                        since = time.perf_counter()
                        train_model(run, *job, device, team, progress, _name(run, job, jobs, took), say)
                        took.append(time.perf_counter() - since)
                    team.wait()
            waiting = held if len(took) > trained else []
    left = [f"{_called(job)} ({other})" for job, other in others.items() if not run.is_finished(*job)]
    if left:
        say(f"in the hands of others: {'; '.join(left)}; when they have ended, --resume goes on with what is left")


def _tidy(run: TrainingRun, jobs: Sequence[Job]) -> None:
    """Take away what whoever finished a model died over: its checkpoint and claim. A living process's stay."""
    for job in jobs:
        folder = run.model_folder(*job)
        if run.is_finished(*job) and ((folder / CLAIM).exists() or (folder / CHECKPOINT).exists()):
            with claimed(folder) as other:
                if other is None:
                    (folder / CHECKPOINT).unlink(missing_ok=True)


def _state(run: TrainingRun, job: Job, other: Claim | Unreadable | None) -> int:
    """How a model stands by now: whoever had the claim before may just have finished it."""
    if run.is_finished(*job):
        return _FINISHED
    return _FREE if other is None else _HELD


def _called(job: Job) -> str:
    fold, model = job
    return f"fold {fold} {model}"


def _skipped(run: TrainingRun, job: Job, other: Claim | Unreadable) -> str:
    file = run.model_folder(*job) / CLAIM
    return f"{_called(job)} is left to {other}; if nothing works on it any more, delete {file}"


def _name(run: TrainingRun, job: Job, jobs: Sequence[Job], took: Sequence[float]) -> str:
    """Return what a fit is called, with the time left at the pace so far."""
    name = f"model {jobs.index(job) + 1} of {len(jobs)}: {_called(job)}"
    if not took:
        return name
    left = sum(not run.is_finished(*other) for other in jobs)
    return f"{name}, {_duration(left * sum(took) / len(took))} left"


def train_model(
    run: TrainingRun,
    fold: int,
    model: str,
    device: torch.device,
    team: Team,
    progress: Progress,
    name: str,
    say: Say = unsaid,
) -> None:
    """Train one model of a fold from its checkpoint on, and write what `evaluate` and `bundle export` need."""
    folder = run.model_folder(fold, model)
    settings = run.config.settings(model, fold)
    training, validation, test = (PreparedDataset(cases) for cases in run.split(fold))
    with gpu_memory_named(name, "take a smaller micro_batch"):
        trainer = RecordedTrainer(
            folder, name, settings, training, validation, run.segmenter.cut_offs, device, team=team
        )
        if team.leads and trainer.difference is not None:
            say(trainer.difference)
        try:
            fitted = trainer.fit(progress)
        finally:
            trainer.close()
        if team.leads:
            _finish(trainer, fitted, folder, {VALIDATION: validation, TEST: test})


def _finish(trainer: RecordedTrainer, fitted: Fitted, folder: Path, sets: dict[str, PreparedDataset]) -> None:
    """Write the best epoch's weights and predictions, result.json last; then the checkpoint has served."""
    settings = trainer.settings
    trainer.network.load_state_dict(fitted.state)
    logits = {
        name: predict(trainer.network, cases, settings.micro_batch, trainer.device, settings.workers)
        for name, cases in sets.items()
    }
    digest: list[str] = []
    write_whole(folder / WEIGHTS, lambda path: digest.append(weights.write(path, fitted.state)))
    write_text(folder / PREDICTIONS, _predictions(sets, logits))
    balance = trainer.balance
    write_json(
        folder / RESULT,
        {
            "best": fitted.best._asdict(),
            "seconds": round(trainer.seconds, 1),
            "sha256": digest[0],
            "settings": asdict(settings),
            "threads": trainer.sitting["threads"],
            "arithmetic": trainer.sitting["arithmetic"],
            "begun_with": trainer.begun_with,
            "cases": {"training": len(trainer.training), **{name: len(cases) for name, cases in sets.items()}},
            "size_balanced_groups": asdict(balance) if balance else None,
            "device": trainer.sitting["device"],
            "software": dict(software()),
        },
    )
    trainer.checkpoint.unlink(missing_ok=True)


def _predictions(sets: dict[str, PreparedDataset], logits: dict[str, Tensor]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PREDICTION_COLUMNS)
    for name, cases in sets.items():
        probabilities = torch.sigmoid(logits[name]).tolist()
        for case, logit, probability in zip(cases.cases, logits[name].tolist(), probabilities, strict=True):
            writer.writerow((case.case_id, name, repr(logit), repr(probability)))
    return text.getvalue()


@contextmanager
def repeatable(device: torch.device, threads: int) -> Iterator[None]:
    """Compute with so many threads; on a CPU with deterministic algorithms, on a GPU with the fastest ones."""
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark,
    )

    def use(count: int, deterministic: bool, fill: bool, benchmark: bool) -> None:
        torch.set_num_threads(count)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark

    use(threads or before[0], device.type == "cpu", False, device.type == "cuda")
    try:
        yield
    finally:
        use(*before)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return "about a minute" if seconds > 45 else "under a minute"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
