"""The answer of a bundle of several folds in the panel: few bars, their range, and the spread."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.scene import headless
from DualSamplingCOVIDLib.scene.result import results
from panel.study import recorded, worker

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

SAID = {"attention-us": (0.9, 0.6, 0.3), "attention-ss": (0.8, 0.7, 0.6), "baseline-us": (0.7, 0.5, 0.1)}
"""Probabilities of COVID-19 in three folds."""


def of_folds(recorded_folder: Path, folder: Path) -> Path:
    """Return a copy of a recorded diagnosis whose networks are those of three folds."""
    shutil.copytree(recorded_folder, folder)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    once, members = {member["name"]: member for member in report["members"]}, []
    assert set(once) == set(SAID)
    for fold in range(3):
        for name, member in once.items():
            members.append({**member, "name": f"{name}-fold-{fold}", "fold": fold, "probability": SAID[name][fold]})
            for end in ("", "-opposite"):
                maps = folder / "attention"
                shutil.copy(maps / f"{name}{end}.nrrd", maps / f"{name}-fold-{fold}{end}.nrrd")
    answers = [
        {"fold": fold, "p_us": us, "p_ss": ss, "probability": round(0.5 * (us + ss), 3)}
        for fold, (us, ss) in enumerate(zip(SAID["attention-us"], SAID["attention-ss"], strict=True))
    ]
    decision = {"answer": "COVID-19", "probability": 0.65, "p_us": 0.6, "p_ss": 0.7, "weight": 0.5, "other_side": None}
    report["decision"] |= {**decision, "folds": {"spread": 0.2, "answers": answers}}
    report["members"] = members
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


@pytest.fixture
def of_three(study, recorded_folder, tmp_path, monkeypatch):
    """The panel with the answer of three folds."""
    worker(tmp_path, monkeypatch, recorded(of_folds(recorded_folder, tmp_path / "recorded")))
    study.loadCt(name="CT")
    study.analyze()
    return study


def bars(study) -> list[tuple[str, str]]:
    """The label of each bar, and what stands in it."""
    widgets = study.widget.tabs.analyze._answer._bars
    return [(label.text, bar.format) for label, bar in zip(widgets[::2], widgets[1::2], strict=True)]


def test_several_folds_give_four_bars_a_range_each_and_their_spread(of_three):
    first, us, ss, baseline = bars(of_three)
    assert first[0].startswith("Ensemble (") and first[1] == "P(COVID-19) = 0.650"
    title = "Attention network, {} sampling ({}), mean of 3 folds: {} (weight of {}: 0.50)"
    assert us == (title.format("uniform", "US", "0.300 to 0.900", "US"), "P(COVID-19) = 0.600")
    assert ss == (title.format("size-balanced", "SS", "0.600 to 0.800", "SS"), "P(COVID-19) = 0.700")
    assert baseline[0].endswith("mean of 3 folds: 0.100 to 0.700 (not in the answer)")
    assert baseline[1] == "P(COVID-19) = 0.433"
    told = of_three.ui.detailsLabel.text
    assert "Spread over 3 folds: 0.200 (standard deviation of the probability of COVID-19" in told
    assert "The folds disagree: 2 of 3 answer COVID-19, the others CAP" in told


def test_the_spread_comes_back_with_a_saved_scene(of_three, tmp_path):
    told, drawn = of_three.ui.detailsLabel.text, bars(of_three)
    folds = results(of_three.scene)[0].summary.decision.folds
    assert folds is not None and folds.spread == 0.2
    headless._writeBundle(of_three.scene, tmp_path / "study.mrb")
    of_three.host.closeScene()
    assert of_three.scene.ReadFromMRB(str(tmp_path / "study.mrb"))
    of_three.host.wait(lambda: of_three.ui.detailsLabel.text == told)
    assert bars(of_three) == drawn
    assert results(of_three.scene)[0].diagnosis().decision.folds == folds


def test_a_result_of_one_bundle_without_folds_has_a_bar_for_each_network(quick):
    quick.loadCt(name="CT")
    summary = quick.analyze().summary
    assert summary.decision.folds is None
    assert len(bars(quick)) == 1 + len(summary.networks) == 4
    assert "Spread" not in quick.ui.detailsLabel.text
