"""`segment INPUT --output DIR`: lungs and infection of one chest CT."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import SimpleITK as sitk

from .. import diagnosis_folder, summary
from ..ct import check_lungs, read_ct
from ..diagnosis import Segmentation, volume_ml
from ..segmentation import CHOICES, DEFAULT, segmenter
from . import output, reporter

PICTURE = "segmentation.png"
MARKS = ("segmentation.json",)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("segment", help="lungs and infection of one chest CT", description=__doc__)
    parser.add_argument("input", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    named = f"{', '.join(CHOICES)} (default {DEFAULT})"
    parser.add_argument("--segmenter", default=DEFAULT, metavar="NAME", help=named)
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Segment and write the masks with their volumes."""
    progress = options.progress
    output.check(options.output, options.overwrite, MARKS, options.input)
    back_end = segmenter(options.segmenter, options.device)
    progress("reading the CT", 0.0)
    ct = read_ct(options.input, options.series)
    segmentation = back_end.segment(ct.image, progress)
    findings = ct.findings + check_lungs(ct.image, segmentation.lungs, str(options.input))
    with output.whole(options.output, options.overwrite, MARKS) as folder:
        diagnosis_folder.save_masks(folder, segmentation)
        card = segmentation.segmenter
        record = {
            "segmenter": card.title,
            **{name: _rounded(sides) for name, sides in diagnosis_folder.volumes(segmentation).items()},
            "infection_ratio": round(segmentation.ratio, 6),
            "stratum": card.cut_offs.stratum(segmentation.ratio),
            "cut_offs": dataclasses.asdict(card.cut_offs),
            "detection_limit": card.detection_limit,
            "quality": [finding.message for finding in findings],
        }
        (folder / "segmentation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        missing = _write_picture(folder / PICTURE, ct.image, segmentation)
        progress("done", 1.0)
    ratio = summary.ratio_with_stratum(segmentation.ratio, card)
    lines = [
        f"lungs {volume_ml(segmentation.lungs):.1f} ml, infection {volume_ml(segmentation.infection):.2f} ml "
        f"({card.name} segmenter), ratio {ratio}",
        *(f"note: {finding.message}" for finding in findings),
        *(f"not written: {entry}" for entry in missing),
        f"results in {options.output}",
    ]
    print("\n".join(lines), file=sys.stderr)


def _rounded(millilitres: dict[str, float]) -> dict[str, float]:
    return {side: round(volume, 2) for side, volume in millilitres.items()}


def _write_picture(path: Path, ct: sitk.Image, segmentation: Segmentation) -> list[str]:
    """Write the masks' picture; return a line where a missing package kept it away."""
    try:
        from ..report import grid

        grid.save_grid(path, ct, segmentation)
    except ModuleNotFoundError as error:
        return [f"{path.name}: the package {str(error.name).partition('.')[0]} is not installed"]
    return []
