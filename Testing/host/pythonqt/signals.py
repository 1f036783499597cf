"""Signals in both of PythonQt's forms: `w.connect("clicked(bool)", f)` and `w.clicked.connect(f)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore

from . import members
from .conversion import unwrap
from .slots import Slot

_CONNECTIONS = "_host_connections"


@dataclass(frozen=True)
class _Connection:
    """One Python callable at one signal; `function` is what PySide6 calls."""

    signature: str
    callable: Callable[..., Any]
    function: Callable[..., Any]


class Signal:
    """A signal of an object, found as an attribute. Several overloads: the first one declared, as in PythonQt."""

    def __init__(self, native: QtCore.QObject, name: str) -> None:
        self._native = native
        self._name = name
        self._signature = members.signatures(native, name)[0]

    def connect(self, function: Callable[..., Any]) -> bool:
        return connect(self._native, self._signature, function)

    def disconnect(self, *functions: Callable[..., Any]) -> bool:
        return disconnect(self._native, self._signature, *functions)

    def emit(self, *arguments: Any) -> None:
        bound = _own_signal(self._native, self._signature) or getattr(self._native, self._name)
        bound.emit(*[unwrap(argument) for argument in arguments])

    __call__ = emit


def connect(native: QtCore.QObject, signature: str, *target: Any) -> bool:
    """Connect a callable, or a receiver and the name of its slot; return whether the signal exists.

    The callable is held for as long as the sender lives, as PythonQt does.
    """
    found = find(native, signature)
    if found is None:
        return False
    slot = Slot(target[0] if len(target) == 1 else _slot_of(*target))

    def function(*arguments: Any) -> None:
        slot(*arguments)

    own = _own_signal(native, found)
    if own is not None:
        own.connect(function)
    elif not QtCore.QObject.connect(native, QtCore.SIGNAL(found), function):
        return False
    _connections(native).append(_Connection(found, slot.function, function))
    return True


def disconnect(native: QtCore.QObject, signature: str, *functions: Callable[..., Any]) -> bool:
    """Disconnect a callable, or all; return whether there was one."""
    found = find(native, signature)
    gone = [
        each
        for each in _connections(native)
        if each.signature == found and (not functions or each.callable == functions[0])
    ]
    for each in gone:
        own = _own_signal(native, each.signature)
        if own is not None:
            own.disconnect(each.function)
        else:
            QtCore.QObject.disconnect(native, QtCore.SIGNAL(each.signature), each.function)
        _connections(native).remove(each)
    return bool(gone)


def find(native: QtCore.QObject, signature: str) -> str | None:
    """Return the signature under which an object has the signal, None where it has none."""
    wanted = normalized(signature) if "(" in signature else ""
    return wanted if wanted in members.signatures(native, wanted.split("(")[0]) else None


def normalized(signature: str) -> str:
    """Return a signature as Qt writes it: no blanks, no `const T &`, no parameter names."""
    name, _, rest = signature.partition("(")
    types = [each.strip() for each in rest.rpartition(")")[0].split(",")]
    short = [each.removeprefix("const ").removesuffix("&").replace(" ", "") for each in types]
    return f"{name.strip()}({','.join(short)})"


def _own_signal(native: QtCore.QObject, signature: str) -> Any:
    """Return the bound signal of a stand-in: PySide6 cannot name VTK's types in a signature of its own."""
    attribute = getattr(native, "SIGNALS", {}).get(signature)
    return getattr(native, attribute) if attribute else None


def _connections(native: QtCore.QObject) -> list[_Connection]:
    known: list[_Connection] | None = getattr(native, _CONNECTIONS, None)
    if known is None:
        known = []
        setattr(native, _CONNECTIONS, known)
        native.destroyed.connect(known.clear)  # Python's half of a deleted object may live on
    return known


def _slot_of(receiver: Any, slot: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(receiver, normalized(slot).split("(")[0])
    return function
