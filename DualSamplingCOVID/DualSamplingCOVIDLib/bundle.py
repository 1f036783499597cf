"""A bundle: the weights of what was trained and all that is needed to use them, as data and never as code.

A folder of ``metadata.json`` and one safetensors file a member. Every file is held against its SHA-256
before it is read; nothing in the folder is ever executed or unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .diagnosis import BundleCard, CutOffs, SegmenterCard
from .errors import BundleError
from .preprocessing import GridSpec

if TYPE_CHECKING:
    from torch import Tensor

METADATA = "metadata.json"
SCHEMA = 1
ARCHITECTURE = "resnet34-online-attention"
KINDS = ("attention", "baseline")
SAMPLINGS = ("US", "SS")


@dataclass(frozen=True)
class Member:
    """One trained network: its sampling (US or SS), kind (attention or baseline), fold, width, file and SHA-256."""

    name: str
    sampling: str
    kind: str
    fold: int | None
    width: int
    file: str
    sha256: str

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS or self.kind not in KINDS:
            raise ValueError(f"member {self.name} has sampling {self.sampling!r} and kind {self.kind!r}")
        if Path(self.file).name != self.file or not self.file.endswith(".safetensors"):
            raise ValueError(f"member {self.name} names {self.file!r}, not a safetensors file of its own folder")


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its card, members, network grid and the segmenter (with refitted cut-offs) it learned with."""

    folder: Path
    card: BundleCard
    members: tuple[Member, ...]
    grid: GridSpec
    segmenter: SegmenterCard
    evaluation: dict[str, Any]

    def weights(self, member: Member) -> dict[str, Tensor]:
        """Read a member's tensors.

        Raises:
            BundleError: the file is missing, altered, truncated or not safetensors.
        """
        import safetensors.torch
        from safetensors import SafetensorError

        try:
            return safetensors.torch.load(_checked(self.folder / member.file, member.sha256))
        except SafetensorError as error:
            raise BundleError(f"{self.folder / member.file}: not a readable safetensors file ({error})") from None


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle folder, its weights' hashes included.

    Raises:
        BundleError: a file is missing, altered, truncated, of another architecture or not data.
    """
    path = folder / METADATA
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle folder")
    if not path.is_file():
        raise BundleError(f"{folder}: no {METADATA}, so this is not a bundle")
    foreign = sorted(p.name for p in folder.iterdir() if p.suffix in {".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
    if foreign:
        raise BundleError(f"{folder / foreign[0]}: pickled files can run code; a bundle holds safetensors only")
    try:
        raw = path.read_bytes()
        data = json.loads(raw)
        bundle = _from_metadata(folder, data, hashlib.sha256(raw).hexdigest())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: not valid bundle metadata ({type(error).__name__}: {error})") from None
    for member in bundle.members:
        _checked(folder / member.file, member.sha256)
    return bundle


def save_bundle(
    folder: Path,
    networks: list[tuple[Member, dict[str, Tensor]]],
    card: BundleCard,
    grid: GridSpec,
    segmenter: SegmenterCard,
    evaluation: dict[str, Any],
) -> Bundle:
    """Write a bundle into the new folder `folder` and return it as loaded; members' hashes are filled in here."""
    import safetensors.torch

    folder.mkdir(parents=True)
    members = []
    for member, tensors in networks:
        blob = safetensors.torch.save({name: tensor.contiguous() for name, tensor in sorted(tensors.items())})
        (folder / member.file).write_bytes(blob)
        members.append(dataclasses.replace(member, sha256=hashlib.sha256(blob).hexdigest()))
    metadata = {
        "schema": SCHEMA,
        "name": card.name,
        "version": card.version,
        "task": "COVID-19 against community acquired pneumonia on chest CT",
        "description": "Dual-sampling attention network (Ouyang et al., IEEE TMI 2020)",
        "intended_use": card.intended_use,
        "learned_from": card.learned_from,
        "license": "Apache-2.0",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": list(grid.shape_kji),
                    "dtype": "float32",
                    "value_range": [0, 1],
                }
            },
            "outputs": {"logit": {"type": "probabilities", "channel_def": {"0": "COVID-19"}}},
        },
        "architecture": ARCHITECTURE,
        "grid": {"shape_kji": list(grid.shape_kji), "spacing_xyz": list(grid.spacing_xyz)},
        "segmenter": dataclasses.asdict(segmenter),
        "members": [dataclasses.asdict(member) for member in members],
        "evaluation": evaluation,
    }
    (folder / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    return load_bundle(folder)


def _from_metadata(folder: Path, data: dict[str, Any], sha256: str) -> Bundle:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, this version reads {SCHEMA}")
    if data["architecture"] != ARCHITECTURE:
        raise ValueError(f"architecture {data['architecture']!r}, this version runs {ARCHITECTURE}")
    segmenter = data["segmenter"]
    bundle = Bundle(
        folder=folder,
        card=BundleCard(data["name"], data["version"], data["learned_from"], data["intended_use"], sha256),
        members=tuple(Member(**member) for member in data["members"]),
        grid=GridSpec(tuple(data["grid"]["shape_kji"]), tuple(data["grid"]["spacing_xyz"])),
        segmenter=SegmenterCard(**{**segmenter, "cut_offs": CutOffs(**segmenter["cut_offs"])}),
        evaluation=data["evaluation"],
    )
    present = {(member.sampling, member.kind) for member in bundle.members}
    if not {("US", "attention"), ("SS", "attention")} <= present:
        raise ValueError("the ensemble needs one attention member with US and one with SS sampling")
    return bundle


def _checked(path: Path, sha256: str) -> bytes:
    if not path.is_file():
        raise BundleError(f"{path}: missing from the bundle")
    blob = path.read_bytes()
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise BundleError(f"{path}: altered or truncated (its SHA-256 is not the one in {METADATA})")
    return blob
