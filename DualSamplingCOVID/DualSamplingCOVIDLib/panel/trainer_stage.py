"""Where the Trainer's worker stands, by its own words: its stage, the model that it trains, and the time left."""

from __future__ import annotations

import re

from .time_left import TimeLeft

_MODEL = re.compile(r"\bmodel \d+ of \d+: fold (\d+) ([\w-]+)")
"""What `cross-validate` calls a model in its stages and errors."""


def modelNamed(said: str) -> tuple[int, str] | None:
    """Return fold and model that a stage or an error of the worker names; None where it names none."""
    found = _MODEL.search(said)
    return (int(found[1]), found[2]) if found else None


class Stage:
    """The stage that the worker is at.

    Args:
        name: what it is called until the worker says more.
    """

    def __init__(self, name: str = "") -> None:
        self.name, self.fraction = name, 0.0
        self._time = TimeLeft()

    @property
    def model(self) -> tuple[int, str] | None:
        """Fold and model that are trained, by the worker's words; None in other stages."""
        return modelNamed(self.name)

    def say(self, name: str, fraction: float) -> None:
        """Take note of what the worker says; all models together are one piece of work, of one pace."""
        goesOn = name == self.name or (self.model is not None and modelNamed(name) is not None)
        if not goesOn:
            self._time = TimeLeft()
        self.name, self.fraction = name, min(max(fraction, 0.0), 1.0)

    def reach(self, share: float) -> None:
        """Take note that this share, in [0, 1], of the stage or of all models is done."""
        self._time.reach(share)

    @property
    def timeLeft(self) -> str:
        """How long it may still take."""
        return self._time.sentence()

    def sentence(self) -> str:
        """Say the stage, and how long it may still take where its pace is known."""
        name = self.name[:1].upper() + self.name[1:]
        return name if self._time.seconds() is None else f"{name}; {self.timeLeft}"
