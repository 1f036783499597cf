"""What the extension says of itself in several files agrees, and CMake's lists name every file that exists."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = "DualSamplingCOVID"
MODULE_FOLDER = ROOT / NAME
LIBRARY = MODULE_FOLDER / f"{NAME}Lib"
RESOURCES = ROOT / "Resources"
PLACES = "lib/Slicer-5.12/qt-scripted-modules"
# Of Slicer's schema for entries of the catalogue, version 1.0.1, which allows no other keys.
CATALOGUE_KEYS = {
    "$schema": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "category": str,
    "enabled": bool,
    "scm_revision": str,
    "scm_type": str,
    "scm_url": str,
    "tier": int,
}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _cmake_values() -> dict[str, str]:
    """Return the EXTENSION_ variables of the top-level CMakeLists.txt."""
    return dict(re.findall(r'^set\(EXTENSION_(\w+) "(.*)"\)$', _text(ROOT / "CMakeLists.txt"), re.MULTILINE))


def _cmake_list(name: str) -> list[str]:
    """Return what the module's CMakeLists.txt lists under a variable."""
    (body,) = re.findall(
        rf"^set\({name}\n(.*?)^  \)", _text(MODULE_FOLDER / "CMakeLists.txt"), re.MULTILINE | re.DOTALL
    )
    return [line.strip() for line in body.splitlines()]


def _description() -> dict[str, str]:
    """Return the keywords of the .s4ext file."""
    lines = [line for line in _text(ROOT / f"{NAME}.s4ext").splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def _catalogue() -> dict[str, object]:
    entry: dict[str, object] = json.loads(_text(ROOT / f"{NAME}.json"))
    return entry


def _files(folder: Path, pattern: str, relative_to: Path) -> set[str]:
    found = (path.relative_to(relative_to) for path in folder.rglob(pattern) if path.is_file())
    return {path.as_posix() for path in found if not any(part.startswith((".", "__pycache__")) for part in path.parts)}


def _assert_lists(variable: str, expected: set[str]) -> None:
    listed = _cmake_list(variable)
    missing, stale = sorted(expected - set(listed)), sorted(set(listed) - expected)
    words = [f"In DualSamplingCOVID/CMakeLists.txt, under {variable},"]
    for what, names in (("add:", missing), ("remove:", stale)):
        words += [what, *(f"  {name}" for name in names)] if names else []
    if missing or stale:
        pytest.fail("\n".join(words), pytrace=False)
    assert len(listed) == len(set(listed)), f"{variable} names a file twice"


def test_cmake_lists_every_library_file() -> None:
    _assert_lists("MODULE_PYTHON_SCRIPTS", _files(LIBRARY, "*.py", MODULE_FOLDER) | {"${MODULE_NAME}.py"})


def test_cmake_lists_every_resource() -> None:
    _assert_lists("MODULE_RESOURCES", _files(RESOURCES, "*", RESOURCES))


def test_slicer_finds_one_module_in_the_module_folder() -> None:
    assert {path.name for path in MODULE_FOLDER.glob("*.py")} <= {f"{NAME}.py"}
    assert not (MODULE_FOLDER / NAME).exists()


def test_the_description_says_what_cmake_says() -> None:
    cmake, description = _cmake_values(), _description()
    names = {"HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS", "STATUS"}
    assert {name: description[name.lower()] for name in names} == {name: cmake[name] for name in names}
    assert f"project({NAME})" in _text(ROOT / "CMakeLists.txt")


def test_the_catalogue_entry_says_what_the_description_says() -> None:
    catalogue, description = _catalogue(), _description()
    assert catalogue["build_dependencies"] == description["depends"].split()
    pairs = {"scm_type": "scm", "scm_url": "scmurl", "scm_revision": "scmrevision"}
    pairs |= {name: name for name in ("category", "build_subdirectory", "tier")}
    assert {key: str(catalogue[key]) for key in pairs} == {key: description[word] for key, word in pairs.items()}


def test_the_catalogue_entry_keeps_to_slicers_schema() -> None:
    catalogue = _catalogue()
    assert {key: type(value) for key, value in catalogue.items()}.items() <= CATALOGUE_KEYS.items()
    assert str(catalogue["$schema"]).endswith("/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert str(catalogue["scm_url"]).startswith("https://") and catalogue["tier"] in range(1, 6)


def test_the_project_says_what_cmake_says() -> None:
    project = tomllib.loads(_text(ROOT / "pyproject.toml"))["project"]
    cmake = _cmake_values()
    assert project["description"] == cmake["DESCRIPTION"]
    addresses = set(project.get("urls", {}).values())
    assert all(address.startswith(cmake["HOMEPAGE"]) for address in addresses)
    assert project["license-files"] == [Path(cmake["LICENSE_FILE"]).name]
    assert project["readme"] == Path(cmake["README_FILE"]).name


def test_the_version_has_one_source() -> None:
    version = tomllib.loads(_text(ROOT / "pyproject.toml"))["tool"]["hatch"]["version"]["path"]
    (number,) = re.findall(r'^__version__ = "(.+)"$', _text(ROOT / version), re.MULTILINE)
    others = [ROOT / "CMakeLists.txt", MODULE_FOLDER / "CMakeLists.txt", *ROOT.glob(f"{NAME}.*"), ROOT / "CITATION.cff"]
    assert not [path.name for path in others if re.search(rf"\b{re.escape(number)}\b", _text(path))]


def test_every_address_of_ours_is_below_the_homepage_and_names_a_file_that_exists() -> None:
    cmake, repository = _cmake_values(), _cmake_values()["HOMEPAGE"].removeprefix("https://github.com/")
    assert str(_catalogue()["scm_url"]) == f"https://github.com/{repository}.git"
    raw = f"https://raw.githubusercontent.com/{repository}/{_catalogue()['scm_revision']}/"
    for address in (cmake["ICONURL"], *cmake["SCREENSHOTURLS"].split()):
        assert address.startswith(raw) and (ROOT / address.removeprefix(raw)).is_file()


def test_the_icon_is_as_large_as_the_extensions_manager_wants_it() -> None:
    header = (RESOURCES / "Icons" / f"{NAME}.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (128, 128)


STAND_IN_FOR_SLICER = f"""
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR {PLACES})
set(BUILD_TESTING ON)
foreach(name USE_FILE EXTENSION_GENERATE_CONFIG EXTENSION_CPACK)
  set(Slicer_${{name}} ${{CMAKE_CURRENT_LIST_DIR}}/nothing.cmake)
endforeach()
foreach(name LICENSE README)
  if(NOT EXISTS ${{EXTENSION_${{name}}_FILE}})
    message(FATAL_ERROR "no ${{name}}")
  endif()
endforeach()

# Refuses what does not exist, and copies each script below the module folder of the build, as Slicer's own does.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${{ARGN}})
  foreach(script IN LISTS MY_SCRIPTS)
    if(EXISTS ${{CMAKE_CURRENT_SOURCE_DIR}}/${{script}})
      configure_file(${{script}} ${{CMAKE_BINARY_DIR}}/{PLACES}/${{script}} COPYONLY)
    elseif(NOT script STREQUAL "{NAME}.py")
      message(FATAL_ERROR "no ${{script}}")
    endif()
  endforeach()
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${{ARGN}})
  file(APPEND ${{CMAKE_BINARY_DIR}}/self-tests.txt ${{MY_SCRIPT}})
endmacro()
"""
"""Slicer's CMake package, as far as the extension uses it: variables and macros of the same names and meaning."""


@pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("c++")), reason="CMake or a C++ compiler is missing")
def test_the_built_extension_finds_every_resource_where_slicer_installs_it(tmp_path: Path) -> None:
    slicer, build = tmp_path / "slicer", tmp_path / "build"
    slicer.mkdir()
    (slicer / "SlicerConfig.cmake").write_text(STAND_IN_FOR_SLICER)
    (slicer / "nothing.cmake").touch()
    command = ["cmake", "-S", ROOT, "-B", build, f"-DSlicer_DIR={slicer}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert _text(build / "self-tests.txt") == str(MODULE_FOLDER / f"{NAME}.py")

    folder, listed = build / PLACES, sorted(_cmake_list("MODULE_RESOURCES"))
    assert sorted(_files(folder / "Resources", "*", folder / "Resources")) == listed
    assert all((folder / "Resources" / name).read_bytes() == (RESOURCES / name).read_bytes() for name in listed)
    found = subprocess.run(
        [sys.executable, "-c", f"from {NAME}Lib import resources\nfor name in {listed}: print(resources.path(name))"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines() == [str(folder / "Resources" / name) for name in listed]
