"""Trained weights in a folder, as data and never as code: a metadata.json and safetensors files, each held to its hash.

Nothing in such a folder is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import resources
from .errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor, nn

METADATA = "metadata.json"
_PICKLED = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}
_TYPES = {"torch.float32": "F32", "torch.int64": "I64"}

Tensors = dict[str, tuple[tuple[int, ...], str]]
"""Names with shape and type, as the header of a safetensors file has them."""


def shipped(name: str, instead: str) -> Path:
    """Return the folder of weights that ships under this name in `resources`.

    Raises:
        BundleError: it does not ship with this version; `instead` says what to do.
    """
    try:
        return resources.path(name)
    except FileNotFoundError as error:
        raise BundleError(f"{error}: {instead}") from None


class Metadata(NamedTuple):
    """What a folder says of itself, and the SHA-256 of the file that says it."""

    data: dict[str, Any]
    sha256: str


def read_metadata(folder: Path) -> Metadata:
    """Read a folder's metadata.json, its weights unread.

    Raises:
        BundleError: the folder or the file is missing, cannot be read, is not JSON, or pickled files lie in the folder.
    """
    path = folder / METADATA
    try:
        if not folder.is_dir():
            raise BundleError(f"{folder}: no such folder")
        if METADATA not in os.listdir(folder):
            raise BundleError(f"{folder}: no {METADATA}, so this is not a bundle")
        foreign = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _PICKLED)
        if foreign:
            raise BundleError(f"{foreign[0]}: pickled files can run code; a bundle holds safetensors only")
        raw = path.read_bytes()
        return Metadata(json.loads(raw), hashlib.sha256(raw).hexdigest())
    except OSError as error:
        raise BundleError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise invalid(path, error) from None


def write_metadata(folder: Path, data: dict[str, Any]) -> None:
    """Write a folder's metadata.json."""
    (folder / METADATA).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def invalid(path: Path, error: Exception) -> BundleError:
    """Return what to raise of metadata that cannot be understood."""
    cause = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return BundleError(f"{path}: not valid bundle metadata ({cause})")


def is_plain_name(file: str) -> bool:
    """Whether a name is that of a safetensors file in the folder itself."""
    return Path(file).name == file and file.endswith(".safetensors")


def read(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file (see `check_hash`).

    Raises:
        BundleError: the file is missing, truncated or not safetensors.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise BundleError(f"{path}: missing from the bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except SafetensorError as error:
        raise BundleError(f"{path}: not a readable safetensors file ({error})") from None


def write(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors, sorted by name, and return the file's SHA-256."""
    import safetensors.torch

    blob = safetensors.torch.save({name: tensor.contiguous() for name, tensor in sorted(tensors.items())})
    path.write_bytes(blob)
    return hashlib.sha256(blob).hexdigest()


def check_hash(path: Path, sha256: str) -> None:
    """Hold a file against its SHA-256.

    Raises:
        BundleError: it is missing, cannot be read, or is another file.
    """
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise BundleError(f"{path}: missing from the bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if found != sha256:
        raise BundleError(f"{path}: altered or truncated (its SHA-256 is not the one in {METADATA})")


def stored(path: Path) -> Tensors:
    """Read shape and type of each tensor from a safetensors file's header: its length, then JSON.

    Raises:
        BundleError: the file cannot be read or is not safetensors.
    """
    try:
        with path.open("rb") as stream:
            length = min(int.from_bytes(stream.read(8), "little"), path.stat().st_size)
            header = json.loads(stream.read(length))
        return {name: (tuple(t["shape"]), t["dtype"]) for name, t in header.items() if name != "__metadata__"}
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError(f"{path}: not a readable safetensors file") from None


def expected(network: nn.Module) -> Tensors:
    """Return shape and type of each of a network's tensors (it may lie on the meta device)."""
    return {name: (tuple(t.shape), _TYPES[str(t.dtype)]) for name, t in network.state_dict().items()}
