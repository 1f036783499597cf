"""A trained segmenter in a folder: the weights of both networks and what they are, as data and never as code."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import weights
from ..diagnosis import CutOffs, SegmenterCard
from ..errors import BundleError
from ..storage import write_whole

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 3
"""Goes up with the rules of vbnet.py, too: cut-offs and limit hold for the rules that they were calibrated with."""
ARCHITECTURE = "vb-net"


@dataclass(frozen=True)
class Network:
    """One of the two networks: how many `inputs` and `outputs` (logits), `width`, file and its SHA-256."""

    inputs: int
    outputs: int
    width: int
    file: str
    sha256: str

    def __post_init__(self) -> None:
        if not weights.is_plain_name(self.file):
            raise ValueError(f"{self.file!r} is not a safetensors file of its own folder")
        if not all(isinstance(n, int) and n > 0 for n in (self.width, self.inputs, self.outputs)):
            raise ValueError(f"{self.file} has inputs {self.inputs!r}, outputs {self.outputs!r}, width {self.width!r}")


@dataclass(frozen=True)
class TrainedSegmenter:
    """A checked folder: `coarse` finds right and left lung at low resolution, `fine` lungs and infection inside.

    `evaluation` holds what was measured, and how the weights came to be.
    """

    folder: Path
    card: SegmenterCard
    coarse: Network
    fine: Network
    learned_from: str
    intended_use: str
    evaluation: dict[str, Any]

    def tensors(self, network: Network) -> dict[str, Tensor]:
        """Read the weights of one of the networks; its hash was checked when the folder was loaded.

        Raises:
            BundleError: the file is missing, truncated, not safetensors or of another architecture.
        """
        from ..network.vbnet import COARSE_INPUTS, FINE_INPUTS

        path = self.folder / network.file
        taken = COARSE_INPUTS if network is self.coarse else FINE_INPUTS
        if (network.inputs, network.outputs) != (taken, 2):
            raise BundleError(f"{path}: takes {network.inputs} inputs for {network.outputs} outputs, not {taken} for 2")
        if weights.stored(path) != _expected(network.inputs, network.outputs, network.width):
            raise BundleError(f"{path}: weights of another architecture than VB-Net of width {network.width}")
        return weights.read(path)


def load(folder: Path) -> TrainedSegmenter:
    """Read and check a segmenter's folder.

    Raises:
        BundleError: a file is missing, altered, of another architecture or not data.
    """
    if not (folder / weights.METADATA).is_file():
        raise BundleError(f"{folder}: not a segmenter that train-segmenter wrote (it has no {weights.METADATA})")
    data, _ = weights.read_metadata(folder)
    try:
        trained = _from_metadata(folder, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise weights.invalid(folder / weights.METADATA, error) from None
    for network in (trained.coarse, trained.fine):
        weights.check_hash(folder / network.file, network.sha256)
    return trained


def save(
    folder: Path, trained: TrainedSegmenter, coarse: dict[str, Tensor], fine: dict[str, Tensor]
) -> TrainedSegmenter:
    """Write both networks' tensors and `trained` (whose hashes are filled in here) into `folder`, and load that."""
    networks = {
        name: dataclasses.replace(network, sha256=weights.write(folder / network.file, tensors))
        for name, network, tensors in (("coarse", trained.coarse, coarse), ("fine", trained.fine, fine))
    }
    weights.write_metadata(
        folder,
        {
            "schema": SCHEMA,
            "name": trained.card.name,
            "version": trained.card.version,
            "authors": "The DualSamplingCOVID developers",
            "copyright": "The DualSamplingCOVID developers",
            "license": "Apache-2.0",
            "task": "Lungs and pneumonia infection on chest CT",
            "description": "VB-Net, coarse and fine, on 6 mm and 2 mm voxels (LPS)",
            "intended_use": trained.intended_use,
            "learned_from": trained.learned_from,
            "architecture": ARCHITECTURE,
            "networks": {name: dataclasses.asdict(network) for name, network in networks.items()},
            "cut_offs": dataclasses.asdict(trained.card.cut_offs),
            "detection_limit": trained.card.detection_limit,
            "evaluation": trained.evaluation,
        },
    )
    return load(folder)


def copy(source: Path, folder: Path) -> None:
    """Copy a segmenter into `folder`: its metadata and weights, and nothing else that lies beside them.

    Raises:
        BundleError: a file of it is missing, altered, of another architecture or not data.
    """
    found = load(source)
    folder.mkdir(parents=True, exist_ok=True)
    for file in (found.coarse.file, found.fine.file, weights.METADATA):  # what is cut short has no metadata
        write_whole(folder / file, functools.partial(shutil.copyfile, source / file))
    load(folder)


def _from_metadata(folder: Path, data: dict[str, Any]) -> TrainedSegmenter:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, this version reads {SCHEMA}")
    if data["architecture"] != ARCHITECTURE:
        raise ValueError(f"architecture {data['architecture']!r}, this is no segmenter")
    networks = {name: Network(**data["networks"][name]) for name in ("coarse", "fine")}
    card = SegmenterCard(data["name"], data["version"], CutOffs(**data["cut_offs"]), data["detection_limit"])
    return TrainedSegmenter(
        folder, card, **networks, learned_from=data["learned_from"], intended_use=data["intended_use"],
        evaluation=data["evaluation"],
    )  # fmt: skip


@functools.cache
def _expected(inputs: int, outputs: int, width: int) -> weights.Tensors:
    import torch

    from ..network.vbnet import VBNet

    with torch.device("meta"):
        return weights.expected(VBNet(inputs, outputs, width))
