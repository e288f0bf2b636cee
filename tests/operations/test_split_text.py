from typing import Any

import pytest
from bson.code import Code

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

NAME = ops.SplitText("name", into=["first", "last"], separator=" ")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Ada Lovelace", {"first": "Ada", "last": "Lovelace"}),
        ("Ada King Lovelace", {"first": "Ada", "last": "King Lovelace"}),
        ("Plato", {"first": "Plato"}),
        ("", {"first": ""}),
        (" ", {"first": "", "last": ""}),
    ],
)
def test_a_text_is_split_and_the_rest_goes_to_the_last(text: str, parts: dict[str, str]) -> None:
    gives(NAME, {"name": text, "n": 1}, {"n": 1, **parts})
    comes_back(NAME, {"name": text})


def test_the_text_itself_may_be_a_target_and_keeps_its_place() -> None:
    operation = ops.SplitText("name", ["rank", "name", "rest"], "$")

    gives(operation, {"name": "a$b$c$d", "n": 1}, {"name": "b", "n": 1, "rank": "a", "rest": "c$d"})
    gives(operation, {"name": "a", "n": 1}, {"n": 1, "rank": "a"})


@pytest.mark.parametrize("row", [{}, {"name": None}, {"name": None, "first": 1}])
def test_a_missing_or_null_text_is_left_alone(row: dict[str, object]) -> None:
    leaves(NAME, row)


@pytest.mark.parametrize(("value", "found"), [(1, "int"), (["a b"], "array"), (Code("a b"), "javascript")])
def test_anything_but_a_text_is_refused(value: object, found: str) -> None:
    refuses(NAME, {"name": value}, "name", found, "string")


def test_a_present_target_is_refused_even_if_no_part_would_go_there() -> None:
    refuses(NAME, {"name": "Plato", "last": None}, "last", "null", "missing")


def test_parents_of_targets_are_created_only_for_parts() -> None:
    operation = ops.SplitText("n", ["x.a", "y.b"], ",")

    gives(operation, {"n": "1,2"}, {"x": {"a": "1"}, "y": {"b": "2"}})
    gives(operation, {"n": "1"}, {"x": {"a": "1"}})
    refuses(operation, {"n": "1,2", "y": None}, "y", "null", "object")


def test_impossible_arguments_are_refused() -> None:
    text: Any = "ab"
    invalid(lambda: ops.SplitText("a", ["b"], " "), "at least two paths as into")
    invalid(lambda: ops.SplitText("a", text, " "), "a list of paths as into")
    invalid(lambda: ops.SplitText("a", ["b", "c"], ""), "a text as separator")
    invalid(lambda: ops.SplitText("a", ["b", "b"], " "), "they overlap")
    invalid(lambda: ops.SplitText("a", ["a.b", "c"], " "), "they overlap")
