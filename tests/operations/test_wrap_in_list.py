import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, leaves, refuses

WRAP = ops.WrapInList("x.author")


@pytest.mark.parametrize("value", [None, "Ada", {"name": "Ada"}])
def test_a_value_becomes_the_only_element_where_it_stands(value: object) -> None:
    gives(WRAP, {"x": {"author": value, "n": 1}}, {"x": {"author": [value], "n": 1}})


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": {}}])
def test_a_missing_field_stays_missing(row: dict[str, object]) -> None:
    leaves(WRAP, row)


def test_a_list_is_refused() -> None:
    refuses(WRAP, {"x": {"author": []}}, "x.author", "array", "no array")


def test_an_array_or_a_scalar_as_parent_is_refused() -> None:
    refuses(WRAP, {"x": [{"author": 1}]}, "x", "array", "object")


def test_the_inverse_unwraps_and_refuses_what_was_added() -> None:
    comes_back(WRAP, {"x": {"author": None}})
    refuses(ops.WrapInList("a").invert(), {"a": [1, 2]}, "a", "array", "at most one element")
