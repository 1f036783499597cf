"""`evaluate RUN --output DIR`: the paper's tables and figures for a run of cross-validate, and its failures.

With `--test COHORT` its test set is a cohort that came after it, answered by the finished networks of all folds.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..run_folder import CONFIG, Run, read_run
from . import arguments, output, packages, reporter

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation

MARKS = ("evaluation.json", "report.html")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("evaluate", help="tables and figures of a cross-validation", description=__doc__)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder that cross-validate wrote")
    parser.add_argument(
        "--test",
        type=Path,
        metavar="COHORT",
        help="cohort.csv of an independent test set, all its splits (prepared cases are kept in RUN/cache)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--resamples", type=arguments.resamples, default=1000, metavar="N", help="of patients, for intervals"
    )
    parser.add_argument(
        "--permutations", type=arguments.positive, default=2000, metavar="N", help="for the comparisons"
    )
    parser.add_argument("--seed", type=arguments.seed, default=0)
    parser.add_argument(
        "--attention",
        action="store_true",
        help="measure where the networks look in the cases of the folds as well (finished ones are kept in RUN/cache)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for --attention and --test")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    kept = "cancelled: nothing was written, but maps and prepared cases are kept in the run"
    parser.set_defaults(run=run, cancelled=kept)


def run(options: argparse.Namespace) -> None:
    """Read the run, compute every number and write the folder."""
    packages.need("evaluate", "sklearn", "matplotlib", "jinja2")
    from ..evaluation.evaluate import evaluate
    from ..report import evaluation as report

    progress = options.progress
    output.check(options.output, options.overwrite, MARKS, options.run_folder, options.test)
    progress("reading the run", 0.0)
    evaluated = read_run(options.run_folder)
    if options.test is not None:
        evaluated = _with_test_cohort(evaluated, options)
    found = evaluate(evaluated, options.resamples, options.permutations, options.seed, progress=progress)
    with output.whole(options.output, options.overwrite, MARKS) as folder:
        evidence = None
        if options.attention:
            found, evidence = _with_attention(found, options, folder / "attention")
        report.write(folder, found, progress, evidence)
        progress("done", 1.0)
    print(f"results in {options.output}; read {options.output / 'report.html'} (research use only)", file=sys.stderr)


def _with_test_cohort(found: Run, options: argparse.Namespace) -> Run:
    """Return the run with the given cohort as its test set."""
    from ..network.device import choose_device
    from ..training.independent import with_test_cohort

    def say(line: str) -> None:
        reporter.say(options.progress, line)

    return with_test_cohort(found, options.test, choose_device(options.device), options.progress, say)


def _with_attention(found: "Evaluation", options: argparse.Namespace, folder: Path) -> "tuple[Evaluation, Path]":
    """Measure the attention, write its files into a new folder, and return the evaluation with its tables."""
    from ..evaluation.attention_run import MeasureSettings
    from ..evaluation.attention_text import text_tables
    from ..network.device import choose_device
    from ..training.config import read_config
    from .attention import GRID, write_attention

    folder.mkdir()
    quality = write_attention(
        found.run,
        folder,
        settings=MeasureSettings(seed=options.seed, beta=read_config(options.run_folder / CONFIG).training.beta),
        device=choose_device(options.device).type,
        store=options.run_folder / "cache" / "attention",
        resamples=options.resamples,
        progress=options.progress,
    )
    return dataclasses.replace(found, attention_quality=text_tables(quality)), folder / GRID
