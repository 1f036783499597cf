"""Slots that tell what went wrong: an exception in one would be seen in Slicer's console alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UserError
from .translation import _


def connect(widget: Any, signal: str, slot: Callable[..., None], tell: Callable[[str], None]) -> None:
    """Connect a signal to a slot whose exceptions become a sentence in the panel."""
    if not widget.connect(signal, guarded(slot, tell)):
        raise ValueError(f"{widget} has no signal {signal}")


def guarded(slot: Callable[..., None], tell: Callable[[str], None]) -> Callable[..., None]:
    """Return a slot whose exceptions become a sentence in the panel."""

    def call(*values: Any) -> None:
        try:
            slot(*values)
        except Exception as error:
            tell(sentence(error))

    return call


def sentence(error: Exception) -> str:
    """Return what a person is told of an exception; those raised for a person are told as they are."""
    said = str(error.args[0]) if error.args else str(error)
    if isinstance(error, UserError) or (isinstance(error, KeyError | ValueError) and " " in said):
        return said
    if isinstance(error, MemoryError):
        return _("Memory ran out: close other programs and try again.")
    return _("Unexpected {kind}: {reason}").format(kind=type(error).__name__, reason=error)
