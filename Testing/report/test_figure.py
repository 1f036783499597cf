"""The figure of one CT: where things stand in the picture, whatever way the volumes are stored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import NO_PNEUMONIA, Attention, BundleCard, Diagnosis
from DualSamplingCOVIDLib.report import drawing, figure, planes

LESION_LPS = np.array([80.0, 70.0, 110.0])

Case = tuple[sitk.Image, Diagnosis]


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def _words(ct: sitk.Image, diagnosis: Diagnosis) -> str:
    drawn = figure.draw(ct, diagnosis)
    return "\n".join(text.get_text() for holder in (drawn, *drawn.axes) for text in holder.texts).replace(
        "\N{NO-BREAK SPACE}", " "
    )


def _pictures(ct: sitk.Image, diagnosis: Diagnosis) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.draw(ct, diagnosis).axes[:12]]


def _without_infection(diagnosis: Diagnosis) -> Diagnosis:
    infection = diagnosis.segmentation.infection * 0
    return dataclasses.replace(diagnosis, segmentation=dataclasses.replace(diagnosis.segmentation, infection=infection))


def _with_members(diagnosis: Diagnosis, *positions: int) -> Diagnosis:
    return dataclasses.replace(diagnosis, members=tuple(diagnosis.members[position] for position in positions))


def test_planes_pass_through_the_largest_lesion(a_case: Case) -> None:
    ct, diagnosis = a_case
    assert np.abs(planes.centre(ct, diagnosis) - LESION_LPS).max() <= 5.0


def test_without_infection_planes_pass_through_the_attention_peak(a_case: Case) -> None:
    ct, diagnosis = a_case
    array = np.zeros(ct.GetSize()[::-1], np.float32)
    array[40, 30, 20] = 1.0
    attention = sitk.GetImageFromArray(array)
    attention.CopyInformation(ct)
    moved = dataclasses.replace(_without_infection(diagnosis), attention=attention)
    assert planes.centre(ct, moved) == pytest.approx(ct.TransformIndexToPhysicalPoint((20, 30, 40)))


def test_without_infection_and_attention_planes_pass_through_the_lungs_middle(a_case: Case) -> None:
    ct, diagnosis = a_case
    empty = dataclasses.replace(_without_infection(diagnosis), attention=diagnosis.attention * 0)
    assert planes.centre(ct, empty) == pytest.approx([0.0, 15.0, 150.0], abs=5.0)


def test_letters_follow_the_radiological_convention(a_case: Case) -> None:
    axial, coronal = figure.views(*a_case)
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "S", "I")


def test_pictures_say_where_they_lie_in_ras(a_case: Case) -> None:
    box = planes.bounds(a_case[0])
    assert planes.axial(box, np.array([10.0, 20.0, -43.25]), 1.0).position == "I 43.2 mm"
    assert planes.axial(box, np.array([10.0, 20.0, 43.75]), 1.0).position == "S 43.8 mm"
    assert planes.coronal(box, np.array([10.0, 20.0, 43.0]), 1.0).position == "P 20.0 mm"
    assert planes.coronal(box, np.array([10.0, -141.8, 43.0]), 1.0).position == "A 141.8 mm"


def test_letters_stand_at_the_edges_they_name(a_case: Case) -> None:
    drawn = figure.draw(*a_case)
    axial, coronal = drawn.axes[0], drawn.axes[6]
    for axes, top, bottom in ((axial, "A", "P"), (coronal, "S", "I")):
        places = {text.get_text(): text.get_position() for text in axes.texts}
        assert places["R"][0] < 0.1 and places["L"][0] > 0.9
        assert places[top][1] > 0.9 and places[bottom][1] < 0.1


def test_patients_left_back_and_feet_are_right_down_and_down(a_case: Case) -> None:
    axial, coronal = figure.views(*a_case)
    middle = planes.centre(*a_case)
    for view, step in ((axial, (0, 10, 0)), (coronal, (0, 0, -10))):
        row, column = view.pixel_of(middle)
        assert view.pixel_of(middle + np.array([10, 0, 0])) == pytest.approx((row, column + 10 / view.pixel_mm))
        assert view.pixel_of(middle + np.array(step)) == pytest.approx((row + 10 / view.pixel_mm, column))


def test_cut_places_hounsfield_values_by_physical_space(a_case: Case) -> None:
    ct, _ = a_case
    for view in figure.views(*a_case):
        hounsfield = view.cut(ct, -1024.0)
        row, column = (round(value) for value in view.pixel_of(LESION_LPS))
        assert hounsfield[row, column] == pytest.approx(-350, abs=1)
        opposite = round(view.pixel_of(LESION_LPS * [-1, 1, 1])[1])
        assert hounsfield[row, opposite] == pytest.approx(-850, abs=1)


def test_oblique_volume_shows_the_same_anatomy(a_case: Case) -> None:
    ct, _ = a_case
    angle = np.deg2rad(20)
    direction = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    turned = sitk.Image((140, 140, 60), sitk.sitkInt16)
    turned.SetSpacing((3.0, 3.0, 5.0))
    turned.SetDirection(direction)
    centre = np.array(turned.TransformContinuousIndexToPhysicalPoint((69.5, 69.5, 29.5)))
    turned.SetOrigin((np.array([0.0, 15.0, 157.5]) - centre).tolist())
    oblique = sitk.Resample(ct, turned, sitk.Transform(), sitk.sitkNearestNeighbor, -1000)
    for view in figure.views(*a_case):
        assert np.median(np.abs(view.cut(oblique, -1000.0) - view.cut(ct, -1000.0))) < 1
        assert np.mean(np.abs(view.cut(oblique, -1000.0) - view.cut(ct, -1000.0)) < 150) > 0.9


def test_aspect_is_physical(a_case: Case) -> None:
    axial, coronal = figure.views(*a_case)
    drawn = figure.draw(*a_case)
    for view, axes in ((axial, drawn.axes[0]), (coronal, drawn.axes[6])):
        place = axes.get_window_extent()
        assert place.width / place.height == pytest.approx(view.width / view.height, rel=0.005)


def test_scale_bar_is_five_centimetres_long(a_case: Case) -> None:
    axial, _ = figure.views(*a_case)
    bar = figure.draw(*a_case).axes[0].lines[0]
    assert np.ptp(bar.get_xdata()) * axial.pixel_mm == pytest.approx(50.0)


def test_heat_stands_where_the_map_is_hot_and_nowhere_else(a_case: Case) -> None:
    pictures = _pictures(*a_case)
    for row, view in enumerate(figure.views(*a_case)):
        colored = np.ptp(pictures[6 * row + 3], axis=2)
        hot_row, hot_column = (round(value) for value in view.pixel_of(LESION_LPS))
        assert colored[hot_row, hot_column] > 0.4
        far_row, far_column = (round(value) for value in view.pixel_of(LESION_LPS * [-1, 1, 1]))
        assert colored[far_row, far_column] == pytest.approx(0, abs=1e-6)
        assert np.ptp(pictures[6 * row], axis=2).max() == 0


def test_heat_grows_more_opaque_with_the_value() -> None:
    shade = np.full((1, 101, 3), 0.5)
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None]
    change = np.abs(drawing.with_heat(shade, ramp) - drawing.with_heat(shade * 0, ramp)).max(axis=2)[0]
    assert change[0] == pytest.approx(0.5)
    assert np.all(np.diff(change) <= 1e-9)
    assert change[-1] == pytest.approx(0.5 * 0.15)


def test_saved_pixels_are_hot_in_the_attention_column(a_case: Case, tmp_path: Path) -> None:
    figure.save_figure(tmp_path / "figure.png", *a_case)
    pixels = _pixels(tmp_path / "figure.png")
    assert pixels.shape[1] == 2400
    drawn, view = figure.draw(*a_case), figure.views(*a_case)[0]
    row, column = view.pixel_of(LESION_LPS)
    for panel, is_hot in ((0, False), (3, True), (4, True)):
        x, y = drawn.axes[panel].transData.transform((column, row))
        red, _, blue = pixels[round(pixels.shape[0] - y), round(x)]
        assert (red - blue > 80) == is_hot


def test_flipped_volumes_give_the_same_picture(a_case: Case, a_flipped_case: Case, tmp_path: Path) -> None:
    figure.save_figure(tmp_path / "plain.png", *a_case)
    figure.save_figure(tmp_path / "flipped.png", *a_flipped_case)
    assert a_flipped_case[0].GetDirection() != a_case[0].GetDirection()
    difference = np.abs(_pixels(tmp_path / "plain.png") - _pixels(tmp_path / "flipped.png"))
    assert difference.max() <= 1


def test_the_same_case_gives_the_same_bytes_without_metadata(a_case: Case, tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        figure.save_figure(tmp_path / name, *a_case)
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    assert b"tEXt" not in first and b"tIME" not in first and b"atplotlib" not in first


def test_title_and_columns_say_answer_probability_and_raw_peaks(a_case: Case) -> None:
    words = _words(*a_case)
    for expected in ("COVID-19 rather than", "P(COVID-19) = 0.90", "Research use only", "160 synthetic chest CTs",
                     "raw peak 3.21", "raw peak 2.5", "raw peak 1.5", "5 cm"):  # fmt: skip
        assert expected in words


def test_probabilities_times_the_weights_shown_add_up_to_the_answer(a_case: Case) -> None:
    seconds = [second for _, second in figure.column_titles(a_case[1])[3:]]
    factors = [[float(number) for number in second.split("P ")[1].split(" × ")] for second in seconds]
    (us, weight), (ss, rest), (_baseline,) = factors
    assert us * weight + ss * rest == pytest.approx(a_case[1].decision.probability, abs=0.01)
    assert "P × weights add up" in _words(*a_case)


def test_of_several_folds_no_weights_are_shown_for_the_answer_is_not_of_the_networks_shown(
    a_case_of_folds: Case,
) -> None:
    words = _words(*a_case_of_folds)
    assert "P 0.90" in words and "×" not in words


def test_where_no_pneumonia_was_found_the_infection_has_no_stratum(a_case: Case) -> None:
    _, diagnosis = a_case
    none = dataclasses.replace(diagnosis.decision, answer=NO_PNEUMONIA, probability=0.2)
    seconds = [figure.column_titles(one)[2][1] for one in (diagnosis, dataclasses.replace(diagnosis, decision=none))]
    assert seconds[0].endswith("of the lungs, medium") and seconds[1].endswith("of the lungs")


def test_dead_map_says_so_and_shows_no_heat(a_case: Case) -> None:
    ct, diagnosis = a_case
    us, ss, baseline = diagnosis.members
    dead = dataclasses.replace(ss, attention=Attention(ss.attention.image * 0, 0.0))
    case = ct, dataclasses.replace(diagnosis, members=(us, dead, baseline))
    drawn = figure.draw(*case)
    assert [text.get_text() for text in drawn.axes[4].texts] == [drawing.DEAD_MAP]
    assert "dead map · P 0.72 × 0.04" in _words(*case)
    assert np.ptp(_pictures(*case)[4], axis=2).max() == 0


def test_a_map_that_peaks_elsewhere_says_how_little_these_planes_show(a_case: Case) -> None:
    ct, diagnosis = a_case
    faint = dataclasses.replace(
        diagnosis,
        members=tuple(
            dataclasses.replace(member, attention=Attention(member.attention.image * 0.3, 1.0))
            for member in diagnosis.members
        ),
    )
    for one, expected in ((faint, [True] * 6), (diagnosis, [False] * 6)):
        panels = figure.draw(ct, one).axes[:12]
        said = [any("at most 0." in text.get_text() for text in panel.texts) for panel in panels]
        assert said[3:6] + said[9:12] == expected and not any(said[:3] + said[6:9])


def test_absent_baseline_column_says_so(a_case: Case) -> None:
    ct, diagnosis = a_case
    drawn = figure.draw(ct, _with_members(diagnosis, 0, 1))
    assert [text.get_text() for text in drawn.axes[5].texts] == ["not in this bundle"]
    assert list(drawn.axes[3].texts) == []


def test_no_pneumonia_shows_the_detection_limit_and_no_probability(a_case: Case) -> None:
    ct, diagnosis = a_case
    decision = dataclasses.replace(diagnosis.decision, answer=NO_PNEUMONIA)
    words = _words(ct, dataclasses.replace(diagnosis, decision=decision))
    assert "does not apply (detection limit 0.20 %)" in words
    assert "P(COVID-19)" not in words and "· P 0" not in words


def test_view_keeps_heat_outside_the_lungs_in_sight(a_case: Case) -> None:
    ct, diagnosis = a_case
    image = diagnosis.members[2].attention.image
    array = np.zeros(image.GetSize()[::-1], np.float32)
    array[24, 20, 61] = 1.0
    outside = sitk.GetImageFromArray(array)
    outside.CopyInformation(image)
    baseline = dataclasses.replace(diagnosis.members[2], attention=Attention(outside, 1.0))
    box = planes.field_of_view(ct, dataclasses.replace(diagnosis, members=(*diagnosis.members[:2], baseline)))
    assert box.high[0] >= image.TransformIndexToPhysicalPoint((61, 20, 24))[0]


def test_formulas_in_a_bundle_name_are_plain_text(a_case: Case, tmp_path: Path) -> None:
    ct, diagnosis = a_case
    bundle = BundleCard(r"$\frac{", "1$", "many\nCTs " * 80, "x", "0" * 64)
    figure.save_figure(tmp_path / "figure.png", ct, dataclasses.replace(diagnosis, bundle=bundle))
    assert (tmp_path / "figure.png").stat().st_size > 10_000
