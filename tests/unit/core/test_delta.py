from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given

from docstore.core.bson_values import identical
from docstore.core.delta import delta
from tests.changed_rows import NAMES, changed_rows


def test_delta_of_two_equal_rows_says_nothing() -> None:
    row = {"_id": 1, "a": float("nan"), "b": {"c": [1, {"d": Int64(2)}]}}
    assert delta(row, {"_id": 1, "a": float("nan"), "b": {"c": [1, {"d": Int64(2)}]}}) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1.0), (1, Int64(1)), (1, True), (1, Decimal128("1")), (Decimal128("1.0"), Decimal128("1.00")), (0.0, -0.0)],
)
def test_delta_of_values_that_python_calls_equal_sets_the_new_one(before: Any, after: Any) -> None:
    operators = delta({"a": before}, {"a": after})
    assert operators is not None
    assert identical(operators, {"$set": {"a": after}})


def test_delta_within_a_document_names_only_what_differs() -> None:
    before = {"a": {"b": 1, "c": {"d": 1, "e": 2}, "f": 3}}
    after = {"a": {"b": 1, "c": {"d": 5, "e": 2}, "g": 4}}
    assert delta(before, after) == {"$set": {"a.c.d": 5, "a.g": 4}, "$unset": {"a.f": ""}}


@pytest.mark.parametrize("name", ["x.y", "$x", "", "7"])
def test_delta_with_a_nested_name_that_no_path_can_say_sets_the_document_around_it(name: str) -> None:
    assert delta({"a": {"b": {name: 1, "c": 2}}}, {"a": {"b": {name: 5, "c": 2}}}) == {
        "$set": {"a.b": {name: 5, "c": 2}}
    }


@pytest.mark.parametrize("name", ["x.y", "$x", ""])
def test_delta_with_a_top_level_name_that_no_operator_can_say_is_none(name: str) -> None:
    assert delta({name: 1}, {name: 2}) is None
    assert delta({name: 1}, {}) is None
    assert delta({}, {name: 2}) is None


@pytest.mark.parametrize("name", ["x.y", "$x", ""])
def test_delta_beside_an_awkward_name_that_stays_says_the_rest(name: str) -> None:
    assert delta({name: 1, "a": 1}, {name: 1, "a": 2}) == {"$set": {"a": 2}}


def test_delta_of_a_nested_document_in_another_order_sets_it_as_a_whole() -> None:
    operators = delta({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}})
    assert operators is not None
    assert list(operators["$set"]["a"]) == ["c", "b"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"m": 1}, {"m": 1, "z": 2, "c": 3}),
        ({"m": 1}, {"c": 3, "m": 1}),
        ({"m": 1, "c": 3}, {"c": 4, "m": 1}),
    ],
)
def test_delta_whose_paths_would_leave_another_order_sets_the_document_as_a_whole(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    operators = delta({"a": before}, {"a": after})
    assert operators is not None
    assert identical(operators, {"$set": {"a": after}})


def test_delta_of_an_array_sets_it_as_a_whole() -> None:
    assert delta({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == {"$set": {"a": [1, {"b": 3}]}}


@pytest.mark.timeout(600)
@given(changed_rows(NAMES))
def test_delta_never_names_a_path_twice_or_one_within_another(rows: tuple[dict[str, Any], dict[str, Any]]) -> None:
    operators = delta(*rows) or {}
    paths = [tuple(path.split(".")) for fields in operators.values() for path in fields]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert not any(other != path and path[: len(other)] == other for other in paths)
