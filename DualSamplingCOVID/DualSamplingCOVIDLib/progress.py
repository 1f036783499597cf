"""How long work tells the person who waits where it stands."""

from typing import Protocol


class Progress(Protocol):
    """Called as work advances; raising from it (KeyboardInterrupt) cancels the work."""

    def __call__(self, stage: str, fraction: float) -> None:
        """Report that `fraction` (0..1) of the stage named `stage` is done."""


def silent(stage: str, fraction: float) -> None:
    """Report nothing: the default of every function that takes a `Progress`."""
