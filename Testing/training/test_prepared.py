"""Cases made ready: a cohort's own masks count before the segmenter's, and a CT without lungs is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.cohort import Case
from DualSamplingCOVIDLib.diagnosis import COVID
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.phantom import make_phantom
from DualSamplingCOVIDLib.preprocessing import GridSpec
from DualSamplingCOVIDLib.training.prepared import PreparedCase, PreparedDataset, prepare_cohort

SPEC = GridSpec().coarser(4)


@pytest.fixture(scope="module")
def a_case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, float]:
    folder = tmp_path_factory.mktemp("case")
    phantom = make_phantom(3, COVID, ratio=0.10, spacing_mm=(3.0, 3.0, 3.0))
    images = {"ct": phantom.ct, "lungs": phantom.right_lung + 2 * phantom.left_lung, "infection": phantom.infection}
    for name, image in images.items():
        sitk.WriteImage(image, folder / f"{name}.nrrd")
    files = [folder / f"{name}.nrrd" for name in images]
    return Case("one", "one", files[0], COVID, files[1], files[2]), phantom.ratio


def test_masks_that_the_cohort_gives_replace_the_segmenters(a_case: tuple[Case, float], tmp_path: Path) -> None:
    case, ratio = a_case
    (given,) = prepare_cohort([case], SPEC, "threshold", tmp_path / "given")
    (found,) = prepare_cohort([replace(case, lungs=None, infection=None)], SPEC, "threshold", tmp_path / "found")
    assert given.ratio == pytest.approx(ratio, rel=1e-6)
    assert found.ratio != pytest.approx(ratio, rel=1e-3)
    image, infection, label = PreparedDataset([given])[0]
    assert image.shape == infection.shape == (1, *SPEC.shape_kji) and label == 1.0
    voxel_ml = np.prod(SPEC.spacing_xyz) / 1000
    assert float(infection.sum()) * voxel_ml == pytest.approx(_volume_ml(case.infection), rel=0.03)


def test_a_ct_without_lungs_is_named(tmp_path: Path) -> None:
    grid = np.random.default_rng(0).normal(40, 10, (40, 60, 60))
    grid[:, :10] = -1000
    block = sitk.GetImageFromArray(grid.astype(np.int16))
    block.SetSpacing((4.0, 4.0, 4.0))
    sitk.WriteImage(block, tmp_path / "block.nrrd")
    case = Case("block", "block", tmp_path / "block.nrrd", COVID)
    with pytest.raises(InputError, match=r"block\.nrrd: not a chest CT"):
        prepare_cohort([case], SPEC, "threshold", tmp_path / "ready")


def test_the_cache_knows_content_and_settings(a_case: tuple[Case, float], tmp_path: Path) -> None:
    case, _ = a_case
    folder = tmp_path / "cache"
    (first,) = prepare_cohort([case], SPEC, "threshold", folder)
    written = first.file.stat().st_mtime_ns
    (again,) = prepare_cohort([case], SPEC, "threshold", folder)
    assert again == first and first.file.stat().st_mtime_ns == written
    (coarser,) = prepare_cohort([case], SPEC.coarser(2), "threshold", folder)
    (without,) = prepare_cohort([replace(case, infection=None)], SPEC, "threshold", folder)
    assert len({first.file, coarser.file, without.file}) == 3
    assert first.segmenter is not None and first.segmenter.name == "given masks"
    assert without.segmenter is not None and without.segmenter.name == "threshold with given lungs"
    whole = sum(array.nbytes for array in np.load(first.file).values())
    assert first.file.stat().st_size < whole / 2
    assert not list(folder.glob("*.partial*"))


def test_a_damaged_or_missing_file_of_the_cache_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    dataset = PreparedDataset([PreparedCase("x", "x", COVID, "", 0.1, file)])
    with pytest.raises(InputError, match=r"x\.npz: the prepared case x is gone"):
        dataset[0]
    for content in (b"", b"PK\x03\x04 and no more"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.npz: the prepared case x cannot be read"):
            dataset[0]


def _volume_ml(path: Path | None) -> float:
    assert path is not None
    mask = sitk.ReadImage(path)
    return float(sitk.GetArrayFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000)
