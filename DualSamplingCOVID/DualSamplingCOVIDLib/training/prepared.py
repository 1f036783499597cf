"""Cases made ready for training, once: the network's input, infection and lungs, in a cache that knows its content."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..cohort import Case
from ..ct import check_lungs, read_ct, read_mask
from ..diagnosis import COVID, CutOffs, SegmenterCard
from ..errors import InputError
from ..parallel import spread
from ..preprocessing import GridSpec, prepare
from ..progress import Progress, silent
from ..run_folder.volume import FULL_SHARE
from ..segmentation import GivenMasks, Segmenter, segmenter
from ..storage import sha256, write_text, write_whole

PREPARATION = 1
"""Goes up whenever the same CT and masks are made ready in another way; what was cached before is then not used."""


@dataclass(frozen=True)
class PreparedCase:
    """One case on the network grid.

    `file` holds image (float16 [k,j,i] in [0,1]), infection and lungs (uint8 shares, 255 = all of a voxel). `ratio` is
    the infection ratio on the CT's own grid, in the masks of `segmenter` (None where it is not known).
    """

    case_id: str
    patient_id: str
    label: str
    split: str
    ratio: float
    file: Path
    segmenter: SegmenterCard | None = None


class HasMasks(Protocol):
    """A case whose masks a person may have given."""

    @property
    def lungs(self) -> Path | None:
        """Mask file of both lungs."""

    @property
    def infection(self) -> Path | None:
        """Mask file of the infection."""


def prepare_cohort(
    cases: Sequence[Case], spec: GridSpec, segmenter_name: str, folder: Path, progress: Progress = silent
) -> list[PreparedCase]:
    """Segment and preprocess every case once, in parallel; what `folder` holds of the same content is reused.

    Masks that the cohort names replace the segmenter's. Content is the bytes of the CT and its masks; files whose name,
    size and time of change are those of the last run are not read again. Grid, segmenter and `PREPARATION` count too.

    Raises:
        InputError: a CT cannot be read.
        ResourceError: the disk is full; what was ready stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**asdict(spec), "segmenter": _identity(segmenter_name), "preparation": PREPARATION}
    prepare_one = partial(_prepare, spec=spec, segmenter_name=segmenter_name, settings=settings, folder=folder)
    return spread(prepare_one, cases, "preparing the cases", progress)


class StoredCases(Dataset[tuple[Tensor, Tensor, float]]):
    """Yields image (float16) and infection (uint8 share), [1,k,j,i] as they lie on the disk, and 1.0 for COVID-19.

    What feeds a GPU: a quarter of the bytes of `PreparedDataset`; `as_shares` makes the same of them there.
    """

    def __init__(self, cases: Sequence[PreparedCase]) -> None:
        """Serve these cases in this order."""
        self.cases = list(cases)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float]:
        """Read one case; InputError where its file is gone or damaged."""
        case = self.cases[index]
        try:
            with np.load(case.file) as arrays:
                image, infection = torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["infection"])
        except FileNotFoundError:
            raise InputError(
                f"{case.file}: the prepared case {case.case_id} is gone; start again to remake it"
            ) from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            reason = f"the prepared case {case.case_id} cannot be read ({type(error).__name__})"
            raise InputError(f"{case.file}: {reason}; delete it and start again to remake it") from None
        return image[None], infection[None], float(case.label == COVID)


def as_shares(images: Tensor, infections: Tensor) -> tuple[Tensor, Tensor]:
    """Return stored images and infections [N,1,k,j,i] as float32 in [0, 1]."""
    return images.float(), infections.float() / FULL_SHARE


class PreparedDataset(Dataset[tuple[Tensor, Tensor, float]]):
    """Yields image [1,k,j,i], infection [1,k,j,i] (both float32 in [0,1]) and 1.0 for COVID-19 or 0.0 for CAP."""

    def __init__(self, cases: Sequence[PreparedCase]) -> None:
        """Serve these cases in this order."""
        self.stored = StoredCases(cases)
        self.cases = self.stored.cases
        self.labels = [int(case.label == COVID) for case in self.cases]
        self.ratios = [case.ratio for case in self.cases]

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float]:
        """Read one case; InputError where its file is gone or damaged."""
        image, infection, label = self.stored[index]
        return *as_shares(image, infection), label


def _prepare(case: Case, spec: GridSpec, segmenter_name: str, settings: dict[str, Any], folder: Path) -> PreparedCase:
    key = _key(case, settings, folder)
    file, note = folder / f"{key}.npz", folder / f"{key}.json"
    if not (file.exists() and note.exists()):
        ratio, card = _make(case, spec, segmenter_name, file)
        write_text(note, json.dumps({"ratio": ratio, "segmenter": asdict(card)}))
    found = json.loads(note.read_text(encoding="utf-8"))
    card = SegmenterCard(**{**found["segmenter"], "cut_offs": CutOffs(**found["segmenter"]["cut_offs"])})
    return PreparedCase(case.case_id, case.patient_id, case.label, case.split, found["ratio"], file, card)


def _make(case: Case, spec: GridSpec, segmenter_name: str, file: Path) -> tuple[float, SegmenterCard]:
    """Segment and preprocess one case into `file`; return its infection ratio and whose masks it is of."""
    ct = read_ct(case.image)
    segmentation = back_end(case, segmenter_name, ct.image).segment(ct.image)
    check_lungs(ct.image, segmentation.lungs, str(case.image))
    ready = prepare(ct.image, segmentation.lungs, spec, segmentation.infection)
    assert ready.infection is not None
    infection, lungs = (np.ceil(share * FULL_SHARE).astype(np.uint8) for share in (ready.infection, ready.lungs))
    image = ready.image.astype(np.float16)
    write_whole(file, lambda path: np.savez_compressed(path, image=image, infection=infection, lungs=lungs))
    return segmentation.ratio, segmentation.segmenter


def back_end(case: HasMasks, name: str, ct: sitk.Image) -> Segmenter:
    """Return the segmenter, with the masks that the cohort gives in place of its own."""
    lungs, infection = (read_mask(path, ct) if path else None for path in (case.lungs, case.infection))
    found = segmenter(name)
    return GivenMasks(found, lungs, infection) if lungs is not None or infection is not None else found


def _identity(name: str) -> list[str]:
    """What tells one segmenter from another: name, version, and what the folder behind it says of its weights."""
    card = segmenter(name).card
    metadata = Path(name.partition(":")[2]) / "metadata.json"
    return [card.name, card.version, sha256(metadata) if metadata.is_file() else ""]


def _key(case: Case, settings: dict[str, Any], folder: Path) -> str:
    """Return the name under which the cache holds a case of this content and these settings."""
    content = []
    note = folder / f"{case.case_id}.files.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    read = {}
    for role, path in (("image", case.image), ("lungs", case.lungs), ("infection", case.infection)):
        if path is not None:
            files = [list(part) for part in _files(path)]
            same = known.get(role, {}).get("files") == files
            read[role] = {"files": files, "sha256": known[role]["sha256"] if same else _digest(path)}
            content.append([role, read[role]["sha256"]])
    if read != known:
        write_text(note, json.dumps(read))
    return hashlib.sha256(json.dumps([content, settings]).encode()).hexdigest()[:32]


def _files(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of a file, or of all files of a folder."""
    found = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        try:
            state = file.stat()
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from None
        if not file.is_dir():
            found.append((str(file), state.st_size, state.st_mtime_ns))
    return found


def _digest(path: Path) -> str:
    """Return the digest of a file's bytes, or of the names and bytes of all files of a folder."""
    digest = hashlib.sha256()
    for name, _, _ in _files(path):
        digest.update(f"{os.path.relpath(name, path)} {sha256(Path(name))}\n".encode())
    return digest.hexdigest()
