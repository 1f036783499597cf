"""The evidence grid of several cases: where things stand in its pictures, and what it says of dead and missing maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib.report.attention_grid import EvidenceCase, draw_grid, grid_views, save_grid
from DualSamplingCOVIDLib.report.drawing import DEAD_MAP

SHAPE, SPACING = (20, 30, 40), (6.0, 6.0, 10.0)
LESION = (6, 20, 30)  # k, j, i: low, to the back, on the patient's left
METHODS = ("Grad-CAM baseline", "Attention US")


def a_case(name: str = "one", shift: int = 0, share: float = 1.0) -> EvidenceCase:
    """Return two lungs with one lesion, a map that is hot on it and a map that is dead."""
    lungs, infection, hot = (np.zeros(SHAPE, np.float32) for _ in range(3))
    lungs[3:17, 5:25, 5 + shift : 17], lungs[3:17, 5:25, 23 : 35 - shift] = 1, 1
    k, j, i = LESION
    infection[k - 1 : k + 2, j - 2 : j + 3, i - 2 : i + 3] = share
    hot[k - 1 : k + 2, j - 2 : j + 3, i - 2 : i + 3] = 1
    image = np.where(infection > 0, 0.9, 0.3).astype(np.float32) * lungs
    maps = {METHODS[0]: np.zeros(SHAPE, np.float32), METHODS[1]: hot}
    return EvidenceCase(name, "COVID-19", "small", 0.002, SPACING, image, infection, lungs, maps,
                        {METHODS[1]: 0.876}, {METHODS[0]: float("nan"), METHODS[1]: 0.25})  # fmt: skip


def words(*cases: EvidenceCase) -> str:
    figure = draw_grid(cases)
    found = "\n".join(text.get_text() for holder in (figure, *figure.axes) for text in holder.texts)
    return found.replace("\N{NO-BREAK SPACE}", " ")


def pictures(case: EvidenceCase) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in draw_grid([case]).axes[:8]]


def test_planes_pass_through_the_lesion_and_all_cases_have_one_scale() -> None:
    views = grid_views([a_case(), a_case("two", shift=4)])
    k, j, i = LESION
    lesion = np.array([i * 6.0, j * 6.0, k * 10.0])
    for axial, coronal in views:
        assert axial.corner[2] == pytest.approx(k * 10.0, abs=10.0) and coronal.corner[1] == pytest.approx(j * 6.0)
        assert axial.letters == ("R", "L", "A", "P") and coronal.letters == ("R", "L", "S", "I")
        row, column = axial.pixel_of(lesion)
        assert row > axial.height / 2 and column > axial.width / 2
        row, column = coronal.pixel_of(lesion)
        assert row > coronal.height / 2 and column > coronal.width / 2
    sizes = {(view.width, view.height, view.pixel_mm) for both in views for view in both[:1]}
    assert len(sizes) == 1


def test_the_hot_spot_and_the_lesion_are_at_the_lesions_pixel() -> None:
    case = a_case()
    k, j, i = LESION
    shown = pictures(case)
    for row, view in enumerate(grid_views([case])[0]):
        y, x = (round(value) for value in view.pixel_of(np.array([i * 6.0, j * 6.0, k * 10.0])))
        mirrored = round(view.pixel_of(np.array([(39 - i) * 6.0, j * 6.0, k * 10.0]))[1])
        ct, heat = shown[4 * row], shown[4 * row + 3]
        assert ct[y, x] == pytest.approx(0.9, abs=0.02) and ct[y, mirrored] == pytest.approx(0.3, abs=0.02)
        assert heat[y, x, 0] > heat[y, x, 2] + 0.3  # inferno's hot end is yellow: red without blue
        np.testing.assert_allclose(heat[y, mirrored], ct[y, mirrored], atol=0.02)


def test_dead_and_missing_maps_say_so() -> None:
    case = a_case()
    assert words(case).count(DEAD_MAP) == 2
    other = dataclasses.replace(a_case("two"), maps={METHODS[1]: case.maps[METHODS[1]]})
    assert words(case, other).count("no such model") == 2
    healthy = dataclasses.replace(case, infection=np.zeros(SHAPE, np.float32))
    assert words(healthy).count("no infection\nsegmented") == 2


def test_the_headings_tell_stratum_ratio_and_case_and_the_corners_the_numbers() -> None:
    found = words(a_case("patient-7"))
    assert "Small: 0.20 % of the lungs infected · COVID-19 · patient-7" in found
    assert "P 0.88 · 25.00 % inside" in found and "nan" not in found
    assert "Research use only" in found and "5 cm" in found and "Attention US" in found


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_an_infection_that_fills_no_voxel_by_half_is_still_outlined(share: float) -> None:
    axes = draw_grid([a_case(share=share)]).axes
    assert axes[1].collections and axes[3].collections
    assert axes[1].collections[-1].get_paths()[0].vertices.size > 0


def test_the_same_cases_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_grid(tmp_path / name, [a_case()])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_to_draw_and_volumes_of_two_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        draw_grid([])
    with pytest.raises(ValueError, match="share one grid"):
        dataclasses.replace(a_case(), lungs=np.zeros((2, 3, 4), np.float32))
