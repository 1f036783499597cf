"""Files that appear whole or not at all, and which file it is by its bytes; the standard library alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from .errors import InputError


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `file`, which then takes its name; nothing of it stays where that fails."""
    partial = file.with_name(f".{file.name}-{os.getpid()}.partial{file.suffix}")
    try:
        write(partial)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a text in UTF-8, its line ends as they are, whole or not at all."""
    write_whole(file, lambda partial: partial.write_text(text, encoding="utf-8", newline=""))


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
