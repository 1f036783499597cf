"""Lesions laid into a CT that a person brings (here a normal phantom, written as one)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.phantom import NORMAL, Variety, make_phantom
from DualSamplingCOVIDLib.run_folder.volume import FULL_SHARE
from DualSamplingCOVIDLib.segmentation import working_grid
from DualSamplingCOVIDLib.training.segmentation.cases import (
    PlannedPhantom,
    on_background,
    plan_phantoms,
)

PLAIN = Variety(surroundings=False, distractors=False)


@pytest.fixture(scope="module")
def a_background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backgrounds") / "normal.nii.gz"
    sitk.WriteImage(make_phantom(3, NORMAL, spacing_mm=(2.5, 2.5, 2.5), variety=PLAIN).ct, str(path))
    return path


@pytest.mark.parametrize(("label", "ratio"), [(COVID, 0.05), (CAP, 0.02), (COVID, 0.002)])
def test_lesions_fill_the_wanted_share_and_the_rest_of_the_ct_stays_as_it_is(
    a_background: Path, label: str, ratio: float
) -> None:
    case = on_background(PlannedPhantom(5, label, ratio, a_background), Variety())
    original = working_grid.array(working_grid.from_ct(sitk.ReadImage(str(a_background))))
    inside, infected = case.lungs > 0, case.infection > 0
    assert not (infected & ~inside).any()
    assert infected.sum() / inside.sum() == pytest.approx(ratio, rel=0.02)
    assert np.abs(case.hu - original)[~inside].max() <= 0.5
    assert np.median((case.hu - original)[infected]) > 60
    assert np.abs(case.hu - original)[inside & ~infected].mean() < 15
    assert set(np.unique(case.infection)) == {0, FULL_SHARE}


def test_a_normal_case_is_the_background_itself(a_background: Path) -> None:
    case = on_background(PlannedPhantom(5, NORMAL, None, a_background), Variety())
    original = working_grid.array(working_grid.from_ct(sitk.ReadImage(str(a_background))))
    assert not case.infection.any() and np.abs(case.hu - original).max() <= 0.5


def test_every_second_phantom_takes_the_backgrounds_in_turn(a_background: Path) -> None:
    other = a_background.with_name("other.nii.gz")
    plan = plan_phantoms(8, 1, [a_background, other])
    assert [one.background for one in plan] == [None, a_background, None, other] * 2
    assert [one._replace(background=None) for one in plan] == list(plan_phantoms(8, 1))
    assert len({one.folder for one in plan}) == 8


def test_a_background_without_lungs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "water.nii.gz"
    sitk.WriteImage(sitk.Image(40, 40, 40, sitk.sitkInt16), str(path))
    with pytest.raises(InputError, match=r"water\.nii\.gz"):
        on_background(PlannedPhantom(1, COVID, 0.1, path), Variety())
