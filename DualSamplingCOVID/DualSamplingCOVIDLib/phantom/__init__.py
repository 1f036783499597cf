"""Synthetic chest CTs with known lungs, infection and class: to learn from, to test with and to demonstrate."""

from ..cohort import NORMAL
from .acquisition import Nuisances, draw_nuisances
from .cohort import PlannedCase, cohort_plan, draw_case, write_cohort
from .generate import Phantom, draw_ratio, make_phantom
from .lesions import LesionKind
from .variety import Variety

__all__ = [
    "NORMAL",
    "LesionKind",
    "Nuisances",
    "Phantom",
    "PlannedCase",
    "Variety",
    "cohort_plan",
    "draw_case",
    "draw_nuisances",
    "draw_ratio",
    "make_phantom",
    "write_cohort",
]
