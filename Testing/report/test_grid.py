"""The segmentation's picture: outlines stand where the masks' edges are, whatever way the volumes are stored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import Diagnosis, Segmentation
from DualSamplingCOVIDLib.report import grid, planes
from DualSamplingCOVIDLib.summary import percent

LESION_LPS = np.array([80.0, 70.0, 110.0])
RIGHT_LPS, LEFT_LPS, RADII = (
    np.array([-70.0, 15.0, 150.0]),
    np.array([70.0, 15.0, 150.0]),
    np.array([50.0, 75.0, 120.0]),
)

Case = tuple[sitk.Image, Diagnosis]


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)])


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def _oblique(image: sitk.Image, interpolator: int, outside: float) -> sitk.Image:
    """The same patient on a grid that is turned by 20 degrees."""
    angle = np.deg2rad(20)
    turned = sitk.Image((150, 150, 64), image.GetPixelID())
    turned.SetSpacing((2.8, 2.8, 5.0))
    turned.SetDirection((np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1))
    centre = np.array(turned.TransformContinuousIndexToPhysicalPoint((74.5, 74.5, 31.5)))
    turned.SetOrigin((np.array([0.0, 15.0, 157.5]) - centre).tolist())
    return sitk.Resample(image, turned, sitk.Transform(), interpolator, outside)


@pytest.fixture(scope="module", params=["upright", "flipped", "oblique"])
def a_scan(request: pytest.FixtureRequest, a_case: Case, a_flipped_case: Case) -> tuple[sitk.Image, Segmentation]:
    ct, diagnosis = a_flipped_case if request.param == "flipped" else a_case
    found = diagnosis.segmentation
    if request.param != "oblique":
        return ct, found
    masks = {
        name: _oblique(getattr(found, name), sitk.sitkNearestNeighbor, 0)
        for name in ("right_lung", "left_lung", "infection")
    }
    return _oblique(ct, sitk.sitkLinear, -1000), dataclasses.replace(found, **masks)


@pytest.fixture(scope="module")
def a_saved_scan(
    a_scan: tuple[sitk.Image, Segmentation], tmp_path_factory: pytest.TempPathFactory
) -> tuple[np.ndarray, list, list]:
    """The picture's pixels, and pairs of view and panel: those with outlines, then the plain ones."""
    path = tmp_path_factory.mktemp("grid") / "grid.png"
    grid.save_grid(path, *a_scan)
    axes, (axial, coronal) = grid.draw(*a_scan).axes, grid.views(*a_scan)
    outlined = [*zip(axial, axes[4:8], strict=True), *zip(coronal, axes[11:14], strict=True)]
    plain = [*zip(axial, axes[:4], strict=True), *zip(coronal, axes[8:11], strict=True)]
    return _pixels(path), outlined, plain


def _colored(pixels: np.ndarray, axes: object, color: str) -> np.ndarray:
    """(row, column) in a panel's own picture of the pixels near a colour."""
    place = axes.get_window_extent()  # type: ignore[attr-defined]
    top, bottom = round(pixels.shape[0] - place.y1), round(pixels.shape[0] - place.y0)
    part = pixels[top:bottom, round(place.x0) : round(place.x1)]
    found = np.argwhere(np.abs(part - _rgb(color)).max(axis=2) < 40)
    (low, high) = axes.get_xlim()  # type: ignore[attr-defined]
    return found * (high - low) / part.shape[1]


def test_outlines_lie_on_the_lungs_edges(a_saved_scan: tuple[np.ndarray, list, list]) -> None:
    pixels, outlined, _ = a_saved_scan
    for view, axes in outlined:
        for color, middle in ((grid.RIGHT, RIGHT_LPS), (grid.LEFT, LEFT_LPS)):
            rows, columns = _colored(pixels, axes, color).T
            assert len(rows) > 100
            points = np.array(view.corner) + view.pixel_mm * (np.outer(rows, view.down) + np.outer(columns, view.right))
            distance = np.abs(np.linalg.norm((points - middle) / RADII, axis=1) - 1) * RADII.min()
            assert np.median(distance) < 3.5 and np.quantile(distance, 0.95) < 8.0


def test_plain_planes_carry_no_colour_of_the_masks(a_saved_scan: tuple[np.ndarray, list, list]) -> None:
    pixels, _, plain = a_saved_scan
    for _, axes in plain:
        assert not any(len(_colored(pixels, axes, color)) for color in (grid.RIGHT, grid.LEFT, grid.INFECTION))


def test_infection_is_filled_lightly_where_it_lies(a_saved_scan: tuple[np.ndarray, list, list]) -> None:
    pixels, outlined, _ = a_saved_scan
    hit = 0
    for view, axes in outlined:
        normal = 2 if view.name == "axial" else 1
        if abs(view.corner[normal] - LESION_LPS[normal]) < 8:
            row, column = view.pixel_of(LESION_LPS)
            x, y = axes.transData.transform((column, row))
            red, green, blue = pixels[round(pixels.shape[0] - y), round(x)]
            assert red - blue > 40 and green > 40  # tinted, and the CT still shines through
            hit += 1
    assert hit == 2


def test_one_plane_each_way_passes_where_most_infection_lies(a_scan: tuple[sitk.Image, Segmentation]) -> None:
    axial, coronal = grid.views(*a_scan)
    assert min(abs(view.corner[2] - LESION_LPS[2]) for view in axial) <= 5.0
    assert min(abs(view.corner[1] - LESION_LPS[1]) for view in coronal) <= 5.0
    words = [text.get_text() for axes in grid.draw(*a_scan).axes for text in axes.texts]
    assert words.count("most infection") == 2


def test_levels_are_counted_in_steps_of_the_voxel_axis_that_runs_that_way() -> None:
    ct = sitk.Image(10, 10, 10, sitk.sitkInt16)
    ct.SetSpacing((1.0, 1.0, 5.0))
    ct.SetDirection((1, 0, 0, 0, 0, 1, 0, 1, 0))  # the thick slices follow one another from front to back
    points = np.array([[0, p, p] for p in (0.0, 0.0, 2.0, 2.0, 2.0)])
    assert planes.fullest(points, 1, ct) == 0.0
    assert planes.fullest(points, 2, ct) == 2.0


def test_planes_go_from_the_top_down_and_from_front_to_back(a_case: Case) -> None:
    axial, coronal = grid.views(a_case[0], a_case[1].segmentation)
    heights, depths = [view.corner[2] for view in axial], [view.corner[1] for view in coronal]
    assert heights == sorted(heights, reverse=True) and len(heights) == 4
    assert depths == sorted(depths) and len(depths) == 3


def test_words_say_segmenter_volumes_ratio_stratum_and_use(a_case: Case) -> None:
    drawn = grid.draw(a_case[0], a_case[1].segmentation)
    words = "\n".join(text.get_text() for holder in (drawn, *drawn.axes) for text in holder.texts)
    found = a_case[1].segmentation
    for expected in ("segmenter thresholds 1.0", "Research use only", f"ratio {percent(found.ratio)}, medium",
                     "(cut-offs 0.1, 0.5, 3 %)", "right lung", "left lung", "5 cm", "axial · S"):  # fmt: skip
        assert expected in words
    for letter in "RLAPSI":
        assert f"\n{letter}\n" in f"\n{words}\n"


def test_without_infection_the_picture_says_so(a_case: Case) -> None:
    found = dataclasses.replace(a_case[1].segmentation, infection=a_case[1].segmentation.infection * 0)
    drawn = grid.draw(a_case[0], found)
    words = "\n".join(text.get_text() for holder in (drawn, *drawn.axes) for text in holder.texts)
    assert f"ratio {percent(0)}, below the detection limit of 0.2 %: normal lungs may show as much" in words
    assert "No infection was segmented." in words and "most infection\n" not in words


def test_a_ct_without_lungs_is_drawn_whole(a_case: Case) -> None:
    found = a_case[1].segmentation
    empty = Segmentation(found.right_lung * 0, found.left_lung * 0, found.infection * 0, found.segmenter)
    axial, _ = grid.views(a_case[0], empty)
    whole = planes.bounds(a_case[0])
    assert axial[0].width * axial[0].pixel_mm == pytest.approx(whole.extent[0], rel=0.01)


def test_the_same_masks_give_the_same_bytes_and_formulas_stay_words(a_case: Case, tmp_path: Path) -> None:
    found = a_case[1].segmentation
    card = dataclasses.replace(found.segmenter, name=r"$\frac{" + "long " * 60)
    for name in ("one.png", "two.png"):
        grid.save_grid(tmp_path / name, a_case[0], dataclasses.replace(found, segmenter=card))
    first = (tmp_path / "one.png").read_bytes()
    assert first == (tmp_path / "two.png").read_bytes() and b"tEXt" not in first
