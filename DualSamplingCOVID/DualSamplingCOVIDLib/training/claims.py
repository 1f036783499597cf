"""Who trains which model where several processes or computers share a run: a file that one alone can create.

The claim lies in the model's folder while it is trained. One whose process has died, or that is older than the start of
its computer, is taken over by the next on the same computer; of another computer nobody here knows whether it still
works, so its claim stands until it is deleted.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..processes import boot, computer, is_alive, machine, space
from ..run_folder.claim import CLAIM
from ..storage import process_name, remove_partials

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
        if (self.host, self.machine) != (computer(), machine()):
            return False
        now = boot()
        if self.boot != now:  # started anew since; or a copy of this computer, where nothing names the machine
            return bool(self.machine and self.boot and now)
        if self.space != space():
            return False
        if self.pid == os.getpid():  # another process had this id before
            return self.process != process_name()
        return not is_alive(self.pid)


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
    who = (computer(), os.getpid(), now, space(), process_name(), uuid.uuid4().hex)
    return Claim(*who, machine=machine(), boot=boot())


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
