"""What the tabs need beyond Slicer: looked for without importing it, installed with consent alone.

torch comes through the PyTorch extension, which picks the build for the computer's GPU; the others through
`slicer.packaging.pip_ensure` (Slicer 5.12) or `slicer.util.pip_install` (5.10). numpy and SimpleITK are Slicer's own:
every installation is told to leave them as they are.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__, resources
from ..errors import UserError
from .translation import _
from .versions import cudaOfTorch, release, versionOf

EXTENSION = "DualSamplingCOVID"
ANALYZE = ("torch", "scikit-image", "safetensors")
REPORT = ("matplotlib", "jinja2")
TRAINING = (*ANALYZE, "scikit-learn", *REPORT)
MONAI = "monai"
"""Only a run with MONAI's augmentation needs it."""
TORCH_MINIMUM = "2.4"
"""The others' are in Resources/requirements.txt, where torch must not stand: nobody is to install it by pip."""
LEFT_ALONE = ("numpy", "SimpleITK")
IMPORT_SECONDS = 120
_USED = {
    "torch": "torch",
    "scikit-image": "skimage.segmentation",
    "safetensors": "safetensors.torch",
    "matplotlib": "matplotlib.backends.backend_agg",
    "jinja2": "jinja2",
    "scikit-learn": "sklearn.model_selection",
    "monai": "monai.transforms",
}
_INDEX = "https://pypi.org/simple/"
_TRY_IMPORTS = """
import importlib, sys
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except BaseException as error:
        print(f"\\n{module}\\t{type(error).__name__}: {error}")
        sys.exit(3)
"""


class PackageProblem(UserError):
    """A package keeps the work from starting: the text is one sentence for a person, which says what to do."""


@dataclass(frozen=True)
class Package:
    """A package by pip's name, the module of it that is used, and the oldest version that will do."""

    name: str
    module: str
    minimum: str

    @property
    def requirement(self) -> str:
        """What pip is asked for: never a pinned version."""
        return f"{self.name}>={self.minimum}"

    def version(self) -> str | None:
        """Return the installed version, None where there is none; the package is not imported."""
        try:
            if importlib.util.find_spec(self.module.partition(".")[0]) is None:
                return None
        except ValueError:
            pass  # it is loaded, by something that gave it no spec
        return versionOf(self.name)

    def isTooOld(self) -> bool:
        """Whether it is installed in a version below `minimum`."""
        version = self.version()
        return version is not None and release(version) < release(self.minimum)


@dataclass(frozen=True)
class PackageState:
    """Which of the needed packages are not there, and which are too old."""

    missing: tuple[Package, ...]
    tooOld: tuple[Package, ...]

    @property
    def isReady(self) -> bool:
        """Whether the work can start."""
        return not self.missing and not self.tooOld


def analyzeState() -> PackageState:
    """Return what is missing for Analyze: a look at the disk alone, quick enough for a tooltip."""
    return _state(_packages(ANALYZE))


def reportState() -> PackageState:
    """Return what is missing for Save report, likewise."""
    return _state(_packages(REPORT))


def ensureForAnalyze() -> None:
    """Make sure that torch, scikit-image and safetensors are there, asking once before anything is installed.

    Raises:
        PackageProblem: they are not, for a reason that the text tells.
    """
    _ensure(_packages(ANALYZE), _("Analyze"))


def requireForAnalyze() -> None:
    """Raise a `PackageProblem` where torch, scikit-image or safetensors is missing; nobody is asked."""
    if not (state := analyzeState()).isReady:
        raise _stillMissing((*state.missing, *state.tooOld), _("Analyze"))


def ensureForReport() -> None:
    """Make sure that matplotlib and jinja2 are there, likewise.

    Raises:
        PackageProblem: they are not, for a reason that the text tells.
    """
    _ensure(_packages(REPORT), _("Save report"))


def ensureForTraining(augmentation: str) -> None:
    """Make sure that what a cross-validation with this augmentation and its evaluation need is there, likewise.

    Raises:
        PackageProblem: it is not, for a reason that the text tells.
    """
    names = (*TRAINING, MONAI) if augmentation == MONAI else TRAINING
    _ensure(_packages(names), _("Train"))


def checkImports(packages: tuple[Package, ...] | None = None, python: str | None = None) -> None:
    """Import the packages of Analyze, or those given, in a process of its own: only that shows a broken installation.

    It takes seconds, so it is for the end of an installation and for a worker that failed, not for every click.

    Args:
        packages: what to import.
        python: the interpreter, PythonSlicer where None.

    Raises:
        PackageProblem: one cannot be imported; the text holds the reason.
    """
    packages = _packages(ANALYZE) if packages is None else packages
    command = [python or shutil.which("PythonSlicer") or sys.executable, "-c", _TRY_IMPORTS]
    command += [package.module for package in packages]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=IMPORT_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        raise _importFailed(_named(packages), _("no answer in {n} seconds").format(n=IMPORT_SECONDS)) from None
    if done.returncode == 0:
        return
    module, tab, reason = (done.stdout.strip().splitlines() or [""])[-1].partition("\t")
    failed = tuple(package for package in packages if tab and package.module == module)
    if not failed:  # it did not live to say why
        reason = _("Python ended with status {status}").format(status=done.returncode)
    raise _importFailed(_named(failed or packages), reason)


def packageInformation() -> str:
    """Return one line for a bug report: versions, read from what is on disk, and whether torch was built for CUDA."""
    parts = [f"{EXTENSION} {__version__}", f"Python {platform.python_version()}"]
    for name in (*ANALYZE, "SimpleITK", "numpy"):
        part = f"{name} {versionOf(name) or _('not installed')}"
        parts.append(f"{part} ({cudaOfTorch()})" if name == "torch" and versionOf(name) else part)
    return ", ".join(parts)


def _packages(names: tuple[str, ...]) -> tuple[Package, ...]:
    lines = resources.path("requirements.txt").read_text(encoding="utf-8").splitlines()
    minimum = dict(line.split(">=") for line in lines if line and not line.startswith("#"))
    minimum["torch"] = TORCH_MINIMUM
    return tuple(Package(name, _USED[name], minimum[name]) for name in names)


def _state(packages: tuple[Package, ...]) -> PackageState:
    importlib.invalidate_caches()
    return PackageState(
        missing=tuple(package for package in packages if package.version() is None),
        tooOld=tuple(package for package in packages if package.isTooOld()),
    )


def _ensure(packages: tuple[Package, ...], action: str) -> None:
    """Install what is missing or too old, after one question that names all of it."""
    state = _state(packages)
    if state.isReady:
        return
    wanted = (*state.missing, *state.tooOld)
    torch = next((package for package in wanted if package.name == "torch"), None)
    others = tuple(package for package in wanted if package is not torch)
    if torch and torch in state.tooOld:
        raise _torchTooOld(torch)
    pyTorchUtils = _pyTorchUtils() if torch else None  # first: nobody is asked for what cannot be installed then

    import slicer

    if slicer.app.testingEnabled():  # Slicer answers its own questions with OK then, without a person
        raise _stillMissing(wanted, action)
    if not slicer.util.confirmOkCancelDisplay(_question(wanted, action), EXTENSION):
        raise _refused(wanted, action)
    if torch:
        _installTorch(pyTorchUtils, torch)
    if others:
        _installOthers(others)
    after = _state(packages)
    if not after.isReady:
        raise _stillMissing((*after.missing, *after.tooOld), action)
    checkImports(packages)


def _pyTorchUtils() -> Any:
    """Return the PyTorch extension's module; whether it works, only its import can tell."""
    try:
        return importlib.import_module("PyTorchUtils")
    except ModuleNotFoundError as error:
        if error.name == "PyTorchUtils":
            raise PackageProblem(
                _(
                    "The PyTorch extension is missing: install PyTorch in the Extensions Manager (View menu),"
                    " restart Slicer, and try again."
                )
            ) from None
        raise _importFailed("PyTorchUtils", str(error)) from error
    except Exception as error:
        raise _importFailed("PyTorchUtils", f"{type(error).__name__}: {error}") from error


def _installTorch(pyTorchUtils: Any, package: Package) -> None:
    """Let the PyTorch extension install torch; consent was given, so it asks no more.

    Its `torchInstalled()` is not called: it imports torch into Slicer to find out. Installing does so at its end.
    """
    try:
        logic = pyTorchUtils.PyTorchUtilsLogic()
        logic.installTorch(askConfirmation=False, torchVersionRequirement=f">={package.minimum}")
    except Exception as error:
        importlib.invalidate_caches()
        if package.version() is None:
            raise _installationFailed((package,), error) from error
        raise _importFailed(package.name, f"{type(error).__name__}: {error}") from error


def _installOthers(packages: tuple[Package, ...]) -> None:
    """Install packages by Slicer's own means; it shows pip's progress and, in 5.12, offers a restart where needed."""
    import slicer

    requirements = [package.requirement for package in packages]
    pipEnsure = _pipEnsure()
    try:
        with _leftAlone() as constraints:
            if pipEnsure is not None:
                pipEnsure(requirements, constraints=constraints, prompt_install=False, requester=EXTENSION)
            else:
                slicer.util.pip_install([*requirements, "--constraint", str(constraints)])
    except Exception as error:
        raise _installationFailed(packages, error) from error


def _pipEnsure() -> Callable[..., Any] | None:
    """Return `slicer.packaging.pip_ensure`, None in a Slicer that has none (5.10)."""
    try:
        return getattr(importlib.import_module("slicer.packaging"), "pip_ensure", None)
    except ImportError:
        return None


@contextlib.contextmanager
def _leftAlone() -> Iterator[Path]:
    """Give a pip constraints file, for the time of the block, that holds Slicer's own packages where they are."""
    versions = {name: versionOf(name) for name in LEFT_ALONE}
    lines = [f"{name}=={version}\n" for name, version in versions.items() if version]
    with tempfile.TemporaryDirectory(prefix="constraints-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(lines), encoding="utf-8")
        yield path


def _isReachable(url: str) -> bool:
    """Whether anything answers at an address, by way of the proxy where one is set."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500  # above, it is a proxy that reached nobody
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # somebody answered, with a certificate that Python doubts
    except (OSError, ValueError):
        return False


def _named(packages: tuple[Package, ...]) -> str:
    *most, last = (package.name for package in packages)
    return _("{most} and {last}").format(most=", ".join(most), last=last) if most else last


def _question(packages: tuple[Package, ...], action: str) -> str:
    lines = []
    for package in packages:
        line = f"- {package.requirement}"
        if package.name == "torch":
            line += " " + _("(by the PyTorch extension, with torchvision; up to several gigabytes)")
        elif package.isTooOld():
            line += " " + _("(version {version} is installed)").format(version=package.version())
        lines.append(line)
    return _(
        "{action} needs Python packages that Slicer does not have:\n\n{packages}\n\n"
        "Download them from the internet and install them into Slicer's Python?"
    ).format(action=action, packages="\n".join(lines))


def _refused(packages: tuple[Package, ...], action: str) -> PackageProblem:
    return PackageProblem(
        _("Nothing was installed, and {action} needs {packages}: press {action} again to be asked again.").format(
            action=action, packages=_named(packages)
        )
    )


def _stillMissing(packages: tuple[Package, ...], action: str) -> PackageProblem:
    return PackageProblem(
        _(
            "{action} needs {packages}, not installed or too old: restart Slicer, press {action} again and agree to the"
            " installation."
        ).format(action=action, packages=", ".join(package.requirement for package in packages))
    )


def _torchTooOld(package: Package) -> PackageProblem:
    return PackageProblem(
        _(
            "PyTorch {version} is too old, {minimum} or later is needed: uninstall it in the module PyTorch Utils,"
            " restart Slicer, and try again."
        ).format(version=package.version(), minimum=package.minimum)
    )


def _installationFailed(packages: tuple[Package, ...], error: Exception) -> PackageProblem:
    """Say that there is no network, where that is so, or where pip's own words are."""
    if not _isReachable(os.environ.get("PIP_INDEX_URL", _INDEX)):
        return PackageProblem(
            _(
                "{packages} could not be installed: there is no connection to the package index. Check the network and"
                " the proxy, and try again."
            ).format(packages=_named(packages))
        )
    return PackageProblem(
        _(
            "{packages} could not be installed ({reason}): the Python console (View menu) shows what pip said. Restart"
            " Slicer, and try again."
        ).format(packages=_named(packages), reason=error)
    )


def _importFailed(name: str, reason: str) -> PackageProblem:
    return PackageProblem(
        _(
            "{name} is installed, but its import failed: {reason}. Restart Slicer; if that does not help, uninstall"
            " {name} and try again."
        ).format(name=name, reason=reason.rstrip("."))
    )
