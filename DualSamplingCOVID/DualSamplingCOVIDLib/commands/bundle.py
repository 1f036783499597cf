"""`bundle show|check DIR`, `bundle export RUN`: what a bundle holds, whether it is sound, and one made of a run."""

import argparse
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ..bundle import Bundle, load_bundle, shipped
from ..segmentation import trained
from ..weights import METADATA
from . import arguments, output, reporter

MARKS = (METADATA, "README.md")
"""What an exported bundle holds, and a run's own segmenter does not."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand with its actions."""
    parser = subparsers.add_parser("bundle", help="show, check or export a bundle", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, action, explained in (
        ("show", show, "print what a bundle holds"),
        ("check", check, "say whether a bundle is sound"),
    ):
        own = actions.add_parser(name, help=explained)
        own.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="the bundle (default: the one that ships)")
        own.set_defaults(run=action)
    own = actions.add_parser("export", help="make a bundle of a run of cross-validate")
    own.add_argument("run_folder", type=Path, metavar="RUN")
    own.add_argument("--output", type=Path, required=True, metavar="DIR", help="the bundle")
    own.add_argument("--name", help="what the bundle is called (the output's name)")
    own.add_argument(
        "--evaluation", type=Path, metavar="FILE", help="evaluation.json of this run, as `evaluate` writes it"
    )
    own.add_argument(
        "--fold", type=arguments.seed, action="append", metavar="K", help="of this fold alone; more than once for more"
    )
    reporter.add_argument(own)
    own.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    own.set_defaults(run=export)


def show(options: argparse.Namespace) -> None:
    """Load the bundle, hashes included, and print its card; what the output's encoding lacks is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(_card(load_bundle(options.folder or shipped())))


def check(options: argparse.Namespace) -> None:
    """Load the bundle, hold each member and its segmenter against their networks, and print that it is sound."""
    bundle = load_bundle(options.folder or shipped())
    bundle.check_members()
    for member in bundle.members:
        bundle.weights(member)
    if bundle.carried is not None:
        own = trained.load(bundle.carried)
        for network in (own.coarse, own.fine):
            own.tensors(network)
    print(f"{bundle.folder}: sound ({len(bundle.members)} members)")


def export(options: argparse.Namespace) -> None:
    """Make a bundle of the best weights of a run's finished folds, with a model card."""
    from ..training.export import export_bundle

    output.check(options.output, options.overwrite, MARKS, options.run_folder, options.evaluation)
    name = options.name or options.output.resolve().name
    with output.whole(options.output, options.overwrite, MARKS) as folder:
        made = export_bundle(
            options.run_folder, folder / "bundle", name, options.evaluation, options.fold, options.progress
        )
        for file in (folder / "bundle").iterdir():
            file.rename(folder / file.name)
        (folder / "bundle").rmdir()
        options.progress("done", 1.0)
    folds = sorted({member.fold for member in made.members if member.fold is not None})
    print(f"{options.output}: {len(made.members)} members of {_folds(folds, made)} (research use only)")


def _folds(folds: list[int], made: Bundle) -> str:
    """Say of which folds a bundle is: all, or those that were asked for or are finished."""
    run = made.evaluation["folds"]["run"]
    return f"all {run} folds" if len(folds) == run else f"{len(folds)} of {run} folds ({', '.join(map(str, folds))})"


def _card(bundle: Bundle) -> str:
    segmenter = bundle.segmenter
    cut_offs = " / ".join(map(_plain, astuple(segmenter.cut_offs)))
    carried = "" if bundle.carried is None else "; it lies in the bundle"
    lines = [
        f"{bundle.card.name} {bundle.card.version} (research use only)",
        f"learned from:  {bundle.card.learned_from}",
        f"intended use:  {bundle.card.intended_use}",
        f"network grid:  {bundle.grid.shape_kji} voxels (k, j, i) of {bundle.grid.spacing_xyz} mm (x, y, z)",
        f"segmenter:     {segmenter.title}, cut-offs {cut_offs}, "
        f"detection limit {_plain(segmenter.detection_limit)}{carried}",
        *(
            f"member:        {m.name}: {m.kind}, {m.sampling} sampling, width {m.width}"
            + ("" if m.fold is None else f", fold {m.fold}")
            for m in bundle.members
        ),
        "evaluation:",
        *_indented(bundle.evaluation),
    ]
    return "\n".join(lines)


def _indented(values: Mapping[str, Any], depth: int = 1) -> Iterator[str]:
    """One line a figure; what holds figures alone is one line too."""
    for key, value in values.items():
        if not isinstance(value, Mapping):
            yield f"{'  ' * depth}{key}: {_plain(value)}"
        elif any(isinstance(entry, Mapping) for entry in value.values()):
            yield f"{'  ' * depth}{key}:"
            yield from _indented(value, depth + 1)
        else:
            yield f"{'  ' * depth}{key}: " + ", ".join(f"{name} {_told(name, entry)}" for name, entry in value.items())


def _told(name: str, value: object) -> str:
    """Say a figure; people count epochs from 1, files from 0."""
    return str(value + 1) if name == "epoch" and isinstance(value, int) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return f"{len(value)} rows in {METADATA}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
