"""The folder of an evaluation: charts, failure grids and the page."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from _run_folder import SPACING_XYZ, Scan, noisy_logits, scans_of, write_run
from DualSamplingCOVIDLib.diagnosis import CutOffs
from DualSamplingCOVIDLib.evaluation import calibration
from DualSamplingCOVIDLib.evaluation.attention_text import TextTable
from DualSamplingCOVIDLib.evaluation.evaluate import Evaluation, evaluate
from DualSamplingCOVIDLib.evaluation.metrics import auc
from DualSamplingCOVIDLib.report import charts, failures
from DualSamplingCOVIDLib.report import evaluation as report
from DualSamplingCOVIDLib.report.tables import stratum_titles
from DualSamplingCOVIDLib.run_folder import read_run
from DualSamplingCOVIDLib.run_folder.volume import stored, write_volume

TABLES = ("table2", "detection", "table3", "comparisons", "calibration", "uncertainty")
CHARTS = ("roc-validation", "roc-test", "ratios", "reliability-validation", "reliability-test", "spread")


@pytest.fixture(scope="module")
def an_evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    scans = scans_of(18, folds=3, test_patients=12)
    scans = [Scan(s.case_id.replace("p001", "<i>&"), s.patient_id, s.covid, s.fold, s.ratio) for s in scans]
    place = tmp_path_factory.mktemp("report") / "run"
    run = write_run(place, scans, noisy_logits(scans), 3, detection_limit=0.004)
    quality = TextTable("Pointing <game>", ("Method", "hits"), (("US", "0.9"),), "of 12 cases")
    return evaluate(read_run(run), resamples=20, permutations=20, attention_quality=[quality])


@pytest.fixture(scope="module")
def a_report(an_evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "out"
    folder.mkdir()
    report.write(folder, an_evaluation)
    return folder


def test_everything_is_written(a_report: Path, an_evaluation: Evaluation) -> None:
    found = {path.relative_to(a_report).as_posix() for path in a_report.rglob("*") if path.is_file()}
    expected = {"evaluation.json", "cases.csv", "failures.csv", "report.html"}
    expected |= {f"tables/{name}.{end}" for name in TABLES for end in ("csv", "md", "html")}
    expected |= {f"tables/attention-quality-1.{end}" for end in ("md", "html")}
    expected |= {f"figures/{name}.png" for name in CHARTS}
    grids = {name for name in found if name.startswith("figures/failures-")}
    assert found - grids == expected
    assert grids == {f"figures/failures-{one.case.set}-1.png" for one in an_evaluation.judged if not one.right} != set()


def test_the_page_needs_nothing_else_and_escapes_what_others_wrote(a_report: Path, an_evaluation: Evaluation) -> None:
    page = (a_report / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page
    assert page.count("data:image/png;base64,") == len(list((a_report / "figures").iterdir()))
    assert "Pointing &lt;game&gt;" in page and "<i>" not in page
    assert page.count("Research use only") >= 6
    auc = an_evaluation.row("ratio", "validation").auc
    assert auc.low < auc.high and f'{auc.value:.3f} <span class="kept">({auc.low:.3f}–{auc.high:.3f})</span>' in page
    for words in ("Fig. 5", "0.955", "0.948", "one site", "optimistic"):
        assert words in page.split('id="errata"')[1].split("</section>")[0]


def test_strata_are_named_by_their_cut_offs_however_small() -> None:
    assert list(stratum_titles(CutOffs()).values()) == ["< 0.005", "0.005 – 0.030", "> 0.030"]
    assert list(stratum_titles(CutOffs(1e-5, 4.2e-5, 0.0123)).values()) == ["< 4.2e-05", "4.2e-05 – 0.0123", "> 0.0123"]


def test_the_record_holds_every_number_and_no_nan(a_report: Path, an_evaluation: Evaluation) -> None:
    record = json.loads((a_report / "evaluation.json").read_text(encoding="utf-8"))
    assert len(record["tables"]) == len(an_evaluation.rows) == 8 * 4 * 2
    first = record["tables"][0]
    assert first["auc"]["value"] == an_evaluation.rows[0].auc.value and first["auc"]["std"] is None
    assert record["attention_quality"][0]["columns"] == ["Method", "hits"]
    assert {one["metric"] for one in record["comparisons"]} == {"auc", "accuracy"}
    assert record["notice"] == "Research use only"


def test_the_spread_as_a_warning_stands_beside_how_many_answers_were_wrong(
    a_report: Path, an_evaluation: Evaluation
) -> None:
    wrong = sum(not one.right for one in an_evaluation.judged if one.case.set == "test")
    assert an_evaluation.uncertainty is not None and an_evaluation.uncertainty.wrong == wrong > 0
    table = (a_report / "tables" / "uncertainty.md").read_text(encoding="utf-8")
    assert f"wrong answers, of which there are {wrong}, it has an AUC of {an_evaluation.uncertainty.warns:.3f}" in table
    assert json.loads((a_report / "evaluation.json").read_text(encoding="utf-8"))["uncertainty"]["wrong"] == wrong


NAMES = {"results", "method", "set", "label", "group", "metric", "first", "second", "exact"}
"""Columns of a table's CSV that hold words."""


def test_every_csv_of_a_table_holds_one_number_a_cell(a_report: Path, an_evaluation: Evaluation) -> None:
    groups = list(csv.DictReader((a_report / "tables" / "uncertainty.csv").open(encoding="utf-8")))
    assert an_evaluation.uncertainty is not None
    assert [(int(row["n"]), float(row["accuracy"])) for row in groups] == [
        (group.n, pytest.approx(group.accuracy, abs=1e-5)) for group in an_evaluation.uncertainty.groups
    ]
    for file in (a_report / "tables").glob("*.csv"):
        head, *rows = csv.reader(file.open(encoding="utf-8"))
        assert rows and len(set(head)) == len(head), file.name
        for row in rows:
            for name, cell in zip(head, row, strict=True):
                assert name in NAMES or re.fullmatch(r"(-?[\d.]+(e[-+]\d+)?)?", cell), (file.name, name, cell)


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ("0.867 ± 0.012 (0.812–0.901), n = 39", ["0.867 ± 0.012", "(0.812–0.901), n = 39"]),
        ("+0.011 [+0.008, +0.014], n 78, dead 3", ["[+0.008, +0.014], n 78"]),
        ("Attention RN34 + US, Mean 5", ["RN34 + US"]),
        ("< 0.005", ["&lt; 0.005"]),
    ],
)
def test_what_belongs_together_stays_on_one_line(cell: str, kept: list[str]) -> None:
    assert re.findall(r'<span class="kept">(.*?)</span>', report._kept_together(cell)) == kept


def test_every_chart_of_answers_says_how_many_cases_it_shows(an_evaluation: Evaluation) -> None:
    for cases in an_evaluation.sets:
        said = f"(n = {len(cases.cases)}, {len(set(cases.patients))} patients)"
        for drawn in (charts._roc(cases, an_evaluation), charts._reliability(cases, an_evaluation)):
            titles = [drawn.get_suptitle(), *(axes.get_title() for axes in drawn.axes)]
            assert any(said in title for title in titles)


def test_what_a_bundle_of_all_folds_answers_is_the_mean_of_their_probabilities(
    a_report: Path, an_evaluation: Evaluation
) -> None:
    assert an_evaluation.uncertainty is not None
    answered, n = an_evaluation.uncertainty.answered, an_evaluation.uncertainty.n
    test = next(cases for cases in an_evaluation.sets if cases.name == "test")
    mean = test.probabilities["attention-ds"].mean(axis=0)
    assert answered["auc"].value == pytest.approx(auc(mean, test.is_covid))
    assert answered["accuracy"].value == pytest.approx(1 - an_evaluation.uncertainty.wrong / n)
    assert answered["accuracy"].low < answered["accuracy"].value and answered["specificity"].n == (~test.is_covid).sum()
    said = f"the mean of their probabilities: AUC {answered['auc'].value:.3f} ("
    assert said in (a_report / "tables" / "uncertainty.md").read_text(encoding="utf-8")


def test_what_lies_below_the_detection_limit_stands_beside_table_2(a_report: Path, an_evaluation: Evaluation) -> None:
    page = (a_report / "report.html").read_text(encoding="utf-8")
    assert page.index('id="table2"') < page.index('id="detection"') < page.index('id="table3"')
    part = re.sub("</?span[^>]*>", "", page[page.index('id="detection"') : page.index('id="table3"')])
    assert "an infection ratio of 0.004, analyze answers “no pneumonia found”" in part
    for one in an_evaluation.detection:
        own = [case for case in an_evaluation.run.cases if (case.set, case.label) == (one.set, one.label)]
        assert one.below == sum(case.ratio < 0.004 for case in own) > 0
        cells = f"<td>{one.label}</td><td>{len(own)} ({one.patients})</td><td>{one.below}</td>"
        assert cells in part and f"<td>{one.found.value:.3f}" in part
    with (a_report / "tables" / "detection.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["set"], line["label"]) for line in lines] == [
        (name, label) for name in ("validation", "test") for label in ("COVID-19", "CAP")
    ]
    assert float(lines[0]["found_value"]) == pytest.approx(an_evaluation.detection[0].found.value, abs=1e-5)


def test_the_test_sets_temperature_scales_each_model_before_the_mean(an_evaluation: Evaluation) -> None:
    validation, test = an_evaluation.sets
    for method in ("attention-us", "attention-ds"):
        temperature = calibration.cross_fitted_temperature(
            validation.answer(method), validation.is_covid, validation.folds.tolist()
        ).for_test
        found = next(one for one in an_evaluation.calibration if (one.method, one.set) == (method, "test"))
        assert found.temperature == temperature != 1.0
        rows = test.probabilities[method]
        each = np.mean([1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature)) for p in rows], axis=0)
        of_mean = calibration.at_temperature(rows.mean(axis=0), temperature)
        assert found.scaled_brier == pytest.approx(float(np.mean((each - test.is_covid) ** 2)), abs=1e-12)
        assert abs(found.scaled_brier - float(np.mean((of_mean - test.is_covid) ** 2))) > 1e-4
        assert found.scaled_error_equal_width == pytest.approx(
            calibration.calibration_error(calibration.reliability(each, test.is_covid))
        )


def test_table_2_says_what_its_figures_were_chosen_and_fitted_on(a_report: Path) -> None:
    note = (a_report / "tables" / "table2.md").read_text(encoding="utf-8").splitlines()[-1]
    assert "best epoch was chosen on its validation fold, so the TV set's figures are optimistic" in note
    assert "cut-offs of the infection ratio were fitted on the ratios of all folds" in note


def test_without_attention_quality_nothing_stands_for_it(an_evaluation: Evaluation, tmp_path: Path) -> None:
    bare = evaluate(an_evaluation.run, resamples=20, permutations=20)
    report.write(tmp_path, bare)
    assert "attention_quality" not in json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert "attention-quality" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_index_names_every_failure_and_its_grid(a_report: Path, an_evaluation: Evaluation) -> None:
    with (a_report / "failures.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    wrong = [one for one in an_evaluation.judged if not one.right]
    assert {(line["set"], line["case_id"]) for line in lines} == {(one.case.set, one.case.case_id) for one in wrong}
    assert all((a_report / "figures" / line["figure"]).is_file() for line in lines)
    page = (a_report / "report.html").read_text(encoding="utf-8")
    assert all(f"<td>{line['probability'][:4]}" in page for line in lines)


def test_only_the_table_of_cases_names_patients(tmp_path: Path) -> None:
    scans = [replace(s, patient_id=f"Zyxwvut {s.patient_id}") for s in scans_of(12, folds=2, test_patients=4)]
    run = read_run(write_run(tmp_path / "run", scans, noisy_logits(scans), 2))
    (tmp_path / "out").mkdir()
    made = evaluate(run, resamples=10, permutations=10)
    report.write(tmp_path / "out", made)
    assert report.failed(made.judged)  # there is an index to look at
    named = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file() and b"Zyxwvut" in path.read_bytes()}
    assert named == {"cases.csv"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<th>Case</th><th>Fold</th>" in page and "This page names cases and no patient_id" in page


def test_the_same_evaluation_gives_the_same_bytes(a_report: Path, an_evaluation: Evaluation, tmp_path: Path) -> None:
    report.write(tmp_path, an_evaluation)
    for path in a_report.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(a_report)).read_bytes(), path.name


def test_planes_pass_through_most_of_the_infection(tmp_path: Path) -> None:
    image = np.zeros((6, 8, 10), np.float16)
    infection = np.zeros(image.shape, np.uint8)
    infection[4, 2:5, 7], infection[1, 6, 1], image[4, 6, 7], image[5, 3, 9] = 255, 255, 0.5, 0.25
    infection[2:5, 3, 8] = 255
    write_volume(tmp_path / "case.npz", image, infection, np.full(image.shape, 255, np.uint8))
    axial, coronal, infected_axial, infected_coronal = failures.planes(tmp_path / "case.npz")
    assert axial.shape == (8, 10) and axial[6, 7] == 0.5  # level 4; posterior is down
    assert coronal.shape == (6, 10) and coronal[0, 9] == 0.25  # depth 3; the top level comes first
    assert infected_axial[2:5, 7].all() and infected_coronal[1:4, 8].all()


def test_without_infection_the_planes_pass_through_most_of_the_lungs(tmp_path: Path) -> None:
    image, lungs = np.zeros((4, 5, 6), np.float16), np.zeros((4, 5, 6), np.uint8)
    lungs[2, 3, 1:5], image[2, 3, 2] = 255, 0.75
    write_volume(tmp_path / "case.npz", image, np.zeros_like(lungs), lungs)
    axial, coronal, *_ = failures.planes(tmp_path / "case.npz")
    assert axial[3, 2] == 0.75 and coronal[1, 2] == 0.75


def test_a_grid_outlines_the_infection_of_each_failure_however_little_of_a_voxel_it_fills(tmp_path: Path) -> None:
    from matplotlib.image import imread

    scans = scans_of(12, folds=3, seed=3)
    run = read_run(write_run(tmp_path / "run", scans, lambda *_: 2.0, 3, volumes=True))  # every CAP is a false alarm
    for case in run.cases:
        image, infection, lungs = stored(case.volume, "image", "infection", "lungs")
        write_volume(case.volume, image, infection // 4, lungs)
    found = evaluate(run, resamples=10, permutations=10)
    wrong = report.failed(found.judged)
    (tmp_path / "out").mkdir()
    (page,) = failures.write(tmp_path / "out", "validation", wrong[:7], SPACING_XYZ)
    assert (page.file, page.first, page.last) == ("failures-validation-1.png", 1, 7)
    picture = imread(tmp_path / "out" / page.file)[..., :3]
    assert picture.shape[1] == 1600
    orange = (picture[..., 0] > 0.8) & (picture[..., 1] > 0.2) & (picture[..., 1] < 0.5) & (picture[..., 2] < 0.3)
    columns = [orange[:, 320 * n : 320 * (n + 1)].any() for n in range(5)]
    assert all(columns[: sum(one.case.ratio > 0 for one in wrong[:5])])


def test_failures_beyond_the_last_page_stay_in_the_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(failures, "PAGES", 1)
    monkeypatch.setattr(failures, "ROWS", 1)
    scans = scans_of(12, folds=3, seed=3)
    run = read_run(write_run(tmp_path / "run", scans, lambda *_: 2.0, 3))
    (tmp_path / "out").mkdir()
    report.write(tmp_path / "out", evaluate(run, resamples=10, permutations=10))
    with (tmp_path / "out" / "failures.csv").open(encoding="utf-8", newline="") as stream:
        figures = [line["figure"] for line in csv.DictReader(stream)]
    assert figures[:5] == ["failures-validation-1.png"] * 5 and set(figures[5:]) == {""}
