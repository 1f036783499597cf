"""Attention quality of a cross-validation run, case by case, and resumed where it was left.

Insertion and deletion curves follow the network (or, for the dual-sampling map, the ensemble) whose map it is, so those
of different methods follow different networks: compare their areas with that in mind.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__, ensemble
from ..diagnosis import COVID
from ..errors import InputError
from ..progress import Progress, silent
from ..run_folder import BegunRun, RunCase
from ..storage import sha256, write_text
from .attention_cases import OF_MODEL, case_maps, probabilities, read_models, with_combined
from .attention_networks import MapModel
from .attention_quality import (
    BETA,
    TOLERANCE_MM,
    Curves,
    MapMeasures,
    insertion_deletion,
    is_dead,
    lung_background,
    measure,
    rank_correlation,
)
from .attention_tables import DS, SS, US, AttentionQuality, MapQuality, summarise

_IN_FIGURES = ("case_id", "patient_id", "label", "fold", "ratio", "stratum")
_LATTICE = 4
"""Correlations look at every fourth voxel: the maps are linear between cells 16 voxels apart."""


@dataclass(frozen=True)
class MeasureSettings:
    """How maps are measured.

    `curve_steps` portions make the insertion and deletion curves, which ask the network 2 x `curve_steps` times a map
    (0: no curves). The weight randomisation is done for the first `sanity_cases` cases of each fold. `voxels` bounds
    the uninfected voxels that AUPRC draws; `beta` is that of Eq. 2 with which the run learned.
    """

    tolerance_mm: float = TOLERANCE_MM
    curve_steps: int = 10
    sanity_cases: int = 4
    voxels: int = 200_000
    seed: int = 0
    beta: float = BETA

    def __post_init__(self) -> None:
        if min(self.tolerance_mm, self.curve_steps, self.sanity_cases, self.seed) < 0 or self.voxels < 1:
            raise ValueError(f"tolerance, steps, cases and seed cannot be negative, voxels is at least 1: {self}")


def measure_run(
    run: BegunRun,
    settings: MeasureSettings | None = None,
    label: str = COVID,
    device: str = "cpu",
    store: Path | None = None,
    resamples: int = 1000,
    progress: Progress = silent,
) -> AttentionQuality:
    """Measure every validation case of one label and bring the figures together.

    Args:
        run: of `run_folder.read_begun` or `read_run`; test cases and unfinished models are left out. In a case whose
            lungs exceeded the grid, a mm is the grid's: it is larger by the factor that the case was shrunk by.
        settings: how maps are measured; the defaults where None.
        label: whose cases are measured; COVID-19 is what the maps show evidence of.
        device: ``"cpu"`` or ``"cuda"``.
        store: folder in which each finished case is kept; a case found there is measured again only if its volumes,
            the weights, the settings or the software changed. None keeps nothing.
        resamples: draws of the patients for each interval.
        progress: told the share of cases that are done.

    Raises:
        InputError: there is no case of this label, or a prepared file cannot be read.
        BundleError: weights cannot be read.
    """
    chosen = settings or MeasureSettings()
    cases = [case for case in run.validation if case.label == label]
    cases.sort(key=lambda case: (case.own_fold, case.case_id))
    if not cases:
        raise InputError(f"the run has no validation case of {label}: there is no attention to measure")
    gone = [case.volume for case in cases if not case.volume.exists()]
    if gone:
        advice = "bring the run's cache back, or leave the attention out"
        raise InputError(f"{gone[0]}: gone, with {len(gone)} of {len(cases)} prepared cases of {label}; {advice}")
    rows: list[MapQuality] = []
    done = 0
    progress("measuring the attention", 0.0)
    for number in sorted({case.own_fold for case in cases}):
        fold = _Fold(run, number, device)
        for index, case in enumerate(each for each in cases if each.fold == number):
            rows += _kept(run, case, fold, chosen, index < chosen.sanity_cases, store)
            progress("measuring the attention", (done := done + 1) / len(cases))
    return summarise(rows, label, tuple(dataclasses.asdict(chosen).items()), resamples, chosen.seed)


def measure_case(
    run: BegunRun, case: RunCase, models: Mapping[str, MapModel], settings: MeasureSettings
) -> list[MapQuality]:
    """Measure one case's maps by every method whose models are there, without the randomisation check."""
    w = ensemble.weight(case.ratio, run.cut_offs)
    found = case_maps(case, models, w)
    asked = probabilities(models, w)
    background = lung_background(found.image, found.infection, found.lungs)
    rows = []
    one_empty = {US, SS} <= set(found.maps) and is_dead(found.maps[US]) != is_dead(found.maps[SS])
    for method, a_hat in found.maps.items():
        curves = None
        if settings.curve_steps:
            curves = insertion_deletion(
                asked[method], found.image, background, a_hat, found.lungs, settings.curve_steps
            )
        measures = measure(
            a_hat,
            found.infection,
            found.lungs,
            run.grid_spacing_xyz,
            settings.tolerance_mm,
            settings.voxels,
            settings.seed,
            settings.beta,
        )
        one_member_empty = method == DS and one_empty
        if one_member_empty:
            measures = dataclasses.replace(measures, dice=math.nan, iou=math.nan)
        rows.append(
            MapQuality(
                case_id=case.case_id,
                patient_id=case.patient_id,
                label=case.label,
                fold=case.own_fold,
                ratio=case.ratio,
                stratum=case.stratum,
                method=method,
                raw_peak=found.peaks[method],
                measures=measures,
                one_member_empty=one_member_empty,
                curves=curves,
            )
        )
    return rows


def check_sanity(
    run: BegunRun, case: RunCase, models: Mapping[str, MapModel], seed: int
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return, by method, each stage and the rank correlation of the map with that of the randomised network(s).

    A map that says where the network looks must change when the network forgets what it learned. The check is not made
    for a map that is dead from the start.
    """
    every = (slice(None, None, _LATTICE),) * 3
    w = ensemble.weight(case.ratio, run.cut_offs)
    found = case_maps(case, models, w)
    alive = [method for method, a_hat in found.maps.items() if not is_dead(a_hat)]
    correlations: dict[str, list[tuple[str, float]]] = {method: [] for method in alive}
    for stages in zip(*(model.randomised_maps(found.image, seed) for model in models.values()), strict=True):
        drawn = {OF_MODEL[name]: seen for name, (_, seen) in zip(models, stages, strict=True)}
        after = with_combined(drawn, w)
        for method in alive:
            value = rank_correlation(found.maps[method][every], after[method][every], found.lungs[every])
            correlations[method].append((stages[0][0], value))
    return {method: tuple(values) for method, values in correlations.items()}


class _Fold:
    """One fold's models, read when the first case asks for them, and the SHA-256 of their files."""

    def __init__(self, run: BegunRun, fold: int, device: str) -> None:
        self._run, self._fold, self._device = run, fold, device

    @cached_property
    def models(self) -> dict[str, MapModel]:
        return read_models(self._run, self._fold, self._device)

    @cached_property
    def hashes(self) -> dict[str, str]:
        return {name: sha256(file) for name, file in self._run.weights(self._fold).items()}


def _kept(
    run: BegunRun, case: RunCase, fold: _Fold, settings: MeasureSettings, checked: bool, store: Path | None
) -> list[MapQuality]:
    """Return a case's rows from the store, or measure them and keep them there."""
    if store is None:
        return _measured(run, case, fold, settings, checked)
    key = _key(run, case, fold.hashes, settings, checked)
    file = store / f"{case.case_id}.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["key"] == key:
            return [_row(each) for each in record["maps"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    rows = _measured(run, case, fold, settings, checked)
    store.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({"key": key, "maps": [dataclasses.asdict(row) for row in rows]}))
    return rows


def _measured(run: BegunRun, case: RunCase, fold: _Fold, settings: MeasureSettings, checked: bool) -> list[MapQuality]:
    rows = measure_case(run, case, fold.models, settings)
    if not checked:
        return rows
    found = check_sanity(run, case, fold.models, settings.seed + zlib.crc32(case.case_id.encode()))
    return [dataclasses.replace(row, sanity=found.get(row.method, ())) for row in rows]


def _key(run: BegunRun, case: RunCase, weights: Mapping[str, str], settings: MeasureSettings, checked: bool) -> str:
    """Return a digest of everything that a case's figures depend on."""
    parts = {
        "software": __version__,
        "case": {name: getattr(case, name) for name in _IN_FIGURES},
        "volumes": sha256(case.volume),
        "weights": dict(weights),
        "settings": dataclasses.asdict(dataclasses.replace(settings, sanity_cases=int(checked))),
        "grid": run.grid_spacing_xyz,
        "cut_offs": dataclasses.asdict(run.cut_offs),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _row(record: dict[str, Any]) -> MapQuality:
    curves = record["curves"]
    return MapQuality(
        **{
            **record,
            "measures": MapMeasures(**record["measures"]),
            "curves": Curves(**{name: tuple(values) for name, values in curves.items()}) if curves else None,
            "sanity": tuple((stage, value) for stage, value in record["sanity"]),
        }
    )
