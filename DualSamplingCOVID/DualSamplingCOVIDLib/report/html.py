"""One CT's diagnosis as one self-contained HTML page: no scripts, nothing loaded, made to be printed."""

from __future__ import annotations

import base64
from pathlib import Path

import SimpleITK as sitk

from .. import diagnosis_folder, resources, summary
from ..diagnosis import CAP, COVID, NO_PNEUMONIA, RESEARCH_USE_ONLY, Diagnosis

_TEMPLATE = "Report/report.html.j2"
_TONES = {COVID: "covid", CAP: "cap", NO_PNEUMONIA: "none"}


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
    environment.filters["percent"] = summary.percent
    template = environment.from_string(resources.path(_TEMPLATE).read_text(encoding="utf-8"))
    told = summary.summarise(diagnosis_folder.as_report(diagnosis))
    decision, segmenter = told.decision, told.segmenter
    return template.render(
        diagnosis=diagnosis,
        decision=decision,
        segmenter=segmenter,
        headline=summary.headline(decision),
        applies=summary.applies(decision),
        tone=_TONES[decision.answer],
        research_use_only=RESEARCH_USE_ONLY,
        bars=told.bars,
        over_folds=summary.over_folds(decision),
        cautions=summary.cautions(decision, segmenter),
        sides=told.sides,
        size=ct.GetSize(),
        spacing=ct.GetSpacing(),
        figure=base64.b64encode(figure_png).decode("ascii"),
    )
