"""
Every command that the documentation shows can be typed.
"""

import re
from pathlib import Path

import pytest
import typer

from tests.typed_commands import parse

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: After a prompt; up to a remark, or to what follows in the shell.
SHOWN = re.compile(r"(?:^\$ |&& )(docstore [^#|&\n]*)", re.MULTILINE)


def commands(page: Path) -> list[str]:
    """
    Return the commands that a page shows at a prompt.
    """
    return [line.strip() for line in SHOWN.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    faults = []
    for line in commands(page):
        try:
            parse(line)
        except typer.TyperException as error:
            faults.append(f"{line}: {error.format_message()}")

    assert faults == []


def test_commands_are_found_and_wrong_ones_are_told() -> None:
    shown = [line for page in PAGES for line in commands(page)]

    assert len(shown) > 20
    assert "docstore backfill set city rate 500 --for 10m" in shown
    for wrong in ("docstore backfill stop city", "docstore backfill start city --fast", "docstore worker --lease x"):
        with pytest.raises(typer.TyperException):
            parse(wrong)
