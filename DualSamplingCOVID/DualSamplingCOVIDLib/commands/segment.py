"""`segment INPUT --output DIR`: lungs and infection of one chest CT."""

import argparse
import json
import sys
from pathlib import Path

from .. import diagnosis_folder
from ..ct import check_lungs, read_ct
from ..diagnosis import volume_ml
from ..segmentation import segmenter
from . import output, reporter


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("segment", help="lungs and infection of one chest CT", description=__doc__)
    parser.add_argument("input", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--segmenter", default="threshold", metavar="NAME")
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Segment and write the masks with their volumes."""
    progress = options.progress
    output.check(options.output, options.overwrite, options.input)
    back_end = segmenter(options.segmenter)
    progress("reading the CT", 0.0)
    ct = read_ct(options.input, options.series)
    segmentation = back_end.segment(ct.image, progress)
    findings = ct.findings + check_lungs(ct.image, segmentation.lungs, str(options.input))
    with output.whole(options.output, options.overwrite) as folder:
        diagnosis_folder.save_masks(folder, segmentation)
        record = {
            "segmenter": f"{segmentation.segmenter.name} {segmentation.segmenter.version}",
            "lungs_ml": round(volume_ml(segmentation.lungs), 1),
            "infection_ml": round(volume_ml(segmentation.infection), 2),
            "infection_ratio": round(segmentation.ratio, 6),
            "quality": [finding.message for finding in findings],
        }
        (folder / "segmentation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        progress("done", 1.0)
    lines = [
        f"lungs {record['lungs_ml']} ml, infection {record['infection_ml']} ml, ratio {segmentation.ratio:.4f}",
        *(f"note: {finding.message}" for finding in findings),
        f"results in {options.output}",
    ]
    print("\n".join(lines), file=sys.stderr)
