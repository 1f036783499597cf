"""Resources/Bundles/phantom-demo: small, declared, and as good on held-out phantoms as it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.analysis import analyze
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.commands import demo_bundle
from DualSamplingCOVIDLib.ct import CT
from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.evaluation.attention_networks import SeenMap
from DualSamplingCOVIDLib.evaluation.metrics import auc
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.phantom.variety import TYPICAL
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.run_folder.volume import write_volume
from DualSamplingCOVIDLib.segmentation import DEFAULT, name_for, segmenter
from DualSamplingCOVIDLib.training.prepared import PreparedCase

ROOT = Path(__file__).resolve().parents[1]
FOLDER = resources.path("Bundles/phantom-demo")


def test_it_is_small_and_holds_the_two_networks_and_the_baseline() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 20e6
    members = [(member.sampling, member.kind) for member in load_bundle(FOLDER).members]
    assert members == [("US", "attention"), ("SS", "attention"), ("US", "baseline")]


def test_it_says_that_it_learned_from_phantoms_only() -> None:
    card = load_bundle(FOLDER).card
    assert "phantoms only" in card.learned_from and "Research use only" in card.intended_use


def test_it_learned_with_the_segmenter_that_is_the_default_and_has_its_cut_offs() -> None:
    assert load_bundle(FOLDER).segmenter == segmenter(DEFAULT).card


def test_its_held_out_figures_keep_the_promise() -> None:
    held_out = load_bundle(FOLDER).evaluation["held_out"]
    assert held_out["all"]["n"] >= 100
    assert held_out["all"]["ensemble"] >= 0.85
    assert held_out["ratio 0.005 to 0.030"]["ensemble"] >= 0.75
    assert all("infection ratio alone" in held_out[group] for group in ("all", "ratio 0.005 to 0.030"))


def test_its_attention_points_at_the_infection_where_grad_cam_does_less() -> None:
    found = load_bundle(FOLDER).evaluation["held_out_attention"]
    assert found["attention-us"]["n"] >= 40
    for model in ("attention-us", "attention-ss"):
        assert found[model]["peak_within_10_mm"] > max(0.5, found["baseline-us"]["peak_within_10_mm"])
        assert found[model]["concentration"] > 1


def test_a_map_that_is_dead_or_lies_outside_the_lungs_points_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (8, 8, 8)
    infection, lungs = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    lungs[2:6, 2:6, 2:6] = infection[2:4, 2:6, 2:6] = 255
    write_volume(tmp_path / "case.npz", np.zeros(shape, np.float16), infection, lungs)
    case = PreparedCase("a", "a", COVID, "test", 0.5, tmp_path / "case.npz", load_bundle(FOLDER).segmenter, "")
    maps = np.zeros((3, *shape), np.float32)  # one in the infection, one outside the lungs, one dead
    maps[0, 2, 2, 2] = maps[1, 0, 0, 0] = 1.0
    seen = iter(SeenMap(a_hat, 1.0) for a_hat in maps)
    monkeypatch.setattr("DualSamplingCOVIDLib.evaluation.attention_networks._network", lambda _: ResNet34(1).eval())
    monkeypatch.setattr("DualSamplingCOVIDLib.evaluation.attention_networks.MapModel.map", lambda *_: next(seen))
    monkeypatch.setattr(demo_bundle, "GRID", GridSpec(shape, (1.0, 1.0, 1.0)))
    found = demo_bundle._pointing({}, "attention-us", [case] * 3)
    assert (found["n"], found["dead"]) == (3, 1)
    assert found["peak_within_10_mm"] == pytest.approx(2 / 3, abs=1e-3)  # the corner lies 3 mm beside it
    assert found["peak_in_lungs"] == pytest.approx(1 / 3, abs=1e-3)
    assert found["concentration"] == pytest.approx((1 / 0.5) / 3, abs=1e-3)


def test_its_networks_tell_phantoms_apart_and_their_answers_span_from_one_class_to_the_other() -> None:
    bundle = load_bundle(FOLDER)
    masks = segmenter(name_for(bundle.segmenter, None), "cpu")
    labels, probabilities = (COVID, CAP) * 5, []
    for seed, label in enumerate(labels, 900):
        phantom = make_phantom(seed, label, ratio=0.06, variety=TYPICAL, spacing_mm=(1.5, 1.5, 2.5))
        diagnosis = analyze(CT(phantom.ct, (), "phantom"), bundle, masks, "cpu")
        probabilities.append(diagnosis.decision.probability)
    assert auc(probabilities, [label == COVID for label in labels]) >= 0.9
    assert max(probabilities) > 0.9 and min(probabilities) < 0.1


def test_its_card_is_that_of_its_metadata() -> None:
    bundle, card = load_bundle(FOLDER), (FOLDER / "README.md").read_text(encoding="utf-8")
    assert card == demo_bundle.model_card(dict(bundle.evaluation), bundle.segmenter)
    held_out, maps = bundle.evaluation["held_out"], bundle.evaluation["held_out_attention"]["attention-us"]
    methods = ("ensemble", "attention-us", "attention-ss", "baseline-us", "infection ratio alone")
    cells = " | ".join(f"{held_out['small'][method]:.3f}" for method in methods)
    assert f"| small, below 0.56 % | {held_out['small']['n']} | {cells} |" in card
    points = f"{100 * maps['peak_within_10_mm']:.0f} % | {100 * maps['peak_in_lungs']:.0f} %"
    assert f"| attention US | {maps['n']}, {maps['dead']} | {points} | {maps['concentration']:.1f} |" in card
    assert "384 computer-made phantoms, never a patient, and 96 more" in card and "Research use only" in card


def test_the_readme_shows_what_the_ensemble_is_worth() -> None:
    held_out = json.loads((FOLDER / "metadata.json").read_text(encoding="utf-8"))["evaluation"]["held_out"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    whole, part = held_out["all"], held_out["ratio 0.005 to 0.030"]
    said = f"On {whole['n']} phantoms that nothing had seen the ensemble has an AUC of {whole['ensemble']:.3f}"
    assert f"{said} (the infection ratio alone {whole['infection ratio alone']:.3f})" in readme
    assert f"{part['ensemble']:.3f} ({part['infection ratio alone']:.3f}) of ratios from 0.005 to 0.030" in readme
