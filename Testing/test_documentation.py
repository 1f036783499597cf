"""What the README and the guides say is so."""

import re
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.ct.quality import quality_table_markdown

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "DualSamplingCOVID" / "DualSamplingCOVIDLib"
GUIDES = ROOT / "Resources" / "Documentation"
PAGES = (ROOT / "README.md", *sorted(GUIDES.rglob("*.md")), *sorted((ROOT / "Resources" / "Bundles").rglob("*.md")))


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _places(page: Path) -> set[str]:
    """Return the names of a page's headings, as links point to them."""
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", _text(page), re.M)}


def test_the_quality_table_is_the_one_in_the_code() -> None:
    assert quality_table_markdown().strip() in _text(GUIDES / "command-line.md")


def test_the_layout_names_every_room_and_no_other() -> None:
    picture = _text(ROOT / "README.md").split("DualSamplingCOVIDLib/\n", 1)[1].split("```", 1)[0]
    named = set(re.findall(r"(?:^|\s)(\w+(?:/|\.py))(?=\s|$)", picture))
    rooms = {f"{path.name}/" for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in LIBRARY.glob("*.py")} - {"__init__.py"}
    assert named == rooms


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_picture_page_and_place_that_is_pointed_to_exists(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)]+)\)", _text(page)):
        if "://" in target:
            continue
        name, _, place = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (place and place not in _places(file)):
            lost.append(target)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_nothing_was_left_to_be_written(page: Path) -> None:
    assert not re.findall(r"^(?:[A-Z]{3,}|#+ .+\n+(?=#{1,2} [^#]))$", _text(page), re.M)


def test_every_guide_is_pointed_to_by_the_readme() -> None:
    targets = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", _text(ROOT / "README.md"))}
    assert {page for page in PAGES if GUIDES in page.parents} <= targets


def test_every_command_is_one_of_the_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    commands = {
        name for page in PAGES for name in re.findall(r"(?:^|`)dualsampling-covid ([a-z-]+)", _text(page), re.M)
    }
    assert {"analyze", "segment", "train-segmenter", "evaluate"} <= commands
    for command in commands:
        assert re.search(rf"^    {command}( |$)", known, re.MULTILINE), command
