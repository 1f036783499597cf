"""A cohort that came after a run, as its test set: prepared as the run's cases are, answered by its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ..cohort import Case, check_cohort
from ..diagnosis import CAP, COVID
from ..errors import InputError
from ..network.resnet import ResNet34
from ..parallel import spread
from ..progress import Progress, Say, silent, unsaid
from ..run_folder import SEGMENTER, TEST, FoldModel, Run, RunCase, read_weights
from ..segmentation import kept
from ..storage import sha256
from .config import Config
from .cross_validation import repeatable
from .fit import predict
from .memory import gpu_memory_named
from .prepared import PreparedCase, PreparedDataset, noted_content, prepare_cohort, read_content, same_ct_notes
from .provenance import mask_notes, segmenter_notes
from .run import as_run_case, load_run


def with_test_cohort(
    run: Run,
    cohort: Path,
    device: torch.device,
    progress: Progress = silent,
    say: Say = unsaid,
) -> Run:
    """Return a run whose test set is another cohort, answered by every fold's networks as test cases of its own are.

    All cases of COVID-19 and CAP count, whatever their split; test cases of the run's own are left out. The run folder
    gets the prepared cases, in ``cache/test``, and nothing else.

    Args:
        run: of `run_folder.read_run`.
        cohort: cohort.csv.
        device: where segmenter and networks compute.
        progress: told how many cases are prepared, and how far the networks are.
        say: told what a person should know of the cohort.

    Raises:
        InputError: the run is not finished; the cohort cannot be used; or a case, a patient or a CT of it is the run's.
        BundleError: weights or segmenter are not those that the run left.
        ResourceError: memory or disk ran out; what was prepared stays.
    """
    run.check_finished()
    config = load_run(run.folder).config
    given, digest = _chosen(cohort, check_cohort(cohort), say), sha256(cohort)
    _refuse(cohort, _shared_names(given, run.cases))
    asked = given
    if config.masks == "segmenter":
        asked = tuple(replace(case, lungs=None, infection=None) for case in given)
    segmenter = kept(config.segmenter, run.folder / SEGMENTER)
    prepared = prepare_cohort(asked, config.grid, segmenter, _cache(run.folder), progress, device.type)
    notes = mask_notes(asked) + same_ct_notes(prepared)
    notes += segmenter_notes([case.segmenter for case in prepared if case.segmenter is not None], run.segmenter)
    notes += _check_cts(cohort, prepared, run, progress)
    for note in notes:
        say(f"warning: {note}")
    if run.test:
        notes.append(f"The run's own {len(run.test)} test cases are left out: another cohort is the test set.")
        say(notes[-1])
    test = tuple(as_run_case(*pair, None, run.cut_offs) for pair in zip(given, prepared, strict=True))
    return replace(
        run,
        cases=run.validation + test,
        models=_answers(run, config, prepared, device, progress),
        notes=run.notes + tuple(notes),
        test_cohort_sha256=digest,
    )


def _cache(folder: Path) -> Path:
    """Make the folder in which a run keeps the prepared cases of such cohorts, apart from its own."""
    cache = folder / "cache" / "test"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{cache}: cannot be made, to keep prepared cases in: {error.strerror}") from None
    return cache


def _chosen(cohort: Path, cases: Sequence[Case], say: Say) -> tuple[Case, ...]:
    """Return the cases that the networks know a class of, all in the split `test`."""
    chosen = tuple(replace(case, split=TEST) for case in cases if case.label in (COVID, CAP))
    if not chosen:
        raise InputError(f"{cohort}: no cases of {COVID} or {CAP}")
    left = len(cases) - len(chosen)
    if left:
        say(f"{left} normal case{'s are' if left > 1 else ' is'} left out: the networks know {COVID} and {CAP} only")
    return chosen


def _shared_names(cases: Sequence[Case], known: Sequence[RunCase]) -> list[str]:
    """Say which cases the run has by their name, and whose patients it has."""
    names, patients = {case.case_id for case in known}, {case.patient_id: case.case_id for case in known}
    problems = []
    for case in cases:
        if case.patient_id in patients:
            other = patients[case.patient_id]
            problems.append(
                f"the patient {case.patient_id!r} of case {case.case_id!r} is in the run, in case {other!r}"
            )
        elif case.case_id in names:
            problems.append(f"the run has a case {case.case_id!r} as well: call it otherwise")
    return problems


def _check_cts(cohort: Path, prepared: Sequence[PreparedCase], run: Run, progress: Progress) -> list[str]:
    """Refuse CTs that are in the run; return a sentence where that cannot be told of all of its cases."""
    known = {noted_content(case): case.case_id for case in run.cases}
    without = [case for case in run.cases if not noted_content(case)]
    contents = spread(read_content, without, "reading the run's CTs", progress)
    known |= {content: case.case_id for content, case in zip(contents, without, strict=True)}
    _refuse(
        cohort,
        [
            f"the case {case.case_id!r} is the same CT as {known[case.content]!r} in the run"
            for case in prepared
            if case.content and case.content in known
        ],
    )
    lost = contents.count("")
    if not lost:
        return []
    return [
        f"Of {lost} of the run's {len(run.cases)} cases neither CT nor prepared volume is there: whether the test set "
        "has the same CT is not known."
    ]


def _refuse(cohort: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f" ({len(problems)} such cases in all)" if len(problems) > 1 else ""
        raise InputError(f"{cohort}: {problems[0]}{more}; an independent test set has nothing of the run")


def _answers(
    run: Run, config: Config, cases: Sequence[PreparedCase], device: torch.device, progress: Progress
) -> tuple[FoldModel, ...]:
    """Return the run's models with what they answer of these cases in place of its own test cases."""
    stage, dataset, answered = "asking the networks", PreparedDataset(cases), []
    progress(stage, 0.0)
    with repeatable(device, config.threads), gpu_memory_named(stage, "choose --device cpu"):
        for number, model in enumerate(run.models):

            def told(done: float, number: int = number) -> None:
                progress(stage, (number + done) / len(run.models))

            settings = config.settings(model.name, model.fold)
            network = ResNet34(settings.width).to(device)
            network.load_state_dict(read_weights(run, model.fold, model.name))
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
            found = predict(network, dataset, settings.micro_batch, device, settings.workers, told)
            logits = {case.case_id: model.logits[case.case_id] for case in run.validation if case.fold == model.fold}
            logits |= {case.case_id: logit for case, logit in zip(cases, found.tolist(), strict=True)}
            answered.append(replace(model, logits=logits))
    return tuple(answered)
