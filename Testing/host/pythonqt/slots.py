"""Python functions as slots: how many arguments they get, where their exceptions go, how long they take."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from ..watchdog import watchdog
from .conversion import wrap


class Slot:
    """A Python callable that PySide6 may call; equal callables make equal slots, as `disconnect` needs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"a slot must be callable, not {type(function).__name__}")
        self.function = function
        self._count = accepted_arguments(function)

    def __call__(self, *arguments: Any) -> None:
        wrapped = [wrap(argument) for argument in arguments][: self._count]
        with watchdog.slot(self.function):
            try:
                self.function(*wrapped)
            except Exception:
                sys.excepthook(*sys.exc_info())


def accepted_arguments(function: Callable[..., Any]) -> int | None:
    """Return how many arguments PythonQt passes at most, None for all of them.

    Only functions, methods and classes are looked into; a `functools.partial` gets every argument of the signal, and
    fails there if it wants fewer.
    """
    bound = 0
    if isinstance(function, type):
        function, bound = vars(function).get("__init__", function), 1
    if isinstance(function, types.MethodType):
        function, bound = function.__func__, 1
    code = getattr(function, "__code__", None) if isinstance(function, types.FunctionType) else None
    if code is None or code.co_flags & 0x04:  # takes *arguments
        return None
    return int(code.co_argcount) - bound
