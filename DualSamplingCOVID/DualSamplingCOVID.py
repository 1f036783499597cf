"""DualSamplingCOVID: COVID-19 against community-acquired pneumonia on chest CT, in 3D Slicer. Research use only."""

import tempfile
import unittest
from pathlib import Path

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

from DualSamplingCOVIDLib import resources

SAMPLE_SEED = 7


class DualSamplingCOVID(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "DualSamplingCOVID"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["Segmentations", "SubjectHierarchy", "Volumes"]
        self.parent.contributors = ["The DualSamplingCOVID developers"]
        self.parent.helpText = _(
            "Lungs, infection, the probability of COVID-19 against community-acquired pneumonia, and an attention map"
            " of what the decision rests on. Choose a chest CT and press Analyze. Research use only."
        )
        self.parent.acknowledgementText = _(
            "The method is the dual-sampling attention network of X. Ouyang et al., IEEE Transactions on Medical"
            " Imaging 39(8):2595-2605, 2020."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)

    def resourcePath(self, filename):
        """Return the path of a resource, in an installed extension and in a checkout."""
        return str(resources.path(filename))


def registerSampleData():
    """Offer a made chest CT among Slicer's sample data; nothing is downloaded."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DualSamplingCOVID",
        sampleName="DualSamplingCOVIDPhantom",
        sampleDescription=_("A made chest CT with COVID-19-like infection, of no patient; it takes some seconds."),
        thumbnailFileName=str(resources.path("Icons/DualSamplingCOVID.png")),
        customDownloader=lambda source=None: [DualSamplingCOVIDLogic().addPhantom()],
    )


class DualSamplingCOVIDWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it loads the tabs and passes on what happens to scene and module."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.tabs = None
        self.updatePending = False

    def setup(self):
        """Build the panel."""
        import qt

        from DualSamplingCOVIDLib.panel.tabs import Tabs

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DualSamplingCOVID.ui"))
        self.layout.addWidget(uiWidget)
        self.logic = DualSamplingCOVIDLogic()
        self.tabs = Tabs(uiWidget, self.logic.getParameterNode, qt.QProcess)
        self.ui = self.tabs.ui
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.StartSaveEvent, self.onSceneStartSave)
        self.addObserver(scene, scene.EndSaveEvent, self.onSceneEndSave)
        slicer.app.connect("aboutToQuit()", self.onQuit)

    def resourcePath(self, filename):
        """Return the path of a resource, in an installed extension and in a checkout."""
        return str(resources.path(filename))

    def cleanup(self):
        """End what runs: the panel is taken away."""
        self.onQuit()
        self.tabs = None
        self.removeObservers()
        slicer.app.disconnect("aboutToQuit()", self.onQuit)

    def enter(self):
        """Show what the scene holds now."""
        if self.tabs is not None:
            self.tabs.enter()

    def exit(self):
        """Give the user's layout back."""
        if self.tabs is not None:
            self.tabs.leave()

    def onSceneStartClose(self, caller=None, event=None):
        """End the work that belongs to the scene."""
        self.tabs.close()

    def onSceneStartSave(self, caller=None, event=None):
        """Save the scene in the user's own layout."""
        self.tabs.beforeSave()

    def onSceneEndSave(self, caller=None, event=None):
        """Go on as before."""
        self.tabs.afterSave()

    def onSceneChanged(self, caller=None, event=None):
        """Show what the scene holds after it was closed or another one came in."""
        if not slicer.mrmlScene.IsBatchProcessing():
            self.tabs.refresh()

    def onNodeAdded(self, caller=None, event=None):
        """A CT may have come: let the button say so once the volume has its voxels."""
        import qt

        if not self.updatePending:
            self.updatePending = True
            qt.QTimer.singleShot(0, self.onNodesSettled)

    def onNodesSettled(self):
        """Let the button say what can be done with the nodes that came."""
        self.updatePending = False
        if self.tabs is not None:
            self.tabs.update()

    def onQuit(self):
        """Slicer closes: no process is left behind."""
        if self.tabs is not None:
            self.tabs.close()


class DualSamplingCOVIDLogic(ScriptedLoadableModuleLogic):
    """Everything without the panel, for the Python console and batch scripts; no Qt."""

    def exportVolume(self, volumeNode, path):
        """Write a volume as the networks see it: voxels in HU, parent transforms applied.

        Returns the findings about how the volume lies in the scene.
        """
        import SimpleITK as sitk

        from DualSamplingCOVIDLib.scene.export import exportCt

        exported = exportCt(volumeNode)
        sitk.WriteImage(exported.image, str(path))
        return exported.findings

    def analyze(self, volumeNode, bundle=None, device="auto", progress=None):
        """Analyse a chest CT here and now, and add what was found to its scene.

        Args:
            volumeNode: the CT in HU, a `vtkMRMLScalarVolumeNode`.
            bundle: a bundle's folder; phantom-demo where None.
            device: "auto", "cpu" or "cuda".
            progress: called with stage and fraction in [0, 1].

        Returns:
            The `Result`: `.summary` says what was found, `.segmentation` and `.attention` are its nodes.

        Raises:
            DualSamplingCOVIDLib.errors.UserError: one clear line says what is wrong with CT, bundle or computer, or
                which package is missing.
        """
        import dataclasses

        from DualSamplingCOVIDLib.panel import packages

        packages.requireForAnalyze()

        from DualSamplingCOVIDLib import analysis
        from DualSamplingCOVIDLib.bundle import load_bundle
        from DualSamplingCOVIDLib.ct import read_ct
        from DualSamplingCOVIDLib.progress import silent
        from DualSamplingCOVIDLib.scene.nodes import addDiagnosis
        from DualSamplingCOVIDLib.segmentation import name_for, segmenter

        loaded = load_bundle(Path(bundle) if bundle else resources.path("Bundles/phantom-demo"))
        loaded.check_members()
        with tempfile.TemporaryDirectory(prefix="dual-sampling-") as folder:
            path = Path(folder) / "ct.nrrd"
            findings = self.exportVolume(volumeNode, path)
            ct = read_ct(path)
        backEnd = segmenter(name_for(loaded.segmenter, loaded.carried), device)
        found = analysis.analyze(ct, loaded, backEnd, device, progress or silent)
        found = dataclasses.replace(found, findings=found.findings + findings)
        return addDiagnosis(volumeNode.GetScene(), volumeNode, found)

    def results(self, volumeNode=None):
        """Return the results of the scene, or of one CT."""
        from DualSamplingCOVIDLib.scene.result import results

        return results(slicer.mrmlScene, volumeNode)

    def addPhantom(self, seed=SAMPLE_SEED):
        """Add a made chest CT with COVID-19-like infection to the scene; the same seed gives the same voxels."""
        from DualSamplingCOVIDLib.diagnosis import COVID
        from DualSamplingCOVIDLib.phantom import make_phantom
        from DualSamplingCOVIDLib.scene.nodes import addCt

        node = addCt(slicer.mrmlScene, make_phantom(seed, COVID, ratio=0.06).ct)
        node.SetName(slicer.mrmlScene.GenerateUniqueName("Phantom CT"))
        return node


class DualSamplingCOVIDTest(ScriptedLoadableModuleTest, unittest.TestCase):
    """Slicer's self test: a phantom is analysed without the panel, where the packages are installed."""

    def runTest(self):
        self.setUp()
        self.test_aPhantomIsAnalysed()

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_aPhantomIsAnalysed(self):
        from DualSamplingCOVIDLib.panel import packages

        if not packages.analyzeState().isReady:
            self.delayDisplay("Skipped: torch, scikit-image or safetensors is not installed")
            return
        logic = DualSamplingCOVIDLogic()
        ct = logic.addPhantom()
        result = logic.analyze(ct, device="cpu")
        self.assertGreater(result.summary.decision.ratio, 0.02)
        self.assertEqual(result.segmentation.GetSegmentation().GetNumberOfSegments(), 3)
        self.assertEqual(result.attention.GetImageData().GetDimensions(), ct.GetImageData().GetDimensions())
        self.delayDisplay("Test passed")
