"""`report INPUT --diagnosis DIR --output DIR`: a CT and what was found in it go in, the whole folder comes out.

Nothing is analysed again: the pictures and the page are drawn of what the diagnosis folder says.
"""

import argparse
import sys
from pathlib import Path

from .. import diagnosis_folder
from ..ct import read_ct
from ..errors import InputError
from . import output, parts, reporter


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("report", help="draw an existing diagnosis", description=__doc__)
    parser.add_argument("input", type=Path, help="the CT that was analysed")
    parser.add_argument(
        "--diagnosis", type=Path, required=True, metavar="DIR", help="masks, maps and report.json of it"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    parts.add_argument(parser)
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read the diagnosis and write it with its pictures."""
    progress = parts.Clock(options.progress)
    output.check(options.output, options.overwrite, parts.MARKS, options.input, options.diagnosis)
    progress("reading the diagnosis", 0.0)
    diagnosis = diagnosis_folder.load(options.diagnosis)
    progress("reading the CT", 0.0)
    ct = read_ct(options.input, options.series)
    if ct.sha256 != diagnosis.ct_sha256:
        raise InputError(f"{options.input}: the diagnosis in {options.diagnosis} is of another CT")
    parts.import_ahead(options.write)
    with output.whole(options.output, options.overwrite, parts.MARKS) as folder:
        missing = parts.write(folder, ct.image, diagnosis, options.write, progress)
    lines = [*(f"not written: {entry}" for entry in missing), f"results in {options.output}"]
    print("\n".join(lines), file=sys.stderr)
