"""The recipe of Resources/Bundles/phantom-demo, run by `make bundle`; seeded from end to end.

Phantoms are made, segmented, and three slim networks learn from them. Cut-offs and
detection limit are refitted for that segmenter, and phantoms that nothing has seen give the figures.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, ensemble
from ..bundle import Member, save_bundle
from ..cohort import read_cohort
from ..diagnosis import CAP, COVID, BundleCard, SegmenterCard
from ..errors import InputError
from ..phantom import NORMAL, write_cohort
from ..preprocessing import GridSpec
from ..progress import Progress
from ..run_folder import ATTENTION_SS, ATTENTION_US, BASELINE_US, SAMPLING_AND_KIND
from ..segmentation import segmenter
from ..weights import METADATA
from . import output, reporter

if TYPE_CHECKING:
    from ..training.prepared import PreparedCase

NAME = "phantom-demo"
SEGMENTER = "threshold"
GRID = GridSpec((97, 81, 113), (3.0, 3.0, 3.0))
"""Coarser than the paper's, and no larger than most lungs are."""

WIDTH = 8
MARKS = (METADATA, f"{ATTENTION_US}.safetensors")
MODELS = (ATTENTION_US, ATTENTION_SS, BASELINE_US)
SEEDS = {"learning": 11, "held-out": 12}
VALIDATION_SHARE = 5
NORMAL_SHARE = 0.25


def main() -> None:
    """Make the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--learning", type=int, default=520, help="phantoms to learn from, a fifth for validation")
    parser.add_argument("--held-out", type=int, default=170, help="phantoms for the figures, a quarter of them normal")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep phantoms and masks here, to go on from them")
    options = parser.parse_args()
    progress = reporter.reporter("bar")
    with (
        output.whole(options.output, overwrite=True, marks=MARKS) as folder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        work = options.work or Path(scratch)
        make_bundle(folder / "bundle", work, options.learning, options.held_out, options.epochs, progress)
        for file in (folder / "bundle").iterdir():
            file.rename(folder / file.name)
        (folder / "bundle").rmdir()


def make_bundle(folder: Path, work: Path, learning: int, held_out: int, epochs: int, progress: Progress) -> None:
    """Make phantoms, fit the three models and write the bundle with its held-out figures."""
    import torch

    from ..evaluation.strata import fit_cut_offs
    from ..training.fit import Settings, Trainer, predict
    from ..training.prepared import PreparedDataset

    ready = {
        "learning": _prepared(work, "learning", learning, 0.0, progress),
        "held-out": _prepared(work, "held-out", held_out, NORMAL_SHARE, progress),
    }
    start = time.perf_counter()
    normals = [case.ratio for case in ready["held-out"] if case.label == NORMAL]
    test = PreparedDataset([case for case in ready["held-out"] if case.label in (COVID, CAP)])
    back_end = segmenter(SEGMENTER).card
    card = replace(
        back_end,
        cut_offs=fit_cut_offs([case.ratio for case in ready["learning"]]),
        detection_limit=max(back_end.detection_limit, _percentile_95(normals)),
    )
    validation = PreparedDataset(ready["learning"][::VALIDATION_SHARE])
    training = PreparedDataset([c for i, c in enumerate(ready["learning"]) if i % VALIDATION_SHARE])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    networks, logits, best = [], {}, {}
    for name in MODELS:
        sampling, kind = SAMPLING_AND_KIND[name]
        settings = Settings(
            sampling,
            kind,
            WIDTH,
            epochs,
            batch=8,
            micro_batch=8,
            learning_rate=3e-3,
            schedule="one-cycle",
            augmentation="mirror-and-shift",
            mixed_precision=False,
            seed=7,
        )
        trainer = Trainer(settings, training, validation, card.cut_offs, device)
        fitted = trainer.fit(progress)
        trainer.network.load_state_dict(fitted.state)
        logits[name] = predict(trainer.network, test, settings.micro_batch, device)
        best[name] = fitted.best._asdict()
        weights = {key: value.cpu() for key, value in fitted.state.items()}
        networks.append((Member(name, sampling, kind, None, WIDTH, f"{name}.safetensors", ""), weights))
    figures = {
        "phantoms": {"learning": len(ready["learning"]), "held_out": len(test), "held_out_normal": len(normals)},
        "command": f"make bundle (learning {learning}, held-out {held_out}, epochs {epochs}, seeds {SEEDS})",
        "seconds": round(_spent(work) + time.perf_counter() - start),
        "validation": best,
        "held_out": _figures({k: torch.sigmoid(v).numpy() for k, v in logits.items()}, test, card),
    }
    learned_from = f"{len(training)} computer-made phantoms only, never a patient"
    intended = "To show and test the software. Research use only: its probabilities mean nothing for patients."
    save_bundle(folder, networks, BundleCard(NAME, __version__, learned_from, intended, ""), GRID, card, figures)
    print(figures["held_out"], file=sys.stderr)


def _prepared(work: Path, name: str, amount: int, normal_share: float, progress: Progress) -> "list[PreparedCase]":
    """Make one cohort of phantoms and its masks, or what an interrupted run in this folder left to do of it."""
    from ..training.prepared import prepare_cohort

    back_end = segmenter(SEGMENTER).card
    made = [amount, normal_share, SEEDS[name], [*GRID.shape_kji], [*GRID.spacing_xyz], back_end.name, back_end.version]
    folder, note = work / name, work / f"{name}.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8"))["made"] != made:
        raise InputError(f"{note}: of another recipe; choose another folder for --work")
    seconds = _spent(work, name)

    def spend(since: float) -> None:
        note.write_text(json.dumps({"made": made, "seconds": seconds + time.perf_counter() - since}), encoding="utf-8")

    start = time.perf_counter()
    if not (folder / "cohort.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_cohort(folder, amount, SEEDS[name], _about(progress, name), normals=normal_share)
        spend(start)
    # the truth stays out: what learns sees the masks that `analyze` will find
    cases = [replace(case, lungs=None, infection=None) for case in read_cohort(folder / "cohort.csv")]
    ready = prepare_cohort(cases, GRID, SEGMENTER, work / f"{name}-ready", _about(progress, name))
    spend(start)
    return ready


def _spent(work: Path, *names: str) -> float:
    """Seconds that making these cohorts (all without a name) took so far, interrupted runs included."""
    notes = [work / f"{name}.json" for name in names or SEEDS]
    return sum(json.loads(note.read_text(encoding="utf-8"))["seconds"] for note in notes if note.exists())


def _figures(probabilities: dict[str, Any], test: Any, card: SegmenterCard) -> dict[str, Any]:
    """Held-out AUC of members, ensemble and, to compare with, the infection ratio alone; whole and by stratum."""
    import numpy as np

    from ..evaluation.metrics import auc

    labels, ratios = np.array(test.labels), np.array(test.ratios)
    us, ss = probabilities[ATTENTION_US], probabilities[ATTENTION_SS]
    combined = [ensemble.combine(u, s, r, card.cut_offs) for u, s, r in zip(us, ss, ratios, strict=True)]
    scores = {**probabilities, "ensemble": np.array(combined), "infection ratio alone": ratios}
    strata = np.array([card.cut_offs.stratum(ratio) for ratio in ratios])
    groups = {"all": np.ones(len(labels), bool)} | {name: strata == name for name in ("small", "medium", "large")}
    groups["ratio 0.005 to 0.030"] = (ratios >= 0.005) & (ratios <= 0.030)
    return {
        group: {"n": int(chosen.sum()), "covid": int(labels[chosen].sum())}
        | {
            name: round(float(auc(values[chosen], labels[chosen])), 3)
            for name, values in scores.items()
            if len(set(labels[chosen])) == 2
        }
        for group, chosen in groups.items()
    }


def _about(progress: Progress, cohort: str) -> Progress:
    """Return what says of which cohort the progress is."""

    def told(stage: str, fraction: float) -> None:
        progress(f"{stage} ({cohort})", fraction)

    return told


def _percentile_95(ratios: list[float]) -> float:
    import numpy as np

    return float(np.percentile(ratios, 95))


if __name__ == "__main__":
    main()
