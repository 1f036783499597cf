"""PythonQt's rules, each of which PySide6 alone would let a panel break."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def qt(slicer_host):
    import qt

    return qt


def test_properties_are_attributes(qt):
    label, box = qt.QLabel("hello"), qt.QCheckBox()
    assert label.text == "hello"
    with pytest.raises(TypeError, match="'str' object is not callable"):
        label.text()
    box.checked = True
    assert box.checked is True
    box.enabled = False
    assert not box.isEnabled()


def test_setters_remain_callable(qt):
    label, table = qt.QLabel(), qt.QTableWidget()
    label.setText("set")
    assert label.text == "set"
    table.setRowCount(3)
    assert table.rowCount == 3


@pytest.mark.parametrize("name", ["txet", "foo", "Text"])
def test_unknown_attributes_cannot_be_made(qt, name):
    label = qt.QLabel()
    with pytest.raises(AttributeError, match=f"'{name}' does not exist on QLabel and creating new attributes on C"):
        setattr(label, name, "x")
    with pytest.raises(AttributeError, match=f"QLabel has no attribute named '{name}'"):
        getattr(label, name)
    with pytest.raises(AttributeError, match="can not be overwritten"):
        label.setText = print


def test_what_only_pyside_has_is_hidden(qt):
    box = qt.QCheckBox()
    for name in ("checkStateChanged", "emit", "tr", "staticMetaObject"):
        assert not hasattr(box, name)
    for name in ("Signal", "Slot", "QEnum"):
        assert not hasattr(qt, name)
    assert not hasattr(qt.QMessageBox.StandardButton, "Ok")


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        ("QLabel", "text", 5),
        ("QLabel", "text", None),
        ("QSpinBox", "value", 2.5),
        ("QSpinBox", "value", np.int64(2)),
        ("QCheckBox", "checked", "yes"),
        ("QCheckBox", "checked", np.bool_(True)),
        ("QDoubleSpinBox", "value", np.float32(0.5)),
        ("QLineEdit", "text", Path("/tmp")),
    ],
)
def test_properties_take_their_own_type_alone(qt, make, name, value):
    widget = getattr(qt, make)()
    with pytest.raises(AttributeError, match=f"Property '{name}' of type '.*' does not accept an object of type"):
        setattr(widget, name, value)


def test_a_property_without_setter_is_refused(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3


@pytest.mark.parametrize("argument", [Path("/tmp"), np.int32(3), print, len, np.zeros(2)])
def test_arguments_that_c_does_not_know_are_refused(qt, argument):
    with pytest.raises(ValueError, match="wrong arguments"):
        qt.QLabel().setText(argument)
    with pytest.raises(ValueError, match="wrong arguments"):
        qt.QSpinBox().setValue(argument)


def test_wrong_arguments_are_a_value_error_and_keywords_a_type_error(qt):
    with pytest.raises(ValueError, match="Called setText"):
        qt.QLabel().setText("a", "b")
    with pytest.raises(TypeError):
        qt.QLabel(text="a")
    with pytest.raises(TypeError):
        qt.QLabel().setText(text="a")


def test_connect_says_whether_the_signal_exists(qt):
    button = qt.QPushButton()
    for right in ("clicked()", "clicked(bool)", "clicked( bool )", "toggled(bool)"):
        assert button.connect(right, print) is True
    for wrong in ("nope()", "clicked(int)", "clicked", "Clicked()"):
        assert button.connect(wrong, print) is False
    assert qt.QLineEdit().connect("textChanged(const QString &)", print) is True
    assert qt.QComboBox().connect("currentIndexChanged(QString)", print) is False, "gone in Qt 6"
    with pytest.raises(TypeError, match="callable"):
        button.connect("clicked()", None)


def test_both_forms_of_connect_and_disconnect(qt):
    button, got = qt.QPushButton(), []
    button.checkable = True
    assert button.connect("clicked(bool)", got.append) is True
    assert button.clicked.connect(got.append) is True
    button.click()
    assert got == [True, True]
    assert button.disconnect("clicked(bool)", got.append) is True
    button.click()
    assert got == [True, True]
    assert button.disconnect("clicked(bool)", got.append) is False


def test_surplus_arguments_are_dropped_for_functions_alone(slicer_host, qt):
    button, got = qt.QPushButton(), []
    button.checkable = True

    class Receiver:
        def nothing(self):
            got.append("method")

        def everything(self, *values):
            got.append(values)

    receiver = Receiver()
    for slot in (lambda: got.append("lambda"), receiver.nothing, receiver.everything, lambda value: got.append(value)):
        button.connect("clicked(bool)", slot)
    button.click()
    assert got == ["lambda", "method", (True,), True]
    button.connect("clicked(bool)", partial(receiver.nothing))
    button.click()
    with pytest.raises(TypeError, match="positional"):
        slicer_host.raiseFailures()


def test_exceptions_of_slots_do_not_come_out_of_the_click_but_fail_the_test(slicer_host, qt):
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 // 0)
    button.click()
    with pytest.raises(ZeroDivisionError):
        slicer_host.raiseFailures()
    slicer_host.raiseFailures()


def test_string_lists_come_back_as_tuples(qt, slicer_host):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    assert selector.nodeTypes == ("vtkMRMLModelNode",)
    settings = slicer.app.settings()
    settings.setValue("list", ["a", "b"])
    assert settings.value("list") == ("a", "b")
    assert isinstance(qt.QWidget().children(), tuple)


def test_enumerators_are_integers_on_their_class(qt):
    assert qt.Qt.AlignRight == 2
    assert isinstance(qt.QProcess.NotRunning, int)
    assert isinstance(qt.QProcess().state(), int) and qt.QProcess().state() == 0
    both = qt.QMessageBox.Yes | qt.QMessageBox.No
    assert both == int(qt.QMessageBox.Yes) + int(qt.QMessageBox.No)
    label, item = qt.QLabel(), qt.QTableWidgetItem("x")
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignTop
    assert label.alignment == 0x22
    item.setFlags(item.flags() & ~qt.Qt.ItemIsEditable)
    assert not item.flags() & qt.Qt.ItemIsEditable
    assert item.flags() & qt.Qt.ItemIsEnabled
    item.setData(qt.Qt.UserRole + 1, "mine")
    assert item.data(qt.Qt.UserRole + 1) == "mine"
    table = qt.QTableWidget()
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)


def test_one_object_has_one_proxy_and_equal_values_are_equal(qt):
    parent = qt.QWidget()
    layout = qt.QVBoxLayout(parent)
    label = qt.QLabel("x")
    layout.addWidget(label)
    assert layout.itemAt(0).widget() is label
    assert label.parent() == parent
    assert label in {label}
    assert qt.QSize(1, 2) == qt.QSize(1, 2)
    assert qt.QSize(1, 2) != qt.QSize(2, 1)
    assert isinstance(label, qt.QWidget) and not isinstance(label, qt.QPushButton)


def test_a_widget_without_parent_goes_with_its_last_name(qt):
    label = qt.QLabel("x")
    native = weakref.ref(label._native)
    gc.disable()
    try:
        del label
        assert native() is None, "at once, not when Python collects its garbage"
    finally:
        gc.enable()


def test_a_widget_with_a_parent_stays_and_a_deleted_one_is_refused(qt):
    parent = qt.QWidget()
    qt.QLabel("kept", parent).objectName = "inner"
    gc.collect()
    assert parent.inner.text == "kept", "children are attributes by their object names"
    assert parent.findChild(qt.QLabel, "inner").text == "kept"
    assert [each.text for each in parent.findChildren(qt.QLabel)] == ["kept"]
    child = parent.inner
    parent.delete()
    with pytest.raises(ValueError, match="destroyed QLabel"):
        child.text  # noqa: B018


def test_python_subclasses_have_attributes_and_virtual_functions(qt):
    class Dialog(qt.QDialog):
        def __init__(self, parent=None):
            super().__init__(parent)
            self.state = "open"

        def closeEvent(self, event):
            assert event.isAccepted()
            self.state = "closed"

    dialog = Dialog()
    dialog.show()
    dialog.close()
    assert dialog.state == "closed"
    assert dialog.visible is False


def test_dynamic_properties(qt):
    label = qt.QLabel()
    label.setProperty("role", "warning")
    assert label.role == "warning"
    label.role = "error"
    assert label.property("role") == "error"
    assert label.className() == "QLabel"


def test_timers(slicer_host, qt):
    got = []
    timer = qt.QTimer()
    timer.interval = 5
    assert timer.connect("timeout()", lambda: got.append("tick")) is True
    timer.start()
    qt.QTimer.singleShot(1, lambda: got.append("once"))
    slicer_host.wait(until=lambda: got.count("tick") >= 2, seconds=5)
    assert got.count("once") == 1
    assert timer.active
    timer.stop()
    assert timer.singleShot is False, "the property of an instance, the function of the class"


def test_settings_live_in_a_temporary_file(slicer_host, qt):
    import slicer

    settings = qt.QSettings()
    settings.setValue("DualSampling/device", "cpu")
    settings.sync()
    assert slicer.app.settings().value("DualSampling/device") == "cpu"
    assert Path(settings.fileName()).is_relative_to(slicer_host._folder.name)
    assert slicer.util.settingsValue("DualSampling/none", "default") == "default"


def test_icons_urls_clipboard_and_colours(slicer_host, qt, tmp_path):
    pixmap = qt.QPixmap(8, 8)
    pixmap.fill(qt.QColor("#102030"))
    assert pixmap.save(str(tmp_path / "icon.png"))
    button = qt.QPushButton()
    button.icon = qt.QIcon(str(tmp_path / "icon.png"))
    assert not button.icon.isNull()
    button.iconSize = qt.QSize(12, 12)
    assert button.iconSize.width() == 12
    qt.QApplication.clipboard().setText("copied")
    assert qt.QApplication.clipboard().text() == "copied"
    font = qt.QFont()
    font.setBold(True)
    button.font = font
    assert button.font.bold()
    assert qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile("/reports/report.html")) is True
    assert [each.text for each in slicer_host.dialogs.of_kind("url")] == ["file:///reports/report.html"]
    with pytest.raises(ValueError, match=r"qt\.QUrl"):
        qt.QDesktopServices.openUrl("/reports/report.html")
