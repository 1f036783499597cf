"""Dialogs are recorded and answered; none of them ever waits for a person."""

from __future__ import annotations

import pytest


@pytest.fixture
def util(slicer_host):
    import slicer

    return slicer.util


@pytest.mark.parametrize("kind", ["info", "warning", "error"])
def test_messages_are_recorded(slicer_host, util, kind):
    getattr(util, f"{kind}Display")("text", windowTitle="title", detailedText="details")
    (asked,) = slicer_host.dialogs.asked
    assert (asked.kind, asked.text, asked.title, asked.details) == (kind, "text", "title", "details")


@pytest.mark.parametrize("name", ["confirmOkCancelDisplay", "confirmYesNoDisplay", "confirmRetryCloseDisplay"])
@pytest.mark.parametrize("answer", [True, False])
def test_questions_get_the_answer_that_the_test_set(slicer_host, util, name, answer):
    slicer_host.dialogs.will(answer)
    assert getattr(util, name)("Install?", "Extension") is answer
    assert slicer_host.dialogs.asked[0].text == "Install?"
    assert slicer_host.dialogs.left == 0


def test_a_question_without_an_answer_fails(slicer_host, util):
    from host.answers import Unanswered

    with pytest.raises(Unanswered, match="Install it"):
        util.confirmYesNoDisplay("Install it?")


def test_a_message_takes_what_ctk_message_box_has(slicer_host, util):
    with pytest.raises(TypeError, match="colour"):
        util.infoDisplay("text", colour="red")
    util.infoDisplay("text", dontShowAgainSettingsKey="DualSampling/Tip")


def test_errors_are_shown_and_raised(slicer_host, util):
    with pytest.raises(OSError), util.tryWithErrorDisplay("It failed.", waitCursor=True):
        raise OSError("disk full")
    assert slicer_host.dialogs.of_kind("error")[0].text == "It failed.\n\ndisk full"


@pytest.mark.parametrize(
    ("name", "kind", "answer", "result"),
    [
        ("getOpenFileName", "open file", "/a.nii", "/a.nii"),
        ("getSaveFileName", "save file", "/a.csv", "/a.csv"),
        ("getExistingDirectory", "folder", "/folder", "/folder"),
        ("getOpenFileNames", "open files", ["/a", "/b"], ("/a", "/b")),
        ("getOpenFileName", "open file", "", ""),
    ],
)
def test_file_dialogs_return_what_pythonqt_returns(slicer_host, name, kind, answer, result):
    import qt

    slicer_host.dialogs.will(answer)
    assert getattr(qt.QFileDialog, name)(None, "Choose", "/start", "All (*)") == result
    (asked,) = slicer_host.dialogs.asked
    assert asked.kind == kind and asked.text == "Choose"


def test_a_file_dialog_takes_no_path_object(slicer_host, tmp_path):
    import qt

    with pytest.raises(ValueError, match="texts"):
        qt.QFileDialog.getOpenFileName(None, "Choose", tmp_path)


def test_message_boxes_of_qt(slicer_host):
    import qt

    slicer_host.dialogs.will(True, qt.QMessageBox.No)
    assert qt.QMessageBox.question(None, "title", "sure?") == qt.QMessageBox.Yes
    assert qt.QMessageBox.question(None, "title", "really?") == qt.QMessageBox.No
    assert qt.QMessageBox.warning(None, "title", "beware") == qt.QMessageBox.Ok
    box = qt.QMessageBox()
    box.text = "Keep it?"
    box.setStandardButtons(qt.QMessageBox.Save | qt.QMessageBox.Cancel)
    slicer_host.dialogs.will(False)
    assert box.exec_() == qt.QMessageBox.Cancel
    assert [asked.text for asked in slicer_host.dialogs.asked] == ["sure?", "really?", "beware", "Keep it?"]


def test_a_person_can_use_a_modal_dialog(slicer_host):
    import qt

    dialog = qt.QDialog()
    dialog.windowTitle = "Options"
    layout = qt.QVBoxLayout(dialog)
    box = qt.QCheckBox("fast")
    layout.addWidget(box)

    def person(opened):
        slicer_host.click(box)
        opened.accept()
        return opened.result()

    slicer_host.dialogs.will(person)
    assert dialog.exec_() == qt.QDialog.Accepted
    assert box.checked


def test_loops_that_would_never_end_are_refused(slicer_host):
    import qt

    with pytest.raises(AssertionError, match="never return"):
        qt.QEventLoop().exec_()


def test_nothing_is_installed(slicer_host, util):
    with pytest.raises(AssertionError, match="would install"):
        util.pip_install("torch")
    slicer_host.packages.allowed = True
    util.pip_install(["scikit-image>=0.22"])
    assert slicer_host.packages.installed == ["torch", ["scikit-image>=0.22"]]
