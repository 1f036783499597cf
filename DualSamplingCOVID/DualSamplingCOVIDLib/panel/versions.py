"""Versions of installed packages, read from what is on disk: nothing is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

from .translation import _


def versionOf(name: str) -> str | None:
    """Return the installed version of a package by pip's name, None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def release(version: str) -> tuple[int, ...]:
    """Return the release segment of a version: (2, 13, 0) of ``2.13.0+cpu``."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def cudaOfTorch() -> str:
    """Return what the installed torch was built for, read from its version file: importing it would take the GPU."""
    try:
        found = importlib.util.find_spec("torch")
        folder = Path(str(found.origin)).parent if found else Path()
        text = (folder / "version.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return _("CUDA unknown")
    cuda = re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return f"CUDA {cuda[1]}" if cuda else _("without CUDA")
