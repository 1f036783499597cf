"""The cases whose attention is measured: a cross-validation run's validation cases with their own fold's maps.

Every case is seen by the models that did not learn from it. Grad-CAM is the baseline's; the dual-sampling map is
w A^_US + (1 - w) A^_SS with Eq. 5's w.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .. import ensemble
from ..errors import InputError
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, BegunRun, RunCase, read_weights
from ..run_folder.volume import read_volume
from .attention_networks import MapModel, SeenMap
from .attention_quality import Probability, Volume
from .attention_tables import DS, GRAD_CAM, SS, US

OF_MODEL = {BASELINE_US: GRAD_CAM, ATTENTION_US: US, ATTENTION_SS: SS}
"""Which method's map each model makes."""


@dataclass(frozen=True)
class CaseMaps:
    """One case on the network grid [k, j, i]: `image` in [0, 1], shares of infection and lungs, and A^ by method.

    `peaks` has each map's largest value before min-max (NaN for the combined map), `probabilities` what the map's
    network or ensemble says.
    """

    case: RunCase
    image: Volume
    infection: Volume
    lungs: Volume
    maps: Mapping[str, Volume]
    peaks: Mapping[str, float]
    probabilities: Mapping[str, float]


def read_models(run: BegunRun, fold: int, device: str = "cpu") -> dict[str, MapModel]:
    """Read one fold's finished models.

    Raises:
        InputError: a result.json cannot be read.
        BundleError: weights cannot be read, or are not those that the run left.
    """
    return {name: MapModel(read_weights(run, fold, name), name, device) for name in run.weights(fold)}


def maps_of(run: BegunRun, case_ids: Iterable[str], device: str = "cpu") -> Iterator[CaseMaps]:
    """Yield these cases with the maps of their own fold's models, for pictures.

    Raises:
        InputError: a case is not in the run, or its prepared file cannot be read.
        BundleError: weights cannot be read.
    """
    cases = {case.case_id: case for case in run.validation}
    for case_id in case_ids:
        if case_id not in cases:
            raise InputError(f"the run has no validation case {case_id!r}")
        case = cases[case_id]
        models = read_models(run, case.own_fold, device)
        yield case_maps(case, models, ensemble.weight(case.ratio, run.cut_offs))


def case_maps(case: RunCase, models: Mapping[str, MapModel], w: float) -> CaseMaps:
    """Read one case and ask the models; `w` is Eq. 5's weight on the uniformly sampled one."""
    image, infection, lungs = read_volume(case.volume)
    seen = {OF_MODEL[name]: model.map(image) for name, model in models.items()}
    asked = probabilities(models, w)
    return CaseMaps(
        case=case,
        image=image,
        infection=infection,
        lungs=lungs,
        maps=with_combined(seen, w),
        peaks={method: found.raw_peak for method, found in seen.items()} | {DS: math.nan},
        probabilities={method: probability(image) for method, probability in asked.items()},
    )


def with_combined(seen: Mapping[str, SeenMap], w: float) -> dict[str, Volume]:
    """Return A^ by method, the dual-sampling map w A^_US + (1 - w) A^_SS among them where both are there."""
    maps = {method: found.a_hat for method, found in seen.items()}
    if US in maps and SS in maps:
        maps[DS] = ensemble.combine_maps(maps[US], maps[SS], w)
    return maps


def probabilities(models: Mapping[str, MapModel], w: float) -> dict[str, Probability]:
    """Return what says the probability that each method's map explains."""
    asked: dict[str, Probability] = {OF_MODEL[name]: model.probability for name, model in models.items()}
    if US in asked and SS in asked:
        uniform, balanced = asked[US], asked[SS]
        asked[DS] = lambda volume: w * uniform(volume) + (1.0 - w) * balanced(volume)
    return asked
