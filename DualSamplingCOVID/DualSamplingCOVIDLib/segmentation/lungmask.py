"""lungmask (Hofmanninger et al. 2020): right and left lung by a two-dimensional U-Net, slice by slice."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from . import foreign
from .networks import Labels

MODELS = ("R231", "R231CovidWeb")


class Lungmask:
    """The package lungmask (written for 0.2.22): `LMInferer(modelname, modelpath).apply(image)`.

    It takes a SimpleITK image in HU and returns an array [k, j, i] on its voxels, 1 right and 2 left; here the axes
    are put in LPS order first, which it would do itself. The weights of a model's name are fetched once by the
    package (`torch.hub`); a file of weights is read by it with `torch.load`, which from PyTorch 2.6 on refuses what
    could run code, and before that does not: use files that you trust.
    """

    labels = Labels(right=frozenset({1}), left=frozenset({2}))

    def __init__(self, model: str | None = None, device: str = "auto") -> None:
        """Choose a model.

        Args:
            model: ``R231`` (the default), ``R231CovidWeb``, or a file of weights of the same network.
            device: ``"cpu"``, or any other where the package takes a GPU if there is one.

        Raises:
            InputError: there is no such model or file, or the package is missing.
        """
        self._model, self._on_cpu = model or MODELS[0], device == "cpu"
        self._weights = None if self._model in MODELS else Path(self._model)
        if self._weights is not None and not self._weights.is_file():
            raise InputError(f"{model}: no such file of weights, and lungmask's models are {' and '.join(MODELS)}")
        self.version = foreign.require("lungmask", "lungmask", "lungmask")
        self.name = f"lungmask {self._model if self._weights is None else self._fingerprint(self._weights)}"

    @staticmethod
    def _fingerprint(weights: Path) -> str:
        return f"weights {foreign.fingerprint([weights])}"

    def predict(self, ct: sitk.Image) -> sitk.Image:
        """Return 1 right and 2 left (see `LabelNetwork.predict`)."""
        upright = sitk.DICOMOrient(ct, "LPS")
        with foreign.running("lungmask"):
            from lungmask import LMInferer

            weights = None if self._weights is None else str(self._weights)
            name = MODELS[0] if self._weights is not None else self._model
            network = LMInferer(modelname=name, modelpath=weights, force_cpu=self._on_cpu, tqdm_disable=True)
            found = network.apply(upright)
            labels = sitk.GetImageFromArray(found)
            labels.CopyInformation(upright)
        if found.max(initial=0) > 2:
            raise InputError(f"the segmenter {self.name} found more than two lungs: are these weights of lobes?")
        return labels
