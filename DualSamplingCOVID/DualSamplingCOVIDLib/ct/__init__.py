"""A CT comes in here: reading, geometry and quality."""

from .access import check_name
from .headers import header_problems
from .quality import CHECKS, Check, SliceFacts, check_lungs, check_volume, quality_table_markdown
from .quiet import quiet
from .reading import CT, read_ct, read_lungs, read_mask

__all__ = [
    "CHECKS",
    "CT",
    "Check",
    "SliceFacts",
    "check_lungs",
    "check_name",
    "check_volume",
    "header_problems",
    "quality_table_markdown",
    "quiet",
    "read_ct",
    "read_lungs",
    "read_mask",
]
