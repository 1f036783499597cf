"""Render a scene file's axial and coronal view offscreen: `python render_slices.py SCENE.mrb OUTPUT_FOLDER`.

Run as a process of its own, because rendering without OpenGL ends in a segmentation fault, not an exception.
"""

import sys
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DualSamplingCOVIDLib.scene import headless

MANAGERS = ("vtkMRMLVolumeGlyphSliceDisplayableManager", "vtkMRMLSegmentationsDisplayableManager2D")
SIZE = 256


def render(booted: headless.HeadlessScene, tag: str) -> np.ndarray:
    """Return the slice view `tag` as uint8 [row from the top, column, RGB], with segments but no annotations."""
    logic = booted.applicationLogic.GetSliceLogicByLayoutName(tag)
    node = logic.GetSliceNode()
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(SIZE, SIZE)
    window.AddRenderer(renderer)
    interactor = vtk.vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    actor.SetMapper(mapper)
    renderer.AddActor2D(actor)  # before the displayable managers: else the image hides the segments
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(booted.applicationLogic)
    for name in MANAGERS:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = factory.InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(node)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    columns, rows, _ = image.GetDimensions()
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()
    group.SetMRMLDisplayableNode(None)
    return pixels


def main(path: str, output: str) -> None:
    """Write `<view>.npy` (pixels) and `<view>-ras-to-xy.npy` (4 x 4) of both views."""
    booted = headless.bootScene()
    if not booted.scene.ReadFromMRB(path):
        raise SystemExit(f"{path} cannot be read")
    headless.addSliceLogics(booted)
    for tag in ("Red", "Green"):
        np.save(Path(output) / f"{tag}.npy", render(booted, tag))
        matrix = booted.scene.GetSingletonNode(tag, "vtkMRMLSliceNode").GetXYToRAS()
        to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
        np.save(Path(output) / f"{tag}-ras-to-xy.npy", np.linalg.inv(to_ras))


if __name__ == "__main__":
    main(*sys.argv[1:])
