"""The wheel carries all that it needs: installed elsewhere, it finds its resources from any folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_installed_wheel_shows_its_bundle_from_another_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("dual_sampling_covid-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    script = (
        "from DualSamplingCOVIDLib import resources;"
        "from DualSamplingCOVIDLib.bundle import load_bundle;"
        "bundle = load_bundle(resources.path('Bundles/phantom-demo'));"
        "print(bundle.folder); print(resources.path('Report/report.html.j2'))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.startswith(str(site)) for line in shown.stdout.splitlines()] == [True, True]
