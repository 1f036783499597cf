"""The wheel carries all that it needs: installed elsewhere, it finds its resources from any folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "Resources"


def test_the_installed_wheel_finds_every_resource_from_another_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("dual_sampling_covid-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
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
