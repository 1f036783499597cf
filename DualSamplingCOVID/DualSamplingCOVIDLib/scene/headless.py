"""A scene without the application: slicer-core's scene and logics, and the .mrb that Slicer opens."""

from __future__ import annotations

import importlib
import importlib.metadata
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..diagnosis import Diagnosis
from ..errors import ResourceError

_REGISTERING_LOGICS = (
    "vtkSlicerVolumesLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerSubjectHierarchyModuleLogic",
)
_SAMPLE_BYTES = 1 << 18
_PAYING_RATIO = 0.3


@dataclass(frozen=True)
class Availability:
    """Whether scenes can be written here: true or false as a condition, with the reason where false."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class HeadlessScene:
    """A `vtkMRMLScene` with its application logic; `kept` holds what VTK only points at, for as long as this lives."""

    scene: Any
    applicationLogic: Any
    kept: tuple[Any, ...]


def isAvailable() -> Availability:
    """Return whether slicer-core can be used; false with the reason, which names the package to install."""
    try:
        importlib.metadata.version("slicer-core")
    except importlib.metadata.PackageNotFoundError:  # a package slicer may be there, the application's
        return Availability(
            "scenes need the Python package slicer-core (inside Slicer, save the scene in its File menu)"
        )
    try:
        slicer = importlib.import_module("slicer")
    except ImportError as error:
        return Availability(f"scenes need the Python package slicer-core, which cannot be imported: {error}")
    if not hasattr(slicer, "vtkMRMLScene"):
        return Availability("scenes need the Python package slicer-core; the installed package slicer is another one")
    return Availability()


def writeScene(path: Path, ct: sitk.Image, diagnosis: Diagnosis) -> None:
    """Write a CT (HU) and its diagnosis as a scene that Slicer opens; the file appears whole or not at all.

    Args:
        path: the .mrb file; an existing one is replaced.
        ct: the analysed CT, on the grid of the diagnosis' masks.
        diagnosis: what `analyze` found.

    Raises:
        ResourceError: the scene could not be written there.
        RuntimeError: slicer-core is missing; ask `isAvailable` first.
    """
    available = isAvailable()
    if not available:
        raise RuntimeError(available.reason)
    from . import nodes, views

    booted = bootScene()
    _useFourViews(booted)
    views.showResult(booted.scene, nodes.addDiagnosis(booted.scene, nodes.addCt(booted.scene, ct), diagnosis))
    try:
        _writeBundle(booted.scene, path)
    except OSError as error:
        raise ResourceError(f"{path}: the scene could not be written: {error.strerror}") from error


def bootScene() -> HeadlessScene:
    """Return an empty scene that can hold, read and write volumes and segmentations, and lay out views."""
    import slicer
    import vtk

    scene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    layout = slicer.vtkMRMLLayoutLogic()
    layout.SetMRMLScene(scene)
    kept = (layout, *_addModuleLogics(scene, application), *_addDataIO(scene, application))
    return HeadlessScene(scene, application, kept)


def _useFourViews(booted: HeadlessScene) -> None:
    """Add Slicer's own four-up layout, with axial and coronal among its views.

    A scene file stores a layout's number only: a number of our own would leave a Slicer without the extension
    with no views at all. The panel switches to the reading layout when it loads the diagnosis.
    """
    import slicer

    layout = booted.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    addSliceLogics(booted)


def addSliceLogics(booted: HeadlessScene) -> None:
    """Give each slice view of the scene the logic that makes its composite node (Slicer's view widgets do this)."""
    import slicer

    scene, logics = booted.scene, booted.applicationLogic.GetSliceLogics()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(booted.applicationLogic)
        logic.SetMRMLScene(scene)
        logic.SetSliceNode(scene.GetNthNodeByClass(index, "vtkMRMLSliceNode"))
        logics.AddItem(logic)


def _addModuleLogics(scene: Any, application: Any) -> list[Any]:
    """Attach the module logics, which register the node classes that a diagnosis uses."""
    import slicer

    logics = []
    for name in _REGISTERING_LOGICS:
        logic = getattr(slicer, name)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name.removeprefix("vtkSlicer").removesuffix("Logic").removesuffix("Module"), logic)
        logics.append(logic)
    return logics


def _addDataIO(scene: Any, application: Any) -> list[Any]:
    """Attach what reading a .mrb asks for."""
    import slicer

    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLApplicationLogic(application)
    manager.SetMRMLScene(scene)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    application.SetMRMLSceneDataIO(scene, remote, manager)
    return [remote, manager]


def _writeBundle(scene: Any, path: Path) -> None:
    """Save a scene beside `path` and pack it there in one piece.

    Files are written raw and deflated once, in the archive, where that pays: see `_packing`.
    """
    _storeUncompressed(scene)
    with tempfile.TemporaryDirectory(prefix=".scene-", dir=path.parent) as folder:
        bundle = Path(folder) / path.stem
        bundle.mkdir()
        if not scene.SaveSceneToSlicerDataBundleDirectory(str(bundle)):
            raise ResourceError(f"{path}: the scene could not be written; is the disk full?")
        packed = Path(folder) / "packed.mrb"
        with zipfile.ZipFile(packed, "w", compresslevel=1) as archive:
            for file in sorted(file for file in bundle.rglob("*") if file.is_file()):
                archive.write(file, file.relative_to(bundle.parent), _packing(file))
        packed.replace(path)


def _packing(file: Path) -> int:
    """Return how the archive keeps a file: masks and text shrink many times, noise costs seconds and shrinks little.

    The middle of the file decides, because a volume begins with air.
    """
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size // 2 - _SAMPLE_BYTES // 2))
        sample = stream.read(_SAMPLE_BYTES)
    pays = len(zlib.compress(sample, 1)) < _PAYING_RATIO * len(sample)
    return zipfile.ZIP_DEFLATED if pays else zipfile.ZIP_STORED


def _storeUncompressed(scene: Any) -> None:
    """Give each node with data a storage node that does not compress."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLStorableNode")
        if node.GetSaveWithScene() and not node.GetHideFromEditors() and node.AddDefaultStorageNode():
            node.GetStorageNode().SetUseCompression(False)
