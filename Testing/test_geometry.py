"""One anatomy on many grids: results lie where the CT lies, and the axes it is stored along change no answer."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Benchmarks.geometry import (
    AS_READ,
    COPIES,
    FILES,
    OBLIQUE,
    THICK,
    TURNED,
    Answer,
    answer,
    header,
    overlap,
    row,
    voxels_on,
)
from DualSamplingCOVIDLib.ct import read_ct
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.phantom import make_phantom

DATA = os.environ.get("DUALSAMPLING_TEST_DATA", "")
REAL = pytest.param("covid-P001", marks=pytest.mark.skipif(not DATA, reason="DUALSAMPLING_TEST_DATA is not set"))


@pytest.fixture(scope="module", params=["phantom", REAL])
def a_case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def a_ct(a_case: str) -> sitk.Image:
    return make_phantom(1, COVID, ratio=0.06).ct if a_case == "phantom" else read_ct(Path(DATA) / "ct" / a_case).image


@pytest.fixture(scope="module")
def answers(a_case: str, a_ct: sitk.Image) -> dict[str, Answer]:
    """What `analyze` and the bundle that ships say of every copy; `pytest -rP` shows the table."""
    found = {name: answer(copy(a_ct)) for name, copy in COPIES.items()}
    print("", header(a_case), *(row(name, a_ct, found[name], found[AS_READ]) for name in COPIES), sep="\n")
    return found


@pytest.mark.parametrize("copy", COPIES)
def test_masks_label_and_map_have_exactly_the_geometry_of_the_ct(answers: dict[str, Answer], copy: str) -> None:
    ct = answers[copy].ct
    for file in FILES:
        found = answers[copy].files[file]
        assert found.size == ct.size
        for name in ("spacing", "origin", "direction"):
            np.testing.assert_allclose(getattr(found, name), getattr(ct, name), rtol=0, atol=1e-9, err_msg=file)


def test_the_copies_are_anisotropic_turned_and_oblique(answers: dict[str, Answer]) -> None:
    directions = {name: np.round(answers[name].ct.direction, 6) for name in COPIES}
    assert answers[AS_READ].ct.spacing[2] > 1.25 * answers[AS_READ].ct.spacing[0]
    assert answers[OBLIQUE].ct.spacing == pytest.approx(answers[AS_READ].ct.spacing)
    assert answers[THICK].ct.spacing[2] == pytest.approx(3)
    assert len({tuple(directions[name]) for name in (AS_READ, *TURNED, OBLIQUE)}) == len(TURNED) + 2
    assert np.count_nonzero(directions[OBLIQUE]) == 9


@pytest.mark.parametrize("copy", TURNED)
def test_flips_and_axis_swaps_find_the_same_voxels(answers: dict[str, Answer], a_ct: sitk.Image, copy: str) -> None:
    for part in ("lungs", "infection"):
        expected = voxels_on(a_ct, getattr(answers[AS_READ], part))
        assert expected.any()
        assert np.array_equal(voxels_on(a_ct, getattr(answers[copy], part)), expected), part


@pytest.mark.parametrize("copy", TURNED)
def test_flips_and_axis_swaps_get_the_same_logits(answers: dict[str, Answer], copy: str) -> None:
    assert answers[copy].us_logit == pytest.approx(answers[AS_READ].us_logit, rel=0, abs=1e-3)
    assert answers[copy].ss_logit == pytest.approx(answers[AS_READ].ss_logit, rel=0, abs=1e-3)


def test_an_oblique_grid_finds_the_same_anatomy(answers: dict[str, Answer], a_ct: sitk.Image) -> None:
    assert overlap(a_ct, answers[OBLIQUE].lungs, answers[AS_READ].lungs) >= 0.97
    assert overlap(a_ct, answers[OBLIQUE].infection, answers[AS_READ].infection) >= 0.85


def test_slices_of_3_mm_find_the_same_lungs(answers: dict[str, Answer], a_ct: sitk.Image) -> None:
    assert overlap(a_ct, answers[THICK].lungs, answers[AS_READ].lungs) >= 0.97
