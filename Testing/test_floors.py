"""The house's floors: imports only go down, heavy packages come in only where they belong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "DualSamplingCOVID" / "DualSamplingCOVIDLib"
FLOORS = (
    {"errors", "memory", "processes", "progress", "resources", "segments"},
    {"diagnosis", "parallel", "storage"},
    {"ct", "diagnosis_folder", "summary", "weights"},
    {"network"},
    {"segmentation", "preprocessing", "cohort", "run_folder", "review_folder"},
    {"bundle", "ensemble", "phantom"},
    {"evaluation"},
    {"analysis", "report", "scene"},
    {"training"},
    {"commands"},
    {"__main__"},
    {"supervised", "panel"},
)
APPLICATION = {"scene": {"slicer", "vtk"}, "panel": {"slicer", "vtk", "qt", "ctk"}}
"""Which rooms may speak to Slicer, and to which part of it."""
BELOW_THE_WORKER = {"analysis", "training", "commands"}
"""What the panel never imports: it starts a process and reads what that wrote."""
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
FILE_SCOPE = {"numpy", "scipy", "SimpleITK"}
FILES = sorted(LIBRARY.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def _imports(path: Path, file_scope_only: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (package, room) of each import: room is '' for a foreign package, package '' for our own rooms."""
    package = ["DualSamplingCOVIDLib", *path.relative_to(LIBRARY).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if file_scope_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = [*base, *(node.module.split(".") if node.module else [])]
            if full[0] != "DualSamplingCOVIDLib":
                yield full[0], ""
            elif len(full) > 1:
                yield "", full[1]
            else:
                for alias in node.names:
                    if alias.name != "__version__":
                        yield "", alias.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_only_go_down(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    upward = {other for _, other in _imports(path) if other and other != room and HEIGHT[other] >= HEIGHT[room]}
    assert not upward, f"{room} stands on {upward}, which are not below it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_heavy_packages_come_in_when_used(path: Path) -> None:
    import sys

    room = _room(path)
    allowed = FILE_SCOPE | set(sys.stdlib_module_names)
    allowed |= {"torch"} if room in {"network", "training"} else set()
    allowed |= APPLICATION.get(room, set())
    foreign = {package for package, _ in _imports(path, file_scope_only=True) if package}
    assert foreign <= allowed, f"{foreign - allowed} at file scope"
    if room not in {"network", "training"}:
        assert not {other for _, other in _imports(path, file_scope_only=True)} & {"network", "training"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_slicer_appears_where_the_application_is_at_hand(path: Path) -> None:
    packages = {package for package, _ in _imports(path) if package}
    assert not packages & ({"slicer", "vtk", "qt", "ctk"} - APPLICATION.get(_room(path), set()))


@pytest.mark.parametrize("path", sorted((LIBRARY / "panel").glob("*.py")), ids=lambda path: path.name)
def test_the_panel_leaves_the_work_to_its_worker(path: Path) -> None:
    assert not {room for _, room in _imports(path)} & BELOW_THE_WORKER


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_files_stay_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
