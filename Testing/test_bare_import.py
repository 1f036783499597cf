"""Slicer imports the module file at its start: it and all of the panel must import with nothing optional installed.

Slicer's own modules stand as empty stubs there where the real ones cannot be imported; what is optional cannot be
imported at all, as in a Slicer that has just been installed.
"""

import os
import subprocess
import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[1] / "DualSamplingCOVID"
LIBRARY = MODULE_FOLDER / "DualSamplingCOVIDLib"
OPTIONAL = (
    *("torch", "torchvision", "skimage", "safetensors", "matplotlib", "jinja2", "tqdm", "PyTorchUtils"),
    *("sklearn", "monai", "pydicom", "highdicom", "lightning_fabric", "tensorboard", "dask", "pandas", "nibabel"),
    "light_the_torch",
)

IN_A_BARE_SLICER = """
import importlib, importlib.abc, importlib.machinery, sys, types

OPTIONAL, NAMES = (words.split(",") for words in sys.argv[1:])


class Anything(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class Stub(types.ModuleType):
    __path__ = []
    __all__ = []
    __getattr__ = Anything.__getattr__


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"slicer", "qt", "ctk", "vtk"}:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = Stub(spec.name)
        if spec.name == "slicer.ScriptedLoadableModule":
            module.__all__ = ["ScriptedLoadableModule" + end for end in ("", "Widget", "Logic", "Test")]
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Missing())
sys.meta_path.append(Stubs())
for name in NAMES:
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


def test_the_module_the_panel_and_the_scene_import_without_anything_optional() -> None:
    files = [path for room in ("panel", "scene") for path in sorted((LIBRARY / room).rglob("*.py"))]
    names = [".".join(path.relative_to(MODULE_FOLDER).with_suffix("").parts) for path in files]
    if (MODULE_FOLDER / "DualSamplingCOVID.py").exists():
        names.insert(0, "DualSamplingCOVID")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_BARE_SLICER, ",".join(OPTIONAL), ",".join(names)],
        env={**os.environ, "PYTHONPATH": str(MODULE_FOLDER)},
        capture_output=True,
        text=True,
    )
    assert "DualSamplingCOVIDLib.panel.packages" in names
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
