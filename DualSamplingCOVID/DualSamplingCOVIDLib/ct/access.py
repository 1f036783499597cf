"""Whether a path can be read at all, asked before any reader is: its answers are clearer than theirs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import InputError


def check_access(path: Path) -> None:
    """Check that a path leads to a file or folder that may be read.

    Raises:
        InputError: it does not, or its name cannot be handed to ITK.
    """
    check_name(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            with os.scandir(path):
                os.stat(os.path.join(path, "."))
        elif stat.S_ISREG(mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise InputError(f"{path}: neither a file nor a folder")


def check_name(path: Path) -> None:
    """Check that a path is valid text: ITK ends the whole process where it is not.

    Raises:
        InputError: it is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: the name is not valid UTF-8; rename it") from None
