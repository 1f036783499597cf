"""What phantoms may show: everything by default, less of it in the study of what a segmenter learns from what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variety:
    """Parts of a phantom's variety; each is switched off alone to measure what it is worth on real CTs.

    `vessels` are the arteries and veins inside the lungs; `distractors` unlabelled densities (dependent and mosaic
    attenuation, emphysema, scars, thick fissures, effusion, motion); `surroundings` what lies outside the lungs and
    differs between people (arms, implants, blankets, bowel gas, tables); `lesion_kinds` all kinds beyond ground glass
    and consolidation; `faint` the small and faint lesions; `hila` the wide arteries and veins beside the
    mediastinum that no lung covers; `anywhere`, which is for segmenters alone, lets the lesions of half of the people
    with COVID-19 lie where the disease does not prefer to be.
    """

    vessels: bool = True
    distractors: bool = True
    surroundings: bool = True
    lesion_kinds: bool = True
    faint: bool = True
    hila: bool = False
    anywhere: bool = False


FULL = Variety()
"""What people with these diseases look like."""
WITH_HILA = Variety(hila=True)
"""The same with hila, which the classification bundle that ships has not learned from."""
TAUGHT = Variety(hila=True, anywhere=True)
"""What a segmenter learns from: one that has learned where lesions mostly lie overlooks the others."""
