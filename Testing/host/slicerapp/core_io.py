"""`slicer.app.coreIOManager()`: reading and writing through the nodes' own storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .facade import Facade

_CLASSES = {
    "VolumeFile": "vtkMRMLScalarVolumeNode",
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "ColorTableFile": "vtkMRMLColorTableNode",
    "TableFile": "vtkMRMLTableNode",
}


class CoreIO(Facade):
    """As much as `slicer.util.loadVolume`, `loadSegmentation`, `loadScene`, `saveNode` and `saveScene` need."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.seal()

    def fileType(self, filename: str) -> str:
        name = str(filename)
        if name.endswith((".mrb", ".mrml")):
            return "SceneFile"
        if name.endswith((".seg.nrrd", ".seg.nhdr")):
            return "SegmentationFile"
        return "TableFile" if name.endswith((".csv", ".tsv")) else "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return next((kind for kind, name in _CLASSES.items() if node.IsA(name)), "NoFile")

    def loadNodes(self, filetype: str, properties: dict[str, Any], loaded: Any, _messages: Any = None) -> bool:
        path = Path(properties["fileName"])
        if filetype == "SceneFile":
            read = self._scene.ReadFromMRB if path.suffix == ".mrb" else self._scene.ReadFromFile
            return path.is_file() and bool(read(str(path), bool(properties.get("clear", True))))
        name = _CLASSES[filetype]
        name = "vtkMRMLLabelMapVolumeNode" if properties.get("labelmap") else name
        node = self._scene.AddNewNodeByClass(name, properties.get("name") or path.name.split(".")[0])
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(path))
        if not path.is_file() or not storage.ReadData(node):
            self._scene.RemoveNode(node)
            return False
        node.CreateDefaultDisplayNodes()
        loaded.AddItem(node)
        return True

    def saveNodes(self, filetype: str, properties: dict[str, Any], _messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            return bool(self._scene.WriteToMRB(path) if path.endswith(".mrb") else self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))
