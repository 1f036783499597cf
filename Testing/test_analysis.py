"""One CT through a bundle: whose cut-offs apply, which answers are none, and how far those of folds lie apart."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ct.test_quality import chest
from DualSamplingCOVIDLib import preprocessing
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.analysis import analyze, ask, fold_answers
from DualSamplingCOVIDLib.bundle import Bundle, Member, load_bundle, save_bundle
from DualSamplingCOVIDLib.ct import CT
from DualSamplingCOVIDLib.diagnosis import NO_PNEUMONIA, CutOffs, Diagnosis, FoldAnswer, Segmentation, SegmenterCard
from DualSamplingCOVIDLib.errors import BundleError
from DualSamplingCOVIDLib.evaluation import calibration
from DualSamplingCOVIDLib.network import device
from DualSamplingCOVIDLib.network.resnet import ResNet34
from DualSamplingCOVIDLib.progress import Progress, silent
from DualSamplingCOVIDLib.segmentation import GivenMasks, Segmenter
from scene.cases import a_member
from test_bundle import GRID, a_bundle

PLAIN = SegmenterCard("threshold", "1", CutOffs(0.002, 0.006, 0.04), 0.005)


class _Known:
    """A segmenter that knows this chest; the bundle of these tests learned with its name and version."""

    card = PLAIN

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        _, lungs = chest()
        right = sitk.Image(lungs)
        right[30:, :, :] = 0
        infection = sitk.Image(right)
        infection[:, :, 12:] = 0
        return Segmentation(right, sitk.And(lungs, sitk.Not(right)), infection, self.card)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "random"
    a_bundle(folder)
    return load_bundle(folder)


def _analyzed(bundle: Bundle, segmenter: Segmenter) -> Diagnosis:
    return analyze(CT(chest()[0], (), "boxes"), bundle, segmenter, "cpu")


def test_the_bundles_refitted_cut_offs_stay_where_only_the_lungs_are_given(bundle: Bundle) -> None:
    plain, given = (_analyzed(bundle, s) for s in (_Known(), GivenMasks(_Known(), lungs=chest()[1])))
    assert plain.segmentation.segmenter == bundle.segmenter != PLAIN
    assert given.segmentation.segmenter.name == "threshold with given lungs"
    assert given.segmentation.segmenter.cut_offs == bundle.segmenter.cut_offs
    assert given.segmentation.segmenter.detection_limit == bundle.segmenter.detection_limit
    assert "other-segmenter" not in {finding.code for finding in given.findings}


def test_a_bundle_that_learned_with_given_lungs_has_its_cut_offs_wherever_the_lungs_are_from(bundle: Bundle) -> None:
    learned = dataclasses.replace(
        bundle, segmenter=dataclasses.replace(bundle.segmenter, name="threshold with given lungs")
    )
    for segmenter in (_Known(), GivenMasks(_Known(), lungs=chest()[1])):
        found = _analyzed(learned, segmenter)
        assert found.segmentation.segmenter == dataclasses.replace(bundle.segmenter, name=segmenter.card.name)
        assert "other-segmenter" not in {finding.code for finding in found.findings}


def test_given_infection_has_no_refitted_cut_offs_and_is_said_to_be_others(bundle: Bundle) -> None:
    infection = _Known().segment(chest()[0]).infection
    given = _analyzed(bundle, GivenMasks(_Known(), infection=infection))
    assert given.segmentation.segmenter.cut_offs == PLAIN.cut_offs
    assert given.segmentation.segmenter.detection_limit == 0
    assert "other-segmenter" in {finding.code for finding in given.findings}


def test_a_given_infection_without_a_voxel_is_no_pneumonia(bundle: Bundle) -> None:
    nothing = chest()[1] * 0
    assert _analyzed(bundle, GivenMasks(_Known(), infection=nothing)).decision.answer == NO_PNEUMONIA


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_answers_no_number_is_refused(bundle: Bundle, value: float) -> None:
    member = bundle.members[0]
    tensors = {**bundle.weights(member), "fc.bias": torch.tensor([value])}
    prepared = preprocessing.prepare(*chest(), GRID)
    with pytest.raises(BundleError, match=r"us\.safetensors: the network us answers no number"):
        ask(member, tensors, prepared, "cpu")


SAID = ((0, "US", 0.9), (0, "SS", 0.5), (1, "US", 0.4), (1, "SS", 0.2), (2, "US", 0.7))
"""Fold, sampling and probability of networks; fold 2 has no SS."""


@pytest.mark.parametrize("kind", ["attention", "baseline"])
def test_a_wide_network_answers_in_bfloat16_where_the_cpu_has_it_and_nearly_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tensors = ResNet34(device.WIDE).state_dict()
    member = Member("one", "US", kind, None, device.WIDE, "one.safetensors", "")
    prepared = preprocessing.prepare(*chest(), GRID)
    answers = []
    for able in (False, True):
        monkeypatch.setattr(device, "has_bfloat16", lambda _, able=able: able)
        answers.append(ask(member, tensors, prepared, "cpu", fast=True))
    whole, fast = answers
    assert ask(member, tensors, prepared, "cpu").logit == whole.logit
    assert whole.logit != fast.logit == pytest.approx(whole.logit, rel=0.03)
    maps = [sitk.GetArrayFromImage(answer.attention.image) for answer in answers]
    assert np.abs(maps[1] - maps[0]).max() < 0.06 and fast.attention.raw_peak == pytest.approx(
        whole.attention.raw_peak, rel=0.03
    )


@pytest.mark.parametrize(
    ("where", "width", "able", "expected"),
    [
        ("cpu", device.WIDE, True, "bfloat16"),
        ("cpu", device.WIDE, False, "float32"),
        ("cpu", device.WIDE - 1, True, "float32"),
        ("cuda", device.WIDE, True, "float32"),
    ],
)
def test_gpus_and_slim_networks_answer_in_float32(
    where: str, width: int, able: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda _: able)
    assert device.arithmetic(torch.device(where), width) == expected


def test_the_report_says_what_the_networks_computed_in(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dict(_analyzed(bundle, _Known()).software)["networks"] == "float32"
    monkeypatch.setattr(device, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(device, "WIDE", 1)
    assert dict(_analyzed(bundle, _Known()).software)["networks"] == "bfloat16"


def test_each_fold_answers_by_its_own_networks_and_the_decisions_weight() -> None:
    members = [dataclasses.replace(a_member(s, 1.0), fold=fold, probability=p) for fold, s, p in SAID]
    members += [dataclasses.replace(a_member("US", 1.0), fold=0, kind="baseline", probability=0.01)]
    found = fold_answers(members, 0.75)
    assert found is not None
    assert found.answers == (
        FoldAnswer(0, 0.9, 0.5, pytest.approx(0.8)),
        FoldAnswer(1, 0.4, 0.2, pytest.approx(0.35)),
    )
    assert found.spread == pytest.approx(0.45 / np.sqrt(2))
    assert found.spread == pytest.approx(calibration.spread([[0.8], [0.35]])[0], rel=1e-12)


@pytest.mark.parametrize("said", [SAID[:2], (*SAID[:2], SAID[2]), (*SAID[:2], (None, "US", 0.4), (None, "SS", 0.2))])
def test_one_whole_fold_has_no_spread(said: tuple[tuple[int | None, str, float], ...]) -> None:
    members = [dataclasses.replace(a_member(s, 1.0), fold=fold, probability=p) for fold, s, p in said]
    assert fold_answers(members, 0.5) is None


def test_a_bundle_of_folds_tells_their_spread_and_one_without_does_not(
    bundle: Bundle, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _analyzed(bundle, _Known()).decision.folds is None
    torch.manual_seed(7)
    names = [(fold, sampling) for fold in range(3) for sampling in ("US", "SS")]
    networks = [
        (Member(f"{s}-{f}", s, "attention", f, 2, f"{s}-{f}.safetensors", ""), ResNet34(2).state_dict())
        for f, s in names
    ]
    of_folds = save_bundle(tmp_path / "folds", networks, bundle.card, GRID, bundle.segmenter, {}, None)
    found = _analyzed(of_folds, _Known())
    folds, w = found.decision.folds, found.decision.weight
    assert folds is not None and [answer.fold for answer in folds.answers] == [0, 1, 2]
    said = [
        w * us.probability + (1 - w) * ss.probability
        for us, ss in zip(found.members[::2], found.members[1::2], strict=True)
    ]
    assert [answer.probability for answer in folds.answers] == pytest.approx(said)
    assert folds.spread == pytest.approx(np.std(said, ddof=1)) and folds.spread > 0
    assert np.mean(said) == pytest.approx(found.decision.probability)
    sitk.WriteImage(chest()[0], tmp_path / "ct.nrrd")
    sitk.WriteImage(_Known().segment(chest()[0]).infection, tmp_path / "infection.nrrd")
    command = [
        "analyze",
        str(tmp_path / "ct.nrrd"),
        "--bundle",
        str(tmp_path / "folds"),
        "--output",
        str(tmp_path / "d"),
    ]
    command += ["--lungs", str(tmp_path / "lungs.nrrd"), "--infection", str(tmp_path / "infection.nrrd")]
    sitk.WriteImage(chest()[1], tmp_path / "lungs.nrrd")
    assert main([*command, "--write", "masks", "--progress", "none", "--device", "cpu"]) == 0
    assert f"Spread over 3 folds: {folds.spread:.3f} (standard deviation" in capsys.readouterr().err
