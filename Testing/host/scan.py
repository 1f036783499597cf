"""Which members of which widgets the panel uses, read from its source and its .ui files, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PySide6 import QtUiTools

from . import contract
from .pythonqt import members
from .pythonqt.enums import enumerators
from .pythonqt.modules import ctk, qt
from .pythonqt.proxy import proxy_class
from .pythonqt.signals import normalized
from .widgets import STAND_INS

_ALWAYS = frozenset({"connect", "disconnect", "className", "delete", "name", "exec_"})
_NO_WIDGETS = frozenset({"Line", "Spacer"})


@dataclass(frozen=True)
class Use:
    """One member of a widget in a source file; `member` is a signature where a signal is connected by its text."""

    file: str
    line: int
    widget: str
    member: str
    called: bool = False
    of_class: bool = False

    @property
    def problem(self) -> str:
        """What is wrong with it, empty where Slicer has it."""
        native = _native(self.widget)
        if native is None:
            return "the test host has no such class"
        name = self.member.split("(")[0].strip()
        if "(" in self.member:
            return "" if _has_signal(native, self.member) else "no signal of that signature"
        kind = _kind(native, name)
        if kind == "property" and self.called and not self.of_class:  # QTimer.singleShot is both
            return "it is a property: PythonQt calls its value"
        return "" if kind or name in _ALWAYS else "neither in host.contract nor one of Qt"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.widget}.{self.member}: {self.problem}"


def usedByPanel(paths: Iterable[Path]) -> list[Use]:
    """Return every use of a widget's member in .py and .ui files; paths that do not exist (yet) are left out.

    In Python it sees what is written on `ui.<name>` (the class is the .ui file's), on `qt.X`, `ctk.X` and
    `slicer.qMRML...` themselves, and on variables and `self` attributes that are made from one of them.

    Raises:
        AssertionError: a member that is neither in `host.contract` nor Qt's own; each is named with its place.
    """
    files = sorted({file for path in paths for file in _files(path)})
    named: dict[str, str] = {}
    uses: list[Use] = []
    for file in files:
        if file.suffix == ".ui":
            uses += _ui_uses(file, named)
    for file in files:
        if file.suffix == ".py":
            uses += _Source(file, named).uses
    wrong = [str(use) for use in uses if use.problem]
    assert not wrong, "\n" + "\n".join(wrong)
    return uses


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.suffix in (".py", ".ui"))
    elif path.exists():
        yield path


def _ui_uses(path: Path, named: dict[str, str]) -> Iterator[Use]:
    """Yield the properties and connections of a .ui file, and note each widget's class under its name."""
    tree = ElementTree.parse(path).getroot()
    for element in (*tree.iter("widget"), *tree.iter("layout")):
        kind = element.get("class", "")
        named[element.get("name", "")] = kind
        if kind not in _NO_WIDGETS and element.tag == "widget":
            for entry in element.iterfind("property"):
                yield Use(path.name, 0, kind, entry.get("name", ""))
            if element.find("property") is None:
                yield Use(path.name, 0, kind, "objectName")
    for each in tree.iterfind("connections/connection"):
        yield Use(path.name, 0, named.get(each.findtext("sender", ""), "?"), each.findtext("signal", ""))
        receiver = named.get(each.findtext("receiver", ""), "?")
        yield Use(path.name, 0, receiver, each.findtext("slot", "").split("(")[0], called=True)


class _Source(ast.NodeVisitor):
    """Collects the uses of one Python file."""

    def __init__(self, path: Path, named: dict[str, str]) -> None:
        self.uses: list[Use] = []
        self._path, self._named = path, named
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self._made = {
            ast.unparse(target): kind
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and (kind := self._constructed(node.value))
            for target in node.targets
        }
        self._calls = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        self.visit(tree)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        kind = self._class_of(node.value)
        if kind:
            of_class = isinstance(node.value, ast.Attribute) and _module(node.value.value) in ("qt", "ctk")
            self.uses.append(Use(self._path.name, node.lineno, kind, node.attr, id(node) in self._calls, of_class))
        elif _module(node.value) in ("qt", "ctk") or (_module(node.value) == "slicer" and node.attr in STAND_INS):
            self.uses.append(Use(self._path.name, node.lineno, node.attr, "className"))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in ("connect", "disconnect") and node.args:
            kind, text = self._class_of(function.value), node.args[0]
            if kind and isinstance(text, ast.Constant) and isinstance(text.value, str):
                self.uses.append(Use(self._path.name, node.lineno, kind, text.value))
        self.generic_visit(node)

    def _class_of(self, node: ast.expr) -> str:
        """Return the widget class of an expression, empty where it is none that can be known."""
        if isinstance(node, ast.Attribute):
            if _module(node.value) in ("qt", "ctk"):
                return node.attr
            base = ast.unparse(node.value).split(".")[-1].lstrip("_")
            if base == "ui" and node.attr in self._named:
                return self._named[node.attr]
        return self._made.get(ast.unparse(node), "")

    @staticmethod
    def _constructed(value: ast.expr) -> str:
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            module, name = _module(value.func.value), value.func.attr
            if module in ("qt", "ctk") or (module == "slicer" and name in STAND_INS):
                return name
        return ""


def _module(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _native(name: str) -> type | None:
    """Return the PySide6 class or stand-in of a class name."""
    if name in STAND_INS:
        return proxy_class(STAND_INS[name]).native_class
    if name == "QUiLoader":
        return QtUiTools.QUiLoader
    proxy = getattr(qt, name, None) or getattr(ctk, name, None)
    return getattr(proxy, "native_class", None)


def _kind(native: type, name: str) -> str:
    """Return what a name is on a class: property, signal, method, enumerator; empty where it is nothing."""
    if members.hidden(native, name):
        return ""
    if name in members.declared(native).properties:
        return "property"
    if contract.signatures(native, name) or _meta_signals(native, name):
        return "signal"
    if any(name in enumerators(each) or name in contract.ENUMERATORS.get(each.__name__, ()) for each in native.__mro__):
        return "enumerator"
    return "method" if members.is_method(native, name) else ""


def _has_signal(native: type, signature: str) -> bool:
    wanted = normalized(signature)
    name = wanted.split("(")[0]
    return wanted in (contract.signatures(native, name) or _meta_signals(native, name))


def _meta_signals(native: type, name: str) -> list[str]:
    return [text for text in members.declared(native).signals if text.split("(")[0] == name]
