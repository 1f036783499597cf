"""The training-free segmenter: thresholds and shape on 2 mm cubes along the patient's axes."""

from __future__ import annotations

import SimpleITK as sitk

from ..diagnosis import CutOffs, Segmentation, SegmenterCard
from ..progress import Progress, silent
from . import infection, lungs, working_grid

CARD = SegmenterCard(
    name="threshold",
    version="2",
    cut_offs=CutOffs(),
    detection_limit=0.005,
)


class ThresholdSegmenter:
    """Lungs and infection by density and shape; flipped or permuted copies of a CT give the same masks."""

    card: SegmenterCard = CARD

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT (see `Segmenter.segment`)."""
        progress("segmenting lungs and infection", 0.0)
        grid = working_grid.from_ct(ct)
        hu = working_grid.array(grid)
        progress("segmenting lungs and infection", 0.1)
        right, left = lungs.find(hu)
        progress("segmenting lungs and infection", 0.6)
        infected = infection.find(hu, right, left)
        progress("segmenting lungs and infection", 0.8)
        right_lung, left_lung = (working_grid.to_ct(mask, grid, ct) for mask in (right, left))
        infected_part = working_grid.cut_on_ct(infected, 0.0, grid, ct)
        left_lung = sitk.And(left_lung, sitk.Equal(right_lung, 0))
        infected_part = sitk.And(infected_part, sitk.Or(right_lung, left_lung))
        progress("segmenting lungs and infection", 1.0)
        return Segmentation(right_lung, left_lung, infected_part, self.card)
