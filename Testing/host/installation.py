"""The names that code under test imports: there while a host is awake, gone when it sleeps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import slicer

from .pythonqt.modules import ctk, qt
from .pythonqt.proxy import proxy_class
from .slicerapp import scripted, utilities
from .widgets import STAND_INS

_CORE = ("app", "modules", "mrmlScene", "qSlicerScriptedLoadableModule")


def install(members: dict[str, Any], sampleData: ModuleType) -> Callable[[], None]:
    """Put `qt`, `ctk`, `SampleData` and what slicer-core lacks in place; return what takes it all away again.

    Args:
        members: attributes of `slicer` by name: app, modules, mrmlScene and so on.
        sampleData: the module `SampleData`.
    """
    restore = utilities.adapt()
    translation = _translation()
    modules = {
        "qt": qt,
        "ctk": ctk,
        "SampleData": sampleData,
        "slicer.ScriptedLoadableModule": scripted,
        "slicer.i18n": translation,
    }
    widgets = {name: proxy_class(each) for name, each in STAND_INS.items() if each.STANDS_FOR == "slicer"}
    attributes = {**widgets, "ScriptedLoadableModule": scripted, "i18n": translation, **members}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    for name, member in attributes.items():
        setattr(slicer, name, member)

    def uninstall() -> None:
        for name in attributes:
            if hasattr(slicer, name):
                delattr(slicer, name)
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        restore()

    return uninstall


def _translation() -> ModuleType:
    """Return `slicer.i18n`; every text stands for itself."""
    made = ModuleType("slicer.i18n")

    def tr(text: str, context: str | None = None) -> str:
        if not isinstance(text, str):
            raise TypeError(f"a translated text is a str, not {type(text).__name__}")
        return text

    def translate(context: str, text: str) -> str:
        return tr(text)

    made.tr, made.translate = tr, translate  # type: ignore[attr-defined]
    return made
