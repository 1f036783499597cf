"""Who trains which model where several processes or computers share a run: a file that one alone can create.

The claim lies in the model's folder while it is trained. One whose process has died, or that is older than the start of
its computer, is taken over by the next on the same computer; of another computer nobody here knows whether it still
works, so its claim stands until it is deleted.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..storage import process_name, remove_partials

CLAIM = "claim.json"
MACHINE, BOOT = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")
_PAUSE, _TRIES = 0.05, 60


@dataclass(frozen=True)
class Claim:
    """One process's claim: `since` is in UTC, `space` the space that process ids count in (of containers; Linux).

    `machine` and `boot` tell computers of one name, and one computer's starts, from each other (Linux; else empty).
    `process` is its name in partial files, `token` this claim's own.
    """

    host: str
    pid: int
    since: str
    space: str
    process: str
    token: str
    machine: str = ""
    boot: str = ""

    def __post_init__(self) -> None:
        texts = (self.host, self.since, self.space, self.process, self.machine, self.boot)
        if not all(isinstance(text, str) for text in texts) or not re.fullmatch("[0-9a-f]{32}", self.token):
            raise ValueError("no claim")
        if not isinstance(self.pid, int) or not 0 < self.pid < 2**31:
            raise ValueError(f"no process id: {self.pid!r}")

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}, since {self.since}"

    @property
    def is_abandoned(self) -> bool:
        """Whether its process is known to be dead."""
        if (self.host, self.machine) != (platform.node(), _told(MACHINE)):
            return False
        boot = _told(BOOT)
        if self.boot != boot:  # started anew since; or a copy of this computer, where nothing names the machine
            return bool(self.machine and self.boot and boot)
        if self.space != _space():
            return False
        if self.pid == os.getpid():  # another process had this id before
            return self.process != process_name()
        return not _is_alive(self.pid)


class Unreadable:
    """What stands in a claim's place and is none: somebody's, of whom nothing is known."""

    is_abandoned = False

    def __str__(self) -> str:
        return "somebody whose claim cannot be read"


@contextmanager
def claimed(folder: Path) -> Iterator[Claim | Unreadable | None]:
    """Have a model's folder alone while in the context; yield None, or who else has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file, own = folder / CLAIM, _own()
    other = _take(file, own)
    try:
        yield other
    finally:
        if other is None and _read(file) == own:
            for left in folder.glob(f".*.{CLAIM}"):
                left.unlink(missing_ok=True)
            file.unlink(missing_ok=True)


def _own() -> Claim:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    who = (platform.node(), os.getpid(), now, _space(), process_name(), uuid.uuid4().hex)
    return Claim(*who, machine=_told(MACHINE), boot=_told(BOOT))


def _take(file: Path, own: Claim) -> Claim | Unreadable | None:
    """Claim, or take an abandoned claim over; return None, or who has it."""
    other: Claim | Unreadable | None = None
    for _ in range(_TRIES):
        if _create(file, own):
            return None
        other = _read(file)
        if other is not None and not other.is_abandoned:
            return other
        if isinstance(other, Claim) and _replace(file, other, own):
            remove_partials(file.parent, other.process)
            return None
        time.sleep(_PAUSE)  # somebody gives it up, or takes it over, at this moment
    return other or Unreadable()


def _create(file: Path, claim: Claim) -> bool:
    """Create a claim's file; False where there is one."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    except PermissionError:
        if os.name == "nt":  # it is being deleted while somebody reads it
            return False
        raise
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(claim)))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return True


def _replace(file: Path, abandoned: Claim, own: Claim) -> bool:
    """Put one's own claim in an abandoned one's place; False where somebody else does so.

    Whoever creates the file that is named after the abandoned claim may do it, and nobody else; where he died over it,
    whoever takes that file over in the same way.
    """
    marker = file.with_name(f".{abandoned.token}.{CLAIM}")
    if not _create(marker, own):
        other = _read(marker)
        if not (isinstance(other, Claim) and other.is_abandoned and _replace(marker, other, own)):
            return False
    if _read(file) != abandoned:
        marker.unlink(missing_ok=True)
        return False
    os.replace(marker, file)
    return True


def _read(file: Path) -> Claim | Unreadable | None:
    """Return the claim in a file, None where there is no file; what is being written is waited for."""
    for _ in range(_TRIES):
        with suppress(OSError, ValueError, TypeError):
            return Claim(**json.loads(file.read_text(encoding="utf-8")))
        if not file.exists():
            return None
        time.sleep(_PAUSE)
    return Unreadable()


def _space() -> str:
    """Return the space that process ids count in: two containers of one computer cannot see each other's."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _told(path: Path) -> str:
    """Return what the system says in a file of one line; nothing where it says nothing."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _is_alive(pid: int) -> bool:
    """Whether a process of this computer runs; where the system does not tell, it does."""
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


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
