"""Loading .ui files: stand-ins by their class names, nothing unknown, the file's own connections made and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from .. import contract
from ..widgets import STAND_INS
from .proxy import native_of, proxy_of
from .signals import connect


class UiError(RuntimeError):
    """A .ui file names something that does not exist."""


class QUiLoader:
    """`qt.QUiLoader` as far as `slicer.util.loadUI` goes."""

    def load(self, file: Any, parent: Any = None) -> Any:
        """Return the widget of an open `qt.QFile`.

        Raises:
            UiError: an unknown widget class, or a connection between things that do not exist. Slicer would show
                an empty place, or print a warning that nobody reads.
        """
        return load(Path(native_of(file).fileName()), parent)


def load(path: Path, parent: Any = None) -> Any:
    """Return the proxy of the widget that a .ui file describes."""
    tree = ElementTree.parse(path).getroot()
    connections = [_connection(each) for each in tree.iterfind("connections/connection")]
    for section in tree.findall("connections"):
        tree.remove(section)
    for widget in tree.iter("widget"):
        _resolve_enumerators(widget)
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(tree))
    buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
    loader = _Loader()
    loader.setWorkingDirectory(QtCore.QDir(str(path.parent)))
    native = loader.load(buffer, native_of(parent))
    if loader.unknown:
        raise UiError(f"{path.name}: unknown widget class {', '.join(sorted(loader.unknown))}")
    if native is None:
        raise UiError(f"{path.name}: {loader.errorString()}")
    for each in connections:
        _connect(path, native, *each)
    return proxy_of(native)


class _Loader(QtUiTools.QUiLoader):
    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[str] = set()
        self._known = set(self.availableWidgets())

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        stand_in = STAND_INS.get(class_name)
        if stand_in is not None:
            widget = stand_in(parent)
            widget.setObjectName(name)
            return widget
        if class_name not in self._known:
            self.unknown.add(class_name)
            return super().createWidget("QWidget", parent, name)
        return super().createWidget(class_name, parent, name)


def _resolve_enumerators(widget: ElementTree.Element) -> None:
    """Write a stand-in's enumerators as numbers, because Qt cannot know them."""
    known = contract.ENUMERATORS.get(widget.get("class", ""), {})
    for holder in widget.iterfind("property"):
        for kind in ("set", "enum"):
            element = holder.find(kind)
            names = (element.text or "").split("|") if element is not None and known else []
            values = [known.get(name.strip().split("::")[-1]) for name in names]
            if element is not None and values and None not in values:
                element.tag = "number"
                combined = 0
                for value in values:
                    combined |= int(value or 0)
                element.text = str(combined)


def _connection(element: ElementTree.Element) -> tuple[str, str, str, str]:
    sender, signal, receiver, slot = (element.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot"))
    return sender, signal, receiver, slot


def _connect(path: Path, root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    source, end = _named(path, root, sender), _named(path, root, receiver)
    target = getattr(proxy_of(end), slot.split("(")[0], None)
    if target is None:
        raise UiError(f"{path.name}: {receiver} has no slot {slot}")
    if not connect(source, signal, target):
        raise UiError(f"{path.name}: {sender} has no signal {signal}")


def _named(path: Path, root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = root if root.objectName() == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise UiError(f"{path.name}: a connection names '{name}', which does not exist")
    return found
