"""Cases made ready for training: the network's input and the infection mask, from the segmenter's own masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..cohort import Case
from ..ct import check_lungs, read_ct, read_mask
from ..diagnosis import COVID
from ..parallel import spread
from ..preprocessing import GridSpec, prepare
from ..progress import Progress, silent
from ..segmentation import GivenMasks, Segmenter, segmenter


@dataclass(frozen=True)
class PreparedCase:
    """One case on the network grid: `file` holds image (float16 [k,j,i] in [0,1]) and infection (uint8, 255 = all).

    `ratio` is the infection ratio that the segmenter found on the CT's own grid.
    """

    case_id: str
    patient_id: str
    label: str
    split: str
    ratio: float
    file: Path


def prepare_cohort(
    cases: Sequence[Case], spec: GridSpec, segmenter_name: str, folder: Path, progress: Progress = silent
) -> list[PreparedCase]:
    """Segment and preprocess every case once, in parallel; a case already in `folder` is reused.

    Masks that the cohort names replace the segmenter's.

    Raises:
        InputError: a CT cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepare_one = partial(_prepare, spec=spec, segmenter_name=segmenter_name, folder=folder)
    return spread(prepare_one, cases, "preparing the cases", progress)


class PreparedDataset(Dataset[tuple[Tensor, Tensor, float]]):
    """Yields image [1,k,j,i], infection [1,k,j,i] (both float32 in [0,1]) and 1.0 for COVID-19 or 0.0 for CAP."""

    def __init__(self, cases: Sequence[PreparedCase]) -> None:
        """Serve these cases in this order."""
        self.cases = list(cases)
        self.labels = [int(case.label == COVID) for case in self.cases]
        self.ratios = [case.ratio for case in self.cases]

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float]:
        """Read one case."""
        with np.load(self.cases[index].file) as arrays:
            image = torch.from_numpy(arrays["image"].astype(np.float32))
            infection = torch.from_numpy(arrays["infection"].astype(np.float32) / 255.0)
        return image[None], infection[None], float(self.labels[index])


def _prepare(case: Case, spec: GridSpec, segmenter_name: str, folder: Path) -> PreparedCase:
    file, note = folder / f"{case.case_id}.npz", folder / f"{case.case_id}.json"
    if not note.exists():
        ct = read_ct(case.image)
        segmentation = _back_end(case, segmenter_name, ct.image).segment(ct.image)
        check_lungs(ct.image, segmentation.lungs, str(case.image))
        ready = prepare(ct.image, segmentation.lungs, spec, segmentation.infection)
        assert ready.infection is not None
        infection = np.ceil(ready.infection * 255.0).astype(np.uint8)
        np.savez(file, image=ready.image.astype(np.float16), infection=infection)
        note.write_text(json.dumps({"ratio": segmentation.ratio}), encoding="utf-8")
    ratio = json.loads(note.read_text(encoding="utf-8"))["ratio"]
    return PreparedCase(case.case_id, case.patient_id, case.label, case.split, ratio, file)


def _back_end(case: Case, name: str, ct: sitk.Image) -> Segmenter:
    """Return the segmenter, with the masks that the cohort gives in place of its own."""
    lungs, infection = (read_mask(path, ct) if path else None for path in (case.lungs, case.infection))
    found = segmenter(name)
    return GivenMasks(found, lungs, infection) if lungs is not None or infection is not None else found
