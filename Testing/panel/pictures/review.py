"""The pictures of the tab Review.

The CT, a CAP, stands for one case of a made run whose fold networks are those of the bundle that ships; the answers of
the other cases are made up.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

from _run_folder import Scan, noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.__main__ import main as command_line
from DualSamplingCOVIDLib.bundle import load_bundle
from DualSamplingCOVIDLib.diagnosis_folder import load
from DualSamplingCOVIDLib.run_folder import MODELS
from DualSamplingCOVIDLib.scene import views
from DualSamplingCOVIDLib.scene.result import allResults
from DualSamplingCOVIDLib.training.config import Config
from panel.pictures.shared import NARROW, WINDOW, layPanel, opened, panelPicture, place, save, windowPicture
from panel.reviewed_run import Reader

CASE, FOLDS = "cap-17", 3


def makeRun(folder: Path, ct: Path) -> Path:
    """Write a run of made cases, one of which is the CT, with what the bundle's networks answer for it."""
    bundle = load_bundle(resources.path("Bundles/phantom-demo"))
    analysed = folder / "analysed"
    arguments = ["analyze", str(ct), "--output", str(analysed), "--device", "cpu"]
    assert command_line([*arguments, "--write", "masks,maps", "--progress", "none"]) == 0
    found = load(analysed)
    card = found.segmentation.segmenter
    made = scans_of(44, FOLDS, test_patients=8, seed=5, most_scans=1)
    kinds = {True: "covid", False: "cap"}
    scans = [
        Scan(f"{kinds[s.covid]}-{number:02}", s.patient_id, s.covid, s.fold, s.ratio) for number, s in enumerate(made)
    ]
    own = next(index for index, scan in enumerate(scans) if scan.case_id == CASE)
    scans[own] = Scan(CASE, scans[own].patient_id, False, scans[own].fold, found.segmentation.ratio)
    others, answers = noisy_logits(scans, seed=1), {member.name: member.logit for member in found.members}

    def logit(fold: int, model: str, scan: Scan) -> float:
        return answers[model] if scan.case_id == CASE else others(fold, model, scan)

    made_by = (card.name, card.version)
    run = write_run(folder / "run", scans, logit, FOLDS, cut_offs=card.cut_offs, grid=bundle.grid, segmenter=made_by)
    spec = {"grid_shape": bundle.grid.shape_kji, "grid_spacing": bundle.grid.spacing_xyz, "segmenter": card.name}
    config = Config().changed(folds=FOLDS, width=bundle.members[0].width, **spec)
    (run / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    for fold in range(FOLDS):
        for model in MODELS:
            trained = run / "folds" / str(fold) / model
            weights = (bundle.folder / f"{model}.safetensors").read_bytes()
            (trained / "weights.safetensors").write_bytes(weights)
            result = json.loads((trained / "result.json").read_text(encoding="utf-8"))
            result["sha256"] = hashlib.sha256(weights).hexdigest()
            (trained / "result.json").write_text(json.dumps(result), encoding="utf-8")
    _setImage(run, ct)
    return run


def _setImage(run: Path, ct: Path) -> None:
    path = run / "cases.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["image"] = str(ct.resolve()) if row["case_id"] == CASE else row["image"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(folder: Path, ct: Path | None) -> None:
    """Review one case that fails, and keep the pictures."""
    if ct is None:
        raise SystemExit("the pictures of the tab Review need a CT of a CAP")
    with place() as files:
        _review(folder, makeRun(files, ct))


def _review(folder: Path, run: Path) -> None:
    """Open the run, choose the case and keep the pictures."""
    host, widget = opened()
    layPanel(host, NARROW, WINDOW[1])
    reader = Reader(host, widget, run)
    reader.openRun()
    review = reader.review
    reader.clickCell(reader.cases().index(CASE), 1)
    host.wait(lambda: not reader.tab.isRunning, 300)
    assert not review.messageLabel.text, review.messageLabel.text
    result = allResults(reader.scene)[0]
    focus = views.peakPoint(result)
    host.write(review.commentEdit, "small opacities at both bases; the heat lies on them")
    host.click(review.flagButton)
    save(folder, "window-review", windowPicture(host, lambda: views.showResult(reader.scene, result, focus)))
    save(folder, "panel-review", panelPicture(host))
    host.close()
