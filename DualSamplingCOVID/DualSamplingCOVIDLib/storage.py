"""Files that appear whole or not at all, what may stand in them, and which they are; the standard library alone."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import InputError
from .processes import is_alive, place

PATIENCE_SECONDS = 5.0
"""How long a file that somebody else has open (a virus scanner, a reader on Windows) may keep its name from another."""
_PROCESS = uuid.uuid4().hex[:16]
_PARTIAL = re.compile(r"-([0-9a-f]{16}-([0-9a-f]{8})-(\d+))-[0-9a-f]{8}\.partial")
_FORGOTTEN_SECONDS = 86400
"""A partial file that nobody has touched for so long is nobody's any more, wherever its process was."""


def process_name() -> str:
    """Return a name that no other process has, on this computer or another; it says where and which it is."""
    return f"{_PROCESS}-{place()}-{os.getpid()}"  # a forked process keeps the first part


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `file`, which then takes its name; nothing of it stays where that fails.

    The bytes are on the disk before the name is theirs, so that a power cut leaves the old file or the new one.
    """
    own = f"{process_name()}-{uuid.uuid4().hex[:8]}"  # threads of one process may write the same file
    partial = file.with_name(f".{file.name}-{own}.partial{file.suffix}")
    try:
        write(partial)
        _to_disk(partial)
        _rename(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":
        with contextlib.suppress(OSError):  # some network file systems know no such thing
            _to_disk(file.parent)


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Keep others who ask for the same file waiting, so that what is read, changed and written anew loses no change.

    The system gives the lock up with the process that holds it; `.<name>.lock` stays beside the file. Where a network
    file system has no locks, nobody waits.

    Raises:
        OSError: the folder cannot be written, or another keeps the lock for `PATIENCE_SECONDS`.
    """
    with file.with_name(f".{file.name}.lock").open("ab") as stream:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                _lock(stream.fileno())
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= end:
                    raise
                time.sleep(0.02)
            except OSError:
                break
        yield


def _lock(descriptor: int) -> None:
    """Lock an open file until it is closed; BlockingIOError or PermissionError where another has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_partials(folder: Path, process: str) -> None:
    """Delete what a process (see `process_name`) that is no more left half-written in a folder."""
    for partial in folder.glob(f".*-{process}-*.partial*"):
        partial.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Delete what processes that are no more left half-written in a folder.

    Of another computer, container or start nobody here knows whether a process lives: what it wrote goes after a day.
    """
    for partial in folder.glob(".*.partial*"):
        if _is_abandoned(partial):
            partial.unlink(missing_ok=True)


def _is_abandoned(partial: Path) -> bool:
    found = _PARTIAL.search(partial.name)
    if found is None:
        return False
    process, where, pid = found.groups()
    if where == place():
        return process != process_name() if int(pid) == os.getpid() else not is_alive(int(pid))
    try:
        return time.time() - partial.stat().st_mtime > _FORGOTTEN_SECONDS
    except OSError:  # it has just taken its name
        return False


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(partial: Path, file: Path) -> None:
    """Give a file its name, which another program may hold for a moment."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            os.replace(partial, file)
            return
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)


def write_text(file: Path, text: str) -> None:
    """Write a text in UTF-8, its line ends as they are, whole or not at all."""
    write_whole(file, lambda partial: partial.write_text(text, encoding="utf-8", newline=""))


def without_nan(value: Any) -> Any:
    """Return JSON-ready data in which what is not a finite number is None."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
