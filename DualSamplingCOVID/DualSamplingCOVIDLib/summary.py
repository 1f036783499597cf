"""What a reader is told of a diagnosis: the sentences, bars and volumes that report and panel share.

All of it comes from the report (`diagnosis_folder.as_report`), without masks and maps, so that a scene which is opened
again says what it said before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .diagnosis import CAP, COVID, NO_PNEUMONIA, THRESHOLD, BundleCard, CutOffs, Decision, Finding, SegmenterCard

_HEADLINES = {
    COVID: "COVID-19 rather than community-acquired pneumonia",
    CAP: "Community-acquired pneumonia (CAP) rather than COVID-19",
    NO_PNEUMONIA: "No pneumonia found: COVID-19 against CAP does not apply",
}
_SAMPLINGS = {"US": "uniform sampling (US)", "SS": "size-balanced sampling (SS)"}
NO_EVIDENCE = "no positive COVID-19 evidence"
"""What a dead map says: zeros everywhere are not a faint map."""


@dataclass(frozen=True)
class Bar:
    """One bar of the probability chart: P(COVID-19) in [0, 1], and its weight in the ensemble's words."""

    label: str
    probability: float
    weight: str
    is_ensemble: bool


@dataclass(frozen=True)
class Side:
    """Volumes of one lung, or of both, in ml; `share` is infected / lung in [0, 1]."""

    name: str
    lung_ml: float
    infected_ml: float

    @property
    def share(self) -> float:
        return self.infected_ml / self.lung_ml if self.lung_ml else 0.0


@dataclass(frozen=True)
class Network:
    """One member of the bundle: what it is and how strong its evidence was before the map was scaled to 0-1."""

    name: str
    sampling: str
    kind: str
    fold: int | None
    probability: float
    raw_peak: float
    opposite_peak: float


@dataclass(frozen=True)
class Summary:
    """One diagnosis in words and numbers."""

    notice: str
    decision: Decision
    segmenter: SegmenterCard
    networks: tuple[Network, ...]
    sides: tuple[Side, Side, Side]
    findings: tuple[Finding, ...]
    bundle: BundleCard

    @property
    def applies(self) -> bool:
        """Whether COVID-19 against CAP is a question at all; where it is not, no probability is shown."""
        return applies(self.decision)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The ensemble's bar, then the members' in the bundle's order; networks that several folds have share one."""
        ensemble = Bar("Ensemble", self.decision.probability, f"form “{self.decision.form}”", True)
        weights = {"US": self.decision.weight, "SS": 1 - self.decision.weight}
        groups: dict[tuple[str, str], list[Network]] = {}
        for network in self.networks:
            groups.setdefault((network.sampling, network.kind), []).append(network)
        shared = {kind for kind, networks in groups.items() if _folds(networks) > 1}
        alone = [network for network in self.networks if (network.sampling, network.kind) not in shared]
        means = [_mean_bar(networks, weights) for kind, networks in groups.items() if kind in shared]
        return (ensemble, *means, *(_bar(network, weights) for network in alone))


def summarise(report: dict[str, Any]) -> Summary:
    """Read the report of a diagnosis.

    Raises:
        KeyError, TypeError, ValueError: it is not such a report.
    """
    segmentation = report["segmentation"]
    card = segmentation["segmenter"]
    return Summary(
        notice=report["notice"],
        decision=Decision.from_record(report["decision"]),
        segmenter=SegmenterCard(**{**card, "cut_offs": CutOffs(**card["cut_offs"])}),
        networks=tuple(_network(member) for member in report["members"]),
        sides=_sides(segmentation["lungs_ml"], segmentation["infection_ml"]),
        findings=tuple(Finding(**finding) for finding in report["quality"]),
        bundle=BundleCard(**report["bundle"]),
    )


def applies(decision: Decision) -> bool:
    """Whether COVID-19 against CAP is a question at all; where it is not, no probability is shown."""
    return decision.answer != NO_PNEUMONIA


def headline(decision: Decision) -> str:
    """The answer as one line."""
    return _HEADLINES[decision.answer]


def percent(ratio: float) -> str:
    """A ratio in [0, 1] as a percentage with two decimals, such as ``2.95 %``; no line breaks within."""
    return f"{100 * ratio:.2f}\N{NO-BREAK SPACE}%"


def ratio_with_stratum(ratio: float, segmenter: SegmenterCard) -> str:
    """A ratio with its group of Table III and what decides it, such as ``1.38 %, medium (cut-offs 0.1, 0.5, 3 %)``.

    Below the detection limit there is no group: normal lungs have as much.
    """
    if ratio < segmenter.detection_limit:
        limit = f"{100 * segmenter.detection_limit:.3g} %"
        return f"{percent(ratio)}, below the detection limit of {limit}: normal lungs may show as much"
    limits = ", ".join(f"{100 * limit:.3g}" for limit in dataclasses.astuple(segmenter.cut_offs))
    return f"{percent(ratio)}, {segmenter.cut_offs.stratum(ratio)} (cut-offs {limits} %)"


def cautions(decision: Decision, segmenter: SegmenterCard) -> tuple[str, ...]:
    """What should make a reader doubt the probability: a cut-off close by, networks or folds that disagree.

    Mostly nothing.
    """
    said = (_across_the_cut_off(decision, segmenter), _disagreement(decision), _disagreement_of_folds(decision))
    return tuple(filter(None, said))


def over_folds(decision: Decision) -> tuple[str, ...]:
    """Say how far the answers of the folds lie apart, in a sentence; nothing of one fold or where none is asked for."""
    if decision.folds is None or not applies(decision):
        return ()
    low, high = decision.folds.range
    return (
        f"Spread over {len(decision.folds.answers)} folds: {decision.folds.spread:.3f} (standard deviation of the "
        f"probability of COVID-19, which is {low:.3f} to {high:.3f} in them)",
    )


def _across_the_cut_off(decision: Decision, segmenter: SegmenterCard) -> str | None:
    """Say what the probability would be just across the nearest cut-off; None where the ratio is near none.

    Eq. 5's weight is a step of the ratio, so that a hair's breadth of infection can move the probability.
    """
    if decision.other_side is None or not applies(decision):
        return None
    limits = segmenter.cut_offs
    cut_offs = ", ".join(percent(cut_off) for cut_off in (limits.minimal, limits.large))
    sentence = (
        f"The infection ratio ({percent(decision.ratio)}) lies close to one of the cut-offs ({cut_offs}) where the "
        f"ensemble's weight steps: just across it the probability of COVID-19 would be {decision.other_side:.3f} "
        f"instead of {decision.probability:.3f}"
    )
    changes = (decision.other_side >= THRESHOLD) != (decision.probability >= THRESHOLD)
    return sentence + (", and the answer would be the other one." if changes else "; the answer would stay the same.")


def _disagreement(decision: Decision) -> str | None:
    """Say that the networks of both samplings give different answers; None where they agree, or none is asked for."""
    us, ss = decision.p_us, decision.p_ss
    if not applies(decision) or (us >= THRESHOLD) == (ss >= THRESHOLD):
        return None
    return (
        f"The networks disagree: probability of COVID-19 {us:.3f} with uniform sampling (weight "
        f"{decision.weight:.2f}), {ss:.3f} with size-balanced sampling."
    )


def _disagreement_of_folds(decision: Decision) -> str | None:
    """Say that the folds give different answers; None where they agree, are not several, or none is asked for."""
    if decision.folds is None or not applies(decision):
        return None
    low, high = decision.folds.range
    if (low >= THRESHOLD) == (high >= THRESHOLD):
        return None
    covid = sum(answer.probability >= THRESHOLD for answer in decision.folds.answers)
    return (
        f"The folds disagree: {covid} of {len(decision.folds.answers)} answer {COVID}, the others {CAP} (probability "
        f"of COVID-19 {low:.3f} to {high:.3f})."
    )


def _network(member: dict[str, Any]) -> Network:
    own = {name: member[name] for name in ("name", "sampling", "kind", "fold", "probability")}
    return Network(**own, raw_peak=member["attention"]["raw_peak"], opposite_peak=member["opposite"]["raw_peak"])


def _sides(lungs_ml: dict[str, float], infection_ml: dict[str, float]) -> tuple[Side, Side, Side]:
    """Volumes of the right lung, the left lung and both lungs (infection counted inside the lungs)."""
    right, left = (Side(f"{side.capitalize()} lung", lungs_ml[side], infection_ml[side]) for side in ("right", "left"))
    return right, left, Side("Both lungs", right.lung_ml + left.lung_ml, right.infected_ml + left.infected_ml)


def _folds(networks: Sequence[Network]) -> int:
    """How many folds networks are of."""
    return len({network.fold for network in networks if network.fold is not None})


def _bar(network: Network, weights: dict[str, float]) -> Bar:
    fold = "" if network.fold is None else f", fold {network.fold}"
    return Bar(_title(network) + fold, network.probability, _weight(network, weights), False)


def _mean_bar(networks: Sequence[Network], weights: dict[str, float]) -> Bar:
    """One bar for networks of one kind and sampling in several folds: their mean, which is what Eq. 5 takes."""
    probabilities = [network.probability for network in networks]
    low, high, mean = min(probabilities), max(probabilities), sum(probabilities) / len(probabilities)
    label = f"{_title(networks[0])}, mean of {_folds(networks)} folds: {low:.3f} to {high:.3f}"
    return Bar(label, mean, _weight(networks[0], weights), False)


def _title(network: Network) -> str:
    title = "Baseline without attention loss" if network.kind == "baseline" else "Attention network"
    return f"{title}, {_SAMPLINGS.get(network.sampling, network.sampling)}"


def _weight(network: Network, weights: dict[str, float]) -> str:
    if network.kind == "baseline":
        return "not in the answer"
    return f"weight of {network.sampling}: {weights[network.sampling]:.2f}" if network.sampling in weights else "—"
