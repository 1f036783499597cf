"""Seconds of the panel on a CT of 512 x 512 x 300 voxels: export at the click, slots while the worker runs, import.

python Testing/Benchmarks/window.py [CT]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import SimpleITK as sitk

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "DualSamplingCOVID")]

from DualSamplingCOVIDLib.ct import read_ct  # noqa: E402
from DualSamplingCOVIDLib.panel import files, job  # noqa: E402
from DualSamplingCOVIDLib.scene import nodes  # noqa: E402
from host.driver import Host  # noqa: E402
from panel.study import MODULE, Study, a_phantom  # noqa: E402

SIZE = (512, 512, 300)


def large(ct: sitk.Image) -> sitk.Image:
    """The same CT on a grid of 512 x 512 x 300 voxels."""
    spacing = [n * s / m for n, s, m in zip(ct.GetSize(), ct.GetSpacing(), SIZE, strict=True)]
    place = (ct.GetOrigin(), spacing, ct.GetDirection())
    return sitk.Resample(ct, SIZE, sitk.Transform(), sitk.sitkLinear, *place, -1000.0, sitk.sitkInt16)


class Stopwatch:
    """Takes the seconds of each step of a generator that passes through it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def over(self, name: str, steps: Generator[str, None, Any]) -> Generator[str, None, Any]:
        taken = self.seconds.setdefault(name, [])
        while True:
            since = time.perf_counter()
            try:
                said = next(steps)
            except StopIteration as end:
                return end.value
            finally:
                taken.append(time.perf_counter() - since)
            yield said

    def line(self, name: str) -> str:
        taken = self.seconds[name]
        return f"{name:<10}{sum(taken):6.2f} s in {len(taken)} steps, the longest {max(taken):.2f} s"


def main() -> None:
    """Analyse once by a click and print what it took of the window's own time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path, nargs="?", help="a chest CT (default: a phantom)")
    options = parser.parse_args()
    image = large(read_ct(options.ct).image if options.ct else a_phantom())
    watch = Stopwatch()
    exporting, loading, adding = files.exporting, files.loading, nodes.addingDiagnosis
    files.exporting = lambda *arguments: watch.over("export", exporting(*arguments))
    files.loading = lambda *arguments: watch.over("import", loading(*arguments))
    job.nodes.addingDiagnosis = lambda *arguments: watch.over("import", adding(*arguments))
    host = Host()
    host.load(MODULE)
    study = Study(host, host.open("DualSamplingCOVID"))
    study.loadCt(image)
    study.start()
    host.wait(lambda: "reading the ct" in study.ui.stageLabel.text.lower(), 60)
    host.watchdog.reset()
    host.wait(lambda: "writing" in study.ui.stageLabel.text.lower(), 600)
    slot, gap = host.watchdog.longest, host.watchdog.longest_gap
    host.watchdog.reset()
    study.finish(600)
    host.wait(None, 0.5)
    print(watch.line("export"))
    print(f"worker     longest slot {1000 * slot.seconds:.0f} ms ({slot.name}), window still for {1000 * gap:.0f} ms")
    print(watch.line("import"))
    shown = host.watchdog.longest
    print(f"show       longest slot from there on {shown.seconds:.2f} s ({shown.name})")
    host.close()


if __name__ == "__main__":
    main()
