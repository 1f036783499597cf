"""Output folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..ct import check_name
from ..errors import InputError, ResourceError, UserError, is_full


def check(folder: Path, overwrite: bool, marks: tuple[str, ...], *inputs: Path | None) -> None:
    """Refuse an output folder that cannot be written, before any work is done.

    Args:
        folder: what will be written.
        overwrite: whether it may exist already, to be replaced.
        marks: files that every folder holds which this command wrote; no other folder is replaced.
        inputs: what will be read, None where there is none; replacing the folder must not delete it.

    Raises:
        InputError: the folder exists and may not be replaced, is no folder, or cannot be made.
        ResourceError: the disk is full.
    """
    check_name(folder)
    try:
        for path in inputs:
            if path is not None and folder.exists() and path.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"{folder}: holds the input {path}, which overwriting would delete")
        _check_free(folder, overwrite, marks)
        with tempfile.TemporaryDirectory(prefix=_prefix(folder), dir=_missing_parents(folder)[-1].parent):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


@contextmanager
def whole(folder: Path, overwrite: bool, marks: tuple[str, ...]) -> Iterator[Path]:
    """Give a scratch folder beside `folder` that takes its name when the block ends well, and is removed when not.

    The arguments are those of `check`.

    Raises:
        InputError: the folder exists and may not be replaced, is no folder, or cannot be made.
        ResourceError: the disk is full.
    """
    check(folder, overwrite, marks)
    with _scratch(folder) as scratch:
        try:
            yield scratch
            _check_free(folder, overwrite, marks)
            _put(scratch, folder)
        except OSError as error:
            if not is_full(error):
                raise
            raise _unwritable(folder, error) from None
        except UserError as error:
            raise type(error)(str(error).replace(str(scratch), str(folder))) from error


def _check_free(folder: Path, overwrite: bool, marks: tuple[str, ...]) -> None:
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: exists and is not a folder")
    missing = [mark for mark in marks if not (folder / mark).is_file()] if any(folder.iterdir()) else []
    if not overwrite:
        or_else = "" if missing else " or add --overwrite"
        raise InputError(f"{folder}: exists already; choose another folder{or_else}")
    if missing:
        raise InputError(f"{folder}: holds no {missing[0]}, and --overwrite replaces only what this command wrote")


def _missing_parents(folder: Path) -> list[Path]:
    """The folder itself and those above it that do not exist yet, from the innermost out."""
    folder = Path(os.path.abspath(folder))
    return [folder, *(parent for parent in folder.parents if not parent.exists())]


def _unwritable(folder: Path, error: OSError) -> UserError:
    if is_full(error):
        return ResourceError(f"{folder}: cannot be written: the disk is full ({error.strerror})")
    return InputError(f"{folder}: cannot be written: {error.strerror}")


def _prefix(folder: Path) -> str:
    return f".{folder.name[:40]}-"


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a new folder beside `folder`, and take it away with all that had to be made for it and is left empty."""
    outermost_last = _missing_parents(folder)[1:]
    parent = Path(os.path.abspath(folder)).parent
    scratch = None
    try:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=parent))
            scratch.chmod(0o777 & ~_umask())
        except OSError as error:
            raise _unwritable(folder, error) from None
        yield scratch
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        for made in outermost_last:
            with suppress(OSError):
                made.rmdir()


def _put(scratch: Path, folder: Path) -> None:
    """Give `scratch` the name of `folder`; what had it before is gone only when that is done."""
    if not folder.exists():
        scratch.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=scratch.parent))
    try:
        folder.rename(aside / "old")
        scratch.rename(folder)
    finally:
        if not folder.exists() and (aside / "old").exists():
            (aside / "old").rename(folder)
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
