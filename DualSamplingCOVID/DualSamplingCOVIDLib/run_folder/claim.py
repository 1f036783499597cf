"""Which models of a shared run are in the hands of another computer, by the claims that lie in their folders."""

from __future__ import annotations

import json
from pathlib import Path

from ..processes import computer, machine

CLAIM = "claim.json"
"""What a process that trains a model keeps in its folder meanwhile (see `training.claims`)."""


def is_elsewhere(place: Path) -> bool:
    """Whether a process of another computer has claimed the model in this folder; an unreadable claim is nobody's."""
    try:
        claim = json.loads((place / CLAIM).read_text(encoding="utf-8"))
        return (claim["host"], claim.get("machine", "")) != (computer(), machine())
    except (OSError, ValueError, KeyError, TypeError):
        return False
