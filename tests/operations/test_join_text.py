from typing import Any

import pytest
from bson.code import Code

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

NAME = ops.JoinText(["first", "last"], into="name", separator=" ")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"last": "King Lovelace", "first": "Ada"}, "Ada King Lovelace"),
        ({"first": "Plato"}, "Plato"),
        ({"last": "Lovelace"}, "Lovelace"),
        ({"first": "", "last": ""}, " "),
    ],
)
def test_texts_are_joined_and_missing_ones_left_out(parts: dict[str, str], text: str) -> None:
    gives(NAME, {**parts, "n": 1}, {"n": 1, "name": text})


@pytest.mark.parametrize("row", [{}, {"name": 1}])
def test_nothing_happens_where_all_are_missing(row: dict[str, object]) -> None:
    leaves(NAME, row)


@pytest.mark.parametrize(("value", "found"), [(None, "null"), (1, "int"), (Code("a"), "javascript")])
def test_anything_but_a_text_is_refused(value: object, found: str) -> None:
    refuses(NAME, {"first": "a", "last": value}, "last", found, "string")


def test_a_present_target_is_refused_unless_it_is_a_source() -> None:
    refuses(NAME, {"first": "a", "name": "b"}, "name", "string", "missing")
    gives(ops.JoinText(["rank", "name"], "name", "-"), {"name": "b", "n": 1, "rank": "a"}, {"name": "a-b", "n": 1})


def test_an_impossible_parent_is_refused() -> None:
    refuses(ops.JoinText(["a", "b"], "x.c", ","), {"a": "1", "x": None}, "x", "null", "object")
    refuses(ops.JoinText(["x.a", "b"], "c", ","), {"x": "1"}, "x", "string", "object")


def test_the_inverse_splits() -> None:
    comes_back(NAME, {"first": "Ada", "last": "King Lovelace"})
    comes_back(NAME, {"first": "Plato"})


def test_impossible_arguments_are_refused() -> None:
    text: Any = "ab"
    invalid(lambda: ops.JoinText(["a"], "b", " "), "at least two paths as sources")
    invalid(lambda: ops.JoinText(text, "b", " "), "a list of paths as sources")
    invalid(lambda: ops.JoinText(["a", "b"], "c", ""), "a text as separator")
    invalid(lambda: ops.JoinText(["a", "a.b"], "c", " "), "they overlap")
