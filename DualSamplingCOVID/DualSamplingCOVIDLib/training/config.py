"""What a cross-validation is made of: a TOML file whose every key is known, checked and explained."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..preprocessing import GridSpec
from ..run_folder import MODELS, SAMPLING_AND_KIND
from ..segmentation import DEFAULT
from .settings import Settings

MASKS = ("cohort", "segmenter")

EXPLAINED = {
    "seed": "decides folds, first weights and order of the cases",
    "folds": "by patient, alike in labels and infection ratios",
    "models": "of baseline-us, attention-us, attention-ss",
    "segmenter": "finds lungs and infection, as in `segment --segmenter`",
    "masks": '"cohort": masks that the cohort names replace the segmenter\'s; "segmenter": they do not',
    "grid_shape": "voxels of the network's input (k, j, i)",
    "grid_spacing": "their size in mm (x, y, z)",
    "threads": "processor threads that compute; 0: as many as there are cores",
    "width": "channels of the first layer",
    "epochs": "how often the cases are gone through",
    "batch": "cases an optimiser step",
    "micro_batch": "cases that go through the network at a time; gradients add up to `batch`",
    "optimiser": '"adam" or "muon" (for few epochs, with a learning_rate of 1e-2)',
    "learning_rate": "at the start (steps) or at most (one-cycle)",
    "beta_1": "Adam's; of what Muon leaves to AdamW, AdamW's",
    "beta_2": "the same",
    "weight_decay": "the same (Adam's is L2)",
    "schedule": '"steps" or "one-cycle" (for few cases)',
    "decay": "by how much the learning rate falls (steps)",
    "decay_epochs": "after how many epochs each time; 0: a quarter of all, as in the paper",
    "attention_weight": "of the attention loss against the cross-entropy (Eq. 4)",
    "alpha": "Eq. 2's: how sharply the attention becomes a mask",
    "beta": "Eq. 2's: where",
    "augmentation": '"none", "mirror-and-shift" or "monai"',
    "mixed_precision": "bfloat16 where the hardware computes in it",
    "compile": "whether PyTorch compiles the network first",
    "workers": "processes that load cases for a GPU",
}
"""Every key in the order of the file, with what it means."""

_OF_A_MODEL = ("sampling", "kind", "seed")
_TRAINING = tuple(f.name for f in dataclasses.fields(Settings) if f.name not in _OF_A_MODEL)


@dataclass(frozen=True)
class Config:
    """All settings of a cross-validation; the defaults are the paper's. `EXPLAINED` says what each means."""

    seed: int = 0
    folds: int = 5
    models: tuple[str, ...] = MODELS
    segmenter: str = DEFAULT
    masks: str = MASKS[0]
    grid_shape: tuple[int, int, int] = GridSpec().shape_kji
    grid_spacing: tuple[float, float, float] = GridSpec().spacing_xyz
    threads: int = 0
    training: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")
        if self.seed < 0 or self.threads < 0:
            raise ValueError(f"{'seed' if self.seed < 0 else 'threads'} must be 0 or more")
        unknown = [name for name in self.models if name not in MODELS]
        if unknown or not self.models or len(set(self.models)) < len(self.models):
            raise ValueError(f"models must be some of {', '.join(MODELS)}, each once, got {list(self.models)}")
        if self.masks not in MASKS:
            raise ValueError(f"masks must be one of {', '.join(MASKS)}, got {self.masks!r}")
        try:
            grid = self.grid
        except ValueError as error:
            raise ValueError(
                str(error).replace("shape_kji", "grid_shape").replace("spacing_xyz", "grid_spacing")
            ) from None
        if min(grid.shape_kji) < 16:
            raise ValueError(f"grid_shape must be at least 16 along each axis, got {list(grid.shape_kji)}")

    @property
    def grid(self) -> GridSpec:
        """The network's grid."""
        return GridSpec(self.grid_shape, self.grid_spacing)

    def settings(self, model: str, fold: int) -> Settings:
        """Return how one of `MODELS` is fitted in a fold: each fold starts from weights of its own."""
        sampling, kind = SAMPLING_AND_KIND[model]
        return dataclasses.replace(self.training, sampling=sampling, kind=kind, seed=self.seed + fold)

    def values(self) -> dict[str, Any]:
        """Return every key with its value, in the order of the file."""
        return {key: getattr(self.training if key in _TRAINING else self, key) for key in EXPLAINED}

    def changed(self, **values: Any) -> Config:
        """Return this with other values of some keys; ValueError where one is none of its kind."""
        training = {key: value for key, value in values.items() if key in _TRAINING}
        own = {key: value for key, value in values.items() if key not in _TRAINING}
        return dataclasses.replace(self, training=dataclasses.replace(self.training, **training), **own)

    def to_toml(self) -> str:
        """Return the file that `read_config` reads back, each key explained."""
        lines = ["# A cross-validation's settings, all of them; the paper's where nothing else was asked for."]
        for key, value in self.values().items():
            text = json.dumps(list(value) if isinstance(value, tuple) else value)
            lines.append(f"{key} = {text}  # {EXPLAINED[key]}")
        return "\n".join(lines) + "\n"


def read_config(path: Path | None) -> Config:
    """Read a file of settings; what it does not name is the paper's. None: all of it.

    Raises:
        InputError: one line that names the file and every key that is unknown (with the nearest known one), of the
            wrong type or out of range, with its line.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    problems, values, default = [], {}, Config().values()
    for key, value in given.items():
        if key not in default:
            near = difflib.get_close_matches(key, default, 1, 0.5)
            problems.append(_at(text, key, f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")))
            continue
        try:
            values[key] = _typed(value, default[key])
            Config().changed(**{key: values[key]})
        except (TypeError, ValueError) as error:
            problems.append(_at(text, key, str(error) if key in str(error) else f"{key} must be {error}"))
    if problems:
        raise InputError(f"{path}: " + "; ".join(problems))
    return Config().changed(**values)


def _at(text: str, key: str, problem: str) -> str:
    """Say on which line of the file a key's problem is."""
    found = re.search(rf"""^[ \t]*\[?[ \t]*["']?{re.escape(key)}["']?[ \t]*[=.\]]""", text, re.MULTILINE)
    return f"line {text.count(chr(10), 0, found.start()) + 1}: {problem}" if found else problem


def _typed(value: Any, like: Any) -> Any:
    """Return a value of the kind of the default; TypeError says what is needed."""
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        raise TypeError(f"true or false, got {value!r}")
    if isinstance(like, tuple):
        if isinstance(value, list) and (len(value) == len(like) or isinstance(like[0], str)):
            return tuple(_typed(one, like[0]) for one in value)
        raise TypeError(f"a list of {'names' if isinstance(like[0], str) else len(like)}, got {value!r}")
    wanted: tuple[type, ...] = (int, float) if isinstance(like, float) else (type(like),)
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = {int: "a whole number", float: "a number", str: "a text"}[type(like)]
        raise TypeError(f"{kind}, got {value!r}")
    return type(like)(value)
