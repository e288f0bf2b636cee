"""
Operations as data: compared by what they were given, types included.
"""

import copy
import pickle

import pytest
from bson.int64 import Int64

from docstore import operations as ops
from docstore.core.operation import Operation
from tests.operations.cases import CASES

GIVEN = [case.operation for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("operation", GIVEN, ids=lambda operation: repr(operation)[:80])
def test_a_copy_is_equal(operation: Operation) -> None:
    assert copy.deepcopy(operation) == operation
    assert hash(copy.copy(operation)) == hash(operation)
    if "function" not in repr(operation):
        unpickled: Operation = pickle.loads(pickle.dumps(operation))  # noqa: S301 - made here
        assert unpickled == operation
        assert (unpickled.reads, unpickled.writes) == (operation.reads, operation.writes)


def test_different_operations_are_not_equal() -> None:
    assert all((first == second) is (first is second) for first in GIVEN for second in GIVEN)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ops.AddField("a", 1), ops.AddField("a", True)),
        (ops.AddField("a", 1), ops.AddField("a", Int64(1))),
        (ops.AddField("a", {"x": 1, "y": 2}), ops.AddField("a", {"y": 2, "x": 1})),
        (ops.MapValues("a", {1: 2}), ops.MapValues("a", {1: 2.0})),
        (ops.MapValues("a", {1: 2}, other=ops.Value(1)), ops.MapValues("a", {1: 2}, other=ops.Value(True))),
        (ops.MapValues("a", {1: 2}, other=ops.Value("keep")), ops.MapValues("a", {1: 2}, other="keep")),
        (ops.RenameField("a", "b"), ops.CopyField("a", "b")),
        (ops.RemoveField("a"), ops.RemoveField("a", default=None)),
        (ops.ForEach("l", ops.AddField("a", 1)), ops.ForEach("l", ops.AddField("a", 1.0))),
    ],
)
def test_operations_that_give_different_rows_are_not_equal(first: Operation, second: Operation) -> None:
    assert first != second


def test_a_default_given_as_tuple_or_list_is_the_same() -> None:
    assert ops.AddField("a", (1, 2)) == ops.AddField("a", [1, 2])
    assert ops.NestFields(["x.a"], into="y") == ops.NestFields({"x.a": "a"}, into="y")
