"""The threshold segmenter's lungs on 20 phantoms of all kinds, as drawn for learning."""

import numpy as np
import SimpleITK as sitk

from DualSamplingCOVIDLib.phantom import NORMAL, draw_case, make_phantom
from DualSamplingCOVIDLib.segmentation import segmenter


def _lung_dice(seed: int) -> float:
    label, ratio = (NORMAL, None) if seed % 5 == 0 else draw_case(seed)
    phantom = make_phantom(seed, label, ratio=ratio)
    truth = sitk.GetArrayFromImage(sitk.Or(phantom.right_lung, phantom.left_lung)) > 0
    found = sitk.GetArrayFromImage(segmenter("threshold").segment(phantom.ct).lungs) > 0
    return float(2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum()))


def test_lungs_of_twenty_phantoms_are_found() -> None:
    dice = [_lung_dice(seed) for seed in range(400, 420)]
    print(f"lung Dice on 20 phantoms: mean {np.mean(dice):.3f}, least {min(dice):.3f}")
    assert np.mean(dice) >= 0.95
    assert min(dice) >= 0.90
