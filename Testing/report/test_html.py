"""The page of one CT: what it says, what it keeps to itself, and that it needs nothing else."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib import diagnosis_folder, summary
from DualSamplingCOVIDLib.diagnosis import CAP, NO_PNEUMONIA, Attention, BundleCard, Decision, Diagnosis, Finding
from DualSamplingCOVIDLib.report import html

PNG = b"\x89PNG\r\n\x1a\n picture"

Case = tuple[sitk.Image, Diagnosis]


class _Page(HTMLParser):
    """Collects tags, ids and visible words, and checks that every element is closed."""

    _VOID = frozenset({"meta", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.words = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data.replace("\N{NO-BREAK SPACE}", " ")


def _page(case: Case) -> _Page:
    return _Page(html.render(*case, PNG))


def _decided(case: Case, **changes: object) -> Case:
    ct, diagnosis = case
    return ct, dataclasses.replace(diagnosis, decision=dataclasses.replace(diagnosis.decision, **changes))


def test_every_section_is_present(a_case: Case) -> None:
    expected = ["answer", "figure", "probabilities", "infection", "evidence", "quality", "bundle", "software"]
    assert _page(a_case).ids == [*expected, "how-to-read"]


def test_page_needs_nothing_but_itself(a_case: Case) -> None:
    page = html.render(*a_case, PNG)
    assert "script" not in _Page(page).tags and "link" not in _Page(page).tags
    assert re.findall(r"(?:https?:|//|url\(|@import)", page.replace(base64.b64encode(PNG).decode(), "")) == []
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in page
    assert "default-src 'none'" in page


def test_saved_page_is_the_rendered_one_and_repeats(a_case: Case, tmp_path: Path) -> None:
    (tmp_path / "figure.png").write_bytes(PNG)
    for name in ("first.html", "second.html"):
        html.save_report(tmp_path / name, *a_case, tmp_path / "figure.png")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()
    assert (tmp_path / "first.html").read_text(encoding="utf-8") == html.render(*a_case, PNG)


def test_probabilities_and_weights_stand_beside_research_use_only(a_case: Case) -> None:
    page = html.render(*a_case, PNG)
    for section in re.findall(r'<(?:header|section) id="(?:answer|probabilities|evidence)".*?</(?:header|section)>',
                              page, re.DOTALL):  # fmt: skip
        assert "Research use only" in section
    words = _Page(page).words
    for expected in ("0.902", "0.910", "0.720", "0.660", "weight of US: 0.96", "weight of SS: 0.04", "w = 0.96",
                     "not in the answer"):  # fmt: skip
        assert expected in words


def test_bars_are_as_long_as_the_probabilities(a_case: Case) -> None:
    widths = re.findall(r'style="width: ([\d.]+)%"', html.render(*a_case, PNG))
    assert [float(width) for width in widths] == pytest.approx([90.2, 91.0, 72.0, 66.0])


def test_several_folds_share_a_bar_and_their_spread_is_said(a_case_of_folds: Case) -> None:
    page = html.render(*a_case_of_folds, PNG)
    widths = [float(width) for width in re.findall(r'style="width: ([\d.]+)%"', page)]
    assert widths == pytest.approx([65.0, 60.0, 70.0, 43.3])
    words = _Page(page).words
    for label in (
        "Attention network, uniform sampling (US), mean of 3 folds: 0.300 to 0.900",
        "Attention network, size-balanced sampling (SS), mean of 3 folds: 0.600 to 0.800",
        "Baseline without attention loss, uniform sampling (US), mean of 3 folds: 0.100 to 0.700",
    ):
        assert label in words
    spread = "Spread over 3 folds: 0.200 (standard deviation of the probability of COVID-19, which is 0.450 to 0.850"
    assert spread in words
    assert (
        "The folds disagree: 2 of 3 answer COVID-19, the others CAP (probability of COVID-19 0.450 to 0.850)." in words
    )


def test_one_fold_is_shown_as_ever(a_case: Case) -> None:
    diagnosis = a_case[1]
    words = _page(a_case).words
    assert "Attention network, uniform sampling (US), fold 0" in words and "Spread" not in words
    nameless = tuple(dataclasses.replace(member, fold=None) for member in (*diagnosis.members, diagnosis.members[0]))
    bars = summary.summarise(diagnosis_folder.as_report(dataclasses.replace(diagnosis, members=nameless))).bars
    assert [bar.probability for bar in bars] == pytest.approx([0.9024, 0.91, 0.72, 0.66, 0.91])


def test_networks_of_one_fold_stay_beside_those_of_several(a_case_of_folds: Case) -> None:
    diagnosis = a_case_of_folds[1]
    mixed = dataclasses.replace(
        diagnosis, members=(diagnosis.members[2], *diagnosis.members[:2], *diagnosis.members[3:5])
    )
    bars = summary.summarise(diagnosis_folder.as_report(mixed)).bars
    assert [(round(bar.probability, 3), bar.label.rsplit(", ", 1)[1]) for bar in bars[1:]] == [
        (0.75, "mean of 2 folds: 0.600 to 0.900"),
        (0.75, "mean of 2 folds: 0.700 to 0.800"),
        (0.7, "fold 0"),
    ]


def test_folds_of_one_mind_or_that_are_not_asked_give_no_caution(a_case_of_folds: Case) -> None:
    folds = a_case_of_folds[1].decision.folds
    assert folds is not None
    agreed = dataclasses.replace(folds, answers=folds.answers[:2])
    page = _page(_decided(a_case_of_folds, folds=agreed))
    assert "disagree" not in page.words and "Spread over 2 folds" in page.words
    for shown in ("disagree", "Spread", "0.450", "0.850"):
        assert shown not in _page(_decided(a_case_of_folds, answer=NO_PNEUMONIA)).words
    unasked = dataclasses.replace(a_case_of_folds[1].decision, answer=NO_PNEUMONIA)
    assert summary.over_folds(unasked) == summary.cautions(unasked, a_case_of_folds[1].segmentation.segmenter) == ()


def test_cap_answer_is_said(a_case: Case) -> None:
    words = _page(_decided(a_case, answer=CAP, probability=0.12)).words
    assert "Community-acquired pneumonia (CAP) rather than COVID-19" in words
    assert "Probability of COVID-19: 0.120" in words


def test_no_pneumonia_shows_the_limit_and_no_probability(a_case: Case) -> None:
    page = _page(_decided(a_case, answer=NO_PNEUMONIA, ratio=0.0011, other_side=0.3))
    assert "No pneumonia found: COVID-19 against CAP does not apply" in page.words
    assert "0.11 % lies below the segmenter's detection limit of 0.20 %" in page.words
    assert "probabilities" not in page.ids
    assert "Infection ratio 0.11 %: too little to belong to a stratum" in page.words and "medium" not in page.words
    for hidden in ("0.902", "0.910", "0.720", "0.660", "0.300"):
        assert hidden not in page.words


def test_volumes_are_given_per_side(a_case: Case) -> None:
    right, left, both = summary.summarise(diagnosis_folder.as_report(a_case[1])).sides
    assert right.lung_ml == pytest.approx(4 / 3 * 3.14159 * 50 * 75 * 120 / 1000, rel=0.02)
    assert left.infected_ml > 4 * right.infected_ml > 0
    assert both.infected_ml == pytest.approx(right.infected_ml + left.infected_ml)
    assert both.share == pytest.approx(a_case[1].segmentation.ratio, rel=1e-5)
    words = _page(a_case).words
    for side in (right, left, both):
        assert f"{side.lung_ml:.1f}" in words and f"{side.infected_ml:.2f}" in words


def test_no_lung_has_no_share() -> None:
    assert summary.Side("Right lung", 0.0, 0.0).share == 0.0


def test_ratio_comes_with_stratum_segmenter_and_cut_offs(a_case: Case) -> None:
    words = _page(a_case).words
    expected = (
        "stratum medium",
        "thresholds 1.0",
        "0.10 %",
        "0.50 %",
        "3.00 %",
        "below its detection limit, 0.20 %, is",
    )
    assert not [part for part in expected if part not in words]


def test_raw_peaks_and_logit_contributions_are_listed(a_case: Case) -> None:
    words = _page(a_case).words
    member = a_case[1].members[0]
    for value in (member.positive_evidence, member.bias, member.logit):
        assert f"{value:+.3f}" in words
    assert f"{member.negative_evidence:.3f}" in words and f"-{member.negative_evidence:.3f}" not in words
    assert "3.210" in words and "1.750" in words


def test_dead_map_is_called_without_evidence(a_case: Case) -> None:
    ct, diagnosis = a_case
    first = diagnosis.members[0]
    dead = dataclasses.replace(first, attention=Attention(first.attention.image * 0, 0.0))
    words = _page((ct, dataclasses.replace(diagnosis, members=(dead, *diagnosis.members[1:])))).words
    assert "no positive COVID-19 evidence" in words


@pytest.mark.parametrize(
    ("other_side", "ending"), [(0.71, "the answer would stay the same."), (0.31, "the answer would be the other one.")]
)
def test_near_a_cut_off_the_other_side_is_said(a_case: Case, other_side: float, ending: str) -> None:
    page = _page(_decided(a_case, other_side=other_side))
    assert f"would be {other_side:.3f} instead of 0.902" in page.words
    assert ending in page.words


def test_networks_that_disagree_are_told(a_case: Case) -> None:
    page = _page(_decided(a_case, p_us=0.31, p_ss=0.72, weight=0.96))
    sentence = "The networks disagree: probability of COVID-19 0.310 with uniform sampling (weight 0.96), 0.720 with "
    assert sentence in page.words
    assert "disagree" not in _page(_decided(a_case, answer=NO_PNEUMONIA, p_us=0.31, p_ss=0.72)).words


def test_far_from_every_cut_off_and_of_one_mind_nothing_is_said(a_case: Case) -> None:
    decision: Decision = a_case[1].decision
    assert (decision.p_us, decision.p_ss) == (0.91, 0.72)
    assert summary.cautions(decision, a_case[1].segmentation.segmenter) == ()


def test_findings_bundle_and_software_are_listed(a_case: Case) -> None:
    ct, diagnosis = a_case
    words = _page(a_case).words
    for expected in ("Slices are 5.0 mm thick", "thick-slices", "phantom-demo 0.1", "160 synthetic chest CTs",
                     "Demonstration only", "ab" * 32, "cd" * 32, "torch", "2.13.0", "96 × 96 × 60"):  # fmt: skip
        assert expected in words
    assert "Nothing remarkable" in _page((ct, dataclasses.replace(diagnosis, findings=()))).words


def test_hostile_names_are_escaped(a_case: Case) -> None:
    ct, diagnosis = a_case
    attack = '"><script>alert(1)</script>{{ 7 * 7 }}'
    bundle = BundleCard(attack, attack, attack, attack, attack)
    member = dataclasses.replace(diagnosis.members[0], name=attack, sampling=attack)
    hostile = dataclasses.replace(
        diagnosis, bundle=bundle, members=(member,), findings=(Finding(attack, attack),), software=((attack, attack),)
    )
    page = html.render(ct, hostile, PNG)
    assert "<script" not in page
    assert "49" not in _Page(page).words
    assert attack in _Page(page).words
