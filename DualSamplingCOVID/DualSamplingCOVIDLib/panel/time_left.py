"""How long work may still take, from what of it was done since it was first seen."""

from __future__ import annotations

import time
from collections.abc import Callable

from .translation import _

_LEAST_SECONDS = 5.0
"""Before that, a guess would jump about."""


class TimeLeft:
    """Guesses the time that is left.

    Args:
        now: tells the time, s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def reach(self, share: float) -> None:
        """Take note that this share of all work, in [0, 1], is done now."""
        self._last = (self._now(), share)
        if self._start is None:
            self._start = self._last

    def seconds(self) -> float | None:
        """Return what is left in seconds, None while it cannot be known."""
        if self._start is None:
            return None
        took, done = self._last[0] - self._start[0], self._last[1] - self._start[1]
        if took < _LEAST_SECONDS or done <= 0:
            return None
        return took * (1.0 - self._last[1]) / done

    def sentence(self) -> str:
        """Say what is left."""
        seconds = self.seconds()
        if seconds is None:
            return _("time left not known yet")
        minutes = round(seconds / 60)
        if minutes < 1:
            return _("less than a minute left")
        if minutes < 90:
            return _("about {minutes} min left").format(minutes=minutes)
        return _("about {hours} h {minutes:02d} min left").format(hours=minutes // 60, minutes=minutes % 60)
