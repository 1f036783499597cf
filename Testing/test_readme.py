"""What the README says is so."""

import re
from pathlib import Path

import pytest

from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.ct.quality import quality_table_markdown

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIBRARY = ROOT / "DualSamplingCOVID" / "DualSamplingCOVIDLib"


def test_the_quality_table_is_the_one_in_the_code() -> None:
    assert quality_table_markdown().strip() in README


def test_the_layout_names_every_room_and_no_other() -> None:
    picture = README.split("DualSamplingCOVIDLib/\n", 1)[1].split("```", 1)[0]
    named = set(re.findall(r"(?:^|\s)(\w+(?:/|\.py))(?=\s|$)", picture))
    rooms = {f"{path.name}/" for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in LIBRARY.glob("*.py")} - {"__init__.py"}
    assert named == rooms


def test_every_picture_and_link_exists() -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in t]
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_every_place_that_is_pointed_to_is_a_heading() -> None:
    headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", README, re.M)}
    places = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert places and places <= headings


def test_every_command_is_one_of_the_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    for command in re.findall(r"`dualsampling-covid ([\w-]+)", README):
        assert re.search(rf"^    {command}( |$)", known, re.MULTILINE), command
