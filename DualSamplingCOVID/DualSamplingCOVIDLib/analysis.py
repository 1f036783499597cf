"""One CT -> one Diagnosis: segment, preprocess, ask every member of the bundle, weigh their answers (Eq. 5)."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from . import __version__, ensemble, preprocessing
from .bundle import Bundle, Member
from .ct import CT, check_lungs
from .diagnosis import Attention, Diagnosis, Finding, FoldAnswer, FoldAnswers, MemberResult, Segmentation
from .errors import BundleError, ResourceError
from .evaluation.calibration import spread
from .progress import Progress, silent
from .segmentation import Segmenter, finder

MAP_STEP = 4
"""Maps are kept on every fourth voxel of the network grid: linear between feature cells, they lose nothing there."""

SHRUNK = 1.10
"""The network grid's growth from which a reader is told."""

if TYPE_CHECKING:
    import torch

    from .network.attention import AttentionMaps
    from .network.resnet import ResNet34


def analyze(
    ct: CT,
    bundle: Bundle,
    segmenter: Segmenter,
    device: str = "auto",
    progress: Progress = silent,
    name: str = "the CT",
) -> Diagnosis:
    """Analyse one chest CT.

    Args:
        ct: the CT in HU with its quality findings so far.
        bundle: the trained members and their network grid.
        segmenter: makes lungs and infection; the bundle's cut-offs apply where it learned with the same one.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        progress: told the stage and its fraction.
        name: what to call the CT where it is refused; nothing that is written holds it.

    Raises:
        InputError: the CT is not a chest CT.
        BundleError: a member's weights do not fit its network, or give no number.
        ResourceError: memory ran out.
    """
    progress("segmenting lungs and infection", 0.0)
    segmentation = segmenter.segment(ct.image, progress)
    findings = ct.findings + check_lungs(ct.image, segmentation.lungs, name)
    segmentation, mismatch = _with_bundle_cut_offs(segmentation, bundle)

    progress("preparing the network's input", 0.0)
    prepared = preprocessing.prepare(ct.image, segmentation.lungs, bundle.grid)
    findings += _shrunk(prepared.grid)
    members = []
    for index, member in enumerate(bundle.members):
        progress("asking the networks", index / len(bundle.members))
        members.append(ask(member, bundle.weights(member), prepared, device, fast=True))

    progress("weighing the answers", 0.0)
    probability = {s: _mean([m.probability for m in _voters(members, s)]) for s in ("US", "SS")}
    decision = ensemble.decide(probability["US"], probability["SS"], segmentation.ratio, segmentation.segmenter)
    decision = replace(decision, folds=fold_answers(members, decision.weight))
    attention, opposite = combined_maps(members, decision.weight)
    return Diagnosis(
        segmentation=segmentation,
        members=tuple(members),
        decision=decision,
        attention=attention,
        opposite=opposite,
        findings=findings + mismatch,
        bundle=bundle.card,
        ct_sha256=ct.sha256,
        software=(*software(), ("networks", _arithmetic(bundle, device))),
    )


def _with_bundle_cut_offs(segmentation: Segmentation, bundle: Bundle) -> tuple[Segmentation, tuple[Finding, ...]]:
    """Apply the cut-offs refitted with the bundle, or warn that it learned with another segmenter's masks.

    They belong to who finds the infection, whoever found the lungs.
    """
    used, learned = segmentation.segmenter, bundle.segmenter
    if finder(used) == finder(learned):
        return replace(segmentation, segmenter=replace(learned, name=used.name)), ()
    return segmentation, (
        Finding(
            "other-segmenter",
            f"the bundle learned with masks of {learned.title}, these are of {used.title}: "
            "ratios and probabilities may not be comparable",
        ),
    )


def _shrunk(grid: preprocessing.NetworkGrid) -> tuple[Finding, ...]:
    """Say where the lungs are too large for the network's grid, so that it saw them smaller than it learned to."""
    if grid.scale <= SHRUNK:
        return ()
    return (Finding("shrunk-lungs", f"the lungs exceed the network's grid and were shrunk {grid.scale:.2f} times"),)


def fold_answers(members: Sequence[MemberResult], weight: float) -> FoldAnswers | None:
    """Return Eq. 5 of each fold's own attention networks, with the decision's `weight`, and the spread of that.

    The spread is what `evaluate` calls so. Folds that lack a sampling do not count; None where fewer than two are left.
    """
    answers = []
    for fold in sorted({member.fold for member in members if member.fold is not None}):
        own = [member for member in members if member.fold == fold]
        us, ss = ([m.probability for m in _voters(own, sampling)] for sampling in ("US", "SS"))
        if us and ss:
            p_us, p_ss = _mean(us), _mean(ss)
            answers.append(FoldAnswer(fold, p_us, p_ss, ensemble.weighted(p_us, p_ss, weight)))
    if len(answers) < 2:
        return None
    return FoldAnswers(float(spread([[answer.probability] for answer in answers])[0]), tuple(answers))


def combined_maps(members: Sequence[MemberResult], weight: float) -> tuple[sitk.Image, sitk.Image]:
    """Return the decision's A^ and its opposite: Eq. 5's `weight` on the mean map with US, the rest on that with SS."""
    maps = {s: _mean_image([m.attention.image for m in _voters(members, s)]) for s in ("US", "SS")}
    opposites = {s: _mean_image([m.opposite.image for m in _voters(members, s)]) for s in ("US", "SS")}
    return (
        ensemble.combine_maps(maps["US"], maps["SS"], weight),
        ensemble.combine_maps(opposites["US"], opposites["SS"], weight),
    )


def ask(
    member: Member,
    tensors: Mapping[str, torch.Tensor],
    prepared: preprocessing.NetworkInput,
    device: str,
    fast: bool = False,
) -> MemberResult:
    """Ask one network of these weights what it makes of a prepared CT, in float32, or `fast`: see `arithmetic`.

    Raises:
        BundleError: the answer is no number.
        ResourceError: memory ran out, or there is no such device.
    """
    import torch

    from .network import attention as online
    from .network.device import arithmetic, choose_device, exact

    try:
        where = choose_device(device)
        network = _network(member, tensors).to(where)
        image = torch.from_numpy(prepared.image)[None, None].to(where, memory_format=torch.channels_last_3d)
        lattice, stride = prepared.grid.every(MAP_STEP), online.STRIDE // MAP_STEP
        with torch.no_grad(), exact():
            with torch.autocast("cpu", torch.bfloat16, fast and arithmetic(where, member.width) == "bfloat16"):
                output = network(image)
            weight, bias = network.fc.weight, network.fc.bias
            positive, negative, offset = online.evidence(output.features, weight, bias)
            if member.kind == "attention":
                own = online.online_attention(output.features, weight, lattice.shape_kji, stride)
                opposite = online.online_attention(output.features, -weight, lattice.shape_kji, stride)
        if member.kind == "baseline":
            own = online.grad_cam(network.classify, output.features, lattice.shape_kji, stride)
            opposite = online.grad_cam(lambda f: -network.classify(f), output.features, lattice.shape_kji, stride)
    except (torch.OutOfMemoryError, MemoryError):
        raise ResourceError("memory ran out: close other programs, or choose --device cpu") from None
    logit = float(output.logit[0])
    if not math.isfinite(logit):
        raise BundleError(f"{member.file}: the network {member.name} answers no number: its weights are damaged")
    return MemberResult(
        name=member.name,
        sampling=member.sampling,
        kind=member.kind,
        fold=member.fold,
        logit=logit,
        probability=float(torch.sigmoid(torch.tensor(logit, dtype=torch.float64))),
        positive_evidence=float(positive),
        negative_evidence=float(negative),
        bias=float(offset.detach()),
        attention=_attention(own, lattice),
        opposite=_attention(opposite, lattice),
    )


def _arithmetic(bundle: Bundle, device: str) -> str:
    """Return what the networks computed in: the numbers of another machine differ by that."""
    from .network.device import arithmetic, choose_device

    where = choose_device(device)
    return " and ".join(sorted({arithmetic(where, member.width) for member in bundle.members}))


def _attention(maps: AttentionMaps, grid: preprocessing.NetworkGrid) -> Attention:
    array = maps.normalised[0, 0].cpu().numpy()
    return Attention(grid.to_image(np.ascontiguousarray(array, dtype=np.float32)), float(maps.raw_peak[0]))


def _network(member: Member, tensors: Mapping[str, torch.Tensor]) -> ResNet34:
    import torch

    from .network.resnet import ResNet34, fuse

    with torch.device("meta"):
        network = ResNet34(width=member.width)
    network.load_state_dict(dict(tensors), assign=True)
    return fuse(network.eval())


def _voters(members: Sequence[MemberResult], sampling: str) -> list[MemberResult]:
    return [member for member in members if (member.sampling, member.kind) == (sampling, "attention")]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mean_image(images: list[sitk.Image]) -> sitk.Image:
    total = images[0]
    for image in images[1:]:
        total = total + image
    return total / float(len(images))


def software() -> tuple[tuple[str, str], ...]:
    """Return names and versions of what computes."""
    import torch

    return (
        ("dual-sampling-covid", __version__),
        ("python", platform.python_version()),
        ("torch", torch.__version__),
        ("SimpleITK", sitk.Version_VersionString()),
        ("numpy", np.__version__),
    )
