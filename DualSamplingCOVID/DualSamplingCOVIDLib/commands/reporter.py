"""The progress a command shows: a bar with time left, JSON lines for the panel, or nothing."""

import argparse
import json
import sys
from typing import Any

from ..progress import Progress, silent

CHOICES = ("bar", "json", "none")
DONE = "done"
"""The stage that ends all work; a bar has nothing to show of it."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option `--progress`, whose value is the reporter."""
    shown = f"{{{','.join(CHOICES)}}}"
    parser.add_argument(
        "--progress", type=reporter, default="bar", metavar=shown, help="how to show progress (default: bar)"
    )


def reporter(kind: str) -> Progress:
    """Return the reporter of this kind: ``"bar"``, ``"json"`` or ``"none"``."""
    if kind not in CHOICES:
        raise argparse.ArgumentTypeError(f"{kind}: choose of {', '.join(CHOICES)}")
    if kind == "bar":
        return _Bar() if sys.stderr.isatty() else _Lines()
    return _json_line if kind == "json" else silent


def close(progress: Progress) -> None:
    """End what a reporter shows, so that what is printed next has a line of its own."""
    if isinstance(progress, _Bar):
        progress.close()


def say(progress: Progress, line: str) -> None:
    """Print a line on standard error, whatever the reporter shows at the moment."""
    close(progress)
    print(printable(line), file=sys.stderr, flush=True)


def printable(line: str) -> str:
    """Return a line without what would end it or steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _json_line(stage: str, fraction: float) -> None:
    print(json.dumps({"stage": stage, "fraction": round(fraction, 4)}), flush=True)


class _Lines:
    """One line a stage on standard error: what a bar becomes in a log or a pipe."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, fraction: float) -> None:
        if stage not in (self._stage, DONE):
            print(stage, file=sys.stderr, flush=True)
        self._stage = stage


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
            if stage == DONE:
                return
            layout = "{desc:<36}{percentage:3.0f}% |{bar:24}| {elapsed}<{remaining}"
            self._bar = tqdm(total=1.0, desc=stage, bar_format=layout, file=sys.stderr)
            self._stage = stage
        self._bar.update(max(0.0, min(fraction, 1.0) - self._bar.n))

    def close(self) -> None:
        """Leave the bar as it is and go on to the next line."""
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = "", None
