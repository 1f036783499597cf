"""What the networks are shown: from (seed, index) alone, masks moving with the CT, infection often in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from torch import nn

from DualSamplingCOVIDLib.network.vbnet import closed, windowed
from DualSamplingCOVIDLib.run_folder.volume import FULL_SHARE
from DualSamplingCOVIDLib.training.segmentation.cases import (
    SegmentationCase,
    on_working_grid,
    plan_phantoms,
    read_case,
    write_case,
)
from DualSamplingCOVIDLib.training.segmentation.guides import (
    HOLLOW_VOXELS,
    guide_file,
    overview,
    read_guide,
    write_guides,
)
from DualSamplingCOVIDLib.training.segmentation.patches import LARGEST_SHIFT, Chests, Patches, raised
from segmentation.vbnets import Sides


@pytest.fixture(scope="module")
def a_case() -> SegmentationCase:
    """Two boxes of lung in a body, infection in a corner of the right one; HU tell which is which."""
    hu = np.full((60, 66, 90), 40, np.int16)
    right, left, infection = (np.zeros(hu.shape, np.uint8) for _ in range(3))
    right[10:50, 12:50, 10:40] = left[10:50, 12:50, 50:80] = FULL_SHARE
    infection[14:20, 40:48, 12:20] = FULL_SHARE
    hu[right > 0], hu[left > 0], hu[infection > 0] = -850, -800, -500
    return SegmentationCase(hu, right, left, infection)


@pytest.fixture
def a_file(a_case: SegmentationCase, tmp_path: Path) -> Path:
    write_case(tmp_path / "case", a_case)
    return tmp_path / "case"


def _patches(file: Path, side: int, seed: int, *, varied: bool = True) -> Patches:
    """Serve patches whose guide is the true lungs."""
    guides = file.parent / "guides"
    guides.mkdir(exist_ok=True)
    np.save(guide_file(guides, file), read_case(file).lungs)
    return Patches([overview(file, guides)], side, 99, seed, varied)


def _chests(file: Path, side: int, seed: int) -> Chests:
    return Chests([file], side, 99, seed)


def test_a_written_case_comes_back(a_case: SegmentationCase, a_file: Path) -> None:
    for written, read in zip(a_case, read_case(a_file), strict=True):
        assert written.dtype == read.dtype
        np.testing.assert_array_equal(written, read)
    assert [path.name for path in a_file.parent.iterdir()] == ["case"]


@pytest.mark.parametrize("kind", [_chests, _patches])
def test_an_item_depends_on_seed_and_index_alone(
    kind: Callable[[Path, int, int], Chests | Patches], a_file: Path
) -> None:
    one, other = kind(a_file, 32, 5), kind(a_file, 32, 5)
    _ = [one[index] for index in (0, 1, 2)]
    for drawn, again in zip(one[3], other[3], strict=True):
        assert torch.equal(drawn, again)
    assert not torch.equal(one[3][0], one[4][0])
    assert not torch.equal(one[3][0], kind(a_file, 32, 6)[3][0])


def test_masks_move_with_the_ct(a_file: Path) -> None:
    """Without the scanner's variety the input tells the truth: whatever was mirrored, turned and cut, it fits."""
    infected = windowed(torch.full((1, 1, 1, 1, 1), -500.0))[0, 0, 0, 0, 0]
    for index in range(12):
        image, shares = _patches(a_file, 48, 1, varied=False)[index]
        assert image.shape == (7, 48, 48, 48) and shares.shape == (2, 48, 48, 48)
        assert ((image[0] < 0) == (shares[0] > 0.5))[(shares[0] - 0.5).abs() > 0.45].float().mean() > 0.97
        pure = shares[1] > 0.99
        if pure.any():
            assert (image[0][pure] - infected).abs().max() < 0.1
        assert (shares[1] <= shares[0] + 1e-4).all()


def test_the_guide_moves_with_the_ct_but_for_a_few_voxels(a_file: Path) -> None:
    apart = []
    for index in range(12):
        image, shares = _patches(a_file, 48, 1, varied=False)[index]
        guide = (image[3] + 1) / 2
        assert guide.min() >= 0 and guide.max() <= 1 + 1e-5
        near = F.max_pool3d(shares[None, :1], 2 * LARGEST_SHIFT + 3, 1, LARGEST_SHIFT + 1)[0, 0]
        inner = (slice(LARGEST_SHIFT + 1, -LARGEST_SHIFT - 1),) * 3  # beside it the lung may begin behind the border
        assert float((guide * (near < 0.5))[inner].sum() / guide.sum()) < 0.02
        apart.append(float(((guide > 0.5) != (shares[0] > 0.5)).float().mean()))
    assert 0 < np.median(apart) < 0.25


def test_in_half_of_the_patches_the_coarse_lungs_hold_the_hollows(a_file: Path) -> None:
    """Between the lungs are 10 voxels of 40 HU: the mean guide there is that of lung, or that of no lung."""
    patches, taken = _patches(a_file, 48, 1, varied=False), []
    for index in range(99):
        image, shares = patches[index]
        lungs = (shares[None, :1] > 0).float()
        between = (closed(lungs, HOLLOW_VOXELS) > 0) & (lungs == 0)
        if between.sum() > 200:
            taken.append(float(image[3][between[0, 0]].mean()) / 2 + 0.5)
    assert len(taken) > 12
    assert all(guide < 0.4 or guide > 0.6 for guide in taken), taken
    assert 0.3 < np.mean([guide > 0.6 for guide in taken]) < 0.7


def test_the_position_moves_with_the_ct(a_file: Path) -> None:
    """Lungs lie in k 10..49, j 12..49 and i 10..79, infection in k 14..19, j 40..47 and i 12..19."""
    patches, apart = _patches(a_file, 48, 1, varied=False), []
    for index in range(40):
        image, shares = patches[index]
        infected = shares[1] > 0.99
        if infected.any():
            found = torch.stack([image[channel][infected].mean() for channel in (4, 5, 6)])
            apart.append(found - torch.tensor([-26 / 39, 26 / 37, 58 / 69]))
    off = torch.stack(apart)
    assert off.mean(0).abs().max() < 0.08 and off.abs().max() < 0.45
    assert off.std(0).min() > 0.02 and off.std(0).max() < 0.2  # as people's lungs are not quite where they are found


def test_contrast_is_that_to_healthy_lung_on_the_very_same_scanner(a_case: SegmentationCase, tmp_path: Path) -> None:
    """Both lungs at -850 HU have next to no contrast, whatever the scanner's scale, and what is at -700 HU has half."""
    hu = np.where(a_case.lungs > 0, -850, 40).astype(np.int16)
    hu[a_case.infection > 0] = -700
    write_case(tmp_path / "even", a_case._replace(hu=hu))
    patches, contrasts, windows, lesions = _patches(tmp_path / "even", 48, 1), [], [], []
    for index in range(40):
        image, shares = patches[index]
        healthy = (shares[0] > 0.99) & (F.max_pool3d(shares[None, 1:], 7, 1, 3)[0, 0] < 0.01)
        contrasts.append(300 * float(image[1][healthy].median()))
        windows.append(650 * float(image[0][healthy].median()))
        if (shares[1] > 0.99).sum() > 100:
            lesions.append(float(image[1][shares[1] > 0.99].median()))
    assert np.std(windows) > 15 and np.std(contrasts) < 12 and abs(np.mean(contrasts)) < 6
    assert np.mean(lesions) == pytest.approx(0.5, abs=0.1) and len(lesions) > 10


def test_guides_are_what_the_coarse_network_says(a_file: Path, a_case: SegmentationCase) -> None:
    """A stand-in that takes everything under -300 HU for lung; guides that are there are kept."""
    folder = a_file.parent / "guides"
    write_guides(folder, Sides(), [a_file], torch.device("cpu"))
    guide = read_guide(folder, a_file)
    assert guide.shape == a_case.hu.shape and guide.dtype == np.uint8
    lungs, found = a_case.lungs > 0, guide > FULL_SHARE // 2
    assert 2 * (lungs & found).sum() / (lungs.sum() + found.sum()) > 0.93
    assert [path.name for path in folder.iterdir()] == ["case.npy"]
    write_guides(folder, nn.Identity(), [a_file], torch.device("cpu"))
    np.testing.assert_array_equal(read_guide(folder, a_file), guide)


def test_half_of_the_patches_and_more_hold_infection_in_their_middle(a_file: Path) -> None:
    middles = [_patches(a_file, 16, 2, varied=False)[index][1][1, 6:10, 6:10, 6:10].max() for index in range(60)]
    assert 0.45 < np.mean([float(m) > 0.5 for m in middles]) < 0.85


def test_small_lesions_are_raised_to_a_whole_voxel_and_borders_stay_where_they_are() -> None:
    shares = torch.zeros(20, 20, 20)
    shares[4, 4, 4], shares[4, 4, 5] = 0.3, 0.12
    shares[15, 4, 4] = 0.06
    shares[8:12] = torch.tensor([0.1, 0.5, 0.95, 1.0])[:, None, None]
    learned = raised(shares)
    assert learned[4, 4, 4] == 1.0 and learned[4, 4, 5] == pytest.approx(0.4)
    assert learned[15, 4, 4] == pytest.approx(0.4)
    assert learned[8:12, 10, 10].tolist() == pytest.approx([0.105, 0.5, 0.95, 1.0], abs=0.03)


def test_a_nodule_of_less_than_a_voxel_is_learned_from_as_a_whole_one(a_case: SegmentationCase, tmp_path: Path) -> None:
    small = np.zeros_like(a_case.infection)
    small[30, 30, 20] = FULL_SHARE // 4
    write_case(tmp_path / "small", a_case._replace(infection=small))
    patches = _patches(tmp_path / "small", 24, 2, varied=False)
    peaks = [float(patches[index][1][1].max()) for index in range(40)]
    assert np.mean([peak > 0.6 for peak in peaks]) > 0.5  # turned ones are blurred a little


def test_chests_tell_right_from_left_and_are_never_mirrored(a_file: Path) -> None:
    for index in range(10):
        _, shares = Chests([a_file], 32, 99, 3)[index]
        right, left = (shares[c].sum(dim=(0, 1)) * torch.arange(32) for c in (0, 1))
        if shares[0].sum() > 50 and shares[1].sum() > 50:
            assert right.sum() / shares[0].sum() < left.sum() / shares[1].sum()


def test_a_small_lesion_keeps_its_share_on_the_working_grid() -> None:
    ct = sitk.Image(40, 40, 40, sitk.sitkInt16) - 800
    ct.SetSpacing((1.0, 1.0, 1.0))
    mask = sitk.Image(40, 40, 40, sitk.sitkUInt8)
    mask[20, 20, 20] = 1
    mask.CopyInformation(ct)
    case = on_working_grid(ct, mask, mask, mask)
    assert case.infection.sum() / FULL_SHARE == pytest.approx(1 / 8, abs=0.01)
    assert set(np.unique(case.hu)) == {-800}


def test_a_quarter_of_the_plan_is_normal_and_two_in_five_of_the_rest_nearly_so() -> None:
    plan = plan_phantoms(400, 1)
    ratios = [one.ratio for one in plan if one.ratio is not None]
    assert 0.2 < 1 - len(ratios) / 400 < 0.34
    assert 0.33 < np.mean(np.array(ratios) < 0.008) < 0.52
    assert plan == plan_phantoms(400, 1) and len({one.seed for one in plan}) == 400
