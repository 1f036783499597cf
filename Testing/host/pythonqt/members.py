"""What a wrapped object offers by which name: Qt's own meta object, and the contract for the stand-ins."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore

from .. import contract

_PYSIDE_ONLY = frozenset({"connect", "disconnect", "emit", "tr", "receivers", "staticMetaObject"})
_NEWER_THAN_QT_5_15 = {
    "QCheckBox": {"checkStateChanged"},
    "QComboBox": {"labelDrawingMode", "setLabelDrawingMode"},
    "QLabel": {"resourceProvider", "setResourceProvider"},
    "QProcess": {"startCommand", "unixProcessParameters", "setUnixProcessParameters", "failChildProcessModifier"},
    "QWidget": {"setScreen"},
}
"""Additions of Qt 6 that a panel might meet: the floor is Slicer 5.10, which has Qt 5.15."""


def is_wrapped(native: type) -> bool:
    """Return whether a class is Qt's own or a stand-in, rather than something made on the way."""
    return _is_qt(native) or "STANDS_FOR" in vars(native)


def wrapped_class(native: type) -> type:
    """Return the class that code under test knows an object by."""
    return next(each for each in native.__mro__ if is_wrapped(each))


def class_name(native: Any) -> str:
    """Return the C++ class of an object."""
    return wrapped_class(type(native)).__name__


def find_property(native: Any, name: str) -> QtCore.QMetaProperty | None:
    """Return the declared property of that name."""
    if not isinstance(native, QtCore.QObject) or hidden(type(native), name):
        return None
    meta = native.metaObject()
    index = meta.indexOfProperty(name)
    return meta.property(index) if index >= 0 else None


def dynamic_properties(native: Any) -> set[str]:
    """Return the names of the properties that were added at run time."""
    if not isinstance(native, QtCore.QObject):
        return set()
    return {bytes(name.data()).decode() for name in native.dynamicPropertyNames()}


def is_signal(native: Any, name: str) -> bool:
    """Return whether an object has a signal of that name, with whatever arguments."""
    return bool(signatures(native, name))


def signatures(native: Any, name: str) -> tuple[str, ...]:
    """Return the signatures of an object's signals of that name, normalized, as C++ declares them."""
    if not isinstance(native, QtCore.QObject) or hidden(type(native), name):
        return ()
    declared = contract.signatures(type(native), name)
    return declared or tuple(each for each in _meta_signatures(native) if each.split("(")[0] == name)


def is_method(native: type, name: str) -> bool:
    """Return whether a class has a method of that name that C++ has too."""
    if name.startswith("_") or name in _PYSIDE_ONLY or hidden(native, name):
        return False
    member = getattr(native, name, None)
    return callable(member) and not isinstance(member, (type, QtCore.Signal))


@dataclass(frozen=True)
class Declared:
    """What Qt's meta object of a class declares: names of properties, signatures of signals."""

    properties: frozenset[str] = frozenset()
    signals: tuple[str, ...] = ()


@functools.cache
def declared(native: type) -> Declared:
    """Return what a class declares, inherited members included.

    Read when the class is first wrapped: PySide6 hands out one QMetaObject for the class and for its first object,
    and takes it away with that object.
    """
    meta = getattr(native, "staticMetaObject", None)
    if not isinstance(meta, QtCore.QMetaObject):
        return Declared()
    properties = (str(meta.property(index).name()) for index in range(meta.propertyCount()))
    return Declared(frozenset(properties), _signal_signatures(meta))


def _signal_signatures(meta: QtCore.QMetaObject) -> tuple[str, ...]:
    methods = (meta.method(index) for index in range(meta.methodCount()))
    signals = (method for method in methods if method.methodType() == QtCore.QMetaMethod.MethodType.Signal)
    return tuple(bytes(signal.methodSignature().data()).decode() for signal in signals)


_known_signatures: dict[type, tuple[str, ...]] = {}


def _meta_signatures(native: QtCore.QObject) -> tuple[str, ...]:
    """Return all signals of an object; read once a class, because Qt's meta object is slow to walk from Python."""
    known = _known_signatures.get(type(native))
    if known is None:
        known = _known_signatures[type(native)] = _signal_signatures(native.metaObject())
    return known


@functools.cache
def hidden(native: type, name: str) -> bool:
    """Return whether a name must not be seen: an inner part of a stand-in, or an addition of Qt 6."""
    if any(name in _NEWER_THAN_QT_5_15.get(each.__name__, ()) for each in native.__mro__):
        return True
    qt_class = next(each for each in native.__mro__ if _is_qt(each))
    if qt_class is wrapped_class(native) or contract.offers(native, name):
        return False
    return not hasattr(qt_class, name) and name not in declared(qt_class).properties


def _is_qt(native: type) -> bool:
    return native.__module__.startswith("PySide6.")
