"""The progress a command shows: a bar with time left, JSON lines for the panel, or nothing."""

import argparse
import json
import sys
from typing import Any

from ..progress import Progress, silent

CHOICES = ("bar", "json", "none")


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option `--progress`."""
    parser.add_argument("--progress", choices=CHOICES, default="bar", help="how to show progress (default: bar)")


def reporter(kind: str) -> Progress:
    """Return the reporter of this kind: ``"bar"``, ``"json"`` or ``"none"``."""
    if kind == "bar":
        return _Bar()
    return _json_line if kind == "json" else silent


def _json_line(stage: str, fraction: float) -> None:
    print(json.dumps({"stage": stage, "fraction": round(fraction, 4)}), flush=True)


class _Bar:
    """One tqdm bar a stage on standard error."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, fraction: float) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            if self._bar is not None:
                self._bar.update(1.0 - self._bar.n)
                self._bar.close()
            layout = "{desc:<36}{percentage:3.0f}% |{bar:24}| {elapsed}<{remaining}"
            self._bar = tqdm(total=1.0, desc=stage, bar_format=layout, file=sys.stderr)
            self._stage = stage
        self._bar.update(max(0.0, min(fraction, 1.0) - self._bar.n))
