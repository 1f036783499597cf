"""A small scripted module, written as one for Slicer is: what the host's own tests load."""

import ctk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

CALLS = []


class HostExample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host example")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Testing")]
        self.parent.dependencies = ["Segmentations"]
        self.parent.contributors = ["Nobody"]
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Host example",
        sampleName="HostExampleBox",
        customDownloader=lambda source: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "box"),
    )


class HostExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.clicks = 0

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/HostExample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostExampleLogic()
        self.extra = ctk.ctkCollapsibleButton(_("More"))
        self.layout.addWidget(self.extra)
        self.layout.addStretch(1)
        assert self.ui.apply.connect("clicked(bool)", self.onApply)
        assert self.ui.fail.connect("clicked()", self.onFail)
        self.ui.slow.clicked.connect(self.onSlow)
        self.ui.input.connect("currentNodeChanged(vtkMRMLNode*)", self.onInput)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onNodeAdded)

    def cleanup(self):
        CALLS.append("cleanup")
        self.removeObservers()

    def enter(self):
        CALLS.append("enter")

    def exit(self):
        CALLS.append("exit")

    def onInput(self, node):
        self.ui.apply.enabled = node is not None
        self.ui.apply.toolTip = "" if node is not None else _("Choose a volume first")

    def onApply(self):
        self.clicks += 1
        with slicer.util.tryWithErrorDisplay(_("Failed.")):
            self.logic.getParameterNode().SetParameter("clicks", str(self.clicks))

    def onFail(self):
        with slicer.util.tryWithErrorDisplay(_("Failed.")):
            raise ValueError("broken on purpose")

    def onSlow(self):
        import time

        time.sleep(0.25)

    def onSceneEndClose(self, caller, event):
        CALLS.append("scene closed")

    def onNodeAdded(self, caller, event):
        qt.QTimer.singleShot(0, lambda: None)


class HostExampleLogic(ScriptedLoadableModuleLogic):
    pass


class HostExampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        CALLS.append("test")
