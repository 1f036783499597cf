"""The whole pipeline on phantoms, recorded: Resources/Documentation/phantom-study.

python Testing/Benchmarks/phantom_study.py --work WORK

Runs four commands, from phantoms to a bundle, with the settings beside the record, and writes their seconds, tables and
figures there as README.md with its pictures. What is finished in WORK is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.__main__ import main as command_line
from DualSamplingCOVIDLib.diagnosis import RESEARCH_USE_ONLY
from DualSamplingCOVIDLib.memory import keep_freed_memory

RECORD = resources.path("Documentation/phantom-study")
CASES, SEED = 200, 2046
TABLES = ("attention-quality-1", "attention-quality-2", "attention-quality-3", "table2", "table3", "comparisons")
FIGURES = {
    "attention/attention-grid.png": "The median case of each group by infection ratio, as the paper's Fig. 5",
    "figures/roc-validation.png": "ROC curves of the validation folds, as Fig. 4",
    "figures/ratios.png": "Infection ratios by class, as Fig. 1",
    "figures/failures-validation-1.png": "Cases that are called wrongly, as Fig. 6",
}
QUALITY = 88

PAGE = """# The whole pipeline on phantoms

{verdict}

{more}

{cases} phantoms with their own masks, 69 x 128 x 128 voxels, width 8, five folds of three models
([the settings](settings.toml)). The classes of phantoms differ by design: classification says that the software learns,
and nothing of patients. Whether attention lies on the infection is what this run was made to see.

```
{commands}
```

Made by `python Testing/Benchmarks/phantom_study.py --work WORK`, on {cores} CPU cores: {seconds}.

{figures}

{tables}
"""


def steps(work: Path) -> dict[str, list[str]]:
    """Return the commands by name, in their order; each goes on from what those before it wrote."""
    cohort, run, tables = work / "cohort", work / "run", work / "evaluation"
    return {
        "phantoms": ["phantom", "--cases", str(CASES), "--seed", str(SEED), "--output", str(cohort)],
        "cross-validation": [
            *("cross-validate", str(cohort / "cohort.csv"), "--config", str(RECORD / "settings.toml")),
            *("--output", str(run), "--device", "cpu"),
        ],
        "evaluation": ["evaluate", str(run), "--attention", "--output", str(tables), "--device", "cpu"],
        "export": [
            *("bundle", "export", str(run), "--evaluation", str(tables / "evaluation.json")),
            *("--output", str(work / "bundle")),
        ],
    }


def run_steps(work: Path) -> dict[str, float]:
    """Run what is not finished; return the seconds of each command, in all its sittings."""
    note = work / "steps.json"
    work.mkdir(parents=True, exist_ok=True)
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    for name, arguments in steps(work).items():
        step = known.setdefault(name, {"seconds": 0.0, "finished": False})
        if step["finished"]:
            continue
        again = ["--resume"] if name == "cross-validation" and (work / "run").exists() else []
        start = time.perf_counter()
        status = command_line([*arguments, *again])
        step["seconds"] += time.perf_counter() - start
        step["finished"] = status == 0
        note.write_text(json.dumps(known), encoding="utf-8")
        if status:
            sys.exit(status)
    return {name: step["seconds"] for name, step in known.items()}


def verdict(evaluation: Path) -> str:
    """Return the paired difference of the energy inside the infection in a sentence."""
    quality = json.loads((evaluation / "attention" / "attention-quality.json").read_text(encoding="utf-8"))
    for one in quality["differences"]:
        if (one["measure"], one["stratum"]) == ("energy_infection", "all") and one["first"].endswith("US"):
            return (
                f"**Share of the attention's energy inside the infection, {one['first']} minus {one['second']}, paired "
                f"by case: {one['mean']:+.3f} (95 % interval by patient {one['low']:+.3f} to {one['high']:+.3f}, "
                f"n = {one['n']}; with dead maps as the worst answer {one['with_dead']:+.3f}, "
                f"{one['with_dead_low']:+.3f} to {one['with_dead_high']:+.3f}, n = {one['with_dead_n']}). "
                f"{RESEARCH_USE_ONLY}.**"
            )
    sys.exit("the evaluation has no paired difference of the energy")


def more(evaluation: Path) -> str:
    """Return in a sentence how often the maps' peaks lie on the infection."""
    quality = json.loads((evaluation / "attention" / "attention-quality.json").read_text(encoding="utf-8"))
    shares = [
        f"{one['method']} {100 * one['mean']:.0f} % (n = {one['n']})"
        for one in quality["figures"]
        if (one["measure"], one["stratum"]) == ("pointing", "all")
    ]
    tolerance = dict(quality["settings"])["tolerance_mm"]
    return f"The map's peak lies in the infection or within {tolerance:g} mm of it: {', '.join(shares)}."


def record(work: Path, spent: dict[str, float]) -> None:
    """Write README.md and its pictures."""
    evaluation = work / "evaluation"
    shown = []
    for source, caption in FIGURES.items():
        if not (evaluation / source).exists():
            continue  # nothing was called wrongly
        name = f"{Path(source).stem}.jpg"
        Image.open(evaluation / source).convert("RGB").save(RECORD / name, quality=QUALITY, optimize=True)
        shown.append(f"![{caption}]({name})\n\n*{caption}.*")
    tables = [(evaluation / "tables" / f"{name}.md").read_text(encoding="utf-8") for name in TABLES]
    page = PAGE.format(
        verdict=verdict(evaluation),
        more=more(evaluation),
        cases=CASES,
        commands="\n".join(shell(arguments, work) for arguments in steps(work).values()),
        cores=os.cpu_count(),
        seconds=", ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in spent.items()),
        figures="\n\n".join(shown),
        tables="\n".join(f"#{table}" for table in tables),
    )
    (RECORD / "README.md").write_text(page, encoding="utf-8")


def shell(arguments: Sequence[str], work: Path) -> str:
    """Return a command as a person types it, without the paths of this computer."""
    line = " ".join(["dualsampling-covid", *arguments])
    return line.replace(f"{work}/", "").replace(f"{RECORD}/", "")


def main() -> None:
    """Run the commands and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="cohort, run and evaluation; gone on from")
    options = parser.parse_args()
    keep_freed_memory()
    record(options.work, run_steps(options.work))


if __name__ == "__main__":
    main()
