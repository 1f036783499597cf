"""How long work tells the person who waits where it stands."""

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

Value = TypeVar("Value")


class Progress(Protocol):
    """Called as work advances; raising from it (KeyboardInterrupt) cancels the work."""

    def __call__(self, stage: str, fraction: float) -> None:
        """Report that `fraction` (0..1) of the stage named `stage` is done."""


def silent(stage: str, fraction: float) -> None:
    """Report nothing: the default of every function that takes a `Progress`."""


class Say(Protocol):
    """Tells the person who waits a line that stays, such as a warning."""

    def __call__(self, line: str) -> None:
        """Tell it."""


def unsaid(line: str) -> None:
    """Tell nothing: the default of every function that takes a `Say`."""


def finished(steps: Generator[Any, None, Value]) -> Value:
    """Run work that comes in steps to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: Value = end.value
            return value


def named(steps: Generator[Any, None, Value], stage: str) -> Generator[str, None, Value]:
    """Yield a stage's name before each step of work that has no names of its own; the value is that of the work."""
    while True:
        yield stage
        try:
            next(steps)
        except StopIteration as end:
            value: Value = end.value
            return value
