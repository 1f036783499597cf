"""What a process of its own does with the memory it frees."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys

from DualSamplingCOVIDLib.__main__ import command

if {through_command}:
    sys.argv = ["dualsampling-covid", "--version"]
    try:
        command()
    except SystemExit:
        pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for byte in range(20):
    block = bytes([byte]) * 100_000_000
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
def test_the_command_line_takes_its_freed_memory_again_without_new_pages() -> None:
    usual, kept = (_faults(through_command) for through_command in (False, True))
    assert usual > 10 * kept


def _faults(through_command: bool) -> int:
    """Return how many pages the system had to give for the same 100 MB twenty times."""
    code = FAULTS.format(through_command=through_command)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return int(said.split()[-1])
