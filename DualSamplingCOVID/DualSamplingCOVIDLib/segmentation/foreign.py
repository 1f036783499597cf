"""Running other people's packages: found when installed, kept off the terminal, their failures one sentence each."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.error import URLError

from ..ct import quiet
from ..errors import InputError, ResourceError, UserError

_MEMORY = ("allocate memory", "Cannot allocate", "out of memory")
_DOWNLOADERS = {"requests", "urllib3", "huggingface_hub", "httpx"}


def require(segmenter: str, package: str, distribution: str) -> str:
    """Return the version of an installed package, without importing it.

    Args:
        segmenter: who needs it, for the sentence.
        package: the name that is imported.
        distribution: the name that pip knows.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"the segmenter {segmenter} needs the package {package}, which is not installed: pip install {distribution}"
        )
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@contextmanager
def running(segmenter: str) -> Iterator[None]:
    """Run a foreign package: what it prints goes nowhere, and what goes wrong in it becomes one sentence.

    Raises:
        InputError: the package failed; the sentence names the cause.
        ResourceError: memory ran out.
    """
    try:
        with quiet(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # SystemExit: some packages end the process where they give up
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in _MEMORY):
            raise ResourceError("memory ran out: close other programs and try again") from error
        if isinstance(error, ModuleNotFoundError):
            raise InputError(f"the segmenter {segmenter} needs {error.name}, which is not installed") from error
        raise InputError(f"the segmenter {segmenter} failed: {_cause(error)}") from error


def read_json(path: Path, segmenter: str) -> dict[str, Any]:
    """Read a JSON object that describes a model.

    Raises:
        InputError: there is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), and the segmenter {segmenter} needs it") from None
    except ValueError:
        raise InputError(f"{path}: not valid JSON") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: no JSON object")
    return data


def fingerprint(files: Iterable[Path]) -> str:
    """Eight digits of the SHA-256 over the files' bytes: which weights these are, without a file's name.

    Raises:
        InputError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 22):
                    digest.update(part)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()[:8]


def _cause(error: BaseException) -> str:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for one in chain:
        offline = isinstance(one, URLError | ConnectionError | TimeoutError)
        if offline or type(one).__module__.split(".")[0] in _DOWNLOADERS:
            return f"it could not fetch its weights ({_first_line(one)}); with a connection it fetches them once"
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
