"""What is remembered: preferences on this computer, and a study's own parameters in its scene."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .. import resources
from ..bundle import Bundle, read_metadata
from ..errors import BundleError

_GROUP = "DualSamplingCOVID"
DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True)
class OverlayDefaults:
    """How a new result is first shown: opacities and threshold in per cent."""

    attention: float = 100.0
    threshold: float = 0.0
    lungs: float = 100.0
    infection: float = 100.0
    filled: bool = False


class Preferences:
    """Preferences in `QSettings`, under a group of our own; what is not valid there reads as the default.

    Args:
        settings: Slicer's `QSettings`.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    @property
    def device(self) -> str:
        """``"auto"``, ``"cuda"`` or ``"cpu"``."""
        device = str(self._read("device", DEVICES[0]))
        return device if device in DEVICES else DEVICES[0]

    @device.setter
    def device(self, device: str) -> None:
        self._settings.setValue(f"{_GROUP}/device", device)

    @property
    def bundleFolder(self) -> str:
        """A folder with further bundles, empty where there is none."""
        return str(self._read("bundleFolder", ""))

    @bundleFolder.setter
    def bundleFolder(self, folder: str) -> None:
        self._settings.setValue(f"{_GROUP}/bundleFolder", folder)

    @property
    def madeBundles(self) -> tuple[str, ...]:
        """Folders of the bundles that were made on this computer, the newest last."""
        return tuple(line for line in str(self._read("madeBundles", "")).split("\n") if line)

    def addMadeBundle(self, folder: str) -> None:
        """Remember a bundle that was made."""
        others = [made for made in self.madeBundles if made != folder and Path(made).is_dir()]
        self._settings.setValue(f"{_GROUP}/madeBundles", "\n".join([*others, folder]))

    @property
    def reviewedRun(self) -> str:
        """The run folder that was reviewed last, empty where there is none."""
        return str(self._read("reviewedRun", ""))

    @reviewedRun.setter
    def reviewedRun(self, folder: str) -> None:
        self._settings.setValue(f"{_GROUP}/reviewedRun", folder)

    @property
    def overlays(self) -> OverlayDefaults:
        """How a new result is first shown."""
        values: dict[str, Any] = {}
        for field in fields(OverlayDefaults):
            default = field.default
            text = str(self._read(f"overlays/{field.name}", default))
            try:
                values[field.name] = text.lower() == "true" if isinstance(default, bool) else _percent(text)
            except ValueError:
                values[field.name] = default
        return OverlayDefaults(**values)

    @overlays.setter
    def overlays(self, overlays: OverlayDefaults) -> None:
        for name, value in asdict(overlays).items():
            self._settings.setValue(f"{_GROUP}/overlays/{name}", str(value))

    def _read(self, key: str, default: Any) -> Any:
        value = self._settings.value(f"{_GROUP}/{key}", default)
        return default if value is None else value


class Parameters:
    """The choices of a study, kept in the scene by the module's parameter node.

    Args:
        node: the `vtkMRMLScriptedModuleNode`; fetch it anew after a scene was closed.
    """

    def __init__(self, node: Any) -> None:
        self._node = node

    @property
    def bundle(self) -> str:
        """The folder of the chosen bundle, empty for the first."""
        return str(self._node.GetParameter("bundle") or "")

    @bundle.setter
    def bundle(self, folder: str) -> None:
        self._node.SetParameter("bundle", folder)

    @property
    def ct(self) -> Any:
        """The chosen CT, None where there is none."""
        return self._node.GetNodeReference("ct")

    @ct.setter
    def ct(self, node: Any) -> None:
        self._node.SetNodeReferenceID("ct", node.GetID() if node is not None else None)

    @property
    def result(self) -> Any:
        """The node of the result that is shown, None where there is none."""
        return self._node.GetNodeReference("result")

    @result.setter
    def result(self, node: Any) -> None:
        self._node.SetNodeReferenceID("result", node.GetID() if node is not None else None)


def bundles(folder: str, made: tuple[str, ...] = ()) -> list[Bundle]:
    """Return the bundles that ship, those in a folder (it or below it), and those made here; broken ones left out."""
    shipped = resources.path("Bundles")
    candidates = sorted(shipped.iterdir())
    with contextlib.suppress(OSError):  # a share that is not mounted holds no bundles
        if folder and Path(folder).is_dir():
            candidates += [Path(folder), *sorted(path for path in Path(folder).iterdir() if path.is_dir())]
    candidates += [Path(path) for path in made]
    found = []
    for candidate in dict.fromkeys(candidates):
        try:
            found.append(read_metadata(candidate))
        except BundleError:
            continue
    return found


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError(f"{text} is no percentage")
    return value
