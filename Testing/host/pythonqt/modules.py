"""The modules `qt` and `ctk` that code under test imports."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from ..widgets import STAND_INS
from .proxy import proxy_class
from .ui_loader import QUiLoader

_SOURCES = (QtCore, QtGui, QtWidgets, QtTest)
_NOT_IN_PYTHONQT = frozenset({"Signal", "Slot", "Property", "SIGNAL", "SLOT", "ClassInfo", "QEnum", "QFlag"})


class QtModule(ModuleType):
    """`import qt`: every class of Qt under one roof."""

    def __getattr__(self, name: str) -> Any:
        if name == "QUiLoader":
            return QUiLoader
        if not name.startswith("_") and name not in _NOT_IN_PYTHONQT:
            for source in _SOURCES:
                member = getattr(source, name, None)
                if isinstance(member, type):
                    return proxy_class(member)
        raise AttributeError(f"module 'qt' has no attribute '{name}'")


class CtkModule(ModuleType):
    """`import ctk`: the stand-ins of CTK's widgets."""

    def __getattr__(self, name: str) -> Any:
        stand_in = STAND_INS.get(name)
        if stand_in is None or stand_in.STANDS_FOR != "ctk":
            raise AttributeError(f"module 'ctk' has no attribute '{name}' (the test host has no stand-in for it)")
        return proxy_class(stand_in)


qt, ctk = QtModule("qt"), CtkModule("ctk")
