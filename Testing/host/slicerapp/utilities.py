"""`slicer.util` as it is, except where it would open a window or install something."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import slicer

from ..answers import Asked, answers
from ..pythonqt import special
from ..pythonqt.conversion import wrap

_KINDS = {1: "info", 2: "warning", 3: "error", 4: "question"}
_MESSAGE_PROPERTIES = frozenset(
    {"icon", "standardButtons", "detailedText", "informativeText", "windowTitle", "dontShowAgainSettingsKey", "text"}
)


class Packages:
    """What was to be installed; nothing ever is. A test that expects it sets `allowed`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.installed: list[Any] = []
        self.allowed = False

    def pipInstall(self, requirements: Any, **_keywords: Any) -> None:
        self.installed.append(requirements)
        if not self.allowed:
            raise AssertionError(f"the panel would install {requirements}; set host.packages.allowed to expect that")


packages = Packages()


def messageBox(text: str, parent: Any = None, **keywords: Any) -> Any:
    """Record a message, and answer it where it is a question.

    Raises:
        TypeError: a keyword that ctkMessageBox has no property for.
        Unanswered: nobody answers the question.
    """
    from PySide6.QtWidgets import QMessageBox

    unknown = set(keywords) - _MESSAGE_PROPERTIES
    if unknown:
        raise TypeError(f"messageBox: ctkMessageBox has no {', '.join(sorted(unknown))}")
    kind = _KINDS.get(int(keywords.get("icon", 1)), "info")
    buttons = QMessageBox.StandardButton(int(keywords.get("standardButtons", QMessageBox.StandardButton.Ok.value)))
    title = str(keywords.get("windowTitle", "")).strip()
    asked = Asked(kind, str(text), title, str(keywords.get("detailedText", "")))
    if buttons == QMessageBox.StandardButton.Ok:
        answers.tell(asked)
        return wrap(QMessageBox.StandardButton.Ok)
    return wrap(special.press(buttons, answers.ask(asked)))


def adapt() -> Callable[[], None]:
    """Replace the few functions of `slicer.util`, and hide what slicer-core has and Slicer has not.

    slicer-core copies every function of `slicer.util` into `slicer`, so that `slicer.loadUI` would pass here and fail
    there. Returns a function that puts everything back.
    """
    replaced = {"messageBox": messageBox, "pip_install": packages.pipInstall, "pip_uninstall": packages.pipInstall}
    before = {name: getattr(slicer.util, name) for name in replaced}
    copies = {
        name: member
        for name, member in vars(slicer.util).items()
        if not name.startswith("_")
        and isinstance(member, (types.FunctionType, type))
        and getattr(slicer, name, None) is member
    }
    for name, function in replaced.items():
        setattr(slicer.util, name, function)
    for name in copies:
        delattr(slicer, name)

    def restore() -> None:
        for name, function in before.items():
            setattr(slicer.util, name, function)
        for name, member in copies.items():
            setattr(slicer, name, member)

    return restore
