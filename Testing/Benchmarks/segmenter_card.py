"""The model card of a trained segmenter, from its metadata and the figures of segmenters.py.

python Testing/Benchmarks/segmenters.py --segmenter vbnet:FOLDER --segmenter threshold --json FIGURES DATA_FOLDER
python Testing/Benchmarks/segmenter_card.py FOLDER FIGURES

Writes FOLDER/README.md. No figure in it was typed: the first command printed them, or the training did.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmenters import KINDS

REAL = {
    "lung Dice, id001": "lung Dice, first CT with masks",
    "lung Dice, id002": "lung Dice, second CT with masks",
    "covid-P001: slice AUC": "COVID-19: AUC of the slices' infected fraction against the labels",
    "covid-P001: slice AUC of the lung's area": "COVID-19: the same of the lung's area alone",
    "covid-P001: labelled slices with infection": "COVID-19: share of labelled slices with some infection",
    "covid-P001: other slices with infection": "COVID-19: share of other slices with some infection",
    "covid-P001: infection in the lower half": "COVID-19: share of the infection in the lower half of the lungs",
    "covid-P001: ratio": "COVID-19: infection ratio",
    "cap-cap002: ratio": "CAP: infection ratio",
    "normal-normal001: ratio": "normal: infection ratio",
    "abdomen: lungs, ml": "CT of an abdomen: lungs, ml",
}
BELOW = "infection Dice below 0.5 % of the lung"
PHANTOMS = {
    "lung Dice, mean of cases": "lung Dice",
    "lung Dice, worst": "lung Dice, worst case",
    "lung Dice with consolidation, mean of cases": "lung Dice where there is consolidation",
    "infection Dice, pooled": "infection Dice, all voxels together",
    "infection Dice, mean of cases": "infection Dice, mean of cases",
    f"{BELOW}, pooled": f"{BELOW}, all voxels together",
    f"{BELOW}, mean of cases": f"{BELOW}, mean of cases",
    **{f"sensitivity for {kind}, pooled": f"sensitivity: {kind}" for kind in KINDS.values()},
    "normals: ratio, worst": "normal lungs: largest infection ratio",
}
SPEED = {"seconds": "seconds", "peak MB": "peak memory, MB"}

CARD = """# {name}

Right lung, left lung and pneumonia infection on chest CT: VB-Net, a coarse network on 6 mm voxels and a fine one on
2 mm voxels. Version `{version}`, under the licence {license}. {intended_use}

**What it learned from:** {learned_from}.
No CT of a patient was used to fit or to calibrate anything. The five real CTs below were looked at while the phantoms,
the number of steps, the least probabilities and the rules (infection must be lung from afar; recesses are lung by their
density; gas outside the lungs is none) were chosen: their figures are those of a development set.

## On real CTs

Five chest CTs and one of an abdomen, one setting for all, none of them learned from: two low-resolution CTs with lung
masks; covid-P001, cap-cap002 and normal-normal001 of COVID-CT-MD (Afshar et al., *Sci Data* 2021), whose slices with
infection radiologists labelled. They are few, and were looked at: the figures show that phantoms can teach what holds
on scanners that no phantom imitates, not how well it works in general.

{real}

## On phantoms that nothing has seen

{phantoms}

Those of its metadata ({cases} others, {normal} of them normal): lung Dice {lung_dice:.3f}, infection Dice
{infection_dice:.3f}, below 0.5 % of the lung {small_dice:.3f} ({small} phantoms).

## Steadiness

The same CT as thicker slices, on a grid turned by 15 degrees, with noise, cropped, and with HU shifted: infection
ratio, its change, and the AUC over slices.

{robustness}

## Seconds and memory

covid-P001 on two CPU threads, lungs and infection:

{speed}

## How its ratios are read

Cut-offs {cut_offs} keep the paper's strata (0.001 / 0.005 / 0.030 in its own masks) on phantoms
with the paper's mix of ratios. Detection limit {limit:.5f}: the 95th percentile in normal phantoms. Ratios of two
segmenters, or of two trainings of this one, are not comparable.

## Made by

`{command}` (`make segmenter`), seeded from end to end:
{seconds[phantoms]:.0f} s for {recipe[phantoms]} phantoms, {seconds[coarse]:.0f} s for the coarse network,
{seconds[guides]:.0f} s for what it says of the phantoms and {seconds[fine]:.0f} s for the fine network, on two CPU
cores.
"""


def card(metadata: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Return the card as Markdown; `figures` is what segmenters.py wrote of ``vbnet...`` and ``threshold``."""
    made, cuts = metadata["evaluation"], metadata["cut_offs"]
    held_out = made["held_out"]
    return CARD.format(
        **{key: metadata[key] for key in ("name", "version", "intended_use", "license", "learned_from")},
        **{key: held_out[key] for key in ("normal", "lung_dice", "infection_dice")},
        cases=held_out["phantoms"],
        small_dice=held_out["infection_dice_below_0.005"],
        small=held_out["below_0.005"],
        real=_table(figures["real"], REAL),
        phantoms=_table(figures["phantoms"], PHANTOMS),
        robustness=_steadiness(figures["robustness"]),
        speed=_table(figures["speed"], SPEED),
        cut_offs=" / ".join(f"{cuts[name]:.4f}" for name in ("minimal", "small", "large")),
        limit=metadata["detection_limit"],
        command=made["command"],
        seconds=made["seconds"],
        recipe=made["recipe"],
    )


def _columns(section: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return next(found for name, found in section.items() if name.startswith("vbnet")), section["threshold"]


def _table(section: Mapping[str, Any], rows: Mapping[str, str]) -> str:
    ours, other = _columns(section)
    lines = ["| figure | vbnet | threshold |", "|---|---|---|"]
    lines += [f"| {title} | {_number(ours.get(key))} | {_number(other.get(key))} |" for key, title in rows.items()]
    return "\n".join(lines)


def _steadiness(section: Mapping[str, Any]) -> str:
    ours, other = _columns(section)
    lines = ["| copy | vbnet | threshold |", "|---|---|---|"]
    return "\n".join(lines + [f"| {row} | {_change(ours[row])} | {_change(other[row])} |" for row in ours])


def _change(found: Mapping[str, float | None]) -> str:
    """Return ratio, its change in per cent and the AUC, as far as the copy has them."""
    change, auc = found.get("ratio_percent"), found.get("auc")
    text = f"{found['ratio']:.4f}" + ("" if change is None else f" ({change:+.0f} %)")
    return text if auc is None else f"{text}, AUC {auc:.3f}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1.5 else f"{value:.4f}"


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what train-segmenter wrote")
    parser.add_argument("figures", type=Path, help="what segmenters.py --json wrote")
    options = parser.parse_args()
    metadata = json.loads((options.folder / "metadata.json").read_text(encoding="utf-8"))
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    (options.folder / "README.md").write_text(card(metadata, figures), encoding="utf-8")


if __name__ == "__main__":
    main()
