"""What a person sees in the slice views of a written scene; pixels from slicer-core's own displayable managers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.scene import geometry, headless, nodes
from DualSamplingCOVIDLib.segments import LEFT_LUNG
from scene import cases

pytest.importorskip("slicer", reason="slicer-core is not installed")

LIBRARY = Path(headless.__file__).parents[2]
PROBE = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render(); assert w.SupportsOpenGL()"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow",
        "PYTHONPATH": os.pathsep.join([str(LIBRARY), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Both views' pixels and RAS-to-XY matrices of a written scene."""
    if run("-c", PROBE).returncode != 0:
        pytest.skip("no OpenGL for offscreen rendering: install libegl1 and libgl1-mesa-dri")
    folder = tmp_path_factory.mktemp("render")
    headless.writeScene(folder / "case.mrb", cases.a_ct(), cases.a_diagnosis())
    done = run(str(Path(__file__).with_name("render_slices.py")), str(folder / "case.mrb"), str(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        tag: (np.load(folder / f"{tag}.npy").astype(int), np.load(folder / f"{tag}-ras-to-xy.npy"))
        for tag in ("Red", "Green")
    }


def pixel(view, kji) -> np.ndarray:
    """Return the RGB of the CT voxel [k, j, i] in a rendered view."""
    pixels, ras_to_xy = view
    ras = geometry.ijkToRas(cases.a_ct()) @ [*kji[::-1], 1.0]
    x, y = np.rint((ras_to_xy @ ras)[:2]).astype(int)
    return pixels[pixels.shape[0] - 1 - y, x]


@pytest.mark.parametrize("tag", ["Red", "Green"])
def test_the_peak_of_the_attention_is_hot_in_both_views(rendered, tag):
    red, green, blue = pixel(rendered[tag], cases.HOT)
    assert red > 150
    assert red - blue > 50
    assert green - blue > 20


@pytest.mark.parametrize("tag", ["Red", "Green"])
@pytest.mark.parametrize("voxel", [(18, 20, 31), (18, 20, 22), (18, 20, 42)], ids=["left lung", "mediastinum", "wall"])
def test_the_ct_stays_grey_where_the_map_is_zero(rendered, tag, voxel):
    colour = pixel(rendered[tag], voxel)
    hu = float(np.asarray(sitk.GetArrayViewFromImage(cases.a_ct()))[voxel])
    grey = np.clip((hu - (nodes.LUNG_LEVEL - nodes.LUNG_WINDOW / 2)) / nodes.LUNG_WINDOW, 0, 1) * 255
    assert np.ptp(colour) <= 1
    assert abs(colour[0] - grey) <= 3


def test_lungs_are_outlined_but_not_filled(rendered):
    pixels, _ = rendered["Red"]
    outline = (np.abs(pixels - 255 * np.asarray(LEFT_LUNG.color)) < 12).all(axis=2)
    rows, columns = np.nonzero(outline)
    box = outline[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert min(box.shape) > 60
    assert not box[5:-5, 5:-5].any()
    assert box[0].mean() > 0.9
    assert box[:, 0].mean() > 0.9
