"""A bundle: the weights of what was trained and all that is needed to use them, as data and never as code.

A folder of ``metadata.json`` and one safetensors file a member, and in ``segmenter/`` the VB-Net that it learned with,
if it learned with one. Every file is held against its SHA-256 before it is read; nothing in the folder is ever
executed or unpickled.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import weights
from .diagnosis import BundleCard, CutOffs, SegmenterCard
from .errors import BundleError
from .preprocessing import GridSpec
from .storage import sha256

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = "Bundles/phantom-demo"

SCHEMA = 1
MONAI_KEYS = "1.6.1"
"""The release of MONAI whose bundle keys the metadata follows (MONAI itself is not needed)."""

ARCHITECTURE = "resnet34-online-attention"
KINDS = ("attention", "baseline")
SAMPLINGS = ("US", "SS")

SEGMENTER = "segmenter"
"""The folder of the segmenter that a bundle carries."""


class Owner(NamedTuple):
    """Whose a bundle is, and under which licence: MONAI's keys for what only they can say."""

    authors: str
    license: str


NOBODY = Owner("", "")


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
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ValueError(f"member name {self.name!r}: it names files, so letters, digits, _ and - only")
        if not weights.is_plain_name(self.file):
            raise ValueError(f"member {self.name} names {self.file!r}, not a safetensors file of its own folder")
        if not isinstance(self.width, int) or self.width < 1:
            raise ValueError(f"member {self.name} has width {self.width!r}")


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its card, members, network grid and the segmenter (with refitted cut-offs) it learned with.

    `segmenter_sha256` is that of the metadata of the segmenter which the bundle carries; None where it carries none.
    """

    folder: Path
    card: BundleCard
    members: tuple[Member, ...]
    grid: GridSpec
    segmenter: SegmenterCard
    evaluation: dict[str, Any]
    segmenter_sha256: str | None = None

    @property
    def carried(self) -> Path | None:
        """The folder of the segmenter that it carries."""
        return None if self.segmenter_sha256 is None else self.folder / SEGMENTER

    def weights(self, member: Member) -> dict[str, Tensor]:
        """Read a member's tensors; their hash was checked when the bundle was loaded.

        Raises:
            BundleError: the file is missing, truncated or not safetensors.
        """
        return weights.read(self.folder / member.file)

    def check_hashes(self) -> None:
        """Hold every file of weights, and the carried segmenter's metadata, against its hash.

        Raises:
            BundleError: a file is missing, altered or truncated.
        """
        for member in self.members:
            weights.check_hash(self.folder / member.file, member.sha256)
        if self.segmenter_sha256 is not None:
            weights.check_hash(self.folder / SEGMENTER / weights.METADATA, self.segmenter_sha256)

    def check_members(self) -> None:
        """Hold each member's tensors against its network's by name, shape and type, before anything is computed.

        Raises:
            BundleError: a file is missing, not safetensors, or of another architecture.
        """
        for member in self.members:
            path = self.folder / member.file
            if weights.stored(path) != _expected_tensors(member.width):
                raise BundleError(f"{path}: weights of another architecture than ResNet34 of width {member.width}")


def shipped() -> Path:
    """Return the folder of the bundle that ships.

    Raises:
        BundleError: none ships with this version.
    """
    return weights.shipped(SHIPPED, "name a bundle of your own")


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle folder, its weights' hashes included.

    Raises:
        BundleError: a file is missing, altered, truncated, of another architecture or not data.
    """
    bundle = read_metadata(folder)
    bundle.check_hashes()
    return bundle


def read_metadata(folder: Path) -> Bundle:
    """Read what a bundle says of itself, its weights unread: enough to show its card, not to use it.

    Raises:
        BundleError: the metadata is missing or not valid, or the folder holds pickled files.
    """
    data, sha256 = weights.read_metadata(folder)
    try:
        return _from_metadata(folder, data, sha256)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise weights.invalid(folder / weights.METADATA, error) from None


def save_bundle(
    folder: Path,
    networks: Iterable[tuple[Member, dict[str, Tensor]]],
    card: BundleCard,
    grid: GridSpec,
    segmenter: SegmenterCard,
    evaluation: dict[str, Any],
    carried: Path | None = None,
    owner: Owner = NOBODY,
) -> Bundle:
    """Write a bundle into the new folder `folder` and return it as loaded; members' hashes are filled in here.

    `carried` is the folder of a VB-Net that it takes along; who `owner` is nobody knows where it is not given.
    """
    import numpy as np
    import torch

    from .segmentation import trained

    folder.mkdir(parents=True)
    members = []
    for member, tensors in networks:
        members.append(dataclasses.replace(member, sha256=weights.write(folder / member.file, tensors)))
    if carried is not None:
        trained.copy(carried, folder / SEGMENTER)
    metadata = {
        "schema": SCHEMA,
        "name": card.name,
        "version": card.version,
        "monai_version": MONAI_KEYS,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "changelog": {card.version: "first version"},
        "authors": owner.authors,
        "copyright": owner.authors,
        "task": "COVID-19 against community acquired pneumonia on chest CT",
        "description": "Dual-sampling attention network (Ouyang et al., IEEE TMI 2020)",
        "intended_use": card.intended_use,
        "learned_from": card.learned_from,
        "license": owner.license,
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
                    "is_patch_data": False,
                    "channel_def": {"0": "CT, lung window, 0 outside the lungs"},
                }
            },
            "outputs": {"logit": {"type": "logits", "channel_def": {"0": "COVID-19"}}},
        },
        "architecture": ARCHITECTURE,
        "grid": {"shape_kji": list(grid.shape_kji), "spacing_xyz": list(grid.spacing_xyz)},
        "segmenter": dataclasses.asdict(segmenter),
        "segmenter_sha256": None if carried is None else sha256(folder / SEGMENTER / weights.METADATA),
        "members": [dataclasses.asdict(member) for member in members],
        "evaluation": evaluation,
    }
    weights.write_metadata(folder, metadata)
    return load_bundle(folder)


def _from_metadata(folder: Path, data: dict[str, Any], sha256: str) -> Bundle:
    if data["architecture"] != ARCHITECTURE:
        use = "; a segmenter is for --segmenter vbnet:FOLDER" if "networks" in data else ""
        raise ValueError(f"architecture {data['architecture']!r}, this version runs {ARCHITECTURE}{use}")
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, this version reads {SCHEMA}")
    segmenter = data["segmenter"]
    bundle = Bundle(
        folder=folder,
        card=BundleCard(data["name"], data["version"], data["learned_from"], data["intended_use"], sha256),
        members=tuple(Member(**member) for member in data["members"]),
        grid=GridSpec(tuple(data["grid"]["shape_kji"]), tuple(data["grid"]["spacing_xyz"])),
        segmenter=SegmenterCard(**{**segmenter, "cut_offs": CutOffs(**segmenter["cut_offs"])}),
        evaluation=data["evaluation"],
        segmenter_sha256=data.get("segmenter_sha256"),
    )
    names = [member.name for member in bundle.members]
    taken = {"decision", "decision-opposite", *(f"{name}-opposite" for name in names)}
    if len(set(names)) < len(names) or taken & set(names):
        raise ValueError(f"the member names {', '.join(names)} do not tell their maps apart")
    present = {(member.sampling, member.kind) for member in bundle.members}
    if not {("US", "attention"), ("SS", "attention")} <= present:
        raise ValueError("the ensemble needs one attention member with US and one with SS sampling")
    return bundle


@functools.cache
def _expected_tensors(width: int) -> weights.Tensors:
    import torch

    from .network.resnet import ResNet34

    with torch.device("meta"):
        return weights.expected(ResNet34(width))
