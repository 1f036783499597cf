"""The stand-ins offer what `host.contract` says, no more and no less; and the panel uses nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6 import QtGui

from host import contract
from host.environment import qt_problem

ROOT = Path(__file__).resolve().parents[2]
PANEL = (
    ROOT / "DualSamplingCOVID" / "DualSamplingCOVID.py",
    ROOT / "DualSamplingCOVID" / "DualSamplingCOVIDLib" / "panel",
    ROOT / "Resources" / "UI",
)
if qt_problem():
    pytest.skip(qt_problem(), allow_module_level=True)

VALUES = {bool: True, str: "text", int: 3, float: 0.5, tuple: ("a", "b")}
NOT_SETTABLE_ALONE = {("qMRMLNodeComboBox", "currentNodeID")}


def a_stand_in(name):
    """Return the proxy of a new stand-in, made as panels make it."""
    import ctk
    import slicer

    return getattr(ctk if name.startswith("ctk") else slicer, name)()


@pytest.mark.parametrize("name", contract.WIDGETS)
def test_every_property_of_the_table_keeps_what_it_is_given(slicer_host, name):
    widget, entry = a_stand_in(name), contract.WIDGETS[name]
    for member, kind in entry.properties.items():
        value = getattr(widget, member)
        assert kind is object or type(value) is kind, f"{member}: {value!r} is no {kind.__name__}"
        if (name, member) not in NOT_SETTABLE_ALONE and kind is not object:
            setattr(widget, member, VALUES[kind])
            assert getattr(widget, member) == VALUES[kind], member
        assert f"set{member[0].upper()}{member[1:]}" in entry.methods, member


@pytest.mark.parametrize("name", contract.WIDGETS)
def test_every_method_of_the_table_can_be_called(slicer_host, name):
    widget = a_stand_in(name)
    for member in contract.WIDGETS[name].methods:
        assert callable(getattr(widget, member)), member


@pytest.mark.parametrize("name", contract.WIDGETS)
def test_every_signal_of_the_table_can_be_connected_and_sent(slicer_host, name):
    import qt

    values = {"bool": True, "QString": "x", "double": 0.5, "QColor": qt.QColor(1, 2, 3)}
    for signature in contract.WIDGETS[name].signals:
        widget, got = a_stand_in(name), []
        assert widget.connect(signature, lambda *arguments, got=got: got.append(arguments)) is True, signature
        value = values.get(signature.partition("(")[2].rstrip(")"))
        attribute = type(widget).native_class.SIGNALS[signature]
        getattr(widget._native, attribute).emit(getattr(value, "_native", value))
        assert got == [(value,)], signature


@pytest.mark.parametrize("name", contract.WIDGETS)
def test_stand_ins_offer_nothing_beyond_the_table_and_qt(slicer_host, name):
    from host.pythonqt import members

    native = type(a_stand_in(name)).native_class
    qt_class = next(each for each in native.__mro__ if each.__module__.startswith("PySide6."))
    known = set(dir(qt_class))
    for each in native.__mro__:
        entry = contract.WIDGETS.get(each.__name__)
        if entry is not None:
            known |= {*entry.properties, *entry.methods, *(signal.split("(")[0] for signal in entry.signals)}
            known |= set(contract.ENUMERATORS.get(each.__name__, ()))
    seen = {member for member in dir(native) if not member.startswith("_") and not members.hidden(native, member)}
    assert seen <= known
    widget = a_stand_in(name)
    inner = {member for member in vars(native) if not member.startswith("__")} - known
    assert inner, "a stand-in without inner parts proves nothing here"
    for member in inner:
        with pytest.raises(AttributeError):
            getattr(widget, member)


def test_every_stand_in_has_an_entry_and_every_entry_a_stand_in():
    from host.widgets import STAND_INS

    assert set(STAND_INS) == set(contract.WIDGETS)
    for entry in contract.WIDGETS.values():
        assert entry.header.endswith(".h")
        assert entry.base in contract.WIDGETS or hasattr(__import__("PySide6.QtWidgets").QtWidgets, entry.base)


def test_the_bases_are_those_of_the_table(slicer_host):
    for name, entry in contract.WIDGETS.items():
        assert entry.base in [each.__name__ for each in type(a_stand_in(name)).__mro__][1:]


def test_the_panel_uses_what_slicer_has(slicer_host):
    from host.scan import usedByPanel

    usedByPanel(PANEL)


def test_missing_files_are_no_error(slicer_host, tmp_path):
    from host.scan import usedByPanel

    assert usedByPanel([tmp_path / "none.py", tmp_path / "none"]) == []


def test_the_example_is_scanned_whole(slicer_host):
    from host.scan import usedByPanel

    uses = usedByPanel([Path(__file__).parent / "example"])
    seen = {(use.widget, use.member) for use in uses}
    assert ("qMRMLNodeComboBox", "currentNodeChanged(vtkMRMLNode*)") in seen
    assert ("qMRMLNodeComboBox", "hideChildNodeTypes") in seen
    assert ("qMRMLWidget", "mrmlSceneChanged(vtkMRMLScene*)") in seen
    assert ("QPushButton", "enabled") in seen and ("QPushButton", "clicked") in seen
    assert ("QTimer", "singleShot") in seen


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ui.input.setCurentNode(None)", "neither in host.contract nor one of Qt"),
        ('ui.input.connect("currentNodeChanged(QString)", print)', "no signal of that signature"),
        ("ui.apply.text()", "it is a property"),
        ("ui.apply.caption = 1", "neither in host.contract"),
        ("box = qt.QCheckBox()\nbox.checkStateChanged.connect(print)", "neither in host.contract"),
        ("self._bar = qt.QProgressBar()\nself._bar.setvalue(3)", "neither in host.contract"),
        ("qt.QMessageBox.Yess", "neither in host.contract"),
        ("ctk.ctkRangeWidget()", "no such class"),
        ("x = slicer.qMRMLNodeComboBox()\nx.sortFilterProxyModel()", "neither in host.contract"),
    ],
)
def test_a_slip_in_the_panel_is_named(slicer_host, tmp_path, line, problem):
    from host.scan import usedByPanel

    source = tmp_path / "panel.py"
    source.write_text(f"import ctk, qt, slicer\n{line}\n")
    ui = Path(__file__).parent / "example" / "Resources"
    with pytest.raises(AssertionError, match=f"panel.py:.*{problem}"):
        usedByPanel([source, ui])


def test_a_slip_in_a_ui_file_is_named(slicer_host, tmp_path):
    from host.scan import usedByPanel

    text = (Path(__file__).parent / "example" / "Resources" / "UI" / "HostExample.ui").read_text()
    slips = {
        'name="nodeTypes"': 'name="nodeType"',
        'class="ctkSliderWidget"': 'class="ctkSlideWidget"',
        "<signal>mrmlSceneChanged(vtkMRMLScene*)": "<signal>sceneChanged(vtkMRMLScene*)",
        "<slot>setMRMLScene(vtkMRMLScene*)": "<slot>setScene(vtkMRMLScene*)",
    }
    for right, wrong in slips.items():
        (tmp_path / "slip.ui").write_text(text.replace(right, wrong))
        with pytest.raises(AssertionError, match=r"slip\.ui"):
            usedByPanel([tmp_path])


def test_a_colour_button_takes_a_colour(slicer_host):
    import qt

    button = a_stand_in("ctkColorPickerButton")
    button.color = qt.QColor(10, 20, 30)
    assert button.color == qt.QColor(10, 20, 30)
    assert button._native.color == QtGui.QColor(10, 20, 30)
