"""A CT comes in here: reading, geometry and quality."""

from .quality import CHECKS, Check, SliceFacts, check_lungs, check_volume, quality_table_markdown
from .reading import CT, read_ct, read_mask

__all__ = [
    "CHECKS",
    "CT",
    "Check",
    "SliceFacts",
    "check_lungs",
    "check_volume",
    "quality_table_markdown",
    "read_ct",
    "read_mask",
]
