"""
Filters of the latest shape, asked in older shapes.
"""

from typing import Any

import pytest

from docstore import Step
from docstore import operations as ops
from docstore.core.operation import Operation
from docstore.core.translation import MAX_CONDITIONS, NEVER, translate


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


@pytest.mark.parametrize(
    ("operation", "filter", "earlier"),
    [
        (ops.RenameField("a", "b"), {"b": 1}, {"$or": [{"a": 1}, {"b": 1}]}),
        (ops.RenameField("a", "b"), {"b": None}, {"$and": [{"a": None}, {"b": None}]}),
        (ops.RenameField("a", "b"), {"b.x.0": {"$gt": 2}}, {"$or": [{"a.x.0": {"$gt": 2}}, {"b.x.0": {"$gt": 2}}]}),
        (ops.RenameField("a", "b"), {"a": 1}, NEVER),
        (ops.RenameField("a", "b"), {"a": {"$ne": 1}}, {}),
        (ops.RenameField("a", "n.b"), {"n.c": 1}, {"n.c": 1}),
        (ops.CopyField("a", "b"), {"a": 1}, {"a": 1}),
        (ops.CopyField("a", "b"), {"b": 1}, {"$or": [{"a": 1}, {"b": 1}]}),
        (ops.RemoveField("a"), {"a.b": {"$exists": True}}, NEVER),
        (ops.NestFields(["a"], into="n"), {"n.a": 1}, {"$or": [{"a": 1}, {"n.a": 1}]}),
        (ops.UnnestFields("n", {"a": "b"}), {"b": 1}, {"$or": [{"n.a": 1}, {"b": 1}]}),
        (ops.UnnestFields("n", {"a": "b"}), {"n.a": 1}, NEVER),
        (ops.AddField("a", 5), {"a": 5}, {"$or": [{"a": 5}, {"a": {"$exists": False}}]}),
        (ops.AddField("a", 5), {"a": 6}, {"a": 6}),
        (ops.AddField("a", 5), {"a": {"$ne": 5}}, {"$and": [{"a": {"$ne": 5}}, {"a": {"$exists": True}}]}),
        (
            ops.AddField("n.a", 5),
            {"n.a": 5},
            {"$or": [{"n.a": 5}, {"$and": [{"n.a": {"$exists": False}}, {"$nor": [{"n": {"$type": "null"}}]}]}]},
        ),
        (
            ops.AddField("a", {"$ref": "b", "$id": 5}),
            {"a.$id": 5},
            {"$or": [{"a.$id": 5}, {"a": {"$exists": False}}]},
        ),
        (ops.WrapInList("a"), {"a": {"$gt": 1}}, {"a": {"$gt": 1}}),
        (ops.WrapInList("a"), {"a": {"$size": 1}}, {"a": {"$exists": True}}),
        (ops.MapValues("a", {"x": "y"}), {"a": "y"}, {"a": {"$in": ["x"], "$not": {"$type": "array"}}}),
        (ops.PackList(["a", "b"], into="c"), {"a": 1}, NEVER),
        (ops.JoinText(["a", "b"], into="c", separator="-"), {"b": {"$exists": False}}, {}),
    ],
)
def test_a_filter_is_said_exactly_in_the_shape_before(
    operation: Operation, filter: dict[str, Any], earlier: dict[str, Any]
) -> None:
    found = translate(filter, [Step(operation, to=2)])
    assert found.exact
    assert found.filter == earlier


@pytest.mark.parametrize(
    ("operation", "filter", "earlier"),
    [
        (ops.ConvertType("a", int), {"a": 1, "b": 2}, {"b": 2}),
        (ops.NestFields(["a"], into="n"), {"n": {"$exists": True}}, {}),
        (ops.RenameField("a", "b"), {"b": {"$lt": {"$someday": 1}}, "c": 1}, {"c": 1}),
        (ops.RenameField("a", "b"), {"$expr": {"$eq": ["$b", 1]}}, {}),
        (ops.ConvertType("a", int), {"$nor": [{"a": 1}, {"b": 2}]}, {"$nor": [{"b": 2}]}),
        (ops.ConvertType("a", int), {"$or": [{"a": 1}, {"b": 2}]}, {}),
        (ops.WrapInList("a"), {"a.x": 1}, {}),
        (ops.AddField("a", [[1]]), {"a": {"$elemMatch": {"$gt": 0}}}, {}),
        (ops.MapValues("a", {"x": "y"}), {"a": {"$regex": "y"}}, {}),
    ],
)
def test_what_cannot_be_said_exactly_is_left_wider(
    operation: Operation, filter: dict[str, Any], earlier: dict[str, Any]
) -> None:
    found = translate(filter, [Step(operation, to=2)])
    assert not found.exact
    assert found.filter == earlier


def test_a_filter_goes_back_through_all_steps_and_past_functions_that_leave_it_alone() -> None:
    steps = [
        Step(ops.RenameField("zip", "code"), to=2),
        Step(upgrade=_same, writes=["slug"], to=3),
        Step(ops.NestFields(["code"], into="address"), to=4),
    ]
    found = translate({"address.code": "1010"}, steps)
    assert found.exact
    assert found.filter == {"$or": [{"zip": "1010"}, {"code": "1010"}, {"address.code": "1010"}]}
    assert not translate({"slug": 1}, steps).exact
    assert translate({"other": 1}, steps[:1]).filter == {"other": 1}


def test_values_are_not_compared_where_the_collection_has_rules_of_its_own() -> None:
    steps = [Step(ops.MapValues("a", {"x": "y"}), ops.RenameField("b", "c"), to=2)]
    assert not translate({"a": "y"}, steps, simple=False).exact
    assert translate({"c": "y"}, steps, simple=False).exact


def test_a_filter_that_grows_too_large_is_dropped() -> None:
    steps = [Step(ops.RenameField("a", "b"), to=2)]
    many = {"$or": [{"b": number} for number in range(MAX_CONDITIONS)]}
    found = translate(many, steps)
    assert (found.exact, found.filter) == (False, {})
