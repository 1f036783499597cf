"""Cross-validation: every model of every fold, trained once, whatever interrupts it (section IV-C)."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from .. import weights
from ..errors import ResourceError
from ..progress import Progress, silent
from ..run_folder import PREDICTION_COLUMNS, PREDICTIONS, RESULT, TEST, VALIDATION, WEIGHTS
from ..storage import write_text, write_whole
from .distributed import ALONE, Team
from .fit import Fitted, predict
from .prepared import PreparedDataset
from .recorded import RecordedTrainer
from .run import TrainingRun, write_json


def train_models(
    run: TrainingRun, folds: Sequence[int], device: torch.device, team: Team = ALONE, progress: Progress = silent
) -> None:
    """Train every model of these folds that is not finished; each leaves weights, predictions and result.json.

    Args:
        run: what was begun.
        folds: which folds.
        device: where to compute.
        team: the processes that train together.
        progress: told each model's share; its name says how long the rest may take.

    Raises:
        InputError: a checkpoint or a prepared case cannot be read.
        ResourceError: memory or disk ran out; what was finished stays.
    """
    jobs = [(fold, model) for fold in folds for model in run.config.models]
    left = [job for job in jobs if not run.is_finished(*job)]
    team.wait()
    took: list[float] = []
    with repeatable(device, run.config.threads):
        for fold, model in left:
            name = f"model {jobs.index((fold, model)) + 1} of {len(jobs)}: fold {fold} {model}"
            if took:
                name += f", {_duration((len(left) - len(took)) * sum(took) / len(took))} left"
            since = time.perf_counter()
            train_model(run, fold, model, device, team, progress, name)
            took.append(time.perf_counter() - since)
            team.wait()


def train_model(
    run: TrainingRun, fold: int, model: str, device: torch.device, team: Team, progress: Progress, name: str
) -> None:
    """Train one model of a fold from its checkpoint on, and write what `evaluate` and `bundle export` need."""
    folder = run.model_folder(fold, model)
    settings = run.config.settings(model, fold)
    training, validation, test = (PreparedDataset(cases) for cases in run.split(fold))
    try:
        trainer = RecordedTrainer(
            folder, name, settings, training, validation, run.segmenter.cut_offs, device, team=team
        )
        try:
            fitted = trainer.fit(progress)
        finally:
            trainer.close()
        if team.leads:
            _finish(trainer, fitted, folder, {VALIDATION: validation, TEST: test})
    except torch.OutOfMemoryError:
        raise ResourceError(f"{name}: GPU memory ran out; take a smaller micro_batch") from None


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
            "cases": {"training": len(trainer.training), **{name: len(cases) for name, cases in sets.items()}},
            "size_balanced_groups": asdict(balance) if balance else None,
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
