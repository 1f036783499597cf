"""A run's maps measured: who sees which case, what randomised weights do, and going on where it was left."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from DualSamplingCOVIDLib import weights
from DualSamplingCOVIDLib.commands.attention import write_attention
from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.ensemble import weight
from DualSamplingCOVIDLib.errors import BundleError, InputError
from DualSamplingCOVIDLib.evaluation import attention_run
from DualSamplingCOVIDLib.evaluation.attention_cases import maps_of
from DualSamplingCOVIDLib.evaluation.attention_networks import STAGES, MapModel, randomised
from DualSamplingCOVIDLib.evaluation.attention_quality import energy_inside, rank_correlation
from DualSamplingCOVIDLib.evaluation.attention_run import MeasureSettings, check_sanity, measure_case, measure_run
from DualSamplingCOVIDLib.evaluation.attention_tables import DS, GRAD_CAM, METHODS, SS, US, summarise
from DualSamplingCOVIDLib.evaluation.attention_text import text_tables
from DualSamplingCOVIDLib.network.attention import grad_cam, online_attention
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.run_folder import (
    ATTENTION_SS,
    ATTENTION_US,
    CASE_COLUMNS,
    MODELS,
    BegunRun,
    read_begun,
    read_weights,
)
from DualSamplingCOVIDLib.run_folder.volume import write_volume

SHAPE = (20, 34, 34)
WIDTH = 2
FAST = MeasureSettings(curve_steps=2, sanity_cases=1)


def network(seed: int) -> ResNet34:
    """Return a network whose map is alive: its last weights are positive as often as not, its bias 0."""
    torch.manual_seed(seed)
    return ResNet34(WIDTH).eval()


def a_volume(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    lungs, infection = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    lungs[2:18, 4:30, 3:31] = 255
    infection[6:10, 14:22, 18:26] = 255
    image = np.where(lungs > 0, 0.3 + 0.05 * random.random(SHAPE) + 0.4 * (infection > 0), 0)
    return {"image": image.astype(np.float16), "infection": infection, "lungs": lungs}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two folds: three COVID-19 cases of two patients, a CAP case, a test case."""
    run = tmp_path_factory.mktemp("run")
    cut_offs = {"minimal": 0.001, "small": 0.005, "large": 0.03}
    card = {"schema": 1, "grid": {"shape_kji": SHAPE, "spacing_xyz": [5.0, 6.0, 7.0]}, "folds": 2,
            "models": MODELS, "software": {}, "cohort_sha256": "", "notes": [],
            "segmenter": {"name": "by hand", "version": "1", "cut_offs": cut_offs, "detection_limit": 0.0}}  # fmt: skip
    (run / "run.json").write_text(json.dumps(card))
    (run / "cache").mkdir()
    cases = (
        ("a", "p", COVID, 0, 0.0005, "small"),
        ("b", "p", COVID, 0, 0.02, "medium"),
        ("c", "q", COVID, 1, 0.06, "large"),
        ("d", "r", CAP, 1, 0.02, "medium"),
        ("t", "s", COVID, "", 0.02, "medium"),
    )
    with (run / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, CASE_COLUMNS)
        writer.writeheader()
        for number, (case, patient, label, fold, ratio, stratum) in enumerate(cases):
            write_volume(run / "cache" / f"{case}.npz", **a_volume(number))
            writer.writerow({"case_id": case, "patient_id": patient, "label": label, "fold": fold, "ratio": ratio,
                             "split": "" if fold != "" else "test", "image": f"{case}.nii.gz",
                             "stratum": stratum, "prepared": f"cache/{case}.npz"})  # fmt: skip
    for fold in (0, 1):
        for number, model in enumerate(MODELS):
            place = run / "folds" / str(fold) / model
            place.mkdir(parents=True)
            digest = weights.write(place / "weights.safetensors", network(10 * fold + number).state_dict())
            (place / "predictions.csv").write_text("case_id,set,logit,probability\n")
            (place / "result.json").write_text(json.dumps({"sha256": digest}))
    return run


@pytest.fixture(scope="module")
def run(folder: Path) -> BegunRun:
    return read_begun(folder)


def test_the_run_folder_gives_validation_cases_and_finished_models(folder: Path, run: BegunRun) -> None:
    assert [(case.case_id, case.fold) for case in run.validation] == [("a", 0), ("b", 0), ("c", 1), ("d", 1)]
    assert run.grid_spacing_xyz == (5.0, 6.0, 7.0) and run.cut_offs.large == 0.03
    assert run.cases[0].prepared == folder / "cache" / "a.npz"
    assert list(run.weights(1)) == list(MODELS)


def test_weights_that_the_run_did_not_leave_are_not_measured(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights.write(copy / "folds" / "1" / "attention-us" / "weights.safetensors", network(77).state_dict())
    with pytest.raises(BundleError, match=r"weights\.safetensors: missing, or not the weights"):
        measure_run(read_begun(copy), FAST)


def test_a_cache_that_is_gone_is_said_before_anything_is_measured(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "cache" / "c.npz").unlink()
    with pytest.raises(InputError, match=r"c\.npz: gone, with 1 of 3 prepared cases of COVID-19; bring"):
        measure_run(read_begun(copy), FAST)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a folder of cross-validate: run\.json cannot be read"):
        read_begun(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="'schema' is missing"):
        read_begun(tmp_path)


def test_each_case_is_seen_by_its_own_folds_models_and_ds_weighs_them(run: BegunRun) -> None:
    for found in maps_of(run, ["a", "c"]):
        case = found.case
        x = torch.from_numpy(found.image)[None, None]
        baseline, uniform, balanced = (network(10 * case.fold + number) for number in range(3))
        with torch.no_grad():
            us = online_attention(uniform.features(x), uniform.fc.weight, SHAPE)
            ss = online_attention(balanced.features(x), balanced.fc.weight, SHAPE)
            cam = grad_cam(baseline.classify, baseline.features(x), SHAPE)
            p_us, p_ss = (float(torch.sigmoid(model(x).logit)) for model in (uniform, balanced))
        expected = {US: us.normalised, SS: ss.normalised, GRAD_CAM: cam.normalised}
        for method, tensor in expected.items():
            np.testing.assert_allclose(found.maps[method], tensor[0, 0].numpy(), atol=2e-4)
        w = weight(case.ratio, run.cut_offs)
        assert w == 0.35
        np.testing.assert_allclose(found.maps[DS], w * found.maps[US] + (1 - w) * found.maps[SS], atol=1e-6)
        assert found.probabilities[DS] == pytest.approx(w * p_us + (1 - w) * p_ss, abs=1e-4)
        assert found.peaks[US] == pytest.approx(float(us.raw_peak), rel=1e-3) and math.isnan(found.peaks[DS])


def test_a_run_is_measured_over_its_covid_cases_with_every_method(run: BegunRun) -> None:
    found = measure_run(run, FAST, resamples=20)
    assert {(row.case_id, row.method) for row in found.maps} == {(case, m) for case in "abc" for m in METHODS}
    (maps,) = maps_of(run, ["b"])
    row = next(row for row in found.maps if (row.case_id, row.method) == ("b", US))
    assert row.measures.energy_infection == pytest.approx(energy_inside(maps.maps[US], maps.infection))
    assert row.curves is not None and row.curves.insertion[-1] == pytest.approx(maps.probabilities[US], abs=1e-6)
    assert row.curves.insertion[-1] == row.curves.deletion[0] and len(row.curves.fractions) == 3
    figure = found.figure(US, "energy_infection")
    assert (figure.n + figure.dead, figure.patients) == (3, 2)
    assert {row.case_id for row in found.maps if row.sanity} == {"a", "c"}  # the first of each fold
    assert dict(found.settings)["curve_steps"] == 2


def test_without_curve_steps_there_are_no_curves_and_missing_models_leave_their_methods_out(
    run: BegunRun, tmp_path: Path
) -> None:
    only = dataclasses.replace(run, folder=tmp_path)
    place = only.model_folder(0, "attention-us")
    shutil.copytree(run.model_folder(0, "attention-us"), place)
    found = measure_run(only, MeasureSettings(curve_steps=0, sanity_cases=0), resamples=5)
    assert {(row.case_id, row.method) for row in found.maps} == {("a", US), ("b", US)}
    assert all(row.curves is None for row in found.maps) and not found.sanity and not found.differences
    assert found.figure(US, "insertion").undefined + found.figure(US, "insertion").dead == 2


def test_a_run_without_covid_cases_is_refused(run: BegunRun) -> None:
    with pytest.raises(InputError, match="no validation case of COVID-19"):
        measure_run(dataclasses.replace(run, cases=run.cases[3:]))
    assert {row.case_id for row in measure_run(run, FAST, label=CAP, resamples=5).maps} == {"d"}


def test_stages_are_randomised_from_the_last_layer_on() -> None:
    state = network(3).state_dict()
    changed = []
    for stage, mixed in randomised(state, seed=5):
        different = {name.split(".")[0] for name in state if not torch.equal(state[name], mixed[name])}
        changed.append((stage, different))
    assert [stage for stage, _ in changed] == list(STAGES)
    for number, (_, different) in enumerate(changed):
        assert different == {*STAGES[: number + 1]}  # an untrained batch norm is as the fresh one


def test_randomising_follows_the_seed_and_leaves_the_callers_random_numbers_alone() -> None:
    state = network(3).state_dict()
    torch.manual_seed(8)
    expected = torch.rand(1)
    torch.manual_seed(8)
    first, again, other = (dict(randomised(state, seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first["fc"]["fc.weight"], again["fc"]["fc.weight"])
    assert not torch.equal(first["fc"]["fc.weight"], other["fc"]["fc.weight"])


class _Remembers(MapModel):
    """A model whose "randomised" network is the same one."""

    def randomised_maps(self, image: np.ndarray, seed: int):  # type: ignore[no-untyped-def]
        for stage in STAGES:
            yield stage, self.map(image)


def test_the_same_network_correlates_with_itself_and_a_randomised_one_does_not(run: BegunRun) -> None:
    case = run.cases[0]
    same = check_sanity(run, case, {name: _Remembers(read_weights(run, 0, name), name) for name in run.weights(0)}, 0)
    assert set(same) == set(METHODS)
    for stages in same.values():
        assert [stage for stage, _ in stages] == list(STAGES)
        assert [value for _, value in stages] == pytest.approx([1.0] * len(STAGES))
    models = {name: MapModel(read_weights(run, 0, name), name) for name in run.weights(0)}
    last = [dict(check_sanity(run, case, models, seed)[US])["conv1"] for seed in range(100, 106)]
    alive = [value for value in last if not math.isnan(value)]
    assert len(alive) >= 3 and abs(float(np.mean(alive))) < 0.6 and max(alive) < 0.95


def test_the_checks_map_is_that_of_the_randomised_weights(run: BegunRun) -> None:
    model = MapModel(read_weights(run, 0, "attention-us"), "attention-us")
    (found,) = maps_of(run, ["a"])
    stages = dict(model.randomised_maps(found.image, seed=4))
    state = dict(randomised(model.state, seed=4))["layer3"]
    expected = MapModel(state, "attention-us").map(found.image)
    np.testing.assert_allclose(stages["layer3"].a_hat, expected.a_hat, atol=2e-4)
    assert rank_correlation(found.maps[US], model.map(found.image).a_hat, found.lungs) == pytest.approx(1.0)


def test_a_dead_map_is_reported_and_has_no_sanity_check(run: BegunRun) -> None:
    state = network(11).state_dict()
    state["fc.weight"] = -state["fc.weight"].abs()
    models = {"attention-us": MapModel(state, "attention-us")}
    (row,) = measure_case(run, run.cases[0], models, FAST)
    assert row.measures.dead and row.raw_peak == 0 and row.curves is None
    assert check_sanity(run, run.cases[0], models, 0) == {}


def test_a_dead_member_leaves_the_combined_map_without_dice(run: BegunRun) -> None:
    case = run.cases[0]
    state = network(11).state_dict()
    state["fc.weight"] = -state["fc.weight"].abs()
    models = {
        ATTENTION_US: MapModel(read_weights(run, 0, ATTENTION_US), ATTENTION_US),
        ATTENTION_SS: MapModel(state, ATTENTION_SS),
    }
    us, ss, ds = measure_case(run, case, models, FAST)
    assert (us.method, ss.method, ds.method) == (US, SS, DS)
    assert ss.measures.dead and not us.measures.dead and not ds.measures.dead
    assert [row.one_member_empty for row in (us, ss, ds)] == [False, False, True]
    assert math.isnan(ds.value("dice")) and math.isnan(ds.value("iou")) and not math.isnan(us.value("dice"))
    assert ds.value("energy_infection") == pytest.approx(us.value("energy_infection"), abs=1e-6)
    measures = text_tables(summarise([us, ss, ds], resamples=5))[0]
    row = next(row for row in measures.rows if row[:2] == ("all", DS))
    named = dict(zip(measures.columns, row, strict=True))
    assert (named["Dead maps"], named["One member's map is empty"], named["Dice, T at 0.5"]) == ("0", "1", "–")
    assert "distances read too small" in measures.note


def test_measuring_goes_on_where_it_was_left(run: BegunRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    real = attention_run.measure_case

    def counted(*arguments):  # type: ignore[no-untyped-def]
        measured.append(arguments[1].case_id)
        return real(*arguments)

    def stop(stage: str, fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    monkeypatch.setattr(attention_run, "measure_case", counted)
    with pytest.raises(KeyboardInterrupt):
        measure_run(run, FAST, store=tmp_path, resamples=5, progress=stop)
    assert measured == ["a", "b"]
    resumed = measure_run(run, FAST, store=tmp_path, resamples=5)
    assert measured == ["a", "b", "c"]
    assert resumed.as_json() == measure_run(run, FAST, resamples=5).as_json()  # the same as in one go
    measured.clear()
    measure_run(run, dataclasses.replace(FAST, tolerance_mm=3.0), store=tmp_path, resamples=5)
    assert measured == ["a", "b", "c"]  # other settings: nothing of it counts
    measured.clear()
    (tmp_path / "b.json").write_text("{")
    kept = json.loads((tmp_path / "c.json").read_text())
    for row in kept["maps"]:
        del row["one_member_empty"]  # as it was written before that was known
    (tmp_path / "c.json").write_text(json.dumps(kept))
    measure_run(run, dataclasses.replace(FAST, tolerance_mm=3.0), store=tmp_path, resamples=5)
    assert measured == ["b", "c"]


@pytest.mark.parametrize("content", [b"no volume", b"PK\x03\x04" + 60 * b"cut off"])
def test_a_damaged_volume_is_named(run: BegunRun, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    broken = dataclasses.replace(run.cases[0], prepared=tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"x\.npz: not a prepared case"):
        measure_run(dataclasses.replace(run, cases=(broken,)), FAST)


def test_the_files_of_an_evaluation_and_the_tables_to_read(run: BegunRun, tmp_path: Path) -> None:
    found = write_attention(run, tmp_path, FAST, resamples=20)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"attention-quality.csv", "attention-differences.csv", "attention-randomisation.csv",
                     "attention-maps.csv", "attention-quality.json", "attention-grid.png"}  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "attention-maps.csv").open()))
    assert len(rows) == 12 and rows[0]["method"] == GRAD_CAM
    measures, differences, sanity = text_tables(found)
    for table in (measures, differences, sanity):
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    figure = found.figure(US, "dice")
    cell = next(row for row in measures.rows if row[:2] == ("all", US))[measures.columns.index("Dice, T at 0.5")]
    assert cell == f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}], n {figure.n}"
