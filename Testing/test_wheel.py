"""The wheel carries all that it needs: installed in an empty environment, it analyses a CT from another folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "Resources"
RESULTS = {"report.json", "run.json", "lungs-infection.seg.nrrd", "attention-label.nrrd", "attention.nrrd", "attention"}
OFFLINE = ("Retry(total=0", "Read timed out")
"""What pip says where it gives up reaching a package index."""


@dataclass(frozen=True)
class Elsewhere:
    """A folder outside the checkout with an environment of its own, which knows nothing of the checkout."""

    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "environment" / "bin" / "python"

    def run(self, *command: object) -> "subprocess.CompletedProcess[str]":
        """Run a command of the environment in the folder."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        program, *words = (str(word) for word in command)
        words = [str(self.python.parent / program), *words]
        return subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True)

    def install(self, wheel: str) -> None:
        """Install a wheel and what it depends on; skips the test where no package index can be reached."""
        index = os.environ.get("TORCH_INDEX")
        options = ["--quiet", "--retries", 2, "--timeout", 30, "--constraint", ROOT / "constraints.txt"]
        options += ["--extra-index-url", index] if index else []
        done = self.run("python", "-m", "pip", "install", *options, wheel)
        if done.returncode and any(sign in done.stderr for sign in OFFLINE):
            pytest.skip("pip cannot reach the package index that the wheel's dependencies come from")
        assert done.returncode == 0, done.stderr

    def command(self, *arguments: object) -> str:
        """Run the wheel's command, which must succeed, and return what it said."""
        done = self.run("dualsampling-covid", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def a_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("dual_sampling_covid-*.whl")
    return wheel


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    yield Elsewhere(tmp_path)
    shutil.rmtree(tmp_path / "environment")


def test_the_installed_wheel_finds_every_resource_from_another_folder(a_wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet"]
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, a_wheel], check=True)
    files = [str(path.relative_to(RESOURCES)) for path in RESOURCES.rglob("*") if path.is_file()]
    script = f"from DualSamplingCOVIDLib import resources\nfor name in {files}: print(resources.path(name))"
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(files) >= 1
    assert [line.startswith(str(site)) for line in shown.stdout.splitlines()] == [True] * len(files)


def test_the_wheel_in_an_empty_environment_analyses_a_ct_from_another_folder(
    a_wheel: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.install(str(a_wheel))
    seen = elsewhere.run("python", "-c", "import sys, DualSamplingCOVIDLib as d; print(d.__file__, *sys.path)").stdout
    assert seen.startswith(str(elsewhere.folder)) and str(ROOT) not in seen

    elsewhere.command("phantom", "--cases", 1, "--output", "phantom")
    analyze = ("analyze", "phantom/phantom-0000/ct.nii.gz", "--output")
    said = elsewhere.command(*analyze, "alone")
    alone = elsewhere.folder / "alone"
    assert {path.name for path in alone.iterdir()} == RESULTS
    assert len(list((alone / "attention").iterdir())) == 8
    reasons = ["report.html and figure.png: the package matplotlib is not installed", "scene.mrb: scenes need"]
    not_written = json.loads((alone / "run.json").read_text(encoding="utf-8"))["not_written"]
    assert [entry.startswith(reason) for entry, reason in zip(not_written, reasons, strict=True)] == [True, True]
    assert "slicer-core" in not_written[1]
    assert all(f"not written: {entry}\n" in said for entry in not_written)

    elsewhere.install(f"{a_wheel}[report]")
    elsewhere.command(*analyze, "with-report", "--write", "report,figure")
    assert {path.name for path in (elsewhere.folder / "with-report").iterdir()} == {
        "report.json",
        "run.json",
        "report.html",
        "figure.png",
    }
