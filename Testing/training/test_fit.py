"""The trainer learns, is repeatable, and gradients do not depend on how a batch is cut."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.cohort import Case, write_cohort_csv
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, CutOffs
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.network.device import exact
from DualSamplingCOVIDLib.run_folder.volume import write_volume
from DualSamplingCOVIDLib.training.cross_validation import repeatable
from DualSamplingCOVIDLib.training.fit import Settings, Trainer, predict
from DualSamplingCOVIDLib.training.prepared import PreparedCase, PreparedDataset


def _dataset(folder: Path, cases: int, seed: int) -> PreparedDataset:
    """COVID-19 is a bright ball at a random place, CAP is none."""
    rng = np.random.default_rng(seed)
    prepared = []
    for number in range(cases):
        label = COVID if number % 2 else CAP
        image = rng.normal(0.3, 0.05, (32, 48, 48)).clip(0, 1)
        centre = rng.integers((10, 14, 14), (22, 34, 34))
        distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(np.indices(image.shape), centre, strict=True)))
        ball = distance < 8
        if label == COVID:
            image[ball] += 0.6
        file = folder / f"{seed}-{number}.npz"
        infection = (ball * (label == COVID) * 255).astype(np.uint8)
        write_volume(file, image.astype(np.float16), infection, np.full_like(infection, 255))
        prepared.append(PreparedCase(str(number), str(number), label, "", 0.01, file))
    return PreparedDataset(prepared)


SETTINGS = {"width": 4, "epochs": 4, "batch": 4, "learning_rate": 3e-3}
CPU = torch.device("cpu")


@pytest.mark.parametrize(("sampling", "kind"), [("US", "attention"), ("SS", "attention"), ("US", "baseline")])
def test_a_model_learns_to_tell_the_classes(tmp_path: Path, sampling: str, kind: str) -> None:
    training, validation = _dataset(tmp_path, 24, 1), _dataset(tmp_path, 12, 2)
    trainer = Trainer(Settings(sampling, kind, **SETTINGS), training, validation, CutOffs(), CPU)
    fitted = trainer.fit()
    assert fitted.best.validation_auc >= 0.9
    assert fitted.history[-1].bce < fitted.history[0].bce
    assert (fitted.history[0].attention > 0) == (kind == "attention")


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path) -> None:
    training, validation = _dataset(tmp_path, 12, 1), _dataset(tmp_path, 8, 2)
    trainer = Trainer(Settings(**SETTINGS), training, validation, CutOffs(), CPU)
    fitted = trainer.fit()
    trainer.network.load_state_dict(fitted.state)
    _, auc = trainer.validate()
    assert auc == pytest.approx(fitted.best.validation_auc)
    assert fitted.best.validation_auc == max(epoch.validation_auc for epoch in fitted.history)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    training, validation = _dataset(tmp_path, 8, 1), _dataset(tmp_path, 4, 2)
    settings = Settings(**{**SETTINGS, "epochs": 1})
    first, second = (Trainer(settings, training, validation, CutOffs(), CPU).fit().state for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_lone_rest_joins_the_batch_before_it(tmp_path: Path) -> None:
    training, validation = _dataset(tmp_path, 5, 1), _dataset(tmp_path, 4, 2)
    settings = Settings(**{**SETTINGS, "batch": 5, "epochs": 1})
    assert len(Trainer(settings, training, validation, CutOffs(), CPU).fit().history) == 1


def test_predictions_come_in_the_order_of_the_cases(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 6, 3)
    trainer = Trainer(Settings(**SETTINGS), dataset, dataset, CutOffs(), CPU)
    together = predict(trainer.network, dataset, 4, CPU)
    alone = [float(predict(trainer.network, PreparedDataset([case]), 1, CPU)) for case in dataset.cases]
    assert together.tolist() == pytest.approx(alone, abs=1e-5)


def _flags() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32


def test_predictions_are_computed_in_whole_float32_whatever_the_training_is(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 4, 3)
    trainer = Trainer(Settings(**SETTINGS), dataset, dataset, CutOffs(), CPU)
    seen: list[tuple[bool, ...]] = []
    trainer.network.register_forward_hook(lambda *_: seen.append(_flags()))
    with repeatable(torch.device("cuda"), 0):
        assert _flags() == (True, True, False, True)
        predict(trainer.network, dataset, 2, CPU)
        assert _flags() == (True, True, False, True)
    assert seen == [(True, False, True, False)] * 2
    with exact():
        assert _flags() == seen[0]


def test_a_gpu_without_room_ends_a_fit_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = _dataset(tmp_path, 8, 1).cases
    ready = [dataclasses.replace(case, split=("train", "validation")[n // 4]) for n, case in enumerate(ready)]
    ready = [dataclasses.replace(case, ratio=0.01 * (n + 1)) for n, case in enumerate(ready)]
    cases = [Case(case.case_id, case.case_id, case.file, case.label, split=case.split) for case in ready]
    write_cohort_csv(tmp_path / "cohort.csv", cases)

    def step(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("DualSamplingCOVIDLib.training.prepared.prepare_cohort", lambda *_: ready)
    monkeypatch.setattr(Trainer, "step", step)
    arguments = ["fit", str(tmp_path / "cohort.csv"), "--output", str(tmp_path / "out"), "--width", "2"]
    assert main([*arguments, "--device", "cpu", "--progress", "none"]) == 5
    expected = "error: the fit: GPU memory ran out; take a smaller --width, or a larger --shrink\n"
    assert capsys.readouterr().err == expected and not (tmp_path / "out").exists()


def test_one_class_alone_cannot_be_learned(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 6, 1)
    covid_only = PreparedDataset([case for case in dataset.cases if case.label == COVID])
    with pytest.raises(InputError, match="both classes"):
        Trainer(Settings(**SETTINGS), covid_only, dataset, CutOffs(), CPU)


@pytest.mark.parametrize(("schedule", "rates"), [("steps", [1.0, 0.1, 0.01, 0.001]), ("one-cycle", None)])
def test_the_learning_rate_takes_its_course(tmp_path: Path, schedule: str, rates: list[float] | None) -> None:
    dataset = _dataset(tmp_path, 4, 1)
    trainer = Trainer(Settings(schedule=schedule, **SETTINGS), dataset, dataset, CutOffs(), CPU)
    seen = []
    for _ in range(SETTINGS["epochs"]):
        seen.append(trainer.optimiser.param_groups[0]["lr"] / SETTINGS["learning_rate"])
        trainer.step([0, 1, 2, 3], trainer.load([[0, 1, 2, 3]]))
    if rates is None:
        assert max(seen) <= 1.0 and seen[-1] < 0.2 * max(seen)
    else:
        assert seen == pytest.approx(rates)


def test_augmented_cases_still_teach_and_repeat(tmp_path: Path) -> None:
    training, validation = _dataset(tmp_path, 16, 1), _dataset(tmp_path, 8, 2)
    settings = Settings(augmentation="mirror-and-shift", schedule="one-cycle", **SETTINGS)
    first, second = (Trainer(settings, training, validation, CutOffs(), CPU).fit() for _ in range(2))
    assert first.best.validation_auc >= 0.9
    assert first.history == second.history


def test_the_one_cycle_schedule_leaves_adams_betas_alone(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 4, 1)
    trainer = Trainer(Settings(schedule="one-cycle", **SETTINGS), dataset, dataset, CutOffs(), CPU)
    for _ in range(3):
        trainer.step([0, 1, 2, 3], trainer.load([[0, 1, 2, 3]]))
        assert trainer.optimiser.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize(
    ("schedule", "optimiser", "augmentation"),
    [
        ("steps", "adam", "mirror-and-shift"),
        ("one-cycle", "adam", "mirror-and-shift"),
        ("one-cycle", "muon", "mirror-and-shift"),
        ("one-cycle", "muon", "monai"),
    ],
)
def test_a_trainer_that_is_restored_goes_on_as_if_nothing_had_been_between(
    tmp_path: Path, schedule: str, optimiser: str, augmentation: str
) -> None:
    dataset = _dataset(tmp_path, 8, 1)
    settings = Settings(sampling="SS", schedule=schedule, optimiser=optimiser, augmentation=augmentation, **SETTINGS)
    whole = Trainer(settings, dataset, dataset, CutOffs(), CPU)
    states = []
    whole.epoch_ended = lambda: states.append(copy.deepcopy(whole.state()))  # type: ignore[method-assign]
    expected = whole.fit()
    later = Trainer(settings, dataset, dataset, CutOffs(), CPU)
    later.restore(states[1])
    found = later.fit()
    assert found.history == expected.history
    assert all(torch.equal(found.state[name], expected.state[name]) for name in expected.state)


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 8, 1)
    trainer = Trainer(Settings(**SETTINGS), dataset, dataset, CutOffs(), CPU)
    with torch.no_grad():
        trainer.network.fc.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="no number any more in epoch 1; take a lower learning_rate"):
        trainer.fit()


def test_mixed_precision_is_left_out_where_the_features_are_too_few(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 4, 1)
    trainer = Trainer(Settings(**SETTINGS), dataset, dataset, CutOffs(), CPU)
    for size, wanted in ((32, False), (33, True)):
        context = trainer.precision(torch.zeros(1, 1, size, 64, 64))
        assert isinstance(context, torch.autocast) == wanted


@pytest.mark.parametrize(
    "values",
    [{"sampling": "XX"}, {"kind": "other"}, {"batch": 0}, {"learning_rate": 0.0}, {"decay": 0.0}, {"beta_2": 1.0}],
)
def test_settings_out_of_range_are_named(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Settings(**values)  # type: ignore[arg-type]
