"""The training-free segmenter: thresholds and shape on 2 mm cubes along the patient's axes."""

from __future__ import annotations

import SimpleITK as sitk

from ..diagnosis import CutOffs, Segmentation, SegmenterCard
from ..progress import Progress, silent
from . import infection, lungs, working_grid

# To be calibrated on phantoms; until then from the real CTs at hand.
CARD = SegmenterCard(
    name="threshold",
    version="1",
    cut_offs=CutOffs(),
    detection_limit=0.005,
)


class ThresholdSegmenter:
    """Lungs and infection by density and shape; flipped or permuted copies of a CT give the same masks."""

    card: SegmenterCard = CARD

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT (see `Segmenter.segment`)."""
        progress("segmentation", 0.0)
        grid = working_grid.from_ct(ct)
        hu = working_grid.array(grid)
        progress("segmentation", 0.1)
        right, left = lungs.find(hu)
        progress("segmentation", 0.6)
        infected = infection.find(hu, right, left)
        progress("segmentation", 0.8)
        right_lung, left_lung, infected_part = (working_grid.to_ct(mask, grid, ct) for mask in (right, left, infected))
        left_lung = sitk.And(left_lung, sitk.Equal(right_lung, 0))
        infected_part = sitk.And(infected_part, sitk.Or(right_lung, left_lung))
        progress("segmentation", 1.0)
        return Segmentation(right_lung, left_lung, infected_part, self.card)
