from typing import Any

import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

UNWRAP = ops.UnwrapList("author")


@pytest.mark.parametrize(
    ("values", "first"), [(["Ada"], "Ada"), (["Ada", "Charles"], "Ada"), ([None], None), ([[1]], [1])]
)
def test_the_first_element_takes_the_place_of_the_list(values: list[Any], first: Any) -> None:
    gives(UNWRAP, {"author": values, "n": 1}, {"author": first, "n": 1})


def test_an_empty_list_is_removed() -> None:
    gives(UNWRAP, {"author": [], "n": 1}, {"n": 1})
    gives(ops.UnwrapList("x.a"), {"x": {"a": []}}, {"x": {}})


@pytest.mark.parametrize("row", [{}, {"author": None}])
def test_a_missing_field_and_null_stay_as_they_are(row: dict[str, object]) -> None:
    leaves(UNWRAP, row)


def test_further_elements_are_refused_if_so_asked() -> None:
    refuses(ops.UnwrapList("author", extra="refuse"), {"author": [1, 2]}, "author", "array", "at most one element")
    gives(ops.UnwrapList("author", extra="refuse"), {"author": [1]}, {"author": 1})


@pytest.mark.parametrize(("value", "found"), [("Ada", "string"), ({"0": 1}, "object")])
def test_anything_else_is_refused(value: object, found: str) -> None:
    refuses(UNWRAP, {"author": value}, "author", found, "array")


def test_the_inverse_wraps() -> None:
    comes_back(UNWRAP, {"author": ["Ada"]})
    assert UNWRAP.invert() == ops.WrapInList("author")


def test_an_impossible_argument_is_refused() -> None:
    extra: Any = "keep"
    invalid(lambda: ops.UnwrapList("a", extra=extra), "takes 'drop' or 'refuse' as extra")
