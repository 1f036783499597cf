"""Items in the subject hierarchy: the application makes one for every node that a person can see."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import QObject

from ..widgets.observing import Observers

_OWN = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLTableNode")
_MORE = ("vtkMRMLTransformNode", "vtkMRMLTextNode")


class SubjectHierarchy(QObject):
    """Follows a scene; what the product puts elsewhere stays there."""

    def __init__(self, scene: Any) -> None:
        super().__init__()
        self._scene = scene
        self._observers = Observers(self)
        self._observers.addNodes(scene, slicer.vtkMRMLScene.NodeAddedEvent, self._onNodeAdded)
        self._observers.addNodes(scene, slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved)

    def stop(self) -> None:
        self._observers.clear()

    def _hierarchy(self) -> Any:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)

    def _onNodeAdded(self, node: Any) -> None:
        if self._scene.IsImporting() or node.GetHideFromEditors() or not any(node.IsA(each) for each in _OWN + _MORE):
            return
        hierarchy = self._hierarchy()
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def _onNodeAboutToBeRemoved(self, node: Any) -> None:
        if self._scene.IsClosing() or not any(node.IsA(each) for each in _OWN + _MORE):
            return
        item = self._hierarchy().GetItemByDataNode(node)
        if item:
            self._hierarchy().RemoveItem(item, False, False)
