"""One CT's diagnosis as one self-contained HTML page: no scripts, nothing loaded, made to be printed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from .. import resources
from ..diagnosis import CAP, COVID, NO_PNEUMONIA, RESEARCH_USE_ONLY, Diagnosis, MemberResult, Segmentation, volume_ml
from . import wording

_TEMPLATE = "Report/report.html.j2"
_TONES = {COVID: "covid", CAP: "cap", NO_PNEUMONIA: "none"}
_SAMPLINGS = {"US": "uniform sampling (US)", "SS": "size-balanced sampling (SS)"}


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


def save_report(path: Path, ct: sitk.Image, diagnosis: Diagnosis, figure_png: Path) -> None:
    """Write the page; the same input gives the same bytes, and nothing in it names the patient.

    Args:
        path: the HTML file to write.
        ct: the CT in HU that was analysed (its size and spacing are shown).
        diagnosis: what `analyze` found in it.
        figure_png: the picture of `figure.save_figure`, embedded in the page.
    """
    path.write_text(render(ct, diagnosis, figure_png.read_bytes()), encoding="utf-8")


def render(ct: sitk.Image, diagnosis: Diagnosis, figure_png: bytes) -> str:
    """Return the page as text; all that others wrote (names, messages) is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = wording.percent
    template = environment.from_string(resources.path(_TEMPLATE).read_text(encoding="utf-8"))
    decision, segmenter = diagnosis.decision, diagnosis.segmentation.segmenter
    return template.render(
        diagnosis=diagnosis,
        decision=decision,
        segmenter=segmenter,
        headline=wording.headline(decision),
        applies=wording.applies(decision),
        tone=_TONES[decision.answer],
        research_use_only=RESEARCH_USE_ONLY,
        bars=bars(diagnosis),
        across=wording.across_the_cut_off(decision, segmenter),
        sides=sides(diagnosis.segmentation),
        size=ct.GetSize(),
        spacing=ct.GetSpacing(),
        figure=base64.b64encode(figure_png).decode("ascii"),
    )


def bars(diagnosis: Diagnosis) -> tuple[Bar, ...]:
    """The ensemble's bar, then the members' in the bundle's order."""
    decision = diagnosis.decision
    ensemble = Bar("Ensemble", decision.probability, f"form “{decision.form}”", True)
    weights = {"US": decision.weight, "SS": 1 - decision.weight}
    return (ensemble, *(_member_bar(member, weights) for member in diagnosis.members))


def _member_bar(member: MemberResult, weights: dict[str, float]) -> Bar:
    sampling = _SAMPLINGS.get(member.sampling, member.sampling)
    fold = "" if member.fold is None else f", fold {member.fold}"
    if member.kind == "baseline":
        return Bar(f"Baseline without attention loss, {sampling}{fold}", member.probability, "not in the answer", False)
    weight = f"weight of {member.sampling}: {weights[member.sampling]:.2f}" if member.sampling in weights else "—"
    return Bar(f"Attention network, {sampling}{fold}", member.probability, weight, False)


def sides(segmentation: Segmentation) -> tuple[Side, Side, Side]:
    """Volumes of the right lung, the left lung and both lungs (infection counted inside the lungs)."""
    lungs = (
        ("Right lung", segmentation.right_lung),
        ("Left lung", segmentation.left_lung),
        ("Both lungs", segmentation.lungs),
    )
    right, left, both = (
        Side(name, volume_ml(lung), volume_ml(sitk.And(lung, segmentation.infection))) for name, lung in lungs
    )
    return right, left, both
