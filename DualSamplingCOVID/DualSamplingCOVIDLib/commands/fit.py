"""`fit COHORT --output DIR`: train one model of the method on a cohort of labelled CTs."""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

from ..errors import InputError
from ..segmentation import CHOICES, DEFAULT, segmenter
from . import arguments, output, packages, reporter

SPLITS = ("train", "validation")
MARKS = ("fit.json",)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("fit", help="train one model", description=__doc__)
    parser.add_argument("cohort", type=Path, help="cohort.csv with a split column of train and validation")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--kind", choices=("attention", "baseline"), default="attention")
    parser.add_argument("--sampling", choices=("US", "SS"), default="US")
    number = arguments.positive
    parser.add_argument("--width", type=number, default=64, help="channels of the first layer (the paper: 64)")
    parser.add_argument("--shrink", type=number, default=1, metavar="N", help="N times coarser network grid")
    parser.add_argument("--epochs", type=number, default=20)
    parser.add_argument("--learning-rate", type=arguments.rate, default=2e-4)
    parser.add_argument("--seed", type=arguments.seed, default=0)
    named = f"{', '.join(CHOICES)} (default {DEFAULT})"
    parser.add_argument("--segmenter", default=DEFAULT, metavar="NAME", help=named)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prepare the cases, fit the model, and write its best weights with the history."""
    import safetensors.torch

    from ..cohort import read_cohort
    from ..diagnosis import CAP, COVID
    from ..evaluation.strata import fit_cut_offs
    from ..network.device import choose_device
    from ..preprocessing import GridSpec
    from ..training.fit import Settings, Trainer
    from ..training.memory import gpu_memory_named
    from ..training.prepared import PreparedDataset, prepare_cohort
    from ..training.provenance import check_lungs_of_both_classes

    packages.need("fit", "sklearn")
    progress = options.progress
    output.check(options.output, options.overwrite, MARKS, options.cohort)
    device = choose_device(options.device)
    back_end = segmenter(options.segmenter, device.type)
    settings = Settings(
        sampling=options.sampling,
        kind=options.kind,
        width=options.width,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    try:
        spec = GridSpec().coarser(options.shrink)
    except ValueError:
        raise InputError(f"--shrink {options.shrink}: that leaves no voxels of the network grid") from None
    cases = [case for case in read_cohort(options.cohort) if case.label in (COVID, CAP)]
    for split in SPLITS:
        if {case.label for case in cases if case.split == split} != {COVID, CAP}:
            raise InputError(f"{options.cohort}: the split {split!r} needs cases of both classes, {COVID} and {CAP}")
    check_lungs_of_both_classes(options.cohort, [case for case in cases if case.split in SPLITS])
    with output.whole(options.output, options.overwrite, MARKS) as folder, tempfile.TemporaryDirectory() as scratch:
        try:
            prepared = prepare_cohort(cases, spec, options.segmenter, Path(scratch), progress, device.type)
        except InputError as error:
            raise InputError(f"{options.cohort}: {error}") from None
        parts = [PreparedDataset([p for p in prepared if p.split == name]) for name in SPLITS]
        try:
            cut_offs = fit_cut_offs(parts[0].ratios)
        except ValueError as error:
            raise InputError(f"{options.cohort}: {error}") from None
        with gpu_memory_named("the fit", "take a smaller --width, or a larger --shrink"):
            trainer = Trainer(settings, parts[0], parts[1], cut_offs, device)
            fitted = trainer.fit(progress)
        (folder / "weights.safetensors").write_bytes(safetensors.torch.save(fitted.state))
        record = {
            "settings": dataclasses.asdict(settings),
            "grid": dataclasses.asdict(spec),
            "segmenter": dataclasses.asdict(dataclasses.replace(back_end.card, cut_offs=cut_offs)),
            "size_balanced_groups": dataclasses.asdict(balance) if (balance := trainer.balance) else None,
            "best": fitted.best._asdict(),
            "history": [epoch._asdict() for epoch in fitted.history],
        }
        (folder / "fit.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        progress("done", 1.0)
