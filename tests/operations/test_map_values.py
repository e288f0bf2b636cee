from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from docstore import operations as ops
from docstore.errors import NotInvertibleError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

STATUS = ops.MapValues("status", {"a": "active", "d": "deleted"})


def test_a_value_of_the_table_is_replaced_where_it_stands() -> None:
    gives(STATUS, {"status": "d", "n": 1}, {"status": "deleted", "n": 1})
    gives(ops.MapValues("x.n", {1: [2]}), {"x": {"n": 1, "m": 1}}, {"x": {"n": [2], "m": 1}})


@pytest.mark.parametrize("one", [1, 1.0, Int64(1), Decimal128("1.00")])
def test_values_are_looked_up_as_the_server_compares_them(one: object) -> None:
    table = ops.MapValues("n", [(1, "one"), (True, "yes"), (float("nan"), "none")])

    gives(table, {"n": one}, {"n": "one"})
    gives(table, {"n": True}, {"n": "yes"})
    gives(table, {"n": Decimal128("NaN")}, {"n": "none"})
    refuses(table, {"n": "1"}, "n", "string", "a value of the table")


def test_null_lists_and_documents_are_values_like_others() -> None:
    table = ops.MapValues("v", [(None, 0), ([1, 2], "list"), ({"a": 1}, "document")])

    gives(table, {"v": None}, {"v": 0})
    gives(table, {"v": [1.0, 2]}, {"v": "list"})
    gives(table, {"v": {"a": Int64(1)}}, {"v": "document"})
    refuses(table, {"v": {"a": 1, "b": 1}}, "v", "object", "a value of the table")


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": {}}])
def test_a_missing_field_stays_missing(row: dict[str, object]) -> None:
    for other in ("refuse", "keep", ops.Value(1)):
        leaves(ops.MapValues("x.status", {1: 2}, other=other), row)


def test_a_value_outside_the_table_is_refused_kept_or_replaced() -> None:
    table = {"a": "active"}
    refuses(ops.MapValues("s", table), {"s": None}, "s", "null", "a value of the table")
    leaves(ops.MapValues("s", table, other="keep"), {"s": None})
    gives(ops.MapValues("s", table, other=ops.Value(None)), {"s": "z"}, {"s": None})


def test_an_array_or_a_scalar_as_parent_is_refused() -> None:
    refuses(ops.MapValues("x.s", {1: 2}), {"x": [{"s": 1}]}, "x", "array", "object")


def test_the_inverse_is_the_table_the_other_way_round() -> None:
    comes_back(STATUS, {"status": "a"})
    comes_back(ops.MapValues("s", [(1, None), (None, 1)], other="keep"), {"s": "kept"})
    assert STATUS.invert().invert() == STATUS


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (ops.MapValues("s", {1: 2}, other=ops.Value(0)), "other values are lost"),
        (ops.MapValues("s", {1: 0, 2: 0.0}), "several values become the same one"),
    ],
)
def test_a_table_that_loses_values_has_no_way_back(operation: ops.MapValues, reason: str) -> None:
    with pytest.raises(NotInvertibleError, match=reason):
        operation.invert()


def test_rows_do_not_share_the_values_of_the_table() -> None:
    for operation in (ops.MapValues("s", {1: [[]]}), ops.MapValues("s", {2: 3}, other=ops.Value([[]]))):
        operation.apply({"s": 1})["s"][0].append("changed")
        gives(operation, {"s": 1}, {"s": [[]]})


def test_impossible_arguments_are_refused() -> None:
    other: Any = "drop"
    invalid(lambda: ops.MapValues("s", {}), "an empty table")
    invalid(lambda: ops.MapValues("s", [(1, 2), (1.0, 3)]), "looks up the same value twice")
    invalid(lambda: ops.MapValues("s", {1: object()}), "cannot use object as new value")
    invalid(lambda: ops.MapValues("s", {1: 2}, other=other), r"takes 'keep' or 'refuse' or Value\(...\) as other")
