"""How long the window was frozen: the time of each slot, and gaps in the event loop's heartbeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SlotTime:
    """One call of a slot from the event loop: its qualified name and its duration in seconds."""

    name: str
    seconds: float


class Watchdog:
    """Records slots that were called from outside, not the ones that those call in turn."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.slots: list[SlotTime] = []
        self.longest_gap = 0.0
        self._depth = 0
        self._beat: float | None = None

    @property
    def longest(self) -> SlotTime:
        """The slowest slot so far."""
        return max(self.slots, key=lambda slot: slot.seconds, default=SlotTime("none", 0.0))

    @contextmanager
    def slot(self, function: Callable[..., Any]) -> Iterator[None]:
        """Time a slot."""
        self._depth += 1
        began = time.perf_counter()
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                name = getattr(function, "__qualname__", repr(function))
                self.slots.append(SlotTime(name, time.perf_counter() - began))

    def beat(self) -> None:
        """Note that the event loop is alive."""
        now = time.perf_counter()
        if self._beat is not None:
            self.longest_gap = max(self.longest_gap, now - self._beat)
        self._beat = now

    def pause(self) -> None:
        """Forget the last beat: what follows is the test's own time."""
        self._beat = None


watchdog = Watchdog()
