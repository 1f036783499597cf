"""`phantom --cases N --normals N --seed S --output DIR`: synthetic chest CTs with masks and cohort.csv."""

import argparse
import sys
from pathlib import Path

from ..errors import ResourceError
from . import arguments, output, reporter

MARKS = ("cohort.csv", "phantom-0000/ct.nii.gz")
"""A cohort of one's own has the first."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("phantom", help="make synthetic chest CTs", description=__doc__)
    parser.add_argument("--cases", type=arguments.positive, required=True, metavar="N", help="with COVID-19 or CAP")
    parser.add_argument("--normals", type=arguments.seed, default=0, metavar="N", help="so many more without disease")
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="S")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the cohort."""
    from ..phantom import write_cohort

    amount = options.cases + options.normals
    with output.whole(options.output, options.overwrite, MARKS) as folder:
        try:
            write_cohort(folder, amount, options.seed, options.progress, options.normals / amount)
        except RuntimeError as error:
            raise ResourceError(f"{folder}: the phantoms could not be written: is the disk full?") from error
    made = "1 phantom" if amount == 1 else f"{amount} phantoms"
    print(f"{made} in {options.output}, listed in its cohort.csv (computer-made, of no patient)", file=sys.stderr)
