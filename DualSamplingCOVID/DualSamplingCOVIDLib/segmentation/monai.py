"""MONAI bundles: whatever model a bundle folder holds whose channels mean lung or infection."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..errors import InputError
from . import foreign
from .networks import Labels

CONFIGS = ("inference.json", "inference.yaml", "inference.yml")


class MonaiBundle:
    """A MONAI bundle (written for MONAI 1.6.1): configs/metadata.json and configs/inference.json or .yaml.

    The bundle runs as its authors run it (`monai.bundle run`): `ConfigParser` evaluates ``initialize`` and ``run``.
    Only what is read and written is replaced, by the names that the Model Zoo's bundles use: ``bundle_root``,
    ``dataset#data`` (the CT as NIfTI in a temporary folder) and ``output_dir`` (another one, where ``SaveImaged`` puts
    the label map), and ``device`` where the CPU is asked for. The label map's own geometry tells where it lies. Labels
    are read off the names in ``network_data_format.outputs.*.channel_def``.

    A bundle's configuration is evaluated as Python: it can run code. Use bundles that you trust.
    """

    def __init__(self, folder: str | None = None, device: str = "auto") -> None:
        """Read what a bundle says of itself; its weights wait for `predict`.

        Args:
            folder: the bundle.
            device: ``"cpu"``, or any other where the bundle's own choice stands.

        Raises:
            InputError: it is no bundle with channels that mean something, or the package is missing.
        """
        if not folder:
            raise InputError("the segmenter monai needs a bundle folder: monai:FOLDER")
        self._folder, self._on_cpu = Path(folder), device == "cpu"
        if not self._folder.is_dir():
            raise InputError(f"{folder}: no such folder, where the segmenter monai expected a bundle")
        self._metadata = self._folder / "configs" / "metadata.json"
        metadata = foreign.read_json(self._metadata, "monai")
        configs = [self._folder / "configs" / name for name in CONFIGS]
        self._config = next((path for path in configs if path.is_file()), None)
        if self._config is None:
            raise InputError(f"{self._folder / 'configs'}: the segmenter monai needs {' or '.join(CONFIGS)} there")
        try:
            formats = metadata["network_data_format"]
            self.labels = Labels.named(_channels(formats["outputs"]))
            self._image_key = next(iter(formats["inputs"]))
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise InputError(f"{self._metadata}: not usable: {error}") from None
        weights = foreign.fingerprint(sorted(path for path in self._folder.glob("models/*") if path.is_file()))
        self.name = f"MONAI {metadata.get('name', 'bundle')} {metadata.get('version', '')}".strip()
        self.version = f"{foreign.require('monai', 'monai', 'monai')} weights {weights}"

    def predict(self, ct: sitk.Image) -> sitk.Image:
        """Return the bundle's label map (see `LabelNetwork.predict`)."""
        with tempfile.TemporaryDirectory() as scratch, foreign.running("monai"):
            from monai.bundle import ConfigParser

            file, output = Path(scratch) / "ct.nii.gz", Path(scratch) / "output"
            sitk.WriteImage(ct, file)
            parser = ConfigParser()
            parser.read_meta(str(self._metadata))
            parser.read_config(str(self._config))
            changes: dict[str, Any] = {
                "bundle_root": str(self._folder),
                "output_dir": str(output),
                "dataset#data": [{self._image_key: str(file)}],
            }
            if "dataloader" in parser:
                changes["dataloader#num_workers"] = 0
            if self._on_cpu and "device" in parser:
                changes["device"] = "$torch.device('cpu')"
            parser.update(changes)
            for step in ("initialize", "run"):
                if step in parser:
                    parser.get_parsed_content(step)
            return self._written(output)

    def _written(self, output: Path) -> sitk.Image:
        files = [path for path in sorted(output.rglob("*")) if path.is_file()]
        if len(files) != 1:
            raise InputError(f"the segmenter {self.name} wrote {len(files)} files where one label map was expected")
        labels = sitk.ReadImage(files[0])
        if labels.GetDimension() != 3 or labels.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(f"the segmenter {self.name} wrote several channels where one label map was expected")
        return sitk.Cast(sitk.Round(labels), sitk.sitkInt32)


def _channels(outputs: dict[str, Any]) -> dict[str, list[int]]:
    """Name -> values, of every output that names its channels."""
    named: dict[str, list[int]] = {}
    for output in outputs.values():
        for value, name in output.get("channel_def", {}).items():
            named.setdefault(str(name), []).append(int(value))
    return named
