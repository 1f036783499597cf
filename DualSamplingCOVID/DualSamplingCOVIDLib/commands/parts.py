"""The parts of a diagnosis folder, written by `analyze` and `report` alike, and the record of the run."""

import argparse
import contextlib
import json
import platform
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import SimpleITK as sitk

from .. import diagnosis_folder
from ..ct import quiet
from ..diagnosis import Diagnosis
from . import reporter

PARTS = ("masks", "attention", "report", "figure", "scene")
RECORD = "run.json"
MARKS = (diagnosis_folder.REPORT, RECORD)
"""What every folder of `analyze` or `report` holds."""

MAPS = "maps"
"""What of `attention` does not lie on the CT's grid: quick to write, and enough for a program that draws itself."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option `--write`."""
    explained = f"of {','.join(PARTS)}; {MAPS} is attention without what lies on the CT's grid"
    parser.add_argument("--write", type=_parts, default=PARTS, metavar="PARTS", help=explained)


class Clock:
    """Passes progress on, and keeps the seconds each stage took."""

    def __init__(self, forward: reporter.Progress) -> None:
        self.start = time.perf_counter()
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


def write(folder: Path, ct: sitk.Image, diagnosis: Diagnosis, parts: tuple[str, ...], progress: Clock) -> list[str]:
    """Write a diagnosis and the record of the run; return a line for each part that a missing package kept away.

    Args:
        folder: a new folder.
        ct: the analysed CT (HU).
        diagnosis: what was found in it.
        parts: which of `PARTS` and `MAPS`; the report's numbers are always written.
        progress: told the stages; its seconds are recorded.
    """
    missing = []
    with ThreadPoolExecutor(1) as beside:  # compressing takes as long as drawing, and lets others work
        saved = beside.submit(_save, folder, diagnosis, parts)
        if "figure" in parts or "report" in parts:
            progress("drawing the report", 0.0)
            missing += _write_report(folder, ct, diagnosis, parts)
        if "scene" in parts:
            progress("building the Slicer scene", 0.0)
            missing += _write_scene(folder, ct, diagnosis)
        progress("writing the results", 0.0)
        saved.result()
    progress("done", 1.0)
    _write_run(folder, progress.seconds, time.perf_counter() - progress.start, missing, diagnosis)
    return missing


def import_ahead(parts: tuple[str, ...]) -> None:
    """Import the packages of the later stages while the lungs are sought; a missing one is told where it is used."""

    def work() -> None:
        with contextlib.suppress(Exception):
            if "figure" in parts or "report" in parts:
                import jinja2  # noqa: F401
                import matplotlib.backends.backend_agg  # noqa: F401
        if "scene" in parts:
            from ..scene import headless

            headless.isAvailable()

    threading.Thread(target=work, name="imports").start()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part for part in text.split(",") if part)
    unknown = sorted(set(parts) - {*PARTS, MAPS})
    if unknown or not parts:
        raise argparse.ArgumentTypeError(f"{','.join(unknown) or 'nothing'}: choose of {','.join((*PARTS, MAPS))}")
    return parts


def _save(folder: Path, diagnosis: Diagnosis, parts: tuple[str, ...]) -> None:
    """Write what a program reads: the numbers, masks and maps."""
    diagnosis_folder.save_report(folder, diagnosis)
    if "masks" in parts:
        diagnosis_folder.save_masks(folder, diagnosis.segmentation)
    if MAPS in parts or "attention" in parts:
        diagnosis_folder.save_maps(folder, diagnosis)
    if "attention" in parts:
        diagnosis_folder.save_attention(folder, diagnosis)


def _write_report(folder: Path, ct: sitk.Image, diagnosis: Diagnosis, parts: tuple[str, ...]) -> list[str]:
    page, picture = folder / "report.html", folder / "figure.png"
    try:
        from ..report import figure

        figure.save_figure(picture, ct, diagnosis)
        if "report" in parts:
            from ..report import html

            html.save_report(page, ct, diagnosis, picture)
    except ModuleNotFoundError as error:
        asked = [file for file in (page, picture) if file.stem in parts and not file.exists()]
        return [f"{' and '.join(file.name for file in asked)}: the package {error.name} is not installed"]
    finally:
        if "figure" not in parts:
            picture.unlink(missing_ok=True)
    return []


def _write_scene(folder: Path, ct: sitk.Image, diagnosis: Diagnosis) -> list[str]:
    from ..scene import headless

    available = headless.isAvailable()
    if not available:
        return [f"scene.mrb: {available.reason}"]
    with quiet():
        headless.writeScene(folder / "scene.mrb", ct, diagnosis)
    return []


def _write_run(folder: Path, stages: dict[str, float], total: float, missing: list[str], diagnosis: Diagnosis) -> None:
    record = {
        "notice": diagnosis_folder.notice(diagnosis),
        "seconds": {stage: round(seconds, 2) for stage, seconds in stages.items()} | {"total": round(total, 2)},
        "peak_memory_mb": _peak_memory_mb(),
        "host": {"system": platform.system(), "machine": platform.machine()},
        "not_written": missing,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _peak_memory_mb() -> int | None:
    """The most memory this process has held; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
