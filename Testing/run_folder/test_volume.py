"""A prepared case comes back as it was written, small on the disk; damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.run_folder.volume import read_volume, stored, write_volume

SHAPE = (9, 20, 31)
"""A product that 8 does not divide: the last byte of bits is not full."""


def _arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    lungs, infection = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    lungs[1:8, 4:16, 3:28], lungs[-1, -1, -1] = 255, 7
    infection[3:5, 6:12, 8:14] = random.integers(0, 256, (2, 6, 6))
    return (random.random(SHAPE) * (lungs > 0)).astype(np.float16), infection, lungs


def test_a_prepared_case_comes_back_bit_by_bit(tmp_path: Path) -> None:
    arrays = _arrays()
    write_volume(tmp_path / "case.npz", *arrays)
    for written, read in zip(arrays, stored(tmp_path / "case.npz", "image", "infection", "lungs"), strict=True):
        assert written.dtype == read.dtype
        np.testing.assert_array_equal(written, read)
    volume = read_volume(tmp_path / "case.npz")
    np.testing.assert_array_equal(volume.image, arrays[0].astype(np.float32))
    np.testing.assert_allclose(volume.infection, arrays[1] / 255)
    np.testing.assert_allclose(volume.lungs, np.maximum(arrays[2], arrays[1]) / 255)
    assert [path.name for path in tmp_path.iterdir()] == ["case.npz"]


def test_what_is_not_lung_takes_next_to_no_room(tmp_path: Path) -> None:
    image, infection, lungs = _arrays()
    write_volume(tmp_path / "case.npz", image, infection, lungs)
    around = [np.pad(array, 40) for array in (image, infection, lungs)]
    write_volume(tmp_path / "wide.npz", *around)
    small, wide = ((tmp_path / name).stat().st_size for name in ("case.npz", "wide.npz"))
    assert wide < small + 0.02 * sum(array.nbytes for array in around)
    for written, read in zip(around, stored(tmp_path / "wide.npz", "image", "infection", "lungs"), strict=True):
        np.testing.assert_array_equal(written, read)


@pytest.mark.parametrize("damaged", ["", "image_values", "image_where", "lungs_values"])
def test_damage_is_named(damaged: str, tmp_path: Path) -> None:
    """Cut in the middle, or with changed bytes in a part of it, compressed or not."""
    file = tmp_path / "case.npz"
    write_volume(file, *_arrays())
    content = bytearray(file.read_bytes())
    if damaged:
        at = content.index(f"{damaged}.npy".encode()) + 60
        content[at : at + 20] = bytes(255 - byte for byte in content[at : at + 20])
    else:
        del content[len(content) // 2 :]
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"case\.npz: not a prepared case"):
        read_volume(file)
