"""Kinds of infection that phantoms show and whose voxels are told apart."""

from __future__ import annotations

from enum import IntEnum


class LesionKind(IntEnum):
    """What a radiologist would call the lesion at a voxel; 0 in an image of kinds means not infected."""

    GROUND_GLASS = 1
    CRAZY_PAVING = 2
    CONSOLIDATION = 3
    NODULES = 4
    TREE_IN_BUD = 5
    BRONCHIECTASIS = 6
    CAVITY = 7
