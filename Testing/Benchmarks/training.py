"""How fast cases are loaded and networks trained: samples a second, memory, and hours of the whole protocol.

python Testing/Benchmarks/training.py                       # the paper's size, 100 steps: needs an NVIDIA GPU
python Testing/Benchmarks/training.py --shape 69 128 128 --width 8 --steps 3 --device cpu
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.network.device import choose_device
from DualSamplingCOVIDLib.run_folder.volume import write_volume
from DualSamplingCOVIDLib.training.cross_validation import repeatable
from DualSamplingCOVIDLib.training.fit import Settings, Trainer, load, micro_batches, predict
from DualSamplingCOVIDLib.training.prepared import PreparedCase, PreparedDataset

FOLDS, MODELS, EPOCHS = 5, 3, 20
"""The paper's protocol: a baseline and two attention networks in each fold."""


def main() -> None:
    """Make cases, load them, train on them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(138, 256, 256), metavar="N", help="k j i")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--files", type=int, default=40, help="cases on the disk, used again and again")
    parser.add_argument("--cases", type=int, default=2186, help="cases of the protocol whose hours are projected")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    with tempfile.TemporaryDirectory() as scratch, repeatable(device, 0):
        dataset = PreparedDataset([_case(Path(scratch), n, tuple(options.shape)) for n in range(options.files)])
        megabytes = np.mean([case.file.stat().st_size for case in dataset.cases]) / 1e6
        whole = 4 * np.prod(options.shape) / 1e6
        print(f"a case on the disk: {megabytes:.1f} MB (image and masks as they are: {whole:.1f} MB)")
        loaded = _loader(dataset, options, device)
        processes = f"{options.workers} processes" if device.type == "cuda" else "no process of its own"
        print(f"loader alone, {processes}: {loaded:.1f} samples/s")
        _training(dataset, options, device, loaded)


def _case(folder: Path, number: int, shape: tuple[int, ...]) -> PreparedCase:
    """Write noise inside two ellipsoids that fill a third of the grid, the grey values of a lung."""
    rng = np.random.default_rng(number)
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    lungs = k[:, None, None] ** 2 + (j[:, None] / 0.85) ** 2 + ((np.abs(i) - 0.5) / 0.45) ** 2 < 1
    infection = lungs & (k[:, None, None] > 0.6)
    image = np.where(lungs, rng.normal(0.35, 0.08, shape).clip(0, 1), 0).astype(np.float16)
    file = folder / f"{number}.npz"
    write_volume(file, image, infection * np.uint8(255), lungs * np.uint8(255))
    return PreparedCase(str(number), str(number), COVID if number % 2 else CAP, "", 0.05, file)


def _loader(dataset: PreparedDataset, options: argparse.Namespace, device: torch.device) -> float:
    """Return the samples a second that the product's own loader gives on this device, its start left out."""
    order = [number % len(dataset) for number in range(max(len(dataset), options.workers * 12))]
    batches = load(dataset, micro_batches(order, options.micro_batch), device, options.workers)
    next(batches)
    start, seen = time.perf_counter(), 0
    for images, _, _ in batches:
        seen += len(images)
    return seen / (time.perf_counter() - start)


def _training(dataset: PreparedDataset, options: argparse.Namespace, device: torch.device, loaded: float) -> None:
    settings = Settings(
        width=options.width,
        batch=options.batch,
        micro_batch=options.micro_batch,
        workers=options.workers,
        compile=options.compile,
    )
    trainer = Trainer(settings, dataset, dataset, CutOffs(), device)
    trainer.network.train()
    batches = [[(s * options.batch + n) % len(dataset) for n in range(options.batch)] for s in range(options.steps + 1)]
    samples = trainer.load(batches)
    trainer.step(batches[0], samples)  # chooses algorithms, compiles
    start = time.perf_counter()
    for number, batch in enumerate(batches[1:]):
        parts = trainer.step(batch, samples, number)
    seconds = time.perf_counter() - start
    rate = options.steps * options.batch / seconds
    judged = PreparedDataset(dataset.cases * (10 if device.type == "cuda" else 1))  # about as many as a fold holds
    start = time.perf_counter()
    predict(trainer.network, judged, options.micro_batch, device, options.workers)
    validated = len(judged) / (time.perf_counter() - start)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    shape = " x ".join(str(n) for n in options.shape)
    print(f"{name}: {shape}, width {options.width}, batch {options.batch} in parts of {options.micro_batch}")
    print(f"{options.steps} steps: {rate:.2f} samples/s, loss {float(parts[0]):.3f} + attention {float(parts[1]):.3f}")
    print(f"loader / training: {loaded / rate:.1f}; validation {validated:.2f} samples/s")
    if device.type == "cuda":
        print(f"GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print(f"process memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    inside, outside = options.cases * (FOLDS - 1) / FOLDS, options.cases / FOLDS
    hours = FOLDS * MODELS * EPOCHS * (inside / rate + outside / validated) / 3600
    print(f"whole protocol ({FOLDS} folds, {MODELS} models, {EPOCHS} epochs, {options.cases} cases): {hours:.1f} h")


if __name__ == "__main__":
    main()
