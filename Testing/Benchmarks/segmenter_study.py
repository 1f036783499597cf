"""What VB-Net's phantoms must vary for real CTs: short trainings, each without one part of the variety.

python Testing/Benchmarks/segmenter_study.py --work WORK DATA_FOLDER

Every training is the recipe "study" of `train-segmenter`'s fine network, behind the coarse network of the segmenter
that ships, with the same seeds and steps; DATA_FOLDER is that of segmenters.py. What is finished in WORK is not done
again. The table (Markdown) goes to stdout: each cell holds the figure of either seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import SimpleITK as sitk
import torch
from segmenters import COVID_CASE, Data, real_figures, say

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.commands import reporter
from DualSamplingCOVIDLib.commands.train_segmenter import LEFT_OUT
from DualSamplingCOVIDLib.evaluation import robustness
from DualSamplingCOVIDLib.memory import keep_freed_memory
from DualSamplingCOVIDLib.network.vbnet import FINE_INPUTS, VBNet
from DualSamplingCOVIDLib.segmentation import segmenter, trained
from DualSamplingCOVIDLib.segmentation.vbnet import SHIPPED
from DualSamplingCOVIDLib.storage import write_whole
from DualSamplingCOVIDLib.training.segmentation.cases import plan_phantoms, write_cases
from DualSamplingCOVIDLib.training.segmentation.fit import Fitted
from DualSamplingCOVIDLib.training.segmentation.guides import write_guides
from DualSamplingCOVIDLib.training.segmentation.recipe import RECIPES, Recipe
from DualSamplingCOVIDLib.training.segmentation.teach import GUIDES, claim, fit_fine

SEEDS = (2020, 2021)
EVERYTHING = "everything"
COPIES = {copy.name: copy for copy in robustness.COPIES}
SHIFTED, THICK = "HU - 50", "8 mm slices"
SHOWN = {
    "lung Dice, id001": ("lung Dice, id001", "{:.3f}"),
    "lung Dice, id002": ("id002", "{:.3f}"),
    "covid-P001: slice AUC": ("slice AUC, P001", "{:.3f}"),
    f"covid-P001, {SHIFTED}: slice AUC": (SHIFTED, "{:.3f}"),
    f"covid-P001, {THICK}: slice AUC": (THICK, "{:.3f}"),
    "covid-P001: ratio": ("infection in % of the lungs, P001", "{:.2f}"),
    "cap-cap002: ratio": ("cap002", "{:.2f}"),
    "normal-normal001: ratio": ("normal001", "{:.2f}"),
}
"""Figure -> heading and form; ratios are shown in per cent."""


def recipe_without(part: str, seed: int) -> Recipe:
    """Return the study's recipe without one part of the variety."""
    recipe = dataclasses.replace(RECIPES["study"], seed=seed)
    if part == EVERYTHING:
        return recipe
    if part == "acquisition":
        return dataclasses.replace(recipe, acquisition=False)
    return dataclasses.replace(recipe, variety=dataclasses.replace(recipe.variety, **{part: False}))


def train(part: str, seed: int, work: Path) -> Path:
    """Fit a fine network and put it behind the shipped coarse one; return the segmenter's folder."""
    folder, recipe = work / f"{part}-{seed}", recipe_without(part, seed)
    if (folder / "segmenter").exists():
        return folder / "segmenter"
    # the scanner's variety is drawn at training: its phantoms are those of everything
    cases = work / f"{EVERYTHING if part == 'acquisition' else part}-{seed}" / "cases"
    plan = plan_phantoms(recipe.phantoms, seed)
    progress = reporter.reporter("bar")
    files = write_cases(cases, plan, recipe.variety, progress)
    write_guides(folder / GUIDES, _coarse(), files, torch.device("cpu"), progress)
    fitted = fit_fine(recipe, files, folder, torch.device("cpu"), progress)
    reporter.close(progress)
    return _assembled(fitted, recipe, f"{part}-{seed}", folder / "segmenter")


def _coarse() -> VBNet:
    shipped = trained.load(resources.path(SHIPPED))
    network = VBNet(shipped.coarse.inputs, shipped.coarse.outputs, shipped.coarse.width)
    network.load_state_dict(shipped.tensors(shipped.coarse))
    return network


def _assembled(fitted: Fitted, recipe: Recipe, name: str, folder: Path) -> Path:
    shipped = trained.load(resources.path(SHIPPED))
    made = dataclasses.replace(
        shipped,
        folder=folder,
        card=dataclasses.replace(shipped.card, name=name),
        fine=dataclasses.replace(shipped.fine, inputs=FINE_INPUTS, width=recipe.fine.width),
        evaluation={},
    )
    partial = folder.with_name("segmenter.partial")
    partial.mkdir(exist_ok=True)
    trained.save(partial, made, shipped.tensors(shipped.coarse), fitted.state)
    return partial.rename(folder)


def measure(part: str, seed: int, work: Path, data: Data) -> dict[str, float]:
    """Return the figures on real CTs of one training, which is run where it has not been.

    Raises:
        InputError: `work` holds that of another recipe.
    """
    folder, file = work / f"{part}-{seed}", work / f"{part}-{seed}.json"
    claim(folder, recipe_without(part, seed))
    if not file.exists():
        say(f"{part}, seed {seed}")
        name = f"vbnet:{train(part, seed, work)}"
        figures = real_figures(name, data) | on_copies(name, data)
        data.forget()
        write_whole(file, lambda path: path.write_text(json.dumps(figures, indent=1), encoding="utf-8"))
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def on_copies(name: str, data: Data) -> dict[str, float]:
    """Return the figures on two copies of the diseased CT."""
    row: dict[str, float] = {}
    path = f"ct/{COVID_CASE}"
    ct, original = data.ct(path), data.found(name, path)
    labelled = data.labelled(COVID_CASE, sitk.DICOMOrient(ct, "LPS").GetSize()[2])
    for copy in (COPIES[SHIFTED], COPIES[THICK]):
        found = segmenter(name).segment(copy.change(ct, original.lungs))
        steady = robustness.steadiness(copy, ct, found, original, labelled)
        row |= {f"{COVID_CASE}, {copy.name}: ratio": steady.ratio, f"{COVID_CASE}, {copy.name}: slice AUC": steady.auc}
    return row


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Return the Markdown table: a row a part left out, a column a figure, in it one value a seed."""
    lines = [f"| left out | {' | '.join(title for title, _ in SHOWN.values())} |", "|---|" + "---|" * len(SHOWN)]
    for part, found in results.items():
        cells = []
        for figure, (_, form) in SHOWN.items():
            scale = 100 if figure.endswith("ratio") else 1
            cells.append(" / ".join(form.format(scale * one[figure]) for one in found))
        lines.append(f"| {'nothing' if part == EVERYTHING else part.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, part by part, and print the table after each training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labels.json, ct/, lungs/ and not-chest/")
    parser.add_argument("--work", type=Path, required=True, help="phantoms, checkpoints and figures; gone on from")
    explained = "leave this part out (repeat for each; all of them unless given)"
    parser.add_argument("--without", choices=LEFT_OUT, action="append", default=[], help=explained)
    options = parser.parse_args()
    keep_freed_memory()
    data = Data(options.data)
    results: dict[str, list[dict[str, float]]] = {}
    for part in (EVERYTHING, *(options.without or LEFT_OUT)):
        results[part] = []
        for seed in SEEDS:
            results[part].append(measure(part, seed, options.work, data))
            print(table(results), file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
