"""Offscreen drawing of one view with slicer-core's own displayable managers."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

_SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
)
_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
)


class Drawing:
    """A render window with the displayable managers of one view node; made at the first picture."""

    def __init__(self, node: Any, applicationLogic: Any, factory: Any, managers: tuple[str, ...], logic: Any) -> None:
        self._logic = logic
        self.window, self.renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._mapper, self._actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
        if logic is not None:
            self._addImage()
        factory.SetMRMLApplicationLogic(applicationLogic)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._group = factory.InstantiateDisplayableManagers(self.renderer)
        self._group.SetMRMLDisplayableNode(node)

    def pixels(self, width: int, height: int) -> np.ndarray:
        """Return the view as uint8 [row from the top, column, RGB]."""
        self._updateImage()
        self.window.SetSize(width, height)
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows, _ = image.GetDimensions()
        values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return values.reshape(rows, columns, 3)[::-1].copy()

    def close(self) -> None:
        """Give the window back; the managers let go of the scene."""
        self._group.SetMRMLDisplayableNode(None)
        self.window.Finalize()

    def _addImage(self) -> None:
        """Put the slice's image under everything: added later it would hide the segments."""
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor.SetMapper(self._mapper)
        self.renderer.AddActor2D(self._actor)

    def _updateImage(self) -> None:
        """Show the slice's layers, nothing where it has none: an empty pipeline would be an error."""
        if self._logic is None:
            return
        composite = self._logic.GetSliceCompositeNode()
        layers = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetLabelVolumeID())
        scene = self._logic.GetMRMLScene()
        shown = any(each and scene.GetNodeByID(each) for each in layers)
        self._actor.SetVisibility(shown)
        if shown:
            self._mapper.SetInputConnection(self._logic.GetImageDataConnection())
        else:
            self._mapper.RemoveAllInputConnections(0)


def sliceDrawing(logic: Any, applicationLogic: Any) -> Drawing:
    """Return the drawing of a slice view."""
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    return Drawing(logic.GetSliceNode(), applicationLogic, factory, _SLICE_MANAGERS, logic)


def threeDDrawing(node: Any, applicationLogic: Any) -> Drawing:
    """Return the drawing of a 3D view, on Slicer's blue."""
    factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
    drawing = Drawing(node, applicationLogic, factory, _THREE_D_MANAGERS, None)
    drawing.renderer.SetGradientBackground(True)
    drawing.renderer.SetBackground(node.GetBackgroundColor())
    drawing.renderer.SetBackground2(node.GetBackgroundColor2())
    return drawing
