"""What phantoms may show: all by default, less where few must teach, and in the study of what a segmenter learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variety:
    """Parts of a phantom's variety; all but `overlap` are switched off one by one to see what each is worth.

    `vessels` are the arteries and veins inside the lungs; `distractors` unlabelled densities (dependent and mosaic
    attenuation, emphysema, scars, thick fissures, effusion, motion); `surroundings` what lies outside the lungs and
    differs between people (arms, implants, blankets, bowel gas, tables); `lesion_kinds` all kinds beyond ground glass
    and consolidation; `faint` the small and faint lesions; `hila` the wide arteries and veins beside the mediastinum
    that no lung covers; `overlap` what the two diseases have in common (CAP in both lungs, as ground glass or with
    faint patches round it, COVID-19 in one lung alone or mostly consolidated); `anywhere`, which is for segmenters
    alone, lets the lesions of half of the people with COVID-19 lie where the disease does not prefer to be.
    """

    vessels: bool = True
    distractors: bool = True
    surroundings: bool = True
    lesion_kinds: bool = True
    faint: bool = True
    hila: bool = True
    overlap: bool = True
    anywhere: bool = False


FULL = Variety()
"""What people with these diseases look like."""
TYPICAL = Variety(overlap=False)
"""Each disease as it is described: what a few hundred phantoms can teach to tell apart."""
TAUGHT = Variety(anywhere=True)
"""What a segmenter learns from: one that has learned where lesions mostly lie overlooks the others."""
