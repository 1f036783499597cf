"""Cases made ready for training, once: the network's input, infection and lungs, in a cache that knows its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..cohort import Case, cases_said
from ..ct import check_lungs, read_ct, read_mask
from ..diagnosis import COVID, CutOffs, SegmenterCard
from ..errors import InputError
from ..parallel import spread
from ..preprocessing import GridSpec, prepare
from ..progress import Progress, silent
from ..run_folder import RunCase
from ..run_folder.volume import FULL_SHARE, UNREADABLE, stored, write_volume
from ..segmentation import GivenMasks, Segmenter, folder_of, is_network, segmenter
from ..storage import remove_abandoned, sha256, write_text
from ..weights import METADATA

PREPARATION = 4
"""Goes up whenever the same CT and masks are made ready in another way; what was cached before is then not used."""
_OF_THE_SYSTEM = {"thumbs.db", "desktop.ini"}
"""What Windows leaves in a folder that was looked at; macOS and others leave files whose names begin with a dot."""


@dataclass(frozen=True)
class PreparedCase:
    """One case on the network grid.

    `file` holds image (float16 [k,j,i] in [0,1]), infection and lungs (uint8 shares, 255 = all of a voxel). `ratio` is
    the infection ratio on the CT's own grid, in the masks of `segmenter` (None where it is not known). `content` is the
    digest of the CT's HU, whatever file they came in; empty where it is not known.
    """

    case_id: str
    patient_id: str
    label: str
    split: str
    ratio: float
    file: Path
    segmenter: SegmenterCard | None = None
    content: str = ""


class HasMasks(Protocol):
    """A case whose masks a person may have given."""

    @property
    def lungs(self) -> Path | None:
        """Mask file of both lungs."""

    @property
    def infection(self) -> Path | None:
        """Mask file of the infection."""


def prepare_cohort(
    cases: Sequence[Case],
    spec: GridSpec,
    segmenter_name: str,
    folder: Path,
    progress: Progress = silent,
    device: str = "auto",
) -> list[PreparedCase]:
    """Segment and preprocess every case once, in parallel; what `folder` holds of the same content is reused.

    A case that cannot be used does not keep the others from being made ready; all such cases are named at the end.
    Masks that the cohort names replace the segmenter's. Content is the bytes of the CT and its masks; files whose name,
    size and time of change are those of the last run are not read again. Grid, segmenter and `PREPARATION` count too.

    Args:
        cases: which CTs.
        spec: the network's grid.
        segmenter_name: who finds the masks that the cohort does not give.
        folder: the cache.
        progress: told how many cases are ready.
        device: where the segmenter computes; on a GPU one process asks it of all cases, as each would fill its memory
            anew.

    Raises:
        InputError: CTs or masks that cannot be used, and CTs that two patients have: every one, as `cases_said` does.
        ResourceError: the disk is full; what was ready stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    settings = {**asdict(spec), "segmenter": _identity(segmenter_name), "preparation": PREPARATION}
    prepare_one = partial(
        _try, spec=spec, segmenter_name=segmenter_name, settings=settings, folder=folder, device=device
    )
    asked = any(case.lungs is None or case.infection is None for case in cases)
    on_gpu = asked and is_network(segmenter_name) and device != "cpu" and torch.cuda.is_available()
    tried = spread(prepare_one, cases, "preparing the cases", progress, processes=1 if on_gpu else None)
    remove_abandoned(folder)  # a killed run's processes may have outlived it for a moment
    problems = [
        (case, f"case {case.case_id}: {ready}")
        for case, ready in zip(cases, tried, strict=True)
        if isinstance(ready, InputError)
    ]
    prepared = [ready for ready in tried if isinstance(ready, PreparedCase)]
    named = {case.case_id: case for case in cases}
    problems += [
        (
            named[second.case_id],
            f"the cases {first.case_id} and {second.case_id} are the same CT under two patient_ids: leave one out, or "
            "networks are judged by what they know",
        )
        for first, second in _same_cts(prepared)
        if first.patient_id != second.patient_id
    ]
    if problems:
        raise InputError(cases_said(problems))
    return prepared


def same_ct_notes(prepared: Sequence[PreparedCase]) -> list[str]:
    """Return a sentence for each case whose CT another case of the patient has, voxel for voxel."""
    return [
        f"The cases {first.case_id} and {second.case_id} are the same CT: it counts twice."
        for first, second in _same_cts(prepared)
    ]


def _same_cts(prepared: Sequence[PreparedCase]) -> Iterator[tuple[PreparedCase, PreparedCase]]:
    """Yield each case whose CT an earlier one has, after that."""
    seen: dict[str, PreparedCase] = {}
    for case in prepared:
        first = seen.setdefault(case.content, case)
        if case.content and first is not case:
            yield first, case


def noted_content(case: RunCase) -> str:
    """Return the `content` of a run's case as it was noted beside its prepared volume; empty where it was not."""
    try:
        return str(json.loads(case.volume.with_suffix(".json").read_text(encoding="utf-8"))["ct"])
    except (InputError, OSError, ValueError, KeyError):
        return ""


def read_content(case: RunCase) -> str:
    """Return the `content` of a run's case, its CT read again; empty where that cannot be read."""
    try:
        return _same(read_ct(case.image).image)
    except InputError:
        return ""


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
            image, infection = (torch.from_numpy(array) for array in stored(case.file, "image", "infection"))
        except FileNotFoundError:
            raise InputError(
                f"{case.file}: the prepared case {case.case_id} is gone; start again to remake it"
            ) from None
        except UNREADABLE as error:
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


def _try(case: Case, **how: Any) -> PreparedCase | InputError:
    """Prepare a case, or return what is wrong with it: nobody should wait hours for each of several problems."""
    try:
        return _prepare(case, **how)
    except InputError as error:
        return error


def _prepare(
    case: Case, spec: GridSpec, segmenter_name: str, settings: dict[str, Any], folder: Path, device: str
) -> PreparedCase:
    content = _content(case, folder)
    key = hashlib.sha256(json.dumps([content, settings]).encode()).hexdigest()[:32]
    file, note = folder / f"{key}.npz", folder / f"{key}.json"
    if not (file.exists() and note.exists()):
        write_text(note, json.dumps(_make(case, spec, segmenter_name, device, file)))
    found = json.loads(note.read_text(encoding="utf-8"))
    if "ct" not in found:  # version 0.1.0 did not note it at first
        found["ct"] = _same(read_ct(case.image).image)
        write_text(note, json.dumps(found))
    card = SegmenterCard(**{**found["segmenter"], "cut_offs": CutOffs(**found["segmenter"]["cut_offs"])})
    return PreparedCase(case.case_id, case.patient_id, case.label, case.split, found["ratio"], file, card, found["ct"])


def _make(case: Case, spec: GridSpec, segmenter_name: str, device: str, file: Path) -> dict[str, Any]:
    """Segment and preprocess one case into `file`; return its infection ratio, whose masks it is of, and which CT."""
    ct = read_ct(case.image)
    segmentation = back_end(case, segmenter_name, ct.image, device).segment(ct.image)
    check_lungs(ct.image, segmentation.lungs, str(case.image))
    ready = prepare(ct.image, segmentation.lungs, spec, segmentation.infection)
    assert ready.infection is not None
    infection, lungs = (np.ceil(share * FULL_SHARE).astype(np.uint8) for share in (ready.infection, ready.lungs))
    image = ready.image.astype(np.float16)
    write_volume(file, image, infection, lungs)
    return {"ratio": segmentation.ratio, "segmenter": asdict(segmentation.segmenter), "ct": _same(ct.image)}


def _same(ct: sitk.Image) -> str:
    """Return a digest that copies of a CT share: its whole HU in LPS order, whatever format and order they came in."""
    array = np.rint(sitk.GetArrayFromImage(sitk.DICOMOrient(ct, "LPS"))).astype("<i2")
    return hashlib.sha256(str(array.shape).encode() + np.ascontiguousarray(array).data).hexdigest()


def back_end(case: HasMasks, name: str, ct: sitk.Image, device: str = "auto") -> Segmenter:
    """Return the segmenter, with the masks that the cohort gives in place of its own."""
    lungs, infection = (read_mask(path, ct) if path else None for path in (case.lungs, case.infection))
    found = _segmenter(name, device)
    return GivenMasks(found, lungs, infection) if lungs is not None or infection is not None else found


@cache
def _segmenter(name: str, device: str) -> Segmenter:
    """Return the segmenter, one a process: its weights are read once, not for every case."""
    return segmenter(name, device)


def _identity(name: str) -> list[str]:
    """What tells one segmenter from another: name, version, and what the folder behind it says of its weights."""
    card, folder = segmenter(name).card, folder_of(name)
    metadata = None if folder is None else folder / METADATA
    return [card.name, card.version, sha256(metadata) if metadata is not None and metadata.is_file() else ""]


def _content(case: Case, folder: Path) -> list[list[str]]:
    """Return the digest of the CT and of each given mask, with its role; `folder` keeps them till the files change.

    What it keeps names no file: folders and files of CTs are often called after their patients.
    """
    note = folder / f"{case.case_id}.files.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    read = {}
    for role, path in (("image", case.image), ("lungs", case.lungs), ("infection", case.infection)):
        if path is not None:
            state = _state(path)
            same = known.get(role, {}).get("state") == state
            read[role] = {"state": state, "sha256": known[role]["sha256"] if same else _digest(path)}
    if read != known:
        write_text(note, json.dumps(read))
    return [[role, entry["sha256"]] for role, entry in read.items()]


def _files(path: Path) -> list[Path]:
    """Return a file, or all files of a folder in an order that is the same on every system; the system's own left out.

    Raises:
        InputError: the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        found = [file for file in path.rglob("*") if not file.is_dir()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    places = {file: file.relative_to(path).parts for file in found}
    kept = [
        file
        for file, parts in places.items()
        if file.name.lower() not in _OF_THE_SYSTEM and not any(part.startswith(".") for part in parts)
    ]
    return sorted(kept or found, key=places.__getitem__)


def _state(path: Path) -> str:
    """Return a digest of the names, sizes and times of change of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    for file in _files(path):
        try:
            state = file.stat()
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from None
        line = [os.path.abspath(file), state.st_size, state.st_mtime_ns]
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    """Return the digest of a file's bytes, or of the names and bytes of all files of a folder."""
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()
