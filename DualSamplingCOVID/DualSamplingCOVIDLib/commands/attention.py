"""Attention quality in the output of `evaluate`: tables, numbers and the evidence grid of a run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ResourceError
from ..evaluation.attention_cases import maps_of
from ..evaluation.attention_run import MeasureSettings, measure_run
from ..evaluation.attention_tables import AttentionQuality, median_cases
from ..progress import Progress, silent
from ..run_folder import BegunRun

NUMBERS, GRID = "attention-quality.json", "attention-grid.png"


def write_attention(
    run: BegunRun,
    folder: Path,
    settings: MeasureSettings | None = None,
    device: str = "cpu",
    store: Path | None = None,
    resamples: int = 1000,
    progress: Progress = silent,
) -> AttentionQuality:
    """Measure a run's attention and write what was found into a folder.

    ``attention-quality.csv`` (one row a method, stratum and measure), ``attention-differences.csv``,
    ``attention-randomisation.csv``, ``attention-maps.csv`` (one row a map), ``attention-quality.json`` (all of it) and
    ``attention-grid.png``, the evidence of the median case of each stratum. The table of the maps and the JSON hold
    patient_id, for statistics by patient.

    Args:
        run: of `run_folder.read_begun` or `read_run`.
        folder: an existing folder.
        settings: how maps are measured; the defaults where None.
        device: ``"cpu"`` or ``"cuda"``.
        store: where finished cases are kept, so that an interrupted run goes on; None keeps nothing.
        resamples: draws of the patients for each interval.
        progress: told the share of cases that are done.

    Raises:
        InputError: there are no COVID-19 cases, or a prepared file cannot be read.
        BundleError: weights cannot be read.
        ResourceError: memory ran out, the GPU's or the computer's.
    """
    with _enough_memory():
        quality = measure_run(run, settings, device=device, store=store, resamples=resamples, progress=progress)
    for name, rows in (
        ("quality", quality.as_table()),
        ("differences", quality.differences_as_table()),
        ("randomisation", quality.sanity_as_table()),
        ("maps", quality.maps_as_table()),
    ):
        _write_rows(folder / f"attention-{name}.csv", rows)
    (folder / NUMBERS).write_text(quality.as_json(), encoding="utf-8")
    progress("drawing the evidence", 0.0)
    with _enough_memory():
        save_median_grid(folder / GRID, run, quality, device)
    return quality


def save_median_grid(path: Path, run: BegunRun, quality: AttentionQuality, device: str = "cpu") -> None:
    """Draw the median case of each stratum (see `median_cases`), with the maps of its own fold's models."""
    from ..report.attention_grid import EvidenceCase, save_grid

    cases = []
    for found in maps_of(run, median_cases(quality.maps).values(), device):
        case = found.case
        cases.append(
            EvidenceCase(
                case_id=case.case_id,
                label=case.label,
                stratum=case.stratum,
                ratio=case.ratio,
                spacing_xyz=run.grid_spacing_xyz,
                image=found.image,
                infection=found.infection,
                lungs=found.lungs,
                maps=found.maps,
                probabilities=found.probabilities,
                energies={m.method: m.value("energy_infection") for m in quality.maps if m.case_id == case.case_id},
            )
        )
    save_grid(path, cases)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Say what to do where memory runs out."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise ResourceError("memory ran out: close other programs, or choose --device cpu") from None


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV; what is not defined is empty."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
        if rows:
            writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value != value else value for name, value in row.items()})
