"""Which process of which computer wrote something, and whether it still lives; the standard library alone."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

MACHINE, BOOT = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")


def computer() -> str:
    """Return this computer's name."""
    return platform.node()


def machine() -> str:
    """Return what tells this computer from others of its name (Linux; else empty)."""
    return _told(MACHINE)


def boot() -> str:
    """Return what tells this start of the computer from others (Linux; else empty)."""
    return _told(BOOT)


def space() -> str:
    """Return the space that process ids count in: two containers of one computer cannot see each other's."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def place() -> str:
    """Return 8 hexadecimal digits that stand for where a process id counts: computer, its start, and container."""
    return hashlib.sha256("\n".join((computer(), machine(), boot(), space())).encode()).hexdigest()[:8]


def is_alive(pid: int) -> bool:
    """Whether a process of this computer runs; where the system does not tell, it does.

    What has ended and waits for the process that took it in (in some containers for good) does not run.
    """
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # not Linux, or it has just gone
        return True
    return state not in ("Z", "X")


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes

    synchronise, invalid_parameter, still_runs = 0x00100000, 87, 258
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronise, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() != invalid_parameter)  # type: ignore[attr-defined]
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_runs)
    finally:
        kernel.CloseHandle(handle)


def _told(path: Path) -> str:
    """Return what the system says in a file of one line; nothing where it says nothing."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
