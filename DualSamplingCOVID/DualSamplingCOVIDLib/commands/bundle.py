"""`bundle show|check DIR`: what a bundle holds, and whether it can be used."""

import argparse
import json
from pathlib import Path

from ..bundle import Bundle, load_bundle


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("bundle", help="show or check a bundle", description=__doc__)
    parser.add_argument("action", choices=("show", "check"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Load the bundle, hashes included, and print its card or that it is sound."""
    bundle = load_bundle(options.folder)
    if options.action == "check":
        bundle.check_members()
        for member in bundle.members:
            bundle.weights(member)
        print(f"{options.folder}: sound ({len(bundle.members)} members)")
    else:
        print(_card(bundle))


def _card(bundle: Bundle) -> str:
    segmenter = bundle.segmenter
    cut_offs = segmenter.cut_offs
    lines = [
        f"{bundle.card.name} {bundle.card.version} (research use only)",
        f"learned from:  {bundle.card.learned_from}",
        f"intended use:  {bundle.card.intended_use}",
        f"network grid:  {bundle.grid.shape_kji} voxels (k, j, i) of {bundle.grid.spacing_xyz} mm (x, y, z)",
        f"segmenter:     {segmenter.name} {segmenter.version}, cut-offs {cut_offs.minimal} / {cut_offs.small} / "
        f"{cut_offs.large}, detection limit {segmenter.detection_limit}",
        *(f"member:        {m.name}: {m.kind}, {m.sampling} sampling, width {m.width}" for m in bundle.members),
        "evaluation:    " + json.dumps(bundle.evaluation),
    ]
    return "\n".join(lines)
