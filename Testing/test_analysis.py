"""One CT through a bundle: whose cut-offs apply, and which answers are none."""

import pytest
import SimpleITK as sitk
import torch

from ct.test_quality import chest
from DualSamplingCOVIDLib import preprocessing
from DualSamplingCOVIDLib.analysis import analyze, ask
from DualSamplingCOVIDLib.bundle import Bundle, load_bundle
from DualSamplingCOVIDLib.ct import CT
from DualSamplingCOVIDLib.diagnosis import NO_PNEUMONIA, CutOffs, Diagnosis, Segmentation, SegmenterCard
from DualSamplingCOVIDLib.errors import BundleError
from DualSamplingCOVIDLib.progress import Progress, silent
from DualSamplingCOVIDLib.segmentation import GivenMasks, Segmenter
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
