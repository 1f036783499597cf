"""`analyze INPUT --output DIR`: a chest CT goes in, a diagnosis with its evidence comes out."""

import argparse
import contextlib
import json
import platform
import sys
import threading
import time
from pathlib import Path

import SimpleITK as sitk

from .. import diagnosis_folder, resources
from ..ct import quiet, read_ct, read_mask
from ..diagnosis import NO_PNEUMONIA, Decision, Diagnosis
from ..errors import BundleError, InputError
from ..segmentation import GivenMasks, Segmenter, segmenter
from . import output, reporter

PARTS = ("masks", "attention", "report", "figure", "scene")
DEFAULT_BUNDLE = "Bundles/phantom-demo"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("analyze", help="analyse one chest CT", description=__doc__)
    parser.add_argument("input", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="trained bundle (default: phantom-demo)")
    parser.add_argument("--segmenter", default="threshold", metavar="NAME")
    parser.add_argument("--lungs", type=Path, metavar="FILE", help="lung mask on the CT's grid to use instead")
    parser.add_argument("--infection", type=Path, metavar="FILE", help="infection mask on the CT's grid, likewise")
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--write", type=_parts, default=PARTS, metavar="PARTS", help=f"of {','.join(PARTS)}")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Analyse and write the diagnosis folder."""
    from .. import analysis
    from ..bundle import load_bundle

    start = time.perf_counter()
    threading.Thread(target=_import_torch, name="torch").start()
    progress = _Clock(options.progress)
    output.check(options.output, options.overwrite, options.input, options.bundle, options.lungs, options.infection)
    back_end: Segmenter = segmenter(options.segmenter)
    progress("reading the bundle", 0.0)
    bundle = load_bundle(options.bundle or _default_bundle())
    bundle.check_members()
    progress("reading the CT", 0.0)
    ct = read_ct(options.input, options.series)
    _import_ahead(options.write)
    if options.lungs or options.infection:
        lungs, infection = (read_mask(path, ct.image) if path else None for path in (options.lungs, options.infection))
        if lungs is not None and not sitk.GetArrayViewFromImage(lungs).any():
            raise InputError(f"{options.lungs}: empty lung mask")
        back_end = GivenMasks(back_end, lungs=lungs, infection=infection)
    diagnosis = analysis.analyze(ct, bundle, back_end, options.device, progress, str(options.input))

    with output.whole(options.output, options.overwrite) as folder:
        progress("writing the results", 0.0)
        diagnosis_folder.save_report(folder, diagnosis)
        if "masks" in options.write:
            diagnosis_folder.save_masks(folder, diagnosis.segmentation)
        if "attention" in options.write:
            diagnosis_folder.save_attention(folder, diagnosis)
        missing = []
        if "figure" in options.write or "report" in options.write:
            progress("drawing the report", 0.0)
            missing += _write_report(folder, ct.image, diagnosis, options.write)
        if "scene" in options.write:
            progress("building the Slicer scene", 0.0)
            missing += _write_scene(folder, ct.image, diagnosis)
        progress("done", 1.0)
        _write_run(folder, progress.seconds, time.perf_counter() - start, missing)
    _print_summary(options.output, diagnosis, missing)


def _import_torch() -> None:
    """Import torch while the bundle's files are hashed."""
    with contextlib.suppress(ImportError):
        import safetensors.torch  # noqa: F401


def _import_ahead(parts: tuple[str, ...]) -> None:
    """Import the packages of the later stages while the lungs are sought; a missing one is told where it is used."""

    def work() -> None:
        with contextlib.suppress(ImportError):
            if "figure" in parts or "report" in parts:
                import jinja2  # noqa: F401
                import matplotlib.backends.backend_agg  # noqa: F401
        if "scene" in parts:
            from ..scene import headless

            headless.isAvailable()

    threading.Thread(target=work, name="imports").start()


def _default_bundle() -> Path:
    try:
        return resources.path(DEFAULT_BUNDLE)
    except FileNotFoundError as error:
        raise BundleError(f"{error}: name a bundle with --bundle") from None


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part for part in text.split(",") if part)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise argparse.ArgumentTypeError(f"{','.join(unknown) or 'nothing'}: choose of {','.join(PARTS)}")
    return parts


def _write_report(folder: Path, ct: sitk.Image, diagnosis: Diagnosis, parts: tuple[str, ...]) -> list[str]:
    try:
        from ..report import figure, html

        figure.save_figure(folder / "figure.png", ct, diagnosis)
        if "report" in parts:
            html.save_report(folder / "report.html", ct, diagnosis, folder / "figure.png")
        if "figure" not in parts:
            (folder / "figure.png").unlink()
    except ModuleNotFoundError as error:
        return [f"report.html and figure.png: the package {error.name} is not installed"]
    return []


def _write_scene(folder: Path, ct: sitk.Image, diagnosis: Diagnosis) -> list[str]:
    from ..scene import headless

    available = headless.isAvailable()
    if not available:
        return [f"scene.mrb: {available.reason}"]
    with quiet():
        headless.writeScene(folder / "scene.mrb", ct, diagnosis)
    return []


class _Clock:
    """Passes progress on, and keeps the seconds each stage took."""

    def __init__(self, forward: reporter.Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._forward = forward
        self._stage = ""
        self._since = time.perf_counter()

    def __call__(self, stage: str, fraction: float) -> None:
        if stage != self._stage:
            now = time.perf_counter()
            if self._stage:
                self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
            self._stage, self._since = stage, now
        self._forward(stage, fraction)


def _write_run(folder: Path, stages: dict[str, float], total: float, missing: list[str]) -> None:
    record = {
        "seconds": {stage: round(seconds, 2) for stage, seconds in stages.items()} | {"total": round(total, 2)},
        "peak_memory_mb": _peak_memory_mb(),
        "host": {"system": platform.system(), "machine": platform.machine()},
        "not_written": missing,
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _peak_memory_mb() -> int | None:
    """The most memory this process has held; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def _answer(decision: Decision) -> str:
    if decision.answer == NO_PNEUMONIA:
        return f"{NO_PNEUMONIA}: COVID-19 against CAP does not apply"
    return f"{decision.answer}; probability of COVID-19 against CAP {decision.probability:.3f}"


def _print_summary(folder: Path, diagnosis: Diagnosis, missing: list[str]) -> None:
    decision = diagnosis.decision
    lines = [
        f"{_answer(decision)} (research use only)",
        f"the bundle learned from {diagnosis.bundle.learned_from}",
        f"infection ratio {decision.ratio:.4f} ({diagnosis.segmentation.segmenter.name} segmenter)",
        *(f"note: {finding.message}" for finding in diagnosis.findings),
        *(f"not written: {entry}" for entry in missing),
        f"results in {folder}",
    ]
    print("\n".join(lines), file=sys.stderr)
