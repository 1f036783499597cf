"""TotalSegmentator (Wasserthal et al. 2023): the five lobes of its task `total`, as right and left lung."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from . import foreign
from .networks import Labels

LOBES = {
    10: "lung_upper_lobe_left",
    11: "lung_lower_lobe_left",
    12: "lung_upper_lobe_right",
    13: "lung_middle_lobe_right",
    14: "lung_lower_lobe_right",
}
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From LPS, SimpleITK's world, to RAS, NIfTI's, and back."""


class TotalSegmentator:
    """The package TotalSegmentator (written for 2.18.0): `python_api.totalsegmentator(Nifti1Image, task="total")`.

    It takes a nibabel image in HU of any direction, and returns one on the same voxels with the values of `LOBES`
    (its `map_to_binary.class_map`, checked here, since version 1 numbered them otherwise). The package fetches its
    weights once, keeps them below the home folder, and sends anonymous usage statistics unless its own
    ``config.json`` there says ``"send_usage_stats": false``. Its weights are read by nnU-Net (see `nnunet`).
    """

    name = "TotalSegmentator total"
    labels = Labels.named({name: value for value, name in LOBES.items()})

    def __init__(self, argument: str | None = None, device: str = "auto") -> None:
        """Look for the package.

        Args:
            argument: there is none.
            device: ``"cpu"``, or any other where the package takes a GPU if there is one.

        Raises:
            InputError: it is missing, or an argument was given.
        """
        if argument:
            raise InputError(f"the segmenter totalsegmentator takes no argument, got {argument!r}")
        self._device = "cpu" if device == "cpu" else "gpu"
        self.version = foreign.require("totalsegmentator", "totalsegmentator", "TotalSegmentator")

    def predict(self, ct: sitk.Image) -> sitk.Image:
        """Return the lobes' values (see `LabelNetwork.predict`)."""
        with foreign.running("totalsegmentator"):
            from nibabel.nifti1 import Nifti1Image
            from totalsegmentator.map_to_binary import class_map
            from totalsegmentator.python_api import totalsegmentator

            names = class_map["total"]
            if any(names.get(value) != name for value, name in LOBES.items()):
                raise InputError("the segmenter totalsegmentator numbers its lobes otherwise: version 2 is needed")
            volume = np.ascontiguousarray(sitk.GetArrayViewFromImage(ct).T)
            image = Nifti1Image(volume, affine(ct), dtype=volume.dtype)
            lobes = list(LOBES.values())
            found = totalsegmentator(
                image, None, ml=True, task="total", roi_subset=lobes, quiet=True, device=self._device
            )
            return _from_nifti(np.asanyarray(found.dataobj), found.affine)


def affine(image: sitk.Image) -> np.ndarray:
    """Return the 4 x 4 matrix from (i, j, k) to RAS millimetres."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return _FLIP @ matrix


def _from_nifti(values: np.ndarray, to_ras: np.ndarray) -> sitk.Image:
    """An image of an array [i, j, k] and its matrix to RAS millimetres."""
    to_lps = _FLIP @ to_ras
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T).astype(np.int32))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    return image
