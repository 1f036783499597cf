"""`analyze INPUT --output DIR`: a chest CT goes in, a diagnosis with its evidence comes out."""

import argparse
import contextlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import summary
from ..bundle import Bundle, shipped
from ..ct import read_ct, read_lungs, read_mask
from ..diagnosis import NO_PNEUMONIA, Decision, Diagnosis, SegmenterCard
from ..segmentation import CHOICES, DEFAULT, GivenMasks, Segmenter, name_for, segmenter
from . import output, parts, reporter


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("analyze", help="analyse one chest CT", description=__doc__)
    parser.add_argument("input", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="trained bundle (default: phantom-demo)")
    explained = f"{', '.join(CHOICES)} (default: the one that the bundle learned with, else {DEFAULT})"
    parser.add_argument("--segmenter", metavar="NAME", help=explained)
    parser.add_argument(
        "--lungs", type=Path, metavar="FILE", help="lung mask on the CT's grid: 1 right and 2 left, or one value"
    )
    parser.add_argument("--infection", type=Path, metavar="FILE", help="infection mask on the CT's grid, likewise")
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parts.add_argument(parser)
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Analyse and write the diagnosis folder."""
    from .. import analysis
    from ..bundle import read_metadata

    threading.Thread(target=_import_torch, name="torch").start()
    progress = parts.Clock(options.progress)
    output.check(
        options.output, options.overwrite, parts.MARKS, options.input, options.bundle, options.lungs, options.infection
    )
    progress("reading the CT", 0.0)
    bundle = read_metadata(options.bundle or shipped())
    with ThreadPoolExecutor(1) as beside:  # inflating the one and hashing the other occupy a core each
        checked = beside.submit(_check, bundle)
        ct = read_ct(options.input, options.series)
        checked.result()
    back_end: Segmenter = segmenter(options.segmenter or name_for(bundle.segmenter, bundle.carried), options.device)
    parts.import_ahead(options.write)
    why = ", asked for" if options.segmenter else _why(back_end.card, bundle.segmenter)
    if options.lungs or options.infection:
        lungs = read_lungs(options.lungs, ct.image) if options.lungs else None
        infection = read_mask(options.infection, ct.image) if options.infection else None
        back_end, why = GivenMasks(back_end, lungs=lungs, infection=infection), ""
    diagnosis = analysis.analyze(ct, bundle, back_end, options.device, progress, str(options.input))

    with output.whole(options.output, options.overwrite, parts.MARKS) as folder:
        missing = parts.write(folder, ct.image, diagnosis, options.write, progress)
    _print_summary(options.output, diagnosis, missing, why)


def _import_torch() -> None:
    """Import torch while the bundle's files are hashed; what fails here is told where torch is used."""
    with contextlib.suppress(Exception):  # RuntimeError too: the command may have ended meanwhile
        import safetensors.torch  # noqa: F401


def _check(bundle: Bundle) -> None:
    bundle.check_hashes()
    bundle.check_members()


def _why(used: SegmenterCard, learned: SegmenterCard) -> str:
    """Say why this segmenter was taken where nobody named one and no mask was given."""
    if used.name != learned.name.partition(" with ")[0]:
        return ", the default"
    return ", with which the bundle learned" + (", in another version" if used.version != learned.version else "")


def _masks(card: SegmenterCard) -> str:
    return card.name if "given" in card.name else f"{card.name} segmenter"


def _answer(decision: Decision) -> str:
    if decision.answer == NO_PNEUMONIA:
        return f"{NO_PNEUMONIA}: COVID-19 against CAP does not apply; the lungs may still not be healthy"
    return f"{decision.answer}; probability of COVID-19 against CAP {decision.probability:.3f}"


def _print_summary(folder: Path, diagnosis: Diagnosis, missing: list[str], why: str) -> None:
    decision = diagnosis.decision
    lines = [
        f"{_answer(decision)} (research use only)",
        f"the bundle learned from {diagnosis.bundle.learned_from}",
        f"infection ratio {summary.percent(decision.ratio)} ({_masks(diagnosis.segmentation.segmenter)}{why})",
        *summary.over_folds(decision),
        *summary.cautions(decision, diagnosis.segmentation.segmenter),
        *(f"note: {finding.message}" for finding in diagnosis.findings),
        *(f"not written: {entry}" for entry in missing),
        f"results in {folder}",
    ]
    print("\n".join(lines), file=sys.stderr)
