"""qMRMLNodeComboBox: the scene's nodes of some classes in a combo box that follows the scene."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import slicer
import vtk
from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from ..answers import Asked, answers
from .observing import Observers

_ACTION = Qt.ItemDataRole.UserRole + 1
_NODE = Qt.ItemDataRole.UserRole


def _option(name: str, kind: Any) -> Property:
    """Return a property whose change rebuilds the list."""
    return Property(kind, lambda self: self._options[name], lambda self, value: self._setOption(name, value))


def _setter(name: str) -> Callable[[Any, Any], None]:
    """Return the C++ setter of a property: PythonQt offers both."""
    return lambda self, value: self._setOption(name, value)


class qMRMLNodeComboBox(QWidget):
    """Disabled until it has a scene. Without "None" it selects the first node by itself, as Qt's combo boxes do."""

    STANDS_FOR = "slicer"
    SIGNALS: ClassVar = {
        "currentNodeChanged(vtkMRMLNode*)": "nodeChanged",
        "currentNodeChanged(bool)": "validNodeChanged",
        "currentNodeIDChanged(QString)": "nodeIDChanged",
        "nodeActivated(vtkMRMLNode*)": "activated",
        "nodeAdded(vtkMRMLNode*)": "added",
        "nodeAddedByUser(vtkMRMLNode*)": "addedByUser",
    }
    nodeChanged, validNodeChanged, nodeIDChanged = Signal(object), Signal(bool), Signal(str)
    activated, added, addedByUser = Signal(object), Signal(object), Signal(object)

    nodeTypes = _option("nodeTypes", "QStringList")
    hideChildNodeTypes = _option("hideChildNodeTypes", "QStringList")
    showHidden = _option("showHidden", bool)
    showChildNodeTypes = _option("showChildNodeTypes", bool)
    noneEnabled = _option("noneEnabled", bool)
    noneDisplay = _option("noneDisplay", str)
    addEnabled = _option("addEnabled", bool)
    removeEnabled = _option("removeEnabled", bool)
    editEnabled = _option("editEnabled", bool)
    renameEnabled = _option("renameEnabled", bool)
    selectNodeUponCreation = _option("selectNodeUponCreation", bool)
    baseName = _option("baseName", str)
    setNodeTypes, setHideChildNodeTypes = _setter("nodeTypes"), _setter("hideChildNodeTypes")
    setShowHidden, setShowChildNodeTypes = _setter("showHidden"), _setter("showChildNodeTypes")
    setNoneEnabled, setNoneDisplay = _setter("noneEnabled"), _setter("noneDisplay")
    setAddEnabled, setRemoveEnabled = _setter("addEnabled"), _setter("removeEnabled")
    setEditEnabled, setRenameEnabled = _setter("editEnabled"), _setter("renameEnabled")
    setSelectNodeUponCreation, setBaseName = _setter("selectNodeUponCreation"), _setter("baseName")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options: dict[str, Any] = {
            "nodeTypes": [],
            "hideChildNodeTypes": [],
            "showHidden": False,
            "showChildNodeTypes": True,
            "noneEnabled": False,
            "noneDisplay": "None",
            "addEnabled": True,
            "removeEnabled": True,
            "editEnabled": False,
            "renameEnabled": False,
            "selectNodeUponCreation": True,
            "baseName": "",
        }
        self._attributes: list[tuple[str, str, str | None]] = []
        self._scene: Any = None
        self._requested = ""
        self._current: Any = None
        self._observers = Observers(self)
        self._names = Observers(self)
        self._box = QComboBox(self)
        self._box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.activated.connect(self._onActivated)
        self.setEnabled(False)
        self._fill()

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._observers.clear()
        self._scene = scene
        if scene is not None:
            events = slicer.vtkMRMLScene
            self._observers.addNodes(scene, events.NodeAddedEvent, self._onNodeAdded)
            self._observers.addNodes(scene, events.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved)
            for event in (events.EndCloseEvent, events.EndImportEvent, events.EndBatchProcessEvent):
                self._observers.add(scene, event, self._fill)
        self.setEnabled(scene is not None)
        self._fill()
        wanted = scene.GetNodeByID(self._requested) if scene is not None and self._requested else None
        if wanted is None and not self._options["noneEnabled"] and self._current is None:
            wanted = self.nodeFromIndex(0)
        if wanted is not None:
            self._select(wanted)

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            self.setCurrentNodeID(node)
        elif self._scene is None:
            self._requested = node.GetID() if node is not None else ""
        else:
            self._select(node)

    def _currentNodeID(self) -> str:
        return self._current.GetID() if self._current is not None else ""

    def setCurrentNodeID(self, identifier: str | None) -> None:
        if self._scene is None:
            self._requested = identifier or ""
        else:
            self._select(self._scene.GetNodeByID(identifier) if identifier else None)

    currentNodeID = Property(str, _currentNodeID, setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        self._select(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addAttribute(self, nodeType: str, name: str, value: Any = None) -> None:
        self._attributes.append((nodeType, name, None if value is None else str(value)))
        self._fill()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._attributes = [each for each in self._attributes if each[:2] != (nodeType, name)]
        self._fill()

    def addNode(self, nodeType: str = "") -> Any:
        """Create a node of the first type, or of the given one, as "Create new" does."""
        types = self._options["nodeTypes"]
        if not types or (nodeType and nodeType not in types):
            return None
        kind = nodeType or types[0]
        name = self._options["baseName"] or self._scene.GetTagByClassName(kind)
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(name))
        for each, attribute, value in self._attributes:
            if node.IsA(each):
                node.SetAttribute(attribute, value or "")
        self._fill()
        if self._options["selectNodeUponCreation"]:
            self._select(node)
        self.addedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self._current)

    def _setOption(self, name: str, value: Any) -> None:
        self._options[name] = list(value) if isinstance(value, (list, tuple)) else value
        self._fill()

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._shows(node)]

    def _shows(self, node: Any) -> bool:
        options = self._options
        exact = node.GetClassName() in options["nodeTypes"]
        derived = options["showChildNodeTypes"] and any(node.IsA(each) for each in options["nodeTypes"])
        excluded = not exact and any(node.IsA(each) for each in options["hideChildNodeTypes"])
        if not (exact or derived) or excluded or (node.GetHideFromEditors() and not options["showHidden"]):
            return False
        return all(self._matches(node, *each) for each in self._attributes)

    @staticmethod
    def _matches(node: Any, nodeType: str, name: str, value: str | None) -> bool:
        if not node.IsA(nodeType):
            return True
        found = node.GetAttribute(name)
        return found is not None and value in (None, found)

    def _onNodeAdded(self, node: Any) -> None:
        if self._scene.IsBatchProcessing() or not self._shows(node):
            return
        only = not self._options["noneEnabled"] and not self._actions() and self._current is None
        self._fill()
        self.added.emit(node)
        if only:
            self._select(node)

    def _onNodeAboutToBeRemoved(self, node: Any) -> None:
        nodes = self._nodes()
        if node not in nodes:
            return
        row = nodes.index(node)
        nodes.remove(node)
        if node is self._current:
            closing = self._scene.IsClosing() or not nodes
            self._select(None if closing else nodes[min(row, len(nodes) - 1)], among=nodes)
        self._fill(nodes)

    def _select(self, node: Any, among: list[Any] | None = None) -> None:
        nodes = self._nodes() if among is None else among
        node = node if node in nodes else None
        if node is self._current:
            return
        self._current = node
        self._fill(nodes)
        self.nodeChanged.emit(node)
        self.validNodeChanged.emit(node is not None)
        self.nodeIDChanged.emit(self._currentNodeID())

    def _fill(self, nodes: list[Any] | None = None) -> None:
        """Show what can be chosen; a current node that is no longer among it is given up."""
        nodes = self._nodes() if nodes is None else nodes
        self._names.clear()
        self._box.blockSignals(True)
        self._box.clear()
        if self._options["noneEnabled"]:
            self._box.addItem(self._options["noneDisplay"], "")
        for node in nodes:
            self._box.addItem(node.GetName() or "", node.GetID())
            self._names.add(node, vtk.vtkCommand.ModifiedEvent, functools.partial(self._onModified, node))
        self._box.setPlaceholderText(self._hint())
        for text, action in self._actions():
            self._box.addItem(text)
            self._box.setItemData(self._box.count() - 1, action, _ACTION)
        self._box.setCurrentIndex(self._row(nodes))
        self._box.blockSignals(False)
        if self._current is not None and self._current not in nodes:
            self._select(None, among=nodes)

    def _row(self, nodes: list[Any]) -> int:
        none = 1 if self._options["noneEnabled"] else 0
        return nodes.index(self._current) + none if self._current in nodes else none - 1

    def _hint(self) -> str:
        types = self._options["nodeTypes"]
        return f"Select a {self._label(types[0])}" if types else "Select a node"

    def _label(self, nodeType: str) -> str:
        return (self._scene.GetTagByClassName(nodeType) if self._scene is not None else "") or "node"

    def _actions(self) -> list[tuple[str, str]]:
        if self._scene is None:
            return []
        types, options = self._options["nodeTypes"], self._options
        label = self._label(types[0]) if len(types) == 1 else "node"
        found = [(f"Rename current {label}", "rename")] if options["renameEnabled"] else []
        found += [(f"Edit current {label}", "edit")] if options["editEnabled"] else []
        found += [(f"Create new {self._label(each)}", f"create {each}") for each in types if options["addEnabled"]]
        return found + ([(f"Delete current {label}", "delete")] if options["removeEnabled"] else [])

    def _onModified(self, node: Any) -> None:
        row = self._box.findData(node.GetID())
        shown = self._shows(node)
        if row < 0 or not shown:
            self._fill()
        elif self._box.itemText(row) != (node.GetName() or ""):
            self._box.setItemText(row, node.GetName() or "")

    def _onActivated(self, row: int) -> None:
        action = self._box.itemData(row, _ACTION)
        if action is None:
            identifier = self._box.itemData(row, _NODE)
            self._select(self._scene.GetNodeByID(identifier) if identifier else None)
            self.activated.emit(self._current)
            return
        self._fill()
        if action.startswith("create "):
            self._select(self.addNode(action.removeprefix("create ")))
        elif action == "delete" and self._current is not None:
            self.removeCurrentNode()
        elif action == "rename" and self._current is not None:
            name = answers.ask(Asked("text", "New name:", "Rename"))
            self._current.SetName(name)
