"""Long work in the window's own thread, cut into steps with Slicer's event loop in between."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any


class Steps:
    """Runs a generator step by step until it is done, fails or is stopped."""

    def __init__(self) -> None:
        self._running: Generator[str, None, Any] | None = None

    def run(
        self,
        steps: Generator[str, None, Any],
        onStep: Callable[[str], None],
        onDone: Callable[[Any], None],
        onFailure: Callable[[Exception], None],
    ) -> None:
        """Start; one of `onDone` (with the generator's value) and `onFailure` ends it, none after `stop`."""
        import qt

        def step() -> None:
            if self._running is not steps:
                return
            try:
                onStep(next(steps))
            except StopIteration as end:
                self._running = None
                try:
                    onDone(end.value)
                except Exception as error:
                    onFailure(error)
            except Exception as error:
                self._running = None
                onFailure(error)
            else:
                qt.QTimer.singleShot(0, step)

        self.stop()
        self._running = steps
        qt.QTimer.singleShot(0, step)

    def stop(self) -> None:
        """Close the generator where it stands, so that it can take back what it has done."""
        steps, self._running = self._running, None
        if steps is not None:
            steps.close()
