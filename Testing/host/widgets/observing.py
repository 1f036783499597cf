"""VTK observers that end with the widget that made them, so that nothing outlives a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import shiboken6
import vtk
from PySide6.QtCore import QObject


class Observers:
    """The observers of one owner; an owner that Qt has deleted is never called again."""

    def __init__(self, owner: QObject) -> None:
        self._owner = owner
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: Any, function: Callable[[], None]) -> None:
        """Call a function at an event of a VTK object."""

        def called(_caller: Any, _event: Any) -> None:
            self._call(function)

        self._tags.append((subject, subject.AddObserver(event, called)))

    def addNodes(self, scene: Any, event: Any, function: Callable[[Any], None]) -> None:
        """Call a function with the node at a scene's event about a node; only those carry a VTK object."""

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def called(_caller: Any, _event: Any, node: Any) -> None:
            self._call(function, node)

        self._tags.append((scene, scene.AddObserver(event, called)))

    def clear(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags.clear()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if shiboken6.isValid(self._owner):
            function(*arguments)
        else:
            self.clear()
