"""Segmenters side by side, on real CTs, on copies of them, on phantoms never learnt from, and against the clock.

python Testing/Benchmarks/segmenters.py --segmenter threshold --segmenter NAME_OR_BUNDLE DATA_FOLDER

DATA_FOLDER holds labels.json, ct/, lungs/ and not-chest/, as the tests' DUALSAMPLING_TEST_DATA does. Tables (Markdown)
go to stdout, progress to stderr; `--only real,robustness,phantoms,speed` chooses sections, `--json FILE` keeps all.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DualSamplingCOVIDLib.ct import read_ct, read_lungs
from DualSamplingCOVIDLib.diagnosis import Segmentation, volume_ml
from DualSamplingCOVIDLib.evaluation import robustness
from DualSamplingCOVIDLib.evaluation import segmentation as figures
from DualSamplingCOVIDLib.memory import keep_freed_memory
from DualSamplingCOVIDLib.phantom import NORMAL, PlannedCase, cohort_plan, make_phantom
from DualSamplingCOVIDLib.segmentation import DEFAULT, segmenter

COVID_CASE, CAP_CASE, NORMAL_CASE = "covid-P001", "cap-cap002", "normal-normal001"
KINDS = {
    1: "ground glass",
    2: "crazy paving",
    3: "consolidation",
    4: "nodules",
    5: "tree-in-bud",
    6: "bronchiectasis",
    7: "cavity",
}
"""What the values of a phantom's `kinds` mean."""
CONSOLIDATION_ML = 1.0
NORMAL_SHARE = 0.2
THREADS = 2
PROCESSES = 2

Results = dict[str, Any]


class Data:
    """The folder of real CTs; what was read or found once is kept."""

    def __init__(self, folder: Path) -> None:
        """Read the labels; CTs are read when asked for."""
        self.folder = folder
        self.labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        self._found: dict[tuple[str, str], Segmentation] = {}

    @functools.cache  # noqa: B019 (one instance a run)
    def ct(self, path: str) -> sitk.Image:
        """Return the CT at a path inside the folder, in HU."""
        return read_ct(self.folder / path).image

    def found(self, name: str, path: str) -> Segmentation:
        """Return what the segmenter called `name` finds in the CT at `path`."""
        if (name, path) not in self._found:
            say(f"{name}: {path}")
            self._found[name, path] = segmenter(name).segment(self.ct(path))
        return self._found[name, path]

    def forget(self) -> None:
        """Let go of what was found: masks of a whole CT are large."""
        self._found.clear()

    def labelled(self, case: str, count: int) -> figures.Voxels | None:
        """Return whether each of `count` slices is labelled as infected, or None where none is."""
        slices = self.labels[case]["infected_slices"]
        return figures.labelled_slices(slices, count) if slices else None


def say(line: str) -> None:
    """Tell a person on stderr what is under way."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def real(names: Sequence[str], data: Data, options: argparse.Namespace) -> Results:
    """Measure the five real CTs."""
    results = {name: real_figures(name, data) for name in names}
    wanted = {"lung Dice, id001": ">= 0.975", "lung Dice, id002": ">= 0.975", "covid-P001: slice AUC": ">= 0.92"}
    wanted |= {"covid-P001: labelled slices with infection": ">= 0.95", "normal-normal001: ratio": "< 0.001"}
    wanted |= {"cap-cap002: ratio": "> 0.001, small"}
    wanted["covid-P001: infection in slices and side labelled as lower lobe"] = (
        f"{figures.lower_marks(data.labels[COVID_CASE]['lobes']):.3f} of the labels"
    )
    print_table("Real CTs", results, wanted)
    return results


def real_figures(name: str, data: Data) -> dict[str, float]:
    """Return what the five real CTs say of one segmenter."""
    row: dict[str, float] = {}
    for case in ("id001", "id002"):
        found = data.found(name, f"lungs/{case}-ct.nii.gz")
        truth = read_lungs(data.folder / f"lungs/{case}-lungs.nii.gz", data.ct(f"lungs/{case}-ct.nii.gz"))
        row[f"lung Dice, {case}"] = figures.dice(found.lungs, truth)
    found = data.found(name, f"ct/{COVID_CASE}")
    lungs, infection = figures.axial(found.lungs), figures.axial(found.infection)
    slices = figures.slice_figures(lungs, infection, data.labelled(COVID_CASE, len(lungs)))
    lower = figures.lower_share(found, data.labels[COVID_CASE]["lobes"])
    row |= {
        "covid-P001: slice AUC": slices.fraction_auc,
        "covid-P001: slice AUC of the lung's area": slices.area_auc,
        "covid-P001: labelled slices with infection": slices.labelled_found,
        "covid-P001: other slices with infection": slices.others_found,
        "covid-P001: infection in the lowest third": lower.lowest_third,
        "covid-P001: infection in the lower half": lower.lower_half,
        "covid-P001: infection in slices and side labelled as lower lobe": lower.labelled_lower,
    }
    row |= {f"{case}: ratio": data.found(name, f"ct/{case}").ratio for case in (COVID_CASE, NORMAL_CASE, CAP_CASE)}
    row |= {f"{case}: lungs, ml": volume_ml(data.found(name, f"ct/{case}").lungs) for case in data.labels}
    row["abdomen: lungs, ml"] = volume_ml(data.found(name, "not-chest/abdomen-pelvis.nii.gz").lungs)
    return row


def robust(names: Sequence[str], data: Data, options: argparse.Namespace) -> Results:
    """Measure copies of a diseased and a normal CT; all segmenters get the same copies (cropped by thresholds)."""
    results: Results = {name: {} for name in names}
    for case, path in ((case, f"ct/{case}") for case in (COVID_CASE, NORMAL_CASE)):
        ct, lungs = data.ct(path), data.found("threshold", path).lungs
        labelled = data.labelled(case, sitk.DICOMOrient(ct, "LPS").GetSize()[2])
        for name in names:
            results[name][f"{case}, as read"] = _as_read(data.found(name, path), labelled)
        for copy in robustness.COPIES:
            changed = copy.change(ct, lungs)
            for name in names:
                say(f"{name}: {case}, {copy.name}")
                on_copy = segmenter(name).segment(changed)
                steady = robustness.steadiness(copy, ct, on_copy, data.found(name, path), labelled)
                results[name][f"{case}, {copy.name}"] = dataclasses.asdict(steady)
    wanted = {f"{COVID_CASE}, {copy.name}": "within 20 % and 0.03" for copy in robustness.COPIES}
    wanted |= {f"{NORMAL_CASE}, {copy.name}": "< 0.003" for copy in robustness.COPIES}
    shown = {name: {row: _steady_text(found) for row, found in column.items()} for name, column in results.items()}
    print_table("Robustness: infection ratio and slice AUC, and their change", shown, wanted)
    return results


def _as_read(found: Segmentation, labelled: figures.Voxels | None) -> dict[str, float]:
    if labelled is None:
        return {"ratio": found.ratio, "auc": math.nan}
    slices = figures.slice_figures(figures.axial(found.lungs), figures.axial(found.infection), labelled)
    return {"ratio": found.ratio, "auc": slices.fraction_auc}


def _steady_text(found: Mapping[str, float]) -> str:
    forms = {"ratio": "{:.4f}", "ratio_percent": "({:+.0f} %)", "auc": "AUC {:.3f}", "auc_change": "({:+.3f})"}
    known = {key: value for key, value in found.items() if not math.isnan(value)}
    return " ".join(form.format(known[key]) for key, form in forms.items() if key in known)


def phantoms(names: Sequence[str], data: Data | None, options: argparse.Namespace) -> Results:
    """Measure phantoms of a seed that no training uses; a fifth of them normal."""
    plan = cohort_plan(options.phantoms, options.seed, NORMAL_SHARE)
    found: dict[str, list[tuple[str, figures.CaseFigures]]] = {name: [] for name in names}
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        pending = [pool.submit(_phantom, case, tuple(names)) for case in plan]
        for done, future in enumerate(as_completed(pending), start=1):
            for name, case in future.result().items():
                found[name].append(case)
            say(f"phantoms: {done} of {len(plan)}")
    results = {name: _phantom_rows(cases) for name, cases in found.items()}
    wanted = {"lung Dice, mean of cases": ">= 0.98", "infection Dice, pooled": ">= 0.85"}
    wanted |= {f"infection Dice below 0.5 % of the lung, {way}": ">= 0.6" for way in ("pooled", "mean of cases")}
    wanted |= {f"sensitivity for {kind}, pooled": ">= 0.6" for kind in KINDS.values()}
    wanted |= {"infection Dice, mean of cases": ">= 0.85", "lung Dice with consolidation, mean of cases": ">= 0.97"}
    print_table(f"{options.phantoms} phantoms of seed {options.seed}", results, wanted)
    return results


def _one_thread() -> None:
    """Two processes share two cores: more threads would only wait for each other."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _phantom(case: PlannedCase, names: tuple[str, ...]) -> dict[str, tuple[str, figures.CaseFigures]]:
    """Make one phantom and measure every segmenter on it."""
    made = make_phantom(case.seed, case.label, ratio=case.ratio)
    lungs = sitk.Or(made.right_lung, made.left_lung)
    kinds = getattr(made, "kinds", None)
    found = {name: segmenter(name).segment(made.ct) for name in names}
    return {
        name: (case.label, figures.case_figures(one, lungs, made.infection, kinds, KINDS))
        for name, one in found.items()
    }


def _phantom_rows(labelled: Sequence[tuple[str, figures.CaseFigures]]) -> dict[str, Any]:
    cases = [case for _, case in labelled]
    normal = figures.false_infection([case.found_ratio for label, case in labelled if label == NORMAL])
    heavy = [case for case in cases if _consolidated(case)]
    row: dict[str, Any] = _both("lung Dice", figures.averaged_dice([case.lungs for case in cases]))
    row["lung Dice, worst"] = min(case.lungs.dice for case in cases)
    row |= _both("lung Dice with consolidation", figures.averaged_dice([case.lungs for case in heavy]))
    inside = figures.averaged_sensitivity([case.infection_in_lungs for case in cases])
    row |= _both("share of the true infection inside the lungs", inside)
    row |= _both("infection Dice", figures.infection_dice(cases))
    row |= _both("infection Dice below 0.5 % of the lung", figures.infection_dice(cases, figures.SMALL_RATIO))
    for kind, sensitivity in figures.kind_sensitivity(cases).items():
        row |= _both(f"sensitivity for {kind}", sensitivity)
    row |= {f"normals: ratio, {key}": value for key, value in dataclasses.asdict(normal).items()}
    row["calibrated cut-offs"] = _cut_offs(cases)
    return row


def _consolidated(case: figures.CaseFigures) -> bool:
    """Whether a phantom holds consolidation worth the name."""
    return KINDS[3] in case.kinds and case.kinds[KINDS[3]].truth >= CONSOLIDATION_ML


def _both(name: str, averaged: figures.Averaged) -> dict[str, Any]:
    return {
        f"{name}, pooled": averaged.pooled,
        f"{name}, mean of cases": averaged.mean,
        f"{name}, cases": averaged.cases,
    }


def _cut_offs(cases: Sequence[figures.CaseFigures]) -> str:
    try:
        return " / ".join(f"{cut:.2g}" for cut in dataclasses.astuple(figures.calibrated_cut_offs(cases)))
    except ValueError as error:
        return f"none: {error}"


def speed(names: Sequence[str], data: Data, options: argparse.Namespace) -> Results:
    """Take seconds and memory of lungs and infection of one CT, each segmenter in a process of its own."""
    path = data.folder / "ct" / COVID_CASE
    results = {name: _alone(_time_segmenter, name, path) for name in names}
    slices = read_ct(path).image.GetSize()[2]
    results["lungmask's network, random weights"] = _alone(_time_lungmask, slices)
    print_table(f"{COVID_CASE} on {THREADS} threads, torch loaded", results, {"seconds": "< 4", "peak MB": "< 3000"})
    return results


def _alone(task: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    say(f"speed: {task.__name__.removeprefix('_time_')} {arguments[0]}")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def _time_segmenter(name: str, path: Path) -> dict[str, float]:
    """Segment twice, in memory kept as on the command line: the first call pays for loading what is loaded late."""
    import torch

    keep_freed_memory()
    torch.set_num_threads(THREADS)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    ct = read_ct(path).image
    before, seconds = _forget_peak(), []
    for _ in range(2):
        start, busy = time.perf_counter(), time.process_time()
        segmenter(name).segment(ct)
        seconds.append(time.perf_counter() - start)
        processor = time.process_time() - busy
    row = {"seconds": seconds[0], "seconds, again": seconds[1], "processor seconds, again": processor}
    return row | {"peak MB": _memory_mb("VmHWM"), "MB before": before}


def _time_lungmask(slices: int) -> dict[str, float]:
    """Run a plain 2D U-Net of R231's published size on this many slices of 256 x 256, 20 at once."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = plain_u_net().eval()
    volume = torch.randn(slices, 1, 256, 256)
    before = _forget_peak()
    start, busy = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for part in volume.split(20):
            network(part).argmax(1)
    row = {"seconds": time.perf_counter() - start, "processor seconds": time.process_time() - busy}
    parameters = sum(weight.numel() for weight in network.parameters())
    return row | {"peak MB": _memory_mb("VmHWM"), "MB before": before, "weights, MB": parameters * 4 / 1e6}


def plain_u_net(depth: int = 5, channels: int = 64, classes: int = 3) -> Any:
    """Return a 2D U-Net: `depth` levels of two 3 x 3 convolutions (ReLU, batch norm), up-convolutions, no residuals."""
    import torch
    from torch import nn

    def block(inputs: int, outputs: int) -> nn.Sequential:
        pairs = [(inputs, outputs), (outputs, outputs)]
        layers = [[nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(b)] for a, b in pairs]
        return nn.Sequential(*(layer for pair in layers for layer in pair))

    class Level(nn.Module):
        """One resolution, with all those below it inside."""

        def __init__(self, inputs: int, outputs: int, below: int) -> None:
            super().__init__()
            self.down = block(inputs, outputs)
            self.deeper = Level(outputs, 2 * outputs, below - 1) if below else None
            if below:
                self.rise = nn.ConvTranspose2d(2 * outputs, outputs, 2, stride=2)
                self.up = block(2 * outputs, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.down(x)
            if self.deeper is None:
                return x
            risen = self.rise(self.deeper(nn.functional.max_pool2d(x, 2)))
            return self.up(torch.cat([risen, x], 1))

    return nn.Sequential(Level(1, channels, depth - 1), nn.Conv2d(channels, classes, 1))


def _forget_peak() -> float:
    """Start the peak of this process's memory afresh (Linux); return the MB that it holds now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        say("the peak includes what was read before")
    return _memory_mb("VmRSS")


def _memory_mb(key: str) -> float:
    """Return an entry of this process's memory in MB; NaN where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return math.nan
    return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def print_table(title: str, results: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, str]) -> None:
    """Print one Markdown table: a row a figure, a column a segmenter, and what is wanted where something is."""
    rows = dict.fromkeys(row for column in results.values() for row in column)
    print(f"\n### {title}\n\n| figure | wanted | {' | '.join(results)} |\n|---|---|{'---|' * len(results)}")
    for row in rows:
        cells = [_cell(column.get(row, "")) for column in results.values()]
        print(f"| {row} | {wanted.get(row, '')} | {' | '.join(cells)} |")
    sys.stdout.flush()


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1.5 else f"{value:.4f}"


SECTIONS = {"real": real, "robustness": robust, "phantoms": phantoms, "speed": speed}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labels.json, ct/, lungs/ and not-chest/")
    parser.add_argument("--segmenter", action="append", dest="segmenters", metavar="NAME", help="repeat for each")
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="SECTIONS", help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--phantoms", type=int, default=40, metavar="N", help="how many (default 40)")
    parser.add_argument("--seed", type=int, default=977, help="of the phantoms (default 977)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}")
    return options


def _plain(value: Any) -> Any:
    """Make NaN what JSON can say."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and print it section by section."""
    options = _options(arguments)
    names, data = options.segmenters or [DEFAULT], Data(options.data)
    results = {}
    for section in (name for name in SECTIONS if name in options.only.split(",")):
        results[section] = SECTIONS[section](names, data, options)
        if options.json:
            options.json.write_text(json.dumps(_plain(results), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
