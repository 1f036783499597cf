"""Resources/Bundles/phantom-demo: small, declared, and as good on held-out phantoms as it says."""

import json
from pathlib import Path

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.analysis import analyze
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.ct import CT
from DualSamplingCOVIDLib.diagnosis import CAP, COVID, Diagnosis
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.segmentation import segmenter

ROOT = Path(__file__).resolve().parents[1]
FOLDER = resources.path("Bundles/phantom-demo")


def _asked(seed: int, label: str, ratio: float) -> Diagnosis:
    phantom = make_phantom(seed, label, ratio=ratio)
    return analyze(CT(phantom.ct, (), "phantom"), load_bundle(FOLDER), segmenter("threshold"), "cpu")


def test_it_is_small_and_holds_the_two_networks_and_the_baseline() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 20e6
    members = [(member.sampling, member.kind) for member in load_bundle(FOLDER).members]
    assert members == [("US", "attention"), ("SS", "attention"), ("US", "baseline")]


def test_it_says_that_it_learned_from_phantoms_only() -> None:
    card = load_bundle(FOLDER).card
    assert "phantoms only" in card.learned_from and "Research use only" in card.intended_use


def test_its_cut_offs_were_refitted_for_the_segmenter_that_analyze_uses() -> None:
    learned, used = load_bundle(FOLDER).segmenter, segmenter("threshold").card
    assert (learned.name, learned.version) == (used.name, used.version)
    assert learned.cut_offs != used.cut_offs
    assert learned.detection_limit >= used.detection_limit


def test_its_held_out_figures_keep_the_promise() -> None:
    held_out = load_bundle(FOLDER).evaluation["held_out"]
    assert held_out["all"]["n"] >= 100
    assert held_out["all"]["ensemble"] >= 0.85
    assert held_out["ratio 0.005 to 0.030"]["ensemble"] >= 0.75
    assert all("infection ratio alone" in held_out[group] for group in ("all", "ratio 0.005 to 0.030"))


def test_its_probabilities_span_from_one_class_to_the_other() -> None:
    covid, cap = _asked(904, COVID, 0.2), _asked(908, CAP, 0.02)
    assert covid.decision.answer == COVID and covid.decision.probability > 0.9
    assert cap.decision.probability < 0.2


def test_the_readme_shows_the_figures_of_its_metadata() -> None:
    held_out = json.loads((FOLDER / "metadata.json").read_text(encoding="utf-8"))["evaluation"]["held_out"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, group in (("all ratios", "all"), ("ratio 0.005 to 0.030", "ratio 0.005 to 0.030")):
        figures = held_out[group]
        scores = ("ensemble", "attention-us", "attention-ss", "baseline-us", "infection ratio alone")
        cells = " | ".join(f"{figures[score]:.3f}" for score in scores)
        assert f"| {name} | {figures['n']} | {cells} |" in readme
