"""One diagnosis in a scene: a node that holds its report and points at its CT, masks, attention layer and maps.

It is saved with the scene, so that a scene which is opened again shows the diagnosis again and can still write the
folder that `analyze` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import diagnosis_folder
from ..diagnosis import Diagnosis, Segmentation, volume_ml
from ..diagnosis_folder import DECISION
from ..segments import SEGMENTS
from ..summary import Summary, summarise
from . import export, geometry

NODE_NAME = "dual-sampling result"
_MARK = "DualSamplingCOVID.Result"
REVIEWED = "DualSamplingCOVID.Reviewed"
"""The attribute of what is in the scene only while a case of a run is looked at."""
_REPORT = "report"
_PLACE = "place of the CT"
_CT, _SEGMENTATION, _ATTENTION, _TABLE, _MAP = "ct", "segmentation", "attention", "table", "map."


@dataclass(frozen=True)
class Result:
    """A result node with what it points at; a node that the user has deleted is None."""

    node: Any

    @property
    def ct(self) -> Any:
        """The analysed CT (`vtkMRMLScalarVolumeNode`)."""
        return self.node.GetNodeReference(_CT)

    @property
    def segmentation(self) -> Any:
        """Lungs and infection (`vtkMRMLSegmentationNode`)."""
        return self.node.GetNodeReference(_SEGMENTATION)

    @property
    def attention(self) -> Any:
        """The attention layer (`vtkMRMLLabelMapVolumeNode`), value round(100 A^)."""
        return self.node.GetNodeReference(_ATTENTION)

    @property
    def table(self) -> Any:
        """The volumes (`vtkMRMLTableNode`)."""
        return self.node.GetNodeReference(_TABLE)

    @property
    def mapNames(self) -> tuple[str, ...]:
        """Whose continuous maps the scene holds: the decision's and each network's."""
        names = (DECISION, *(network.name for network in self.summary.networks))
        return tuple(name for name in names if self.mapNode(name) is not None)

    @property
    def report(self) -> dict[str, Any]:
        """What `report.json` says."""
        report: dict[str, Any] = json.loads(self.node.GetParameter(_REPORT))
        return report

    @property
    def summary(self) -> Summary:
        """The diagnosis in words and numbers."""
        return summarise(self.report)

    @property
    def isComplete(self) -> bool:
        """Whether all that is needed to show it is still in the scene."""
        parts = (self.ct, self.segmentation, self.attention)
        return all(part is not None and part.GetDisplayNode() is not None for part in parts)

    @property
    def isCtMoved(self) -> bool:
        """Whether the CT lies elsewhere than when it was analysed: what was found stays where it was."""
        if self.ct is None or self.ct.GetImageData() is None:
            return False
        return export.isMoved(self.ct, json.loads(self.node.GetParameter(_PLACE)))

    def mapNode(self, name: str) -> Any:
        """Return the vector volume of a member's (or the decision's) maps; None where it was deleted."""
        return self.node.GetNodeReference(_MAP + name)

    def map(self, name: str, opposite: bool) -> sitk.Image:
        """Return A^ of a member or the decision in [0, 1], for COVID-19 or (`opposite`) for CAP, on its lattice.

        Raises:
            KeyError: the scene does not hold it.
        """
        node = self.mapNode(name)
        if node is None or node.GetImageData() is None:
            raise KeyError(f"the scene has no attention map of {name} any more")
        return sitk.VectorIndexSelectionCast(geometry.volumeImage(node), 1 if opposite else 0, sitk.sitkFloat32)

    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis as it stands in the scene (masks that were edited since are taken as they are).

        Raises:
            KeyError: the user has deleted a part of it.
            ValueError: the masks were edited since, so that the answer is not theirs any more.
        """
        if self.segmentation is None or self.attention is None:
            raise KeyError("the segmentation or the attention layer was deleted from the scene")
        grid = geometry.volumeGrid(self.attention)
        right, left, infection = (
            geometry.segmentMask(self.segmentation, segment.identifier, grid) for segment in SEGMENTS
        )
        segmentation = Segmentation(right, left, infection, self.summary.segmenter)
        self._checkVolumes(segmentation)
        maps = {
            f"{name}{suffix}": self.map(name, opposite)
            for name in (DECISION, *(network.name for network in self.summary.networks))
            for suffix, opposite in (("", False), (diagnosis_folder.OPPOSITE, True))
        }
        return diagnosis_folder.assemble(self.report, segmentation, maps)

    def _checkVolumes(self, segmentation: Segmentation) -> None:
        right, left, _ = self.summary.sides
        for mask, side in ((segmentation.right_lung, right), (segmentation.left_lung, left)):
            found = (volume_ml(mask), volume_ml(sitk.And(mask, segmentation.infection)))
            if not np.allclose(found, (side.lung_ml, side.infected_ml), rtol=1e-4, atol=0.02):
                raise ValueError(
                    "the masks were edited since the analysis: analyse the CT again with this segmentation as its masks"
                )

    def parts(self) -> tuple[Any, ...]:
        """The nodes that belong to this result alone, itself last; never the CT."""
        maps = (self.mapNode(name) for name in self.mapNames)
        parts = (self.segmentation, self.attention, self.table, *maps, self.node)
        return tuple(part for part in parts if part is not None)

    def remove(self) -> None:
        """Take the result out of its scene, and the colour table with the last that wears it; the CT stays."""
        scene = self.node.GetScene()
        if scene is None:
            return
        colors = self.attention.GetDisplayNode().GetColorNode() if self.isComplete else None
        removeNodes(scene, self.parts())
        worn = [other.attention for other in allResults(scene) if other.isComplete]
        if colors is not None and colors not in [attention.GetDisplayNode().GetColorNode() for attention in worn]:
            removeNodes(scene, [colors])


def createResult(
    scene: Any,
    ctNode: Any,
    diagnosis: Diagnosis,
    segmentation: Any,
    attention: Any,
    table: Any,
    maps: dict[str, Any],
) -> Result:
    """Add the node that holds a diagnosis' nodes together; `maps` names the decision's and each member's maps."""
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", scene.GenerateUniqueName(NODE_NAME))
    node.SetAttribute(_MARK, "1")
    node.SetParameter(_REPORT, json.dumps(diagnosis_folder.as_report(diagnosis)))
    node.SetParameter(_PLACE, json.dumps(export.placeInWorld(ctNode)))
    references = {_CT: ctNode, _SEGMENTATION: segmentation, _ATTENTION: attention, _TABLE: table}
    references |= {_MAP + name: mapNode for name, mapNode in maps.items()}
    for role, referenced in references.items():
        node.SetNodeReferenceID(role, referenced.GetID())
    return Result(node)


def removeNodes(scene: Any, nodes: Iterable[Any]) -> None:
    """Take nodes out of a scene with their display and storage nodes."""
    for node in nodes:
        if node.GetScene() is None:  # the user was faster
            continue
        own = [node.GetNthDisplayNode(index) for index in range(_displayNodes(node))]
        own += [node.GetStorageNode()] if node.IsA("vtkMRMLStorableNode") else []
        for part in (node, *own):
            if part is not None:
                scene.RemoveNode(part)


def _displayNodes(node: Any) -> int:
    return int(node.GetNumberOfDisplayNodes()) if node.IsA("vtkMRMLDisplayableNode") else 0


def results(scene: Any, ctNode: Any = None) -> list[Result]:
    """Return the results of a scene in the order they came, of one CT alone where it is given.

    Those of a run's cases under review (see `review.py`) are not among them.
    """
    return [
        result
        for result in allResults(scene)
        if not result.node.GetAttribute(REVIEWED) and (ctNode is None or result.ct is ctNode)
    ]


def allResults(scene: Any) -> list[Result]:
    """Return the results of a scene in the order they came, cases under review too."""
    found = []
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScriptedModuleNode")
        if node.GetAttribute(_MARK):
            found.append(Result(node))
    return found
