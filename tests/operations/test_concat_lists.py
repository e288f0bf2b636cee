from typing import Any

import pytest
from bson.int64 import Int64

from docstore import operations as ops
from docstore.errors import NotInvertibleError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

NAMES = ops.ConcatLists("names", "name", "others", unique=True, keep=True)
JOINED = ops.ConcatLists("all", "a", "b")


def test_lists_and_single_values_are_joined_in_order() -> None:
    gives(JOINED, {"b": [3, None], "a": [1, [2]]}, {"all": [1, [2], 3, None]})
    gives(JOINED, {"a": "x", "b": {"y": 1}}, {"all": ["x", {"y": 1}]})


def test_the_sources_stay_if_so_asked() -> None:
    gives(
        NAMES,
        {"name": "Wien", "others": ["Vienna", "Wien", "Vienna"]},
        {"name": "Wien", "others": ["Vienna", "Wien", "Vienna"], "names": ["Wien", "Vienna"]},
    )


def test_the_first_of_equal_elements_is_kept() -> None:
    row = {"a": [1, True, 1.0, Int64(1), "1", {"a": 1}], "b": [{"a": 1.0}, float("nan"), float("nan"), -0.0, 0]}

    gives(ops.ConcatLists("all", "a", "b", unique=True), row, {"all": [1, True, "1", {"a": 1}, float("nan"), -0.0]})


@pytest.mark.parametrize(
    ("row", "joined"),
    [({"a": None}, []), ({"a": None, "b": [1]}, [1]), ({"b": 1}, [1]), ({"a": [], "b": None}, [])],
)
def test_a_missing_or_null_source_adds_nothing(row: dict[str, object], joined: list[object]) -> None:
    gives(JOINED, row, {"all": joined})


@pytest.mark.parametrize("row", [{}, {"all": 1}, {"c": 1}])
def test_nothing_happens_where_all_sources_are_missing(row: dict[str, object]) -> None:
    leaves(JOINED, row)


def test_a_present_list_is_refused_unless_it_is_a_source() -> None:
    refuses(JOINED, {"a": 1, "all": None}, "all", "null", "missing")
    gives(ops.ConcatLists("tags", "tag", "tags"), {"tags": [2], "tag": 1, "n": 0}, {"tags": [1, 2], "n": 0})
    gives(ops.ConcatLists("tags", "tags"), {"tags": "one"}, {"tags": ["one"]})


def test_an_impossible_parent_is_refused() -> None:
    refuses(ops.ConcatLists("x.all", "a"), {"a": 1, "x": None}, "x", "null", "object")
    refuses(ops.ConcatLists("all", "x.a"), {"x": [{"a": 1}]}, "x", "array", "object")


def test_kept_elements_are_shared_with_no_source() -> None:
    joined = ops.ConcatLists("all", "a", keep=True).apply({"a": [{"n": []}]})
    joined["all"][0]["n"].append(1)

    assert joined["a"] == [{"n": []}]


def test_the_inverse_removes_the_list_where_the_sources_stay() -> None:
    comes_back(NAMES, {"name": "Wien", "others": ["Vienna"]})
    assert NAMES.invert().invert() == NAMES


@pytest.mark.parametrize("operation", [JOINED, ops.ConcatLists("a", "a", "b", keep=True)])
def test_there_is_no_way_back_where_a_source_is_gone(operation: ops.ConcatLists) -> None:
    with pytest.raises(NotInvertibleError, match="the sources are gone"):
        operation.invert()


def test_impossible_arguments_are_refused() -> None:
    paths: Any = ()
    invalid(lambda: ops.ConcatLists("a", *paths), "was given no paths as sources")
    invalid(lambda: ops.ConcatLists("a", "b", "b"), "they overlap")
    invalid(lambda: ops.ConcatLists("a.b", "a"), "they overlap")


def test_it_is_shown_as_it_was_typed() -> None:
    assert repr(NAMES) == "ConcatLists('names', 'name', 'others', unique=True, keep=True)"
