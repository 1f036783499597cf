"""Seconds a stage and peak memory of `analyze` at the paper's full size, with random weights of width 64, on two cores.

python Testing/Benchmarks/analyze.py path/to/ct
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from DualSamplingCOVIDLib.bundle import Member, save_bundle
from DualSamplingCOVIDLib.diagnosis import BundleCard
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.segmentation import DEFAULT, segmenter

MEMBERS = (("attention-us", "US", "attention"), ("attention-ss", "SS", "attention"), ("baseline-us", "US", "baseline"))


CORES, SECONDS, MEMORY_MB = 2, 20, 3000
"""What it should take at most, on so many cores."""


def main() -> None:
    """Run `analyze` once as a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path, help="DICOM folder, NIfTI, NRRD or MHA file")
    ct = parser.parse_args().ct
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as scratch:
        bundle, output = Path(scratch) / "bundle", Path(scratch) / "out"
        torch.manual_seed(0)
        members = [Member(name, s, kind, None, 64, f"{name}.safetensors", "") for name, s, kind in MEMBERS]
        networks = [(member, ResNet34(member.width).state_dict()) for member in members]
        card = BundleCard("full-width", "0", "nothing (random weights)", "benchmark", "")
        save_bundle(bundle, networks, card, GridSpec(), segmenter(DEFAULT).card, {})
        command = [sys.executable, "-m", "DualSamplingCOVIDLib", "analyze", str(ct), "--progress", "none"]
        start = time.perf_counter()
        subprocess.run([*command, "--bundle", str(bundle), "--output", str(output)], check=True)
        whole = time.perf_counter() - start
        run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    for stage, seconds in run["seconds"].items():
        print(f"{stage:<34}{seconds:7.2f} s")
    limits = f"wanted: {SECONDS} s, {MEMORY_MB} MB on {CORES} cores"
    print(f"{'whole process':<34}{whole:7.2f} s, peak {run['peak_memory_mb']} MB ({limits})")


if __name__ == "__main__":
    main()
