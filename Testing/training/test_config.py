"""Settings of a cross-validation: the paper's by default, and no slip goes unnoticed."""

import dataclasses
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.training.config import EXPLAINED, Config, read_config
from DualSamplingCOVIDLib.training.settings import Settings


def _written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_the_papers() -> None:
    config = read_config(None)
    assert config.grid_shape == (138, 256, 256) and config.folds == 5
    expected = {
        "width": 64,
        "epochs": 20,
        "batch": 20,
        "optimiser": "adam",
        "learning_rate": 2e-4,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "weight_decay": 1e-4,
        "schedule": "steps",
        "decay": 0.1,
        "attention_weight": 0.5,
        "alpha": 100.0,
        "beta": 0.4,
        "augmentation": "none",
        "mixed_precision": True,
    }
    assert expected.items() <= config.values().items()


def test_every_setting_is_a_key_that_is_explained() -> None:
    of_a_model = {"sampling", "kind"}
    names = {f.name for f in (*dataclasses.fields(Settings), *dataclasses.fields(Config))} - of_a_model - {"training"}
    assert set(EXPLAINED) == names


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = Config().changed(width=4, models=("attention-us",), grid_shape=(32, 48, 48), learning_rate=1e-3, seed=7)
    assert read_config(_written(tmp_path, config.to_toml())) == config


def test_a_model_has_its_sampling_and_kind_and_a_fold_its_own_seed() -> None:
    config = Config().changed(seed=10)
    found = {name: (config.settings(name, 0).sampling, config.settings(name, 0).kind) for name in config.models}
    assert found == {
        "baseline-us": ("US", "baseline"),
        "attention-us": ("US", "attention"),
        "attention-ss": ("SS", "attention"),
    }
    assert [config.settings("attention-us", fold).seed for fold in (0, 3)] == [10, 13]


def test_every_problem_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    text = """# slips
epochs = 5
learning_rat = 1.0
batch = 2.5
zzz = 1

width = 0
mixed_precision = 1
models = ["attention-su"]
grid_shape = [1, 2]
[grid]
shape = [1, 2, 3]
"""
    path = _written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for problem in (
        "line 3: unknown key 'learning_rat'; did you mean 'learning_rate'?",
        "line 4: batch must be a whole number, got 2.5",
        "line 5: unknown key 'zzz'",
        "line 7: width must be at least 1, got 0",
        "line 8: mixed_precision must be true or false, got 1",
        "line 9: models must be some of baseline-us, attention-us, attention-ss",
        "line 10: grid_shape must be a list of 3",
        "line 11: unknown key 'grid'",
    ):
        assert problem in message


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("epochs = ", "not a TOML file"),
        ("folds = 1", "line 1: folds must be at least 2"),
        ("learning_rate = 0", "learning_rate must be above 0"),
        ("optimiser = 'sgd'", "optimiser must be one of adam, muon"),
        ("schedule = 'cosine'", "schedule must be one of steps, one-cycle"),
        ("augmentation = 'jokes'", "augmentation must be one of none, mirror-and-shift, monai"),
        ("grid_spacing = [1, 1, -1]", "grid_spacing must be three positive lengths"),
        ("grid_shape = [138, 256, 15]", "at least 16"),
        ("masks = 'none'", "masks must be one of"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(InputError, match=cause):
        read_config(_written(tmp_path, text))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_config(tmp_path / "none.toml")
