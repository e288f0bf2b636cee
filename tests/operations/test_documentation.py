"""
The examples in the docstrings and in docs/operations.md are what happens.
"""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from docstore import operations as ops
from docstore.core.bson_values import encode
from docstore.core.operation import Operation

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NAMES: dict[str, Any] = {name: getattr(ops, name) for name in ops.__all__}
OPERATIONS = sorted(name for name in NAMES if hasattr(NAMES[name], "compile"))
JSON = {"true": True, "false": False, "null": None}
ROWS = re.compile(r"^\| `(?P<operation>[A-Z].*)` \| `(?P<before>\{.*\})` \| `(?P<after>\{.*\})` \|$", re.MULTILINE)


def evaluated(text: str) -> Any:
    # Examples are written as in the shell: names of fields without quotes, booleans in small letters.
    quoted = re.sub(r"([{,] ?)(\w+): ", r'\1"\2": ', text)
    return eval(quoted, {**NAMES, **JSON, "f": lambda row: row["code"].lower()})  # noqa: S307 - our own documentation


def checked(operation: Operation, before: str, after: str) -> None:
    assert encode(operation.apply(evaluated(before))) == encode(evaluated(after))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_in_the_docstring_is_what_happens(name: str) -> None:
    lines = [line.strip() for line in inspect.getdoc(NAMES[name]).splitlines()]  # type: ignore[union-attr]
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}("))
    before, after = lines[start + 1 : start + 3]

    checked(evaluated(lines[start]), before.removeprefix("before "), after.removeprefix("after "))


@pytest.mark.parametrize("row", list(ROWS.finditer(PAGE.read_text(encoding="utf-8"))), ids=lambda row: row["operation"])
def test_the_example_in_the_table_is_what_happens(row: re.Match[str]) -> None:
    checked(evaluated(row["operation"]), row["before"], row["after"])


def test_every_operation_has_an_example_in_the_table() -> None:
    found = {row["operation"].partition("(")[0] for row in ROWS.finditer(PAGE.read_text(encoding="utf-8"))}

    assert found == set(OPERATIONS)
