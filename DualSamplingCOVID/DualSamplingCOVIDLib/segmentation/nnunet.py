"""nnU-Net v2 (Isensee et al. 2021): whatever model a folder holds whose labels mean lung or infection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from . import foreign
from .networks import Labels

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
REORIENTING = {"NibabelIOWithReorient": "RAS", "SimpleITKIOWithReorient": "RAS"}
"""Readers (plans.json, ``image_reader_writer``) that turn every image before the network sees it."""


class NNUNet:
    """A trained model folder of the package nnunetv2 (written for 2.8.1): dataset.json, plans.json, fold_N/.

    `nnUNetPredictor.initialize_from_trained_model_folder` and `predict_single_npy_array` take an array
    [channel, k, j, i] with the spacing (k, j, i), and return one [k, j, i]. They know no direction, so the CT is
    handed over in the order of the model's own reader: RAS where that turns images, else LPS, as CTs come from DICOM.
    Labels are read off the names in dataset.json.

    The package reads the checkpoints with `torch.load(weights_only=False)`: a model folder can run code. Use folders
    that you trust.
    """

    def __init__(self, folder: str | None = None, device: str = "auto") -> None:
        """Read what a model folder says of itself; its weights wait for `predict`.

        Args:
            folder: the model folder.
            device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

        Raises:
            InputError: it is no model folder for a CT with labels that mean something, or the package is missing.
        """
        if not folder:
            raise InputError("the segmenter nnunet needs a trained model folder: nnunet:FOLDER")
        self._folder, self._device = Path(folder), device
        if not self._folder.is_dir():
            raise InputError(f"{folder}: no such folder, where the segmenter nnunet expected a trained model")
        dataset = foreign.read_json(self._folder / "dataset.json", "nnunet")
        plans = foreign.read_json(self._folder / "plans.json", "nnunet")
        try:
            self.labels = Labels.named(dataset["labels"])
            channels = len(dataset["channel_names"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self._folder / 'dataset.json'}: not usable: {error}") from None
        if channels != 1:
            raise InputError(f"{self._folder / 'dataset.json'}: the model needs {channels} images, a CT is one")
        self._order = REORIENTING.get(str(plans.get("image_reader_writer")), "LPS")
        self._checkpoint, self._folds = self._find_folds()
        weights = foreign.fingerprint(self._folder / f"fold_{fold}" / self._checkpoint for fold in self._folds)
        self.name = f"nnU-Net {plans.get('dataset_name', 'model')}"
        self.version = f"{foreign.require('nnunet', 'nnunetv2', 'nnunetv2')} weights {weights}"

    def predict(self, ct: sitk.Image) -> sitk.Image:
        """Return the model's label map (see `LabelNetwork.predict`)."""
        ordered = sitk.DICOMOrient(ct, self._order)
        with foreign.running("nnunet"):
            import torch
            from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

            device = torch.device("cuda" if self._device != "cpu" and torch.cuda.is_available() else "cpu")
            predictor = nnUNetPredictor(device=device, allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(self._folder), self._folds, self._checkpoint)
            volume = sitk.GetArrayFromImage(ordered).astype(np.float32)[None]
            found = predictor.predict_single_npy_array(volume, {"spacing": list(ordered.GetSpacing()[::-1])})
            labels = sitk.GetImageFromArray(np.asarray(found).astype(np.int32))
            labels.CopyInformation(ordered)
        return labels

    def _find_folds(self) -> tuple[str, tuple[int | str, ...]]:
        """The checkpoint's name, and the folds that have it: the numbered ones, else ``all``."""
        for checkpoint in CHECKPOINTS:
            names = [path.parent.name.removeprefix("fold_") for path in self._folder.glob(f"fold_*/{checkpoint}")]
            numbered = sorted(int(name) for name in names if name.isdecimal())
            if numbered:
                return checkpoint, tuple(numbered)
            if "all" in names:
                return checkpoint, ("all",)
        raise InputError(f"{self._folder}: no fold holds {' or '.join(CHECKPOINTS)}")
