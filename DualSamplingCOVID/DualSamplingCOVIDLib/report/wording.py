"""The sentences that the figure and the page share, so that both say the same of a decision."""

from __future__ import annotations

from ..diagnosis import CAP, COVID, NO_PNEUMONIA, Decision, SegmenterCard

_HEADLINES = {
    COVID: "COVID-19 rather than community-acquired pneumonia",
    CAP: "Community-acquired pneumonia (CAP) rather than COVID-19",
    NO_PNEUMONIA: "No pneumonia found: COVID-19 against CAP does not apply",
}


def applies(decision: Decision) -> bool:
    """Whether COVID-19 against CAP is a question at all; where it is not, no probability is shown."""
    return decision.answer != NO_PNEUMONIA


def headline(decision: Decision) -> str:
    """The answer as one line."""
    return _HEADLINES[decision.answer]


def percent(ratio: float) -> str:
    """A ratio in [0, 1] as a percentage with two decimals, such as ``2.95 %``; no line breaks within."""
    return f"{100 * ratio:.2f}\N{NO-BREAK SPACE}%"


def across_the_cut_off(decision: Decision, segmenter: SegmenterCard) -> str | None:
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
    changes = (decision.other_side >= 0.5) != (decision.probability >= 0.5)
    return sentence + (", and the answer would be the other one." if changes else "; the answer would stay the same.")
