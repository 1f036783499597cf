"""Plain Python objects that look like wrapped C++ ones: signals, and no attributes out of nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..pythonqt.signals import normalized
from ..pythonqt.slots import Slot


class PlainSignal:
    """A signal without Qt; slots are called in the order of their connection."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []

    def connect(self, function: Callable[..., Any]) -> bool:
        self._slots.append(Slot(function))
        return True

    def disconnect(self, *functions: Callable[..., Any]) -> bool:
        kept = [slot for slot in self._slots if functions and slot.function != functions[0]]
        changed = len(kept) != len(self._slots)
        self._slots = kept
        return changed

    def emit(self, *arguments: Any) -> None:
        for slot in list(self._slots):
            slot(*arguments)

    @property
    def count(self) -> int:
        """How many slots are connected: none may be left when a test is over."""
        return len(self._slots)


class Facade:
    """Base of the stand-ins that are no widgets. `SIGNALS` maps each signature to the attribute of its signal."""

    SIGNALS: ClassVar[Mapping[str, str]] = {}
    _closed = False

    def seal(self) -> None:
        """From now on only attributes that exist may be set."""
        object.__setattr__(self, "_closed", True)

    def connect(self, signature: str, function: Callable[..., Any]) -> bool:
        name = self.SIGNALS.get(normalized(signature))
        return bool(getattr(self, name).connect(function)) if name else False

    def disconnect(self, signature: str, *functions: Callable[..., Any]) -> bool:
        name = self.SIGNALS.get(normalized(signature))
        return bool(getattr(self, name).disconnect(*functions)) if name else False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._closed and not hasattr(self, name):
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes on C++ objects is not"
                " allowed"
            )
        object.__setattr__(self, name, value)
