"""Slice and 3D views, as `layoutManager().sliceWidget(name)` and `threeDWidget(index)` give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from .facade import Facade
from .rendering import Drawing, sliceDrawing, threeDDrawing

SIZE = 400


class SliceView(Facade):
    """The drawn part of a slice widget. It is not drawn before somebody looks at it."""

    def __init__(self, logic: Any, applicationLogic: Any) -> None:
        self._logic, self._applicationLogic = logic, applicationLogic
        self._drawing: Drawing | None = None
        self.seal()

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def renderWindow(self) -> Any:
        return self._draw().window

    def scheduleRender(self) -> None:
        """Do nothing: the next picture is drawn when it is asked for."""

    def forceRender(self) -> None:
        self.pixels()

    def pixels(self) -> np.ndarray:
        """Return the view, in the size of its slice node, as uint8 [row from the top, column, RGB]; the host's own."""
        width, height, _ = self.mrmlSliceNode().GetDimensions()
        return self._draw().pixels(width, height)

    def pixelsInSize(self, width: int, height: int) -> np.ndarray:
        """Return the view as a window of another size would show it; the slice node is as before afterwards."""
        node = self.mrmlSliceNode()
        before, field = node.GetDimensions(), node.GetFieldOfView()
        self._logic.ResizeSliceNode(width, height)
        try:
            return self.pixels()
        finally:
            node.SetDimensions(*before)
            node.SetFieldOfView(*field)
            node.UpdateMatrices()

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None

    def _draw(self) -> Drawing:
        if self._drawing is None:
            self._drawing = sliceDrawing(self._logic, self._applicationLogic)
        return self._drawing


class SliceController(Facade):
    """The bar above a slice view."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic
        self.visible = True
        self.seal()

    def setVisible(self, visible: bool) -> None:
        self.visible = visible

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()


class SliceWidget(Facade):
    """A slice view with its controller, its logic and its nodes."""

    def __init__(self, node: Any, applicationLogic: Any) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(applicationLogic)
        self._logic.SetMRMLScene(applicationLogic.GetMRMLScene())
        self._logic.SetSliceNode(node)
        self._logic.ResizeSliceNode(SIZE, SIZE)
        applicationLogic.GetSliceLogics().AddItem(self._logic)
        self._applicationLogic = applicationLogic
        self._view = SliceView(self._logic, applicationLogic)
        self._controller = SliceController(self._logic)
        self.sliceViewName = node.GetLayoutName()
        self.seal()

    def sliceView(self) -> SliceView:
        return self._view

    def sliceController(self) -> SliceController:
        return self._controller

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def close(self) -> None:
        self._view.close()
        self._applicationLogic.GetSliceLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)


class ThreeDView(Facade):
    """The drawn part of a 3D widget."""

    def __init__(self, node: Any, applicationLogic: Any) -> None:
        self._node, self._applicationLogic = node, applicationLogic
        self._drawing: Drawing | None = None
        self.resets = 0
        self.seal()

    def mrmlViewNode(self) -> Any:
        return self._node

    def renderWindow(self) -> Any:
        return self._draw().window

    def resetFocalPoint(self) -> None:
        """Look at the middle of what is shown; without a drawing it is done when there is one."""
        self.resets += 1
        if self._drawing is not None:
            self._look(self._drawing)

    def resetCamera(self) -> None:
        self.resetFocalPoint()

    def scheduleRender(self) -> None:
        """Do nothing: the next picture is drawn when it is asked for."""

    def forceRender(self) -> None:
        self.pixels()

    def pixels(self, width: int = SIZE, height: int = SIZE) -> np.ndarray:
        """Return the view as uint8 [row from the top, column, RGB]; the host's own."""
        return self._draw().pixels(width, height)

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None

    def _draw(self) -> Drawing:
        if self._drawing is None:
            self._drawing = threeDDrawing(self._node, self._applicationLogic)
            if self.resets:
                self._look(self._drawing)
        return self._drawing

    @staticmethod
    def _look(drawing: Drawing) -> None:
        drawing.window.Render()
        drawing.renderer.ResetCamera()


class ThreeDWidget(Facade):
    """A 3D view with its controller."""

    def __init__(self, node: Any, applicationLogic: Any) -> None:
        self._view = ThreeDView(node, applicationLogic)
        self.seal()

    def threeDView(self) -> ThreeDView:
        return self._view

    def threeDController(self) -> ThreeDWidget:
        return self

    def setVisible(self, visible: bool) -> None:
        """Do nothing: the controller is not drawn."""

    def mrmlViewNode(self) -> Any:
        return self._view.mrmlViewNode()

    def close(self) -> None:
        self._view.close()
