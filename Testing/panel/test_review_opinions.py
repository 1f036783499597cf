"""What a reader says of a run's cases: saved at once, beside what others said, and never lost."""

from __future__ import annotations

import pytest

from DualSamplingCOVIDLib.panel.review_cases import AGREED, FLAGGED
from DualSamplingCOVIDLib.run_folder import read_run
from panel import reviewed_run as runs
from panel.study import PATIENT

pytest.importorskip("slicer", reason="slicer-core is not installed")


def test_opinions_are_saved_at_once_and_come_back(reader):
    ui, host = reader.review, reader.host
    reader.clickCase(4)
    host.click(ui.flagButton)
    assert runs.saved(reader)[runs.name(4)]["opinion"] == "flag" and ui.savedLabel.text.startswith("saved 2")
    host.click(ui.agreeButton)
    assert runs.saved(reader)[runs.name(4)]["opinion"] == "agree" and not ui.flagButton.checked
    host.write(ui.commentEdit, "motion, and a thick slice")
    host.wait(lambda: runs.saved(reader)[runs.name(4)]["comment"] == "motion, and a thick slice", 3)
    reader.clickCase(3)
    host.click(ui.flagButton)
    assert ui.commentEdit.text == ""
    reader.shown(3)
    reader.openRun()
    assert reader.cell(runs.name(4), AGREED) == AGREED and reader.cell(runs.name(3), AGREED) == FLAGGED
    reader.clickCase(4)
    assert ui.agreeButton.checked and ui.commentEdit.text == "motion, and a thick slice"
    host.click(ui.notReviewedCheck)
    assert reader.cases() == runs.names(0, 7, 10)
    text = (reader.run / "review.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "case_id,opinion,comment,time" and PATIENT not in text
    reader.shown(4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case_id,opinion\ncase-4,agree\n", "no column comment, time"),
        ("case_id,opinion,comment,time\ncase-4,agree\n", "line 2: not as many fields"),
        ("case_id,opinion,comment,time\ncase-4,agree,,\ncase-4,flag,,\n", "'case-4' is already on line 2"),
        (b"case_id,opinion,comment,time\ncase-4,agree,\xe9,\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_damaged_file_of_opinions_is_named_and_loses_nothing(reader, text, told):
    path = reader.run / "review.csv"
    damaged = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(damaged)
    reader.openRun()
    assert told in reader.review.messageLabel.text and "review.csv" in reader.review.messageLabel.text
    reader.clickCase(3)
    reader.host.click(reader.review.flagButton)
    assert told in reader.review.messageLabel.text and reader.review.savedLabel.text == "not saved"
    assert path.read_bytes() == damaged and reader.cell(runs.name(3), AGREED) == FLAGGED
    path.write_text("case_id,opinion,comment,time,second reader\ncase-4,agree,,,yes\n", encoding="utf-8")
    reader.tab._opinions.read()
    reader.host.click(reader.review.nextButton)
    rows = runs.saved(reader)
    assert rows["case-3"]["opinion"] == "flag" and rows["case-4"]["second reader"] == "yes"
    reader.shown(4)


def test_what_somebody_else_wrote_meanwhile_stays(reader):
    reader.clickCase(4)
    path = reader.run / "review.csv"
    path.write_text("case_id,opinion,comment,time\ncase-4,agree,theirs,\nother,flag,,\n", encoding="utf-8")
    reader.host.write(reader.review.commentEdit, "mine")
    reader.host.wait(lambda: "somebody has changed" in reader.review.messageLabel.text, 3)
    assert "(“mine”)" in reader.review.messageLabel.text and reader.review.commentEdit.text == "theirs"
    reader.host.click(reader.review.nextButton)
    assert runs.saved(reader)["case-4"]["comment"] == "theirs"  # it is left as they wrote it
    reader.clickCase(4)
    reader.host.write(reader.review.commentEdit, "theirs, and mine")
    reader.host.click(reader.review.flagButton)
    assert runs.saved(reader)["case-4"]["comment"] == "theirs, and mine"
    assert runs.saved(reader)["other"]["opinion"] == "flag"
    reader.shown(4)


def test_a_file_that_cannot_be_written_is_told(reader):
    (reader.run / "review.csv").mkdir()
    reader.clickCase(3)
    reader.host.click(reader.review.agreeButton)
    assert "review.csv" in reader.review.messageLabel.text and "\n" not in reader.review.messageLabel.text
    assert reader.review.savedLabel.text == "not saved" and reader.review.agreeButton.checked
    reader.shown(3)


def _flagUnsaved(reader, number):
    """Flag a case while a folder stands where its opinion would be written."""
    (reader.run / "review.csv").unlink(missing_ok=True)
    (reader.run / "review.csv").mkdir()
    reader.clickCase(number)
    reader.host.click(reader.review.flagButton)
    assert reader.review.savedLabel.text == "not saved"


def test_what_could_not_be_saved_outlives_its_run(reader, tmp_path):
    ui, path = reader.review, reader.run / "review.csv"
    (tmp_path / "elsewhere").mkdir()
    _flagUnsaved(reader, 3)
    reader.host.write(ui.runFolderEdit, str(tmp_path / "elsewhere"))
    assert "not a folder of cross-validate" in ui.runLabel.text
    assert "review.csv" in ui.messageLabel.text and ui.messageLabel.visible
    reader.openRun()
    assert reader.cell(runs.name(3), AGREED) == FLAGGED and "review.csv" in ui.messageLabel.text
    reader.clickCase(3)
    assert ui.flagButton.checked and ui.savedLabel.text == "not saved"
    path.rmdir()
    reader.host.write(ui.runFolderEdit, str(tmp_path / "elsewhere"))
    assert runs.saved(reader)[runs.name(3)]["opinion"] == "flag" and "review.csv" not in ui.messageLabel.text


def test_another_run_does_not_silence_what_is_still_to_be_saved(reader, tmp_path):
    other = runs.copied(reader.run, tmp_path / "other")
    _flagUnsaved(reader, 3)
    reader.host.write(reader.review.runFolderEdit, str(other))
    reader.clickCase(4)
    reader.host.click(reader.review.agreeButton)
    assert str(reader.run / "review.csv") in reader.review.messageLabel.text
    assert reader.review.savedLabel.text.startswith("saved 2")  # this one's is
    (reader.run / "review.csv").rmdir()
    reader.host.click(reader.review.flagButton)
    assert runs.saved(reader)[runs.name(3)]["opinion"] == "flag"
    assert "review.csv" not in reader.review.messageLabel.text
    assert runs.name(4) not in runs.saved(reader) and runs.name(4) in (other / "review.csv").read_text("utf-8")
    reader.shown(4)


@pytest.mark.parametrize("leave", ["the module", "the scene"])
def test_leaving_saves_what_could_not_be_saved_before(reader, leave):
    _flagUnsaved(reader, 4)
    reader.shown(4)
    (reader.run / "review.csv").rmdir()
    if leave == "the module":
        reader.widget.exit()
        assert reader.review.savedLabel.text.startswith("saved 2")
    else:
        reader.scene.Clear(False)
    assert runs.saved(reader)[runs.name(4)]["opinion"] == "flag"


def test_no_patient_is_shown_or_kept(reader):
    reader.host.choose(reader.review.answerSelector, "All cases")
    reader.clickCase(0)
    reader.shown(0)
    reader.host.click(reader.review.agreeButton)
    assert PATIENT in read_run(reader.run).cases[0].patient_id
    kept = [path.read_bytes() for path in (reader.run / "review").rglob("*.json")]
    kept.append((reader.run / "review.csv").read_bytes())
    assert not any(b"Zyxwvut" in content for content in kept)
    table = reader.review.casesTable
    cells = [table.item(r, c).text() for r in range(table.rowCount) for c in range(table.columnCount)]
    assert not any("Zyxwvut" in text for text in [*cells, reader.review.caseLabel.text])
