"""Functions that the host answers instead of Qt: dialogs, the desktop, single shots, and PythonQt's additions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

from ..answers import Asked, answers
from . import members
from .slots import Slot

_AFFIRMATIVE = ("Yes", "Ok", "Retry", "Save", "Open", "Apply", "YesToAll", "Discard")


def static(class_name: str, name: str) -> Callable[..., Any] | None:
    """Return the static function that stands for `class_name.name`, None where Qt's own is used."""
    return _STATIC.get((class_name, name))


def method(native: Any, name: str) -> Callable[..., Any] | None:
    """Return the method that stands for the object's own, None where Qt's own is used."""
    if name in ("exec_", "exec") and isinstance(native, (QtWidgets.QDialog, QtWidgets.QMenu)):
        return lambda *_: _execute(native)
    if name in ("exec_", "exec") and hasattr(native, "exec"):
        raise AssertionError(f"{members.class_name(native)}.{name}() would never return in a test")
    if not isinstance(native, QtCore.QObject):
        return None
    additions: dict[str, Callable[..., Any]] = {
        "className": lambda: members.class_name(native),
        "delete": lambda: shiboken6.delete(native),
        "help": lambda: None,
        "findChild": lambda kind, name="": next(iter(_descendants(native, kind, name)), None),
        "findChildren": lambda kind, name="": _descendants(native, kind, name),
    }
    return additions.get(name)


def press(buttons: Any, answer: Any) -> Any:
    """Return the button that an answer means: True is the affirmative one, False the other.

    Args:
        buttons: a combination of `QMessageBox.StandardButton`.
        answer: True, False or a button.
    """
    box = QtWidgets.QMessageBox.StandardButton
    if not isinstance(answer, bool):
        return box(int(answer))
    offered = [button for button in box if button.name not in ("FirstButton", "LastButton") and button in buttons]
    agreeing = [button for button in offered if button.name in _AFFIRMATIVE]
    others = [button for button in offered if button not in agreeing]
    return (agreeing or offered)[0] if answer else (others or offered)[0]


def _descendants(native: QtCore.QObject, kind: type | str, name: str) -> list[QtCore.QObject]:
    """Return the objects inside another one by class, or by the name of their class, and by object name."""
    found: list[QtCore.QObject] = []
    for child in native.children():
        matches = child.inherits(kind) if isinstance(kind, str) else isinstance(child, kind)
        found += [child] if matches and name in ("", child.objectName()) else []
        found += _descendants(child, kind, name)
    return found


def _execute(dialog: QtWidgets.QDialog | QtWidgets.QMenu) -> Any:
    """Show a modal dialog for as long as the test's answer takes."""
    from .conversion import unwrap
    from .proxy import proxy_of

    text = dialog.text() if isinstance(dialog, QtWidgets.QMessageBox) else dialog.windowTitle()
    kind = "menu" if isinstance(dialog, QtWidgets.QMenu) else "dialog"
    dialog.show()
    try:
        result = answers.play(Asked(kind, text, dialog.windowTitle()), proxy_of(dialog))
        if result is None and isinstance(dialog, QtWidgets.QDialog):  # the person pressed something
            result = dialog.result()
    finally:
        dialog.hide()
    if isinstance(dialog, QtWidgets.QMessageBox):
        return press(dialog.standardButtons(), result)
    return unwrap(result) if kind == "menu" else int(result or 0)


def _file_dialog(kind: str, many: bool = False) -> Callable[..., Any]:
    def ask(parent: Any = None, caption: str = "", directory: str = "", filters: str = "", *_: Any) -> Any:
        for text in (caption, directory, filters):
            if not isinstance(text, str):
                raise ValueError(f"a file dialog takes texts, not {type(text).__name__}")
        answer = answers.ask(Asked(kind, caption, caption, filters))
        return tuple(str(each) for each in answer) if many else str(answer)

    return ask


def _message(kind: str) -> Callable[..., Any]:
    def ask(parent: Any, title: str, text: str, buttons: Any = None, *_: Any) -> Any:
        standard = QtWidgets.QMessageBox.StandardButton
        default = standard.Yes | standard.No if kind == "question" else standard.Ok
        asked = Asked(kind, text, title)
        offered = standard(int(buttons)) if buttons is not None else default
        if kind != "question" and buttons is None:
            answers.tell(asked)
            return standard.Ok
        return press(offered, answers.ask(asked))

    return ask


def _input(parent: Any, title: str, label: str, *_: Any) -> Any:
    return answers.ask(Asked("text", label, title))


def _color(*_: Any) -> Any:
    return answers.ask(Asked("color", ""))


def _open_url(url: QtCore.QUrl) -> bool:
    if not isinstance(url, QtCore.QUrl):
        raise ValueError("openUrl takes a qt.QUrl")
    answers.tell(Asked("url", url.toString()))
    return True


class _SingleShot:
    """`QTimer.singleShot`, the one function of Qt to which PythonQt hands a Python callable."""

    __name__ = "singleShot"

    def __call__(self, milliseconds: int, *target: Any) -> None:
        slot = Slot(target[0] if len(target) == 1 else getattr(target[0], target[1].split("(")[0]))
        QtCore.QTimer.singleShot(milliseconds, lambda: slot())


class _Static:
    """A replaced static function; results are wrapped like any other."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__ = name
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        from .conversion import wrap
        from .proxy import native_of

        natives = [(native_of(each), each) for each in arguments]
        return wrap(self._function(*[each if native is None else native for native, each in natives]))


_STATIC: dict[tuple[str, str], Callable[..., Any]] = {
    ("QFileDialog", "getOpenFileName"): _Static("getOpenFileName", _file_dialog("open file")),
    ("QFileDialog", "getOpenFileNames"): _Static("getOpenFileNames", _file_dialog("open files", many=True)),
    ("QFileDialog", "getSaveFileName"): _Static("getSaveFileName", _file_dialog("save file")),
    ("QFileDialog", "getExistingDirectory"): _Static("getExistingDirectory", _file_dialog("folder")),
    ("QInputDialog", "getText"): _Static("getText", _input),
    ("QInputDialog", "getItem"): _Static("getItem", _input),
    ("QInputDialog", "getInt"): _Static("getInt", _input),
    ("QInputDialog", "getDouble"): _Static("getDouble", _input),
    ("QColorDialog", "getColor"): _Static("getColor", _color),
    ("QMessageBox", "question"): _Static("question", _message("question")),
    ("QMessageBox", "information"): _Static("information", _message("info")),
    ("QMessageBox", "warning"): _Static("warning", _message("warning")),
    ("QMessageBox", "critical"): _Static("critical", _message("error")),
    ("QDesktopServices", "openUrl"): _Static("openUrl", _open_url),
    ("QTimer", "singleShot"): _SingleShot(),
}
