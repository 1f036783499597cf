"""Values on their way between Python code under test and PySide6."""

from __future__ import annotations

import enum
import functools
import os
import types
from typing import Any

import numpy as np
import shiboken6

from .enums import EnumValue, enum_value

_PLAIN = (str, bytes, bytearray, bool, int, float, type(None))


class Unconvertible(ValueError):
    """An argument that PythonQt could not hand to C++."""


def wrap(value: Any) -> Any:
    """Return a PySide6 value as PythonQt would: proxies for objects, ints for enumerators, tuples for lists."""
    from .proxy import proxy_of

    if isinstance(value, enum.Enum):
        return enum_value(value)
    if isinstance(value, shiboken6.Object):
        return proxy_of(value)
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    return value


def unwrap(value: Any) -> Any:
    """Return an argument as PySide6 takes it.

    Raises:
        Unconvertible: PythonQt has no C++ type for it. A `pathlib.Path` and NumPy's integers and booleans are the
            common ones: PySide6 takes some of them, Slicer takes none.
    """
    from .proxy import ProxyClass, native_of

    native = native_of(value)
    if native is not None:
        return native
    if isinstance(value, ProxyClass):
        return value.native_class
    if isinstance(value, EnumValue):
        return value.native
    if isinstance(value, (list, tuple)):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    if isinstance(value, _PLAIN) and not (isinstance(value, np.generic) and not isinstance(value, (float, str))):
        return value
    if isinstance(value, (os.PathLike, np.generic, np.ndarray)) or _is_code(value):
        raise Unconvertible(f"PythonQt cannot convert {type(value).__name__} ({value!r}) for C++")
    return value


def _is_code(value: Any) -> bool:
    """Return whether a value is code; objects that happen to be callable are data."""
    return isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial, type))


def property_value(name: str, current: Any, type_name: str, value: Any) -> Any:
    """Return a value that may be assigned to a property, in PySide6's terms.

    Stricter than PythonQt, which turns 5 into "5" for a text and 2.7 into 2 for an int: code that passes here passes
    there too.

    Args:
        name: the property.
        current: its present value, which tells the class of an enumeration.
        type_name: C++ type of the property.
        value: what shall be assigned.

    Raises:
        AttributeError: as PythonQt words it.
    """
    try:
        native = unwrap(value)
    except Unconvertible:
        native = None
        accepted = False
    else:
        accepted = _accepts(type_name, current, native)
    if not accepted:
        kind = type(value).__name__
        raise AttributeError(
            f"Property '{name}' of type '{type_name}' does not accept an object of type {kind} ({value})"
        )
    if isinstance(current, enum.Enum) and not isinstance(native, enum.Enum):
        return type(current)(native)
    return native


def _accepts(type_name: str, current: Any, native: Any) -> bool:
    if isinstance(current, enum.Enum):
        return isinstance(native, type(current)) or (isinstance(native, int) and not isinstance(native, bool))
    if type_name == "QString":
        return isinstance(native, str)
    if type_name == "bool":
        return isinstance(native, (bool, int))
    if type_name in {"int", "uint"}:
        return isinstance(native, int)
    if type_name in {"double", "float"}:
        return isinstance(native, (int, float))
    if type_name == "QStringList":
        return isinstance(native, list) and all(isinstance(item, str) for item in native)
    return native is not None
