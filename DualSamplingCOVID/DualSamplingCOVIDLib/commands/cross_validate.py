"""`cross-validate COHORT --output RUN`: train every model of the method in every fold, resumable at any point.

Several GPUs: `torchrun --nproc-per-node N -m DualSamplingCOVIDLib cross-validate ...`. Several machines that see RUN:
`--resume` on each, once one has begun it; each takes the models that nobody has.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from ..ct import check_name
from ..errors import InputError
from ..progress import silent
from ..run_folder import CONFIG
from ..segmentation import CHOICES, found_anywhere
from . import arguments, packages, reporter


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("cross-validate", help="train all models in all folds", description=__doc__)
    parser.add_argument("cohort", type=Path, help="cohort.csv; its split `test` stays outside the folds")
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="the run folder")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); the paper's without it")
    parser.add_argument("--fold", type=arguments.seed, metavar="K", help="train this fold alone (the first is 0)")
    parser.add_argument("--resume", action="store_true", help="go on with the run that the folder holds")
    parser.add_argument("--segmenter", metavar="NAME", help=", ".join(CHOICES))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reporter.add_argument(parser)
    parser.set_defaults(run=run, cancelled="cancelled: what is finished is kept; go on with --resume")


def run(options: argparse.Namespace) -> None:
    """Begin the run or go on with it, and train the models that are left."""
    from ..network.device import choose_device
    from ..training.begin import begin
    from ..training.config import read_config
    from ..training.cross_validation import train_models
    from ..training.distributed import joined
    from ..training.recorded import has_tensorboard
    from ..training.run import load_run

    packages.need("cross-validate", "sklearn")
    begun = options.output / CONFIG
    if begun.exists() and not options.resume:
        raise InputError(f"{options.output}: holds a run already; add --resume to go on with it")
    if options.resume and not (options.output.is_dir() and any(options.output.iterdir())):
        raise InputError(f"{options.output}: holds no run to go on with; without --resume a new one begins")
    goes_on = options.config is None and begun.exists()
    config = read_config(begun if goes_on else options.config)
    if options.segmenter is not None or not goes_on:
        config = config.changed(segmenter=found_anywhere(options.segmenter or config.segmenter))
    if options.fold is not None and options.fold >= config.folds:
        raise InputError(f"--fold {options.fold}: the folds are 0 to {config.folds - 1}")
    if config.training.augmentation == "monai":
        packages.need("augmentation by MONAI", "monai")
    check_name(options.output)
    if not has_tensorboard() and os.environ.get("RANK", "0") == "0":
        print("tensorboard is not installed: steps.jsonl and epochs.jsonl alone are written", file=sys.stderr)
    with joined(choose_device(options.device)) as (team, device):
        progress = options.progress if team.leads else silent

        def say(line: str) -> None:
            reporter.say(progress, line)

        if team.leads:
            begin(options.cohort, options.output, config, progress, device.type, say)
        team.wait()
        folds = range(config.folds) if options.fold is None else [options.fold]
        run = dataclasses.replace(load_run(options.output), config=config)  # with the settings of this machine
        train_models(run, folds, device, team, progress, say)
        progress("done", 1.0)
