"""A run's case under review: its CT and its result, in the scene for as long as it is looked at and never saved.

What the user has in the scene stays as it is.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import SimpleITK as sitk

from ..diagnosis import Diagnosis
from . import nodes
from .result import REVIEWED, Result, allResults, removeNodes, results


def addingCase(scene: Any, case_id: str, ct: sitk.Image, diagnosis: Diagnosis) -> Generator[str, None, Result]:
    """Add a case in steps; where the generator is closed, nothing stays.

    Args:
        scene: a `vtkMRMLScene`.
        case_id: is told by the result's attribute alone; names of nodes may get into a saved scene.
        ct: in HU.
        diagnosis: masks and maps on that CT.

    Yields:
        What the next step does.

    Returns:
        The `Result`, as the iterator's value.
    """
    added, whole = None, False
    try:
        yield "adding the CT"
        added = nodes.addCt(scene, ct)
        added.SetName(scene.GenerateUniqueName("CT under review"))
        result = yield from nodes.addingDiagnosis(scene, added, diagnosis)
        for node in (added, *result.parts()):
            node.SetAttribute(REVIEWED, case_id)
            _setSaved(node, False)
        whole = True
        return result
    finally:
        if not whole and added is not None:
            _removeCt(scene, added)


def removeCases(scene: Any, kept: Result | None = None) -> None:
    """Take the cases under review out of the scene, all but one.

    A CT that the user has analysed meanwhile, so that a result of theirs is of it, stays and is theirs.
    """
    for result in allResults(scene):
        if result.node.GetAttribute(REVIEWED) and (kept is None or result.node is not kept.node):
            ct = result.ct
            result.remove()
            if ct is not None and ct.GetAttribute(REVIEWED):
                _removeCt(scene, ct)


def leaveHierarchy(scene: Any, result: Result) -> None:
    """Take a case out of the subject hierarchy, which is saved with all names in it; the nodes stay in the scene."""
    hierarchy, study = _study(scene, result.ct)
    for node in (result.ct, *result.parts()):
        item = int(hierarchy.GetItemByDataNode(node))
        if item:
            hierarchy.RemoveItem(item, False, False)
    _removeEmpty(hierarchy, study)


def joinHierarchy(scene: Any, result: Result) -> None:
    """Bring a case back into the subject hierarchy."""
    nodes.placeUnderStudy(scene, result.ct, [part for part in result.parts() if part is not result.node])


def _removeEmpty(hierarchy: Any, study: int) -> None:
    """Remove a study that we have made, where nothing is left in it."""
    if study and hierarchy.GetItemName(study) == nodes.STUDY_NAME and not hierarchy.GetNumberOfItemChildren(study):
        hierarchy.RemoveItem(study)


def _removeCt(scene: Any, ct: Any) -> None:
    """Remove a case's CT, and its study in the subject hierarchy where nothing is left in that."""
    if results(scene, ct):
        ct.RemoveAttribute(REVIEWED)
        _setSaved(ct, True)
        return
    hierarchy, study = _study(scene, ct)
    removeNodes(scene, [ct])
    _removeEmpty(hierarchy, study)


def _study(scene: Any, node: Any) -> tuple[Any, int]:
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = int(hierarchy.GetItemByDataNode(node))
    return hierarchy, int(hierarchy.GetItemAncestorAtLevel(item, "Study")) if item else 0


def _setSaved(node: Any, saved: bool) -> None:
    """Say whether a node and its display are saved with the scene."""
    node.SetSaveWithScene(saved)
    if node.IsA("vtkMRMLDisplayableNode") and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetSaveWithScene(saved)
