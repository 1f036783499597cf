"""Where Resources/ is: beside this file (wheel), one up (installed extension) or two up (checkout)."""

from pathlib import Path


def path(name: str) -> Path:
    """Return the path of the resource `name`, such as ``Bundles/phantom-demo``.

    Raises:
        FileNotFoundError: no such resource is installed.
    """
    for parent in list(Path(__file__).resolve().parents)[:3]:
        candidate = parent / "Resources" / name
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"the resource {name} is not part of this installation")
