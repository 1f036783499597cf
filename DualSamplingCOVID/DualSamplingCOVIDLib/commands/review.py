"""`review RUN --case ID --output DIR`: the maps of one case of a run, by networks that never learned from it.

The CT of the case, its masks and the run's own weights give a diagnosis folder; the decision in it is the run's, of its
stored predictions.
"""

import argparse
import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__, diagnosis_folder, ensemble, preprocessing
from ..bundle import Member
from ..ct import check_lungs, read_ct
from ..diagnosis import BundleCard, Decision, Diagnosis, Finding, MemberResult, Segmentation
from ..errors import InputError
from ..evaluation.cases import JudgedCase, judge_run
from ..evaluation.methods import finished_folds
from ..progress import Progress, silent
from ..run_folder import (
    ATTENTION_SS,
    ATTENTION_US,
    CONFIG,
    SAMPLING_AND_KIND,
    SEGMENTER,
    WEIGHTS,
    Run,
    read_run,
    read_weights,
)
from ..segmentation import kept
from . import output, parts, reporter

if TYPE_CHECKING:
    from ..training.config import Config

SAME_PROBABILITY, SAME_RATIO = 0.02, 0.05
"""What is said of a probability, or (as a share) of a ratio, that differs by more from the stored one."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this subcommand."""
    parser = subparsers.add_parser("review", help="the maps of one case of a run", description=__doc__)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder that cross-validate wrote")
    parser.add_argument("--case", required=True, metavar="ID", help="its case_id in RUN/cases.csv")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the diagnosis folder")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reporter.add_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder where this command wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the maps and write them."""
    output.check(options.output, options.overwrite, (diagnosis_folder.REPORT,), options.run_folder)
    if options.overwrite and (options.output / parts.RECORD).exists():
        raise InputError(
            f"{options.output}: written by analyze or report; --overwrite replaces only what this command wrote"
        )
    options.progress("reading the run", 0.0)
    found = diagnose(read_run(options.run_folder), options.case, options.device, options.progress)
    options.progress("writing the results", 0.0)
    with output.whole(options.output, options.overwrite, (diagnosis_folder.REPORT,)) as folder:
        diagnosis_folder.save_report(folder, found)
        diagnosis_folder.save_masks(folder, found.segmentation)
        diagnosis_folder.save_maps(folder, found)
    options.progress("done", 1.0)
    print(f"maps in {options.output} (research use only)", file=sys.stderr)


def diagnose(run: Run, case_id: str, device: str = "auto", progress: Progress = silent) -> Diagnosis:
    """Return what a run's networks see in one of its cases: its own fold's, or every finished fold's in a test case.

    Raises:
        InputError: the run has no such case with finished models, or its CT or masks cannot be used.
        BundleError: weights cannot be read, or are not those that the run left.
        ResourceError: memory ran out.
    """
    from .. import analysis
    from ..training.config import read_config
    from ..training.prepared import back_end

    judged = {one.case.case_id: one for one in judge_run(run)}.get(case_id)
    if judged is None:
        known = any(case.case_id == case_id for case in run.cases)
        cause = f"the fold of {case_id!r} is not finished" if known else f"has no case {case_id!r} of a class"
        raise InputError(f"{run.folder}: {cause}")
    case, config = judged.case, read_config(run.folder / CONFIG)
    progress("reading the CT", 0.0)
    ct = read_ct(case.image)
    if config.masks == "segmenter":
        case = dataclasses.replace(case, lungs=None, infection=None)
    name, asked = kept(config.segmenter, run.folder / SEGMENTER), case.lungs is None or case.infection is None
    segmentation = back_end(case, name, ct.image, device).segment(ct.image, progress)
    own = segmentation.segmenter
    segmentation = dataclasses.replace(
        segmentation, segmenter=dataclasses.replace(run.segmenter, name=own.name, version=own.version)
    )
    findings = ct.findings + check_lungs(ct.image, segmentation.lungs, str(case.image))
    progress("preparing the network's input", 0.0)
    spec = preprocessing.GridSpec(run.grid_shape_kji, run.grid_spacing_xyz)
    prepared = preprocessing.prepare(ct.image, segmentation.lungs, spec)
    folds = finished_folds(run) if case.fold is None else (case.fold,)
    members = _members(config, folds)
    answers = []
    for number, (member, fold, model) in enumerate(members):
        progress("asking the networks", number / len(members))
        answers.append(analysis.ask(member, read_weights(run, fold, model), prepared, device))
    decision = _decision(run, judged)
    decision = dataclasses.replace(decision, folds=analysis.fold_answers(answers, decision.weight))
    attention, opposite = analysis.combined_maps(answers, decision.weight)
    return Diagnosis(
        segmentation=segmentation,
        members=tuple(answers),
        decision=decision,
        attention=attention,
        opposite=opposite,
        findings=findings + _differences(run, judged, answers, segmentation, asked),
        bundle=_card(run, folds, judged),
        ct_sha256=ct.sha256,
        software=analysis.software(),
    )


def _members(config: "Config", folds: tuple[int, ...]) -> list[tuple[Member, int, str]]:
    """Return the folds' networks, each with its fold and what the run calls it."""
    return [
        (
            Member(
                name if len(folds) == 1 else f"{name}-fold-{fold}",
                sampling,
                kind,
                fold,
                config.training.width,
                WEIGHTS,
                "",
            ),
            fold,
            name,
        )
        for fold in folds
        for name, (sampling, kind) in SAMPLING_AND_KIND.items()
    ]


def _decision(run: Run, judged: JudgedCase) -> Decision:
    """Return the run's own decision (Eq. 5; every case of a run is answered, however little infection it has)."""
    p_us, p_ss = (judged.probabilities[name] for name in (ATTENTION_US, ATTENTION_SS))
    decision = ensemble.decide(p_us, p_ss, judged.case.ratio, run.segmenter)
    return dataclasses.replace(decision, answer=ensemble.called(decision.probability))


def _differences(
    run: Run, judged: JudgedCase, answers: list[MemberResult], segmentation: Segmentation, asked: bool
) -> tuple[Finding, ...]:
    """Say where masks or networks do not give now what the run has stored."""
    found = []
    for name in (ATTENTION_US, ATTENTION_SS):
        own = [answer.probability for answer in answers if answer.name.startswith(name)]
        now, stored = sum(own) / len(own), judged.probabilities[name]
        if abs(now - stored) > SAME_PROBABILITY:
            text = f"{name} now gives {now:.3f}, the run's stored prediction is {stored:.3f}: have its files changed?"
            found.append(Finding("other-probability", text))
    used, learned = segmentation.segmenter, run.segmenter
    names = learned.name.split(" and ")
    if asked and (used.name not in names or (len(names) == 1 and used.version != learned.version)):
        text = f"the masks are of {used.title}, those of the run of {learned.title}"
        found.append(Finding("other-segmenter", text))
    ratio = segmentation.ratio
    if abs(ratio - judged.case.ratio) > SAME_RATIO * max(ratio, judged.case.ratio):
        text = f"the masks found now have the ratio {ratio:.4f}, those of the run {judged.case.ratio:.4f}"
        found.append(Finding("other-ratio", text))
    return tuple(found)


def _card(run: Run, folds: tuple[int, ...], judged: JudgedCase) -> BundleCard:
    digest = hashlib.sha256(f"{run.cohort_sha256} {folds} {sorted(judged.probabilities.items())}".encode()).hexdigest()
    learned = sum(1 for case in run.validation if case.fold != judged.case.fold)
    which = "of the run's folds" if judged.case.fold is None else f"of the folds other than {judged.case.fold}"
    return BundleCard(
        name="cross-validation",
        version=__version__,
        learned_from=f"{learned} CTs {which}, this one not among them",
        intended_use="to see what the networks of a cross-validation rest on; research use only",
        sha256=digest,
    )
