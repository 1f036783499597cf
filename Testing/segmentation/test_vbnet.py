"""VB-Net as a segmenter, with stand-ins for its networks: geometry, sides, and which components are kept."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DualSamplingCOVIDLib.diagnosis import volume_ml
from DualSamplingCOVIDLib.errors import ResourceError
from DualSamplingCOVIDLib.segmentation import vbnet
from DualSamplingCOVIDLib.segmentation.vbnet import VBNetSegmenter, find

from .vbnets import Densities, Sides, a_folder, hu_of

SHAPE = (70, 60, 90)
RIGHT = (slice(12, 58), slice(14, 48), slice(8, 38))
LEFT = (slice(12, 58), slice(14, 48), slice(50, 80))
LESION = (slice(20, 30), slice(34, 44), slice(14, 24))


def a_chest() -> np.ndarray:
    """Return a body with two lungs and a lesion in the right one, HU [k, j, i] on 2 mm voxels."""
    hu = np.full(SHAPE, 40, np.float32)
    hu[RIGHT] = hu[LEFT] = -850
    hu[LESION] = -450
    return hu


def _find(hu: np.ndarray) -> vbnet.Found:
    return find(hu, Sides(), Densities())  # type: ignore[arg-type]


def test_right_left_and_infection_lie_where_they_are() -> None:
    found = _find(a_chest())
    for level, part in ((found.right, RIGHT), (found.left, LEFT), (found.infection, LESION)):
        mask = level >= 0.5
        truth = np.zeros(SHAPE, bool)
        truth[part] = True
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.97


class Recording(Densities):
    """Keeps what it is shown."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen = image[0]
        return super().forward(image)


def test_the_fine_network_is_told_contrast_lungs_and_where_it_looks() -> None:
    """The lesion shows which voxel is which; the coarse lungs' box is that of the lungs to a coarse voxel."""
    hu, fine = a_chest(), Recording()
    hu[LESION] = -700
    find(hu, Sides(), fine)  # type: ignore[arg-type]
    lesion = (hu_of(fine.seen[None, :1])[0] + 700).abs() < 1
    assert lesion.sum() == 1000
    for channel, part, right, left in zip((4, 5, 6), LESION, RIGHT, LEFT, strict=True):
        low, high = min(right.start, left.start), max(right.stop, left.stop) - 1
        place = (part.start + part.stop - 1 - low - high) / (high - low)
        assert fine.seen[channel][lesion].mean() == pytest.approx(abs(place) if channel == 6 else place, abs=0.1)
    assert fine.seen[1][lesion].mean() == pytest.approx(0.5, abs=0.01) and fine.seen[2][lesion].max() > 0.49
    assert fine.seen[3][lesion].min() > 0.9 and fine.seen[3].min() < -0.9


def test_a_consolidation_inside_is_lung_although_no_network_says_so() -> None:
    hu = a_chest()
    hu[30:40, 20:30, 60:70] = 30
    found = _find(hu)
    assert (found.left[32:38, 22:28, 62:68] >= 0.5).all()


class NoBowel(Sides):
    """Sees no lung in the lowest 18 mm."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = super().forward(image)
        logits[:, :, :3] = -8
        return logits


def test_air_that_the_coarse_network_does_not_share_is_no_lung() -> None:
    """Gas in the bowel or the table: the fine network alone would take it."""
    hu = a_chest()
    hu[2:7, 20:40, 20:35] = -850
    found = find(hu, NoBowel(), Densities())  # type: ignore[arg-type]
    assert not (found.right[:10] >= 0.5).any() and (found.right[14:50, 16:46, 10:14] >= 0.5).all()


def test_gas_that_opens_into_the_lung_is_cut_off_near_it() -> None:
    hu = a_chest()
    hu[1:12, 20:40, 20:35] = -930
    found = find(hu, NoBowel(), Densities())  # type: ignore[arg-type]
    assert not (found.right[:2] >= 0.5).any() and (found.right[14:50, 16:46, 10:14] >= 0.5).all()


def _made_lungs(hu: np.ndarray, lungs: np.ndarray, healthy_hu: float, coarse: np.ndarray | None = None) -> np.ndarray:
    """Return what `_lungs` makes of lungs that the fine network is sure of, less the rim."""
    level = np.where(lungs, 0.9, 0.1).astype(np.float32)
    nothing = np.zeros(hu.shape, np.float32)
    made = vbnet._lungs(level, nothing, lungs if coarse is None else coarse, hu.astype(np.float32), healthy_hu)
    return made & (level > 0.5)


@pytest.mark.parametrize(
    ("start", "size", "recess_hu", "healthy_hu", "found"),
    [
        (20, 4, -750, -850, True),
        (20, 4, -490, -850, False),
        (20, 4, -930, -850, False),
        (20, 2, -750, -850, False),
        (22, 4, -750, -850, False),
        (20, 4, -985, -930, False),
        (20, 4, -500, -500, True),
        (20, 4, -100, -400, False),
    ],
    ids=["recess", "denser", "thinner", "a rim", "elsewhere", "windpipe in inspiration", "white lung", "fat beside it"],
)
def test_a_recess_that_no_network_saw_is_lung_by_its_density(
    start: int, size: int, recess_hu: int, healthy_hu: int, found: bool
) -> None:
    """Recesses of 10.2 ml or 5.1 ml below the lung."""
    lungs, hu = np.zeros((30, 24, 24), bool), np.full((30, 24, 24), 40, np.float32)
    lungs[:20, 2:22, 2:22] = True
    recess = (slice(start, start + size), slice(3, 21), slice(3, 21))
    hu[lungs], hu[recess] = healthy_hu, recess_hu
    made = _made_lungs(hu, lungs, healthy_hu)
    assert made[recess].all() if found else not made[recess].any()
    assert made[:19].sum() == lungs[:19].sum()


@pytest.mark.parametrize(("side", "slices", "found"), [(6, 6, False), (7, 6, True), (7, 30, True)])
def test_a_recess_has_a_size_and_lies_near(side: int, slices: int, found: bool) -> None:
    """Those of 1.7 ml and 2.4 ml; one that goes on for 60 mm ends 30 mm from the lungs."""
    lungs, hu = np.zeros((60, 24, 24), bool), np.full((60, 24, 24), 40, np.float32)
    lungs[:20], hu[:20], hu[20 : 20 + slices, 4 : 4 + side, 4 : 4 + side] = True, -850, -750
    made = _made_lungs(hu, lungs, -850)
    assert bool(made[20].any()) == found and not made[35:].any()
    assert made[34].any() == (slices > 15)


def _tube(length: int, width: int, start: int = 10) -> tuple[np.ndarray, np.ndarray, tuple[slice, ...]]:
    """Lungs up to the twentieth slice, and gas in a tube that begins below that."""
    lungs, hu = np.zeros((60, 24, 24), bool), np.full((60, 24, 24), 40, np.float32)
    lungs[:20], hu[:20] = True, -850
    tube = (slice(start, start + length), slice(8, 8 + width), slice(8, 8 + width))
    hu[tube] = -990
    return lungs, hu, tube


@pytest.mark.parametrize(
    ("length", "width", "start", "outside"),
    [(30, 4, 10, True), (18, 4, 10, False), (45, 2, 10, False), (13, 3, 17, False)],
    ids=["airway", "bulla", "small bronchus", "speck"],
)
def test_gas_that_lies_mostly_outside_the_lungs_is_none(length: int, width: int, start: int, outside: bool) -> None:
    lungs, hu, tube = _tube(length, width, start)
    made = _made_lungs(hu, lungs, -850)
    assert made[tube][: 18 - start].any() != outside and made[:8].all() and not made[22:].any()


def test_a_bulla_that_the_coarse_network_shares_stays_although_the_fine_one_sees_less_than_half_of_it() -> None:
    lungs, hu, tube = _tube(30, 8)
    coarse = lungs.copy()
    coarse[tube] = True
    assert _made_lungs(hu, lungs, -850, coarse)[tube][:10].all()


def test_emphysema_at_the_end_of_an_airway_stays() -> None:
    """A small bronchus leads from the windpipe to it."""
    lungs, hu, _ = _tube(30, 5)
    lungs[:10, :, :6] = False
    hu[2:9, 10:16, 18:22] = hu[8:12, 12:14, 12:20] = -990
    made = _made_lungs(hu, lungs, -850)
    assert made[2:8, 10:16, 18:22].all() and not made[12:19, 9:12, 9:12].any()


@pytest.mark.parametrize(("depth", "kept"), [(12, False), (20, True)])
def test_air_beside_an_arm_is_small_beside_a_lung(depth: int, kept: bool) -> None:
    """Parts of 43 ml and 72 ml beside lungs of 672 ml: 6 and 11 %."""
    lung = np.zeros((70, 60, 90), bool)
    lung[10:60, 10:50, 5:47] = True
    lung[10:30, 10 : 10 + depth, 60:82] = True
    arm = lung[:, :, 60:].copy()
    assert arm.sum() * 0.008 > vbnet.LEAST_LUNG_ML
    found = vbnet.main_parts(lung)
    assert found[:, :, :50].sum() == 84000 and bool(found[:, :, 60:].any()) == kept


@pytest.mark.parametrize(("side", "kept"), [(1, False), (3, True)])
def test_specks_of_infection_are_left_out(side: int, kept: bool) -> None:
    hu = a_chest()
    hu[LESION] = -850
    hu[40 : 40 + side, 30 : 30 + side, 60 : 60 + side] = -450
    assert bool((_find(hu).infection >= 0.5).any()) == kept


def test_infection_that_nobody_is_sure_of_is_left_out() -> None:
    hu = a_chest()
    hu[LESION] = -640  # a probability of .62
    assert not (_find(hu).infection >= 0.5).any()


class Partly(Sides):
    """Is of another opinion on the lesion's first slices, so many of 6 mm."""

    slices, logit = 0, -8.0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = super().forward(image)
        logits[:, 0, 6 : 6 + self.slices, 10:16, 3:9] = self.logit
        return logits


@pytest.mark.parametrize(
    ("slices", "logit", "kept"), [(2, -8.0, True), (3, -8.0, False), (5, -8.0, False), (5, 0.4, False), (5, 1.4, True)]
)
def test_infection_of_which_too_little_is_lung_from_afar_is_left_out(slices: int, logit: float, kept: bool) -> None:
    """The lesion has slices 20 to 29 of 2 mm; denied are those to 23, to 26 (and half of 27) or all."""
    coarse = Partly()
    coarse.slices, coarse.logit = slices, logit
    found = find(a_chest(), coarse, Densities())  # type: ignore[arg-type]
    assert (found.right[LESION] >= 0.5).mean() > 0.95
    assert (found.infection[LESION] >= 0.5).mean() == pytest.approx(float(kept), abs=0.1)


def test_no_lungs_give_empty_masks() -> None:
    found = _find(np.full(SHAPE, 40, np.float32))
    assert not any(level.any() for level in found)


def test_lungs_that_touch_the_ends_of_the_volume_are_found_whole() -> None:
    hu = a_chest()[14:56, 15:47, 9:79]
    found = _find(hu)
    assert (np.maximum(found.right, found.left)[hu < -200] >= 0.5).mean() > 0.98


def test_memory_that_runs_out_is_a_sentence() -> None:
    class Hungry(Densities):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(ResourceError, match="memory ran out"):
        find(a_chest(), Sides(), Hungry())  # type: ignore[arg-type]


def test_a_region_too_large_for_one_piece_is_asked_piece_by_piece_and_says_the_same(monkeypatch) -> None:
    whole = _find(a_chest())
    monkeypatch.setattr(vbnet, "WHOLE_VOXELS", 50_000)
    pieces = _find(a_chest())
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_pieces_need_a_package_that_is_named_where_it_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(vbnet, "WHOLE_VOXELS", 50_000)
    monkeypatch.setitem(sys.modules, "monai.inferers", None)
    with pytest.raises(ResourceError, match="million voxels need the package monai"):
        _find(a_chest())


class _Standing(VBNetSegmenter):
    """The segmenter with stand-ins for its networks."""

    def _networks(self):  # type: ignore[no-untyped-def]
        return Sides(), Densities()


@pytest.fixture(scope="module")
def a_segmenter(tmp_path_factory: pytest.TempPathFactory) -> VBNetSegmenter:
    folder = tmp_path_factory.mktemp("segmenter")
    a_folder(folder)
    return _Standing(folder)


def _ct(flip: tuple[bool, bool, bool] = (False, False, False), spacing: float = 2.0) -> sitk.Image:
    image = sitk.GetImageFromArray(a_chest().astype(np.int16))
    image.SetSpacing((2.0, 2.0, 2.0))
    image.SetOrigin((-90.0, -60.0, 5.0))
    if spacing != 2.0:
        size = [round(n * 2.0 / spacing) for n in image.GetSize()]
        image = sitk.Resample(
            image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), [spacing] * 3, image.GetDirection(), 40
        )
    return sitk.Flip(image, flip)


@pytest.mark.parametrize("flip", [(True, False, False), (False, True, True), (True, True, True)])
def test_a_flipped_copy_gives_the_same_masks(a_segmenter: VBNetSegmenter, flip: tuple[bool, bool, bool]) -> None:
    plain, flipped = a_segmenter.segment(_ct()), a_segmenter.segment(_ct(flip))
    for name in ("right_lung", "left_lung", "infection"):
        back = sitk.DICOMOrient(getattr(flipped, name), "LPS")
        np.testing.assert_array_equal(
            sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(getattr(plain, name)), err_msg=name
        )


@pytest.mark.parametrize("spacing", [1.1, 2.0, 3.1])
def test_masks_have_the_cts_grid_and_its_volumes(a_segmenter: VBNetSegmenter, spacing: float) -> None:
    ct = _ct(spacing=spacing)
    found = a_segmenter.segment(ct)
    for mask in (found.right_lung, found.left_lung, found.infection):
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert (mask.GetSize(), mask.GetSpacing(), mask.GetOrigin()) == (ct.GetSize(), ct.GetSpacing(), ct.GetOrigin())
    assert volume_ml(found.right_lung) == pytest.approx(46 * 34 * 30 * 0.008, rel=0.06)
    assert not sitk.GetArrayFromImage(sitk.And(found.right_lung, found.left_lung)).any()
    if spacing == 2.0:  # between other voxels the stand-in takes the lungs' blurred edge for infection
        assert volume_ml(found.infection) == pytest.approx(8.0, rel=0.01)
        assert found.ratio == pytest.approx(8.0 / (2 * 46 * 34 * 30 * 0.008), rel=0.01)


def test_untrained_networks_find_something_or_nothing_but_never_fail(tmp_path: Path) -> None:
    a_folder(tmp_path)
    found = VBNetSegmenter(tmp_path, "cpu").segment(_ct())
    assert 0 <= found.ratio <= 1 and found.segmenter.name == "untrained"
