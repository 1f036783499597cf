"""What the stand-ins for Slicer's and CTK's widgets offer, and the header that declares it.

Everything that code under test can reach on a stand-in is in this table: the proxies look names up here, so a member
that Slicer does not declare cannot be used by mistake. Qt's own members come from Qt. Names were read in the headers of
Slicer/Slicer and commontk/CTK; what a stand-in leaves out is missing here, whether or not Slicer has it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Widget:
    """The public face of one widget class, without what it inherits.

    `properties` maps each name to the Python type of its value; `signals` are normalized signatures.
    """

    header: str
    base: str
    properties: Mapping[str, type] = field(default_factory=dict)
    signals: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


_MRML = "Libs/MRML/Widgets/"
_SEGMENTATIONS = "Modules/Loadable/Segmentations/Widgets/"
_CTK = "CTK: Libs/Widgets/"

WIDGETS: Mapping[str, Widget] = {
    "qMRMLWidget": Widget(
        header=_MRML + "qMRMLWidget.h",
        base="QWidget",
        signals=("mrmlSceneChanged(vtkMRMLScene*)",),
        methods=("mrmlScene", "setMRMLScene"),
    ),
    "qMRMLNodeComboBox": Widget(
        header=_MRML + "qMRMLNodeComboBox.h",
        base="QWidget",
        properties={
            "currentNodeID": str,
            "nodeTypes": tuple,
            "showHidden": bool,
            "showChildNodeTypes": bool,
            "hideChildNodeTypes": tuple,
            "baseName": str,
            "noneEnabled": bool,
            "noneDisplay": str,
            "addEnabled": bool,
            "removeEnabled": bool,
            "editEnabled": bool,
            "renameEnabled": bool,
            "selectNodeUponCreation": bool,
        },
        signals=(
            "currentNodeChanged(vtkMRMLNode*)",
            "currentNodeChanged(bool)",
            "currentNodeIDChanged(QString)",
            "nodeActivated(vtkMRMLNode*)",
            "nodeAdded(vtkMRMLNode*)",
            "nodeAddedByUser(vtkMRMLNode*)",
        ),
        methods=(
            "mrmlScene",
            "setMRMLScene",
            "currentNode",
            "setCurrentNode",
            "setCurrentNodeID",
            "setCurrentNodeIndex",
            "nodeCount",
            "nodeFromIndex",
            "addAttribute",
            "removeAttribute",
            "addNode",
            "removeCurrentNode",
            "setNodeTypes",
            "setShowHidden",
            "setShowChildNodeTypes",
            "setHideChildNodeTypes",
            "setBaseName",
            "setNoneEnabled",
            "setNoneDisplay",
            "setAddEnabled",
            "setRemoveEnabled",
            "setEditEnabled",
            "setRenameEnabled",
            "setSelectNodeUponCreation",
        ),
    ),
    "qMRMLSegmentSelectorWidget": Widget(
        header=_SEGMENTATIONS + "qMRMLSegmentSelectorWidget.h",
        base="qMRMLWidget",
        properties={"noneEnabled": bool, "segmentationNodeSelectorVisible": bool},
        signals=("currentNodeChanged(vtkMRMLNode*)", "currentSegmentChanged(QString)"),
        methods=(
            "currentNode",
            "currentNodeID",
            "currentSegmentID",
            "setCurrentNode",
            "setCurrentNodeID",
            "setCurrentSegmentID",
            "setNoneEnabled",
            "setSegmentationNodeSelectorVisible",
        ),
    ),
    "qMRMLTableView": Widget(
        header=_MRML + "qMRMLTableView.h",
        base="QTableView",
        signals=("mrmlSceneChanged(vtkMRMLScene*)",),
        methods=("mrmlScene", "setMRMLScene", "mrmlTableNode", "setMRMLTableNode"),
    ),
    "qSlicerScriptedLoadableModuleWidget": Widget(
        header="Base/QTGUI/qSlicerScriptedLoadableModuleWidget.h",
        base="qMRMLWidget",
        methods=("self", "reload", "enter", "exit", "isEntered"),
    ),
    "ctkCollapsibleButton": Widget(
        header=_CTK + "ctkCollapsibleButton.h",
        base="QAbstractButton",
        properties={"collapsed": bool, "collapsedHeight": int},
        signals=("contentsCollapsed(bool)",),
        methods=("setCollapsed", "setCollapsedHeight"),
    ),
    "ctkSliderWidget": Widget(
        header=_CTK + "ctkSliderWidget.h",
        base="QWidget",
        properties={
            "value": float,
            "minimum": float,
            "maximum": float,
            "singleStep": float,
            "pageStep": float,
            "decimals": int,
            "prefix": str,
            "suffix": str,
            "tracking": bool,
            "spinBoxVisible": bool,
        },
        signals=("valueChanged(double)", "valueIsChanging(double)"),
        methods=(
            "setValue",
            "setMinimum",
            "setMaximum",
            "setRange",
            "setSingleStep",
            "setPageStep",
            "setDecimals",
            "setPrefix",
            "setSuffix",
            "setTracking",
            "setSpinBoxVisible",
            "reset",
        ),
    ),
    "ctkPathLineEdit": Widget(
        header=_CTK + "ctkPathLineEdit.h",
        base="QWidget",
        properties={
            "currentPath": str,
            "filters": int,
            "nameFilters": tuple,
            "label": str,
            "settingKey": str,
            "showBrowseButton": bool,
            "showHistoryButton": bool,
        },
        signals=("currentPathChanged(QString)", "validInputChanged(bool)"),
        methods=(
            "setCurrentPath",
            "setFilters",
            "setNameFilters",
            "setLabel",
            "setSettingKey",
            "setShowBrowseButton",
            "setShowHistoryButton",
            "browse",
            "addCurrentPathToHistory",
            "retrieveHistory",
        ),
    ),
    "ctkColorPickerButton": Widget(
        header=_CTK + "ctkColorPickerButton.h",
        base="QPushButton",
        properties={"color": object},
        signals=("colorChanged(QColor)",),
        methods=("setColor",),
    ),
}

ENUMERATORS: Mapping[str, Mapping[str, int]] = {
    "ctkPathLineEdit": {
        "Dirs": 0x001,
        "Files": 0x002,
        "Drives": 0x004,
        "NoSymLinks": 0x008,
        "AllEntries": 0x007,
        "Readable": 0x010,
        "Writable": 0x020,
        "Executable": 0x040,
        "Hidden": 0x100,
        "NoDotAndDotDot": 0x1000,
        "NoDot": 0x2000,
        "NoDotDot": 0x4000,
    }
}
"""Enumerators of a stand-in, as its header declares them."""


def lineage(native: type) -> list[Widget]:
    """Return the entries of a class and of the stand-ins that it derives from."""
    return [WIDGETS[each.__name__] for each in native.__mro__ if "STANDS_FOR" in vars(each)]


@functools.cache
def offers(native: type, name: str) -> bool:
    """Return whether a stand-in's contract has the name."""
    return any(
        name in entry.properties or name in entry.methods or any(each.split("(")[0] == name for each in entry.signals)
        for entry in lineage(native)
    ) or any(name in ENUMERATORS.get(each.__name__, ()) for each in native.__mro__)


@functools.cache
def signatures(native: type, name: str) -> tuple[str, ...]:
    """Return the signatures of a stand-in's own signals of that name."""
    return tuple(each for entry in lineage(native) for each in entry.signals if each.split("(")[0] == name)
