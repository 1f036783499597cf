"""Classes and objects as PythonQt shows them: properties are attributes, unknown attributes are refused."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from typing import Any

import shiboken6
from PySide6 import QtCore

from .. import contract
from . import members, special
from .calls import Function, checked
from .conversion import property_value, unwrap, wrap
from .enums import enumerators
from .signals import Signal, connect, disconnect

_HANDED_OUT = "_host_proxy"
_OWN = frozenset({"_native"})


class ProxyClass(type):
    """A wrapped C++ class: its enumerators, static functions and unbound methods are attributes."""

    native_class: type

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or "native_class" not in dir(cls):
            raise AttributeError(name)
        native = cls.native_class
        for key in native.__mro__:
            found = _enumerators(key).get(name)
            if found is not None:
                return found
        static = special.static(native.__name__, name)
        if static is not None:
            return static
        member = getattr(native, name, None) if members.is_method(native, name) else None
        if member is None:
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")
        return Function(f"{cls.__name__}.{name}", member)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name in vars(cls) or not vars(cls).get("_sealed", False):
            type.__setattr__(cls, name, value)
        else:
            raise AttributeError(f"'{name}' cannot be set on the class {cls.__name__}")


class Proxy(metaclass=ProxyClass):
    """A wrapped C++ object."""

    _native: Any = None

    def __init__(self, *arguments: Any) -> None:
        _adopt(self, checked(type(self).__name__, _native_class_for(type(self)), arguments))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        native = _alive(self, name)
        found = _member(self, native, name)
        if found is not _NOTHING:
            return found
        raise AttributeError(f"{members.class_name(native)} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
            return
        native = _alive(self, name)
        kind = type(self).__name__
        info = members.find_property(native, name)
        if info is not None:
            if not info.isWritable():
                raise AttributeError(f"Property '{name}' of {kind} object is not writable")
            new = property_value(name, native.property(name), str(info.typeName()), value)
            if not native.setProperty(name, new):
                raise AttributeError(f"Property '{name}' of {kind} object did not take {value!r}")
        elif members.is_signal(native, name) or members.is_method(type(native), name):
            raise AttributeError(f"Slot '{name}' can not be overwritten on {kind} object")
        elif name in members.dynamic_properties(native):
            native.setProperty(name, unwrap(value))
        elif "_sealed" in vars(type(self)):
            raise AttributeError(
                f"'{name}' does not exist on {kind} and creating new attributes on C++ objects is not allowed"
            )
        else:
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        theirs = native_of(other)
        if theirs is None:
            return False
        return self._native is theirs or (not isinstance(theirs, QtCore.QObject) and bool(self._native == theirs))

    def __hash__(self) -> int:
        return hash(self._native) if isinstance(self._native, QtCore.QObject) else id(self._native)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({self._native!r})"


_NOTHING = object()


def native_of(value: object) -> Any:
    """Return the PySide6 object behind a proxy, None for anything else."""
    return value._native if isinstance(value, Proxy) else None


def proxy_of(native: Any) -> Proxy:
    """Return the proxy of a PySide6 object; a QObject has one for as long as somebody holds it."""
    known = getattr(native, _HANDED_OUT, None) if isinstance(native, QtCore.QObject) else None
    known = known() if isinstance(known, weakref.ref) else known
    if known is not None:
        return known
    proxy: Proxy = object.__new__(proxy_class(members.wrapped_class(type(native))))  # type: ignore[arg-type]
    _adopt(proxy, native)
    return proxy


@functools.cache
def proxy_class(native: type) -> ProxyClass:
    """Return the wrapped class of a PySide6 class or of a stand-in; bases follow the C++ ones."""
    members.declared(native)
    bases = [proxy_class(base) for base in native.__bases__ if members.is_wrapped(base)]
    made = ProxyClass(native.__name__, tuple(bases) or (Proxy,), {"native_class": native, "__doc__": native.__doc__})
    made._sealed = True
    return made


def _adopt(proxy: Proxy, native: Any) -> None:
    """Bind both. A Python subclass with state of its own lives as long as its C++ object; a bare proxy does not."""
    proxy._native = native
    if isinstance(native, QtCore.QObject):
        bare = "_sealed" in vars(type(proxy))
        setattr(native, _HANDED_OUT, weakref.ref(proxy) if bare else proxy)


def _native_class_for(cls: ProxyClass) -> type:
    """Return what to construct: for a Python subclass, a class whose virtual functions call the subclass."""
    native = cls.native_class
    if "_sealed" in vars(cls):
        return native
    overridden = {
        name: _forwarding(name)
        for each in cls.__mro__
        if "_sealed" not in vars(each) and issubclass(each, Proxy) and each is not Proxy
        for name in vars(each)
        if not name.startswith("_") and callable(getattr(native, name, None))
    }
    return type(native.__name__, (native,), overridden) if overridden else native


def _forwarding(name: str) -> Any:
    def call(native: Any, *arguments: Any) -> Any:
        return unwrap(getattr(proxy_of(native), name)(*(wrap(argument) for argument in arguments)))

    call.__name__ = name
    return call


def _alive(proxy: Proxy, name: str) -> Any:
    native = proxy._native
    if native is None:
        raise ValueError(f"Trying to access '{name}' before the constructor of {type(proxy).__name__} was called")
    if not shiboken6.isValid(native):
        raise ValueError(f"Trying to access '{name}' of a destroyed {type(proxy).__name__} object")
    return native


def _member(proxy: Proxy, native: Any, name: str) -> Any:
    """Look a name up in PythonQt's order: property, enumerator, signal, method, dynamic property, child."""
    if members.find_property(native, name) is not None:
        return wrap(native.property(name))
    for key in members.wrapped_class(type(native)).__mro__:
        if name in _enumerators(key):
            return _enumerators(key)[name]
    if isinstance(native, QtCore.QObject):
        if name in ("connect", "disconnect"):
            return functools.partial(connect if name == "connect" else disconnect, native)
        if members.is_signal(native, name):
            return Signal(native, name)
    method = special.method(native, name)
    if method is not None:
        return Function(name, method, proxy)
    if members.is_method(type(native), name):
        return Function(name, getattr(native, name), proxy)
    if isinstance(native, QtCore.QObject):
        if name == "name":  # what slicer.util.childWidgetVariables asks for
            return native.objectName()
        if name in members.dynamic_properties(native):
            return wrap(native.property(name))
        for child in native.children():
            if child.objectName() == name:
                return proxy_of(child)
    return _NOTHING


@functools.cache
def _enumerators(native: type) -> Mapping[str, Any]:
    return {**contract.ENUMERATORS.get(native.__name__, {}), **enumerators(native)}
