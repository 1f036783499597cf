"""Which models of a shared run are in the hands of another computer, by the claims that lie in their folders."""

from __future__ import annotations

import json
import platform
from pathlib import Path

CLAIM = "claim.json"
"""What a process that trains a model keeps in its folder meanwhile (see `training.claims`)."""
MACHINE = Path("/etc/machine-id")
"""Where Linux tells computers of one name from each other."""


def is_elsewhere(place: Path) -> bool:
    """Whether a process of another computer has claimed the model in this folder; an unreadable claim is nobody's."""
    try:
        claim = json.loads((place / CLAIM).read_text(encoding="utf-8"))
        return (claim["host"], claim.get("machine", "")) != (platform.node(), _machine())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _machine() -> str:
    try:
        return MACHINE.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
