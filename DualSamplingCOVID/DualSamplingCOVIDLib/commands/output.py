"""Output folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


def check(folder: Path, overwrite: bool) -> None:
    """Refuse an existing output folder without `--overwrite`, before any work is done.

    Raises:
        InputError: the folder exists, or something that is not a folder has its name.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: exists and is not a folder")
    if folder.exists() and not overwrite:
        raise InputError(f"{folder}: exists already; choose another folder or add --overwrite")


@contextmanager
def whole(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a scratch folder beside `folder` that takes its name when the block ends well, and is removed when not."""
    check(folder, overwrite)
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
    except PermissionError:
        raise InputError(f"{parent}: no permission to write here") from None
    try:
        scratch.chmod(0o777 & ~_umask())
        yield scratch
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=parent)) / "old"
            folder.rename(old)
            scratch.rename(folder)
            shutil.rmtree(old.parent)
        else:
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
