"""`train-segmenter --output DIR`: teach VB-Net lungs and infection from phantoms alone."""

import argparse
import dataclasses
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import InputError
from ..weights import METADATA
from . import arguments, output, packages, reporter

if TYPE_CHECKING:
    from ..training.segmentation.recipe import Recipe
    from ..training.segmentation.teach import Taught

LEFT_OUT = ("vessels", "distractors", "surroundings", "lesion_kinds", "faint", "hila", "anywhere", "acquisition")
MARKS = (METADATA, "coarse.safetensors")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("train-segmenter", help="teach VB-Net lungs and infection", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the trained segmenter")
    parser.add_argument("--recipe", choices=("cpu", "gpu", "study", "trial"), default="cpu")
    parser.add_argument("--name", default="vbnet", help="what the segmenter is called in reports")
    explained = "keep phantoms and checkpoints here, to go on from them after an interruption"
    parser.add_argument("--work", type=Path, metavar="DIR", help=explained)
    explained = "leave a part of the variety out, to see what it is worth"
    parser.add_argument("--without", choices=LEFT_OUT, action="append", default=[], help=explained)
    explained = "folder of real chest CTs without disease, for half of the phantoms' lesions"
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help=explained)
    parser.add_argument("--seed", type=arguments.seed, default=2020)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    kept = "cancelled: what --work names is kept, and gone on with by the same line; nothing else was written"
    parser.set_defaults(run=run, cancelled=kept)


def run(options: argparse.Namespace) -> None:
    """Teach both networks, calibrate them on phantoms that they never saw, and write them."""
    from ..network.device import choose_device
    from ..parallel import cores
    from ..training.segmentation.recipe import RECIPES
    from ..training.segmentation.teach import teach

    packages.need("train-segmenter", "monai")
    output.check(options.output, options.overwrite, MARKS, options.work)
    chosen = dataclasses.replace(
        RECIPES[options.recipe], seed=options.seed, backgrounds=_backgrounds(options.backgrounds)
    )
    recipe = _without(chosen, options.without)
    device = choose_device(options.device)
    with output.whole(options.output, options.overwrite, MARKS) as folder, tempfile.TemporaryDirectory() as scratch:
        workers = cores() if device.type == "cuda" else 0  # on a CPU they would only take turns with the fit
        taught = teach(recipe, options.work or Path(scratch), device, options.progress, workers)
        _write(folder, options, recipe, taught)
        options.progress("done", 1.0)


def _backgrounds(folder: Path | None) -> tuple[str, ...]:
    """The CTs in a folder: its files and, as DICOM, its folders."""
    if folder is None:
        return ()
    try:
        found = tuple(str(path.resolve()) for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from None
    if not found:
        raise InputError(f"{folder}: holds no CT")
    return found


def _without(recipe: "Recipe", parts: list[str]) -> "Recipe":
    less = {part: False for part in parts if part != "acquisition"}
    return dataclasses.replace(
        recipe, variety=dataclasses.replace(recipe.variety, **less), acquisition="acquisition" not in parts
    )


def _learned_from(recipe: "Recipe", taught: "Taught") -> str:
    if recipe.backgrounds:
        return f"{taught.phantoms} phantoms, half of them laid into {len(recipe.backgrounds)} real CTs without disease"
    return f"{taught.phantoms} computer-made phantoms only, never a patient"


def _fingerprint(taught: "Taught") -> str:
    """A few letters that tell these weights from all others: ratios of two trainings are not comparable."""
    whole = hashlib.sha256()
    for fitted in (taught.coarse, taught.fine):
        for name in sorted(fitted.state):
            whole.update(fitted.state[name].numpy().tobytes())
    return whole.hexdigest()[:8]


def _write(folder: Path, options: argparse.Namespace, recipe: "Recipe", taught: "Taught") -> None:
    """Write the segmenter, measure it on held-out phantoms, and write it again with what that says."""
    from ..diagnosis import CutOffs, SegmenterCard
    from ..network.vbnet import COARSE_INPUTS, FINE_INPUTS
    from ..segmentation.trained import Network, TrainedSegmenter, save
    from ..training.segmentation import calibrate

    left_out = "".join(f" --without {part}" for part in options.without)
    seconds = {
        "phantoms": taught.phantom_seconds,
        "coarse": taught.coarse.seconds,
        "guides": taught.guide_seconds,
        "fine": taught.fine.seconds,
    }
    seconds["total"] = sum(seconds.values())
    segmenter = TrainedSegmenter(
        folder,
        SegmenterCard(options.name, f"{__version__}-{_fingerprint(taught)}", CutOffs(), 0.0),
        coarse=Network(COARSE_INPUTS, 2, recipe.coarse.width, "coarse.safetensors", ""),
        fine=Network(FINE_INPUTS, 2, recipe.fine.width, "fine.safetensors", ""),
        learned_from=_learned_from(recipe, taught),
        intended_use="Lungs and pneumonia infection on chest CT. Research use only.",
        evaluation={
            "command": f"dualsampling-covid train-segmenter --recipe {options.recipe} --seed {recipe.seed}{left_out}",
            # how many backgrounds there were, never whose
            "recipe": dataclasses.asdict(recipe) | {"backgrounds": len(recipe.backgrounds)},
            "seconds": {part: round(spent) for part, spent in seconds.items()},
        },
    )
    segmenter = save(folder, segmenter, taught.coarse.state, taught.fine.state)
    found = calibrate.measure(folder, recipe.calibration, progress=options.progress)
    evaluation = segmenter.evaluation | {"held_out": calibrate.figures(found)}
    try:
        card = calibrate.calibrated(segmenter.card, found)
    except ValueError as error:
        raise InputError(f"the networks have learned too little: {error}") from None
    save(
        folder,
        dataclasses.replace(segmenter, card=card, evaluation=evaluation),
        taught.coarse.state,
        taught.fine.state,
    )
    print(evaluation["held_out"], file=sys.stderr)
