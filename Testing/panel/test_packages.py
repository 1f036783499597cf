"""Packages are looked for without importing them, installed with consent alone, and every failure says what to do.

Slicer and the PyTorch extension are stand-ins of their documented interfaces; the packages are folders that a stand-in
of pip writes, with their metadata, and that note the process which imports them.
"""

import os
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from DualSamplingCOVIDLib import __version__
from DualSamplingCOVIDLib.panel import packages

ROOT = Path(__file__).resolve().parents[2]
OWN = {"numpy": "2.0.2", "SimpleITK": "2.5.0"}
MODULES = {"torch": "torch", "scikit-image": "skimage/segmentation", "safetensors": "safetensors/torch"}
MODULES |= {"matplotlib": "matplotlib/backends/backend_agg", "jinja2": "jinja2"}
NEWEST = {"torch": "2.13.0+cu126", "scikit-image": "0.26.0", "safetensors": "0.8.0", "matplotlib": "3.11.2"}
NEWEST |= {"jinja2": "3.1.6", **OWN}
VERSION_FILE = (
    "from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = {}\nhip: Optional[str] = None\n"
)


class Site:
    """A site-packages folder: what is installed in it is all that Python finds beside its own library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.importers = folder / "importers.txt"

    def add(self, name: str, version: str | None = None, body: str | None = None) -> None:
        """Install a package whose import notes the importing process, or does what `body` says."""
        noted = f"import os\nwith open({str(self.importers)!r}, 'a') as file: file.write(f'{{os.getpid()}} ')\n"
        module = self.folder / MODULES.get(name, name)
        for folder in (module, *module.relative_to(self.folder).parents[:-1]):
            package = self.folder / folder
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").write_text(noted if body is None else body)
        metadata = self.folder / f"{name.replace('-', '_')}-1.dist-info"
        metadata.mkdir(exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version or NEWEST[name]}\n"
        (metadata / "METADATA").write_text(text)

    def imported_here(self) -> bool:
        """Whether this process, which stands for Slicer's, imported any of them."""
        return self.importers.exists() and str(os.getpid()) in self.importers.read_text().split()


class Slicer:
    """What the panel uses of Slicer: the question, pip, testing mode; it keeps what it was asked and told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.agrees = True
        self.testing = False
        self.failure: Exception | None = None
        self.questions: list[str] = []
        self.installed: list[str] = []
        self.constraints: list[str] = []
        self.torchCalls: list[dict[str, Any]] = []
        self.pipCalls = 0
        self.brings: Callable[[str], None] = site.add

    def confirmOkCancelDisplay(self, text: str, windowTitle: str | None = None) -> bool:
        self.questions.append(text)
        return self.agrees

    def pip_install(self, requirements: list[str]) -> None:
        """Slicer 5.10: a list of pip's arguments."""
        assert requirements[-2] == "--constraint"
        self.pip_ensure(requirements[:-2], constraints=Path(requirements[-1]), prompt_install=False)

    def pip_ensure(
        self,
        requirements: list[str],
        constraints: Path | None = None,
        prompt_install: bool = True,
        requester: str | None = None,
    ) -> None:
        """Slicer 5.12: asks by itself unless told that somebody did."""
        assert not prompt_install, "a second question"
        self.pipCalls += 1
        if self.failure:
            raise self.failure
        assert constraints is not None
        self.constraints += constraints.read_text().splitlines()
        for requirement in requirements:
            self.installed.append(requirement)
            self.brings(requirement.split(">=")[0])

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
        torchvisionVersionRequirement: str | None = None,
    ) -> object:
        self.torchCalls.append({"ask": askConfirmation, "version": torchVersionRequirement})
        if self.failure:
            raise self.failure
        self.brings("torch")
        return object()


@pytest.fixture
def a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A Slicer's Python as it comes: numpy and SimpleITK, and nothing of ours."""
    site = Site(tmp_path / "site")
    for name in OWN:
        site.add(name)
    library = [path for path in sys.path if path and "site-packages" not in path and str(ROOT) not in path]
    monkeypatch.setattr(sys, "path", [str(site.folder), *library])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in [name for name in sys.modules if name.split(".")[0] in {"torch", "skimage", "safetensors", "jinja2"}]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    monkeypatch.setattr(packages, "_isReachable", lambda url: True)
    return site


@pytest.fixture(params=["5.10", "5.12"])
def a_slicer(request: pytest.FixtureRequest, a_site: Site, monkeypatch: pytest.MonkeyPatch) -> Slicer:
    """Either Slicer that the extension is for, with the PyTorch extension."""
    stand_in = Slicer(a_site)
    slicer, packaging, utils = (types.ModuleType(name) for name in ("slicer", "slicer.packaging", "PyTorchUtils"))
    slicer.app = types.SimpleNamespace(testingEnabled=lambda: stand_in.testing)  # type: ignore[attr-defined]
    slicer.util = types.SimpleNamespace(  # type: ignore[attr-defined]
        confirmOkCancelDisplay=stand_in.confirmOkCancelDisplay, pip_install=stand_in.pip_install
    )
    packaging.pip_ensure = stand_in.pip_ensure  # type: ignore[attr-defined]
    utils.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=stand_in.installTorch)  # type: ignore[attr-defined]
    for name in [name for name in sys.modules if name.split(".")[0] == "slicer"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    if request.param == "5.12":
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    return stand_in


def problem_of(ensure: Callable[[], None]) -> str:
    """Return the sentence for a person of what must fail."""
    with pytest.raises(packages.PackageProblem) as raised:
        ensure()
    return str(raised.value)


def test_one_question_names_every_package_and_all_of_them_are_installed(a_slicer: Slicer, a_site: Site) -> None:
    packages.ensureForAnalyze()
    (question,) = a_slicer.questions
    for requirement in ("torch>=2.4", "scikit-image>=0.22", "safetensors>=0.4"):
        assert f"- {requirement}" in question
    assert a_slicer.torchCalls == [{"ask": False, "version": ">=2.4"}]
    assert a_slicer.installed == ["scikit-image>=0.22", "safetensors>=0.4"]
    assert packages.analyzeState().isReady
    assert a_site.importers.exists() and not a_site.imported_here()


def test_what_is_there_is_neither_asked_for_nor_imported(a_slicer: Slicer, a_site: Site) -> None:
    for name in packages.ANALYZE:
        a_site.add(name)
    packages.ensureForAnalyze()
    assert not a_slicer.questions and not a_slicer.installed and not a_slicer.torchCalls
    assert not a_site.importers.exists()


def test_the_report_asks_for_its_own_packages(a_slicer: Slicer, a_site: Site) -> None:
    a_site.add("jinja2")
    packages.ensureForReport()
    assert a_slicer.installed == ["matplotlib>=3.8"]
    assert "Save report" in a_slicer.questions[0] and "torch" not in a_slicer.questions[0]


def test_an_old_package_is_brought_up_to_date_and_the_question_says_so(a_slicer: Slicer, a_site: Site) -> None:
    for name, version in {"torch": None, "scikit-image": "0.19.3", "safetensors": "0.4"}.items():
        a_site.add(name, version)
    packages.ensureForAnalyze()
    assert a_slicer.installed == ["scikit-image>=0.22"]
    assert "0.19.3 is installed" in a_slicer.questions[0] and "safetensors" not in a_slicer.questions[0]


def test_slicers_own_packages_are_never_installed_but_held_where_they_are(a_slicer: Slicer) -> None:
    packages.ensureForAnalyze()
    packages.ensureForReport()
    installed = " ".join(a_slicer.installed).lower()
    assert "numpy" not in installed and "simpleitk" not in installed and "torch" not in installed
    assert set(a_slicer.constraints) == {"numpy==2.0.2", "SimpleITK==2.5.0"}


@pytest.mark.parametrize("ensure", [packages.ensureForAnalyze, packages.ensureForReport])
def test_nothing_is_installed_without_consent(a_slicer: Slicer, ensure: Callable[[], None]) -> None:
    a_slicer.agrees = False
    assert "Nothing was installed" in problem_of(ensure)
    assert a_slicer.questions and not a_slicer.torchCalls and not a_slicer.pipCalls


def test_testing_mode_which_agrees_by_itself_is_no_consent(a_slicer: Slicer) -> None:
    a_slicer.testing = True
    assert "torch>=2.4, scikit-image>=0.22, safetensors>=0.4, not installed" in problem_of(packages.ensureForAnalyze)
    assert not a_slicer.questions and not a_slicer.torchCalls and not a_slicer.pipCalls


def test_a_missing_pytorch_extension_is_named_before_anything_is_asked(
    a_slicer: Slicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "PyTorchUtils")
    sentence = problem_of(packages.ensureForAnalyze)
    assert "PyTorch extension is missing" in sentence and "Extensions Manager" in sentence
    assert not a_slicer.questions and not a_slicer.pipCalls


def test_torch_that_is_there_needs_no_pytorch_extension(
    a_slicer: Slicer, a_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_site.add("torch")
    monkeypatch.delitem(sys.modules, "PyTorchUtils")
    packages.ensureForAnalyze()
    assert a_slicer.installed == ["scikit-image>=0.22", "safetensors>=0.4"]


def test_a_broken_pytorch_extension_is_not_called_missing(a_slicer: Slicer, a_site: Site) -> None:
    del sys.modules["PyTorchUtils"]
    (a_site.folder / "PyTorchUtils.py").write_text("import a_package_that_is_not_there")
    sentence = problem_of(packages.ensureForAnalyze)
    assert "import failed" in sentence and "a_package_that_is_not_there" in sentence


def test_a_torch_that_is_too_old_is_to_be_uninstalled(a_slicer: Slicer, a_site: Site) -> None:
    a_site.add("torch", "2.1.2+cu118")
    sentence = problem_of(packages.ensureForAnalyze)
    assert "PyTorch 2.1.2+cu118 is too old" in sentence and "2.4 or later" in sentence and "PyTorch Utils" in sentence
    assert not a_slicer.questions and not a_slicer.torchCalls


FAILED = subprocess.CalledProcessError(1, "pip install")


@pytest.mark.parametrize("there", [(), ("torch",)])
@pytest.mark.parametrize(("reachable", "said"), [(False, "no connection"), (True, "status 1")])
def test_a_failed_installation_tells_the_network_from_the_rest(
    a_slicer: Slicer,
    a_site: Site,
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[str, ...],
    reachable: bool,
    said: str,
) -> None:
    for name in there:
        a_site.add(name)
    a_slicer.failure = FAILED
    monkeypatch.setattr(packages, "_isReachable", lambda url: reachable)
    sentence = problem_of(packages.ensureForAnalyze)
    assert "could not be installed" in sentence and said in sentence
    assert ("torch" in sentence) == (there == ())


def test_an_installation_that_brought_nothing_is_found_out(a_slicer: Slicer) -> None:
    a_slicer.brings = lambda name: None
    assert "not installed or too old: restart Slicer" in problem_of(packages.ensureForAnalyze)


def test_a_package_that_cannot_be_imported_is_named_with_the_reason(a_slicer: Slicer, a_site: Site) -> None:
    def bring(name: str) -> None:
        a_site.add(name, body="raise ImportError('DLL load failed')" if name == "safetensors" else None)

    a_slicer.brings = bring
    sentence = problem_of(packages.ensureForAnalyze)
    assert sentence.startswith("safetensors is installed, but its import failed: ImportError: DLL load failed. ")


def test_a_torch_that_the_extension_cannot_import_is_not_called_uninstalled(a_slicer: Slicer, a_site: Site) -> None:
    def bring(name: str) -> None:
        a_site.add(name)
        raise OSError("c10.dll not found")

    a_slicer.brings = bring
    assert problem_of(packages.ensureForAnalyze).startswith(
        "torch is installed, but its import failed: OSError: c10.dll"
    )


def test_an_import_that_kills_python_is_told_by_its_status(a_site: Site) -> None:
    for name in packages.ANALYZE:
        a_site.add(name, body="import os; os._exit(9)" if name == "scikit-image" else None)
    with pytest.raises(packages.PackageProblem, match="status 9"):
        packages.checkImports()


def test_an_import_without_end_is_given_up(a_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "IMPORT_SECONDS", 1)
    for name in packages.ANALYZE:
        a_site.add(name, body="import time; time.sleep(30)")
    with pytest.raises(packages.PackageProblem, match="no answer in 1 seconds"):
        packages.checkImports()


def test_every_sentence_is_another_and_says_what_to_do() -> None:
    a_package = packages._packages(("torch",))
    sentences = {
        str(packages._refused(a_package, "Analyze")),
        str(packages._stillMissing(a_package, "Analyze")),
        str(packages._torchTooOld(a_package[0])),
        str(packages._importFailed("torch", "reason")),
    }
    assert len(sentences) == 4
    assert all(re.search(r"(again|help)[^.]*\.$", sentence) for sentence in sentences), sentences


@pytest.mark.parametrize(("built", "said"), [("'12.6'", "(CUDA 12.6)"), ("None", "(without CUDA)")])
def test_the_information_line_reads_versions_without_importing(a_site: Site, built: str, said: str) -> None:
    for name in packages.ANALYZE:
        a_site.add(name)
    (a_site.folder / "torch" / "version.py").write_text(VERSION_FILE.format(built))
    line = packages.packageInformation()
    python = ".".join(map(str, sys.version_info[:3]))
    assert line == (
        f"DualSamplingCOVID {__version__}, Python {python}, torch 2.13.0+cu126 {said}, scikit-image 0.26.0,"
        " safetensors 0.8.0, SimpleITK 2.5.0, numpy 2.0.2"
    )
    assert not a_site.importers.exists()


def test_the_information_line_names_what_is_not_installed(a_site: Site) -> None:
    assert "torch not installed, scikit-image not installed, safetensors not installed" in packages.packageInformation()


def test_an_index_that_cannot_be_reached_is_known_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert not packages._isReachable("http://127.0.0.1:9/simple/")
    assert not packages._isReachable("file:///nowhere/at/all")


def test_the_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = {*project["dependencies"], *extras["report"], *extras["training"]}
    ours = packages._packages((*packages.TRAINING, packages.MONAI))
    assert {package.requirement for package in ours} <= asked
    listed = re.findall(
        r"^[^#\n]+", (ROOT / "Resources" / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(listed) == {package.requirement for package in ours} - {"torch>=2.4"}
