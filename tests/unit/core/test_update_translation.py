"""
What an update of the latest shape becomes for rows of an older one, and where it becomes nothing.
"""

from typing import Any, Final

import pytest

from docstore import Step
from docstore import operations as ops
from docstore.core.update_translation import stepped_on, translate_update

RENAMED: Final = ops.RenameField("text", "body")
MOVED: Final = ops.RenameField("zip", "address.postcode")
NESTED: Final = ops.NestFields({"countrycode": "code", "admin1code": "admin1"}, into="country")
UNNESTED: Final = ops.UnnestFields("country", {"code": "countrycode", "admin1": "admin1code"})
WRAPPED: Final = ops.WrapInList("tag")
MAPPED: Final = ops.MapValues("status", {"a": "active", "d": "deleted"})
KEPT: Final = ops.MapValues("status", {"a": "active", "b": "active", 1: "one"}, other="keep")


def translated(operators: dict[str, Any], *operations: Any, filter: Any = None) -> Any:
    return translate_update(filter or {"_id": 1}, operators, [Step(*operations, to=2)])


@pytest.mark.parametrize(
    ("operation", "operators", "sent"),
    [
        (RENAMED, {"$set": {"body": 1}}, {"$set": {"text": 1}}),
        (RENAMED, {"$unset": {"body": ""}, "$inc": {"n": 1}}, {"$unset": {"text": ""}, "$inc": {"n": 1}}),
        (RENAMED, {"$push": {"body.l": {"$each": [1]}}}, {"$push": {"text.l": {"$each": [1]}}}),
        (RENAMED, {"$set": {"body.$[x].k": 1}}, {"$set": {"text.$[x].k": 1}}),
        (RENAMED, {"$rename": {"a": "b"}}, {"$rename": {"a": "b"}}),
        (MOVED, {"$set": {"address.postcode": 1}}, {"$set": {"zip": 1}}),
        (MOVED, {"$unset": {"address.city": ""}}, {"$unset": {"address.city": ""}}),
        (NESTED, {"$set": {"country.code": "AT"}}, {"$set": {"countrycode": "AT"}}),
        (NESTED, {"$unset": {"country.code": ""}}, {"$unset": {"countrycode": ""}}),
        (NESTED, {"$set": {"country.name": "A"}}, {"$set": {"country.name": "A"}}),
        (UNNESTED, {"$inc": {"countrycode": 1}}, {"$inc": {"country.code": 1}}),
        (ops.RenameField("n.x", "x"), {"$inc": {"x": 1}}, {"$inc": {"n.x": 1}}),
        (WRAPPED, {"$set": {"tag": ["x"]}}, {"$set": {"tag": "x"}}),
        (WRAPPED, {"$inc": {"tag.0": 1}}, {"$inc": {"tag": 1}}),
        (WRAPPED, {"$push": {"tag.$[].l": 1}}, {"$push": {"tag.l": 1}}),
        (WRAPPED, {"$unset": {"tag": ""}}, {"$unset": {"tag": ""}}),
        (MAPPED, {"$set": {"status": "active"}}, {"$set": {"status": "a"}}),
        (KEPT, {"$set": {"status": "unheard of"}}, {"$set": {"status": "unheard of"}}),
        (ops.AddField("address.geo", None), {"$set": {"address.city": 1}}, {"$set": {"address.city": 1}}),
        (ops.CopyField("a", "b"), {"$inc": {"n": 1}}, {"$inc": {"n": 1}}),
    ],
)
def test_what_is_moved_as_a_whole_is_updated_where_it_stood(
    operation: Any, operators: dict[str, Any], sent: dict[str, Any]
) -> None:
    found = translated(operators, operation)

    assert found is not None
    assert found.operators == sent


@pytest.mark.parametrize(
    ("operation", "operators"),
    [
        (RENAMED, {"$set": {"text": 1}}),
        (RENAMED, {"$rename": {"body": "other"}}),
        (RENAMED, {"$rename": {"other": "body"}}),
        (MOVED, {"$set": {"address": {"postcode": 1}}}),
        (MOVED, {"$unset": {"address.postcode": ""}}),
        (MOVED, {"$set": {"address.0.k": 1}}),
        (ops.RenameField("n.x", "x"), {"$unset": {"x": ""}}),
        (NESTED, {"$unset": {"country.code": "", "country.admin1": ""}}),
        (NESTED, {"$unset": {"country.name": ""}}),
        (NESTED, {"$unset": {"country": ""}}),
        (ops.NestFields(["code"], into="country"), {"$unset": {"country.code": ""}}),
        (WRAPPED, {"$push": {"tag": 1}}),
        (WRAPPED, {"$set": {"tag": ["x", "y"]}}),
        (WRAPPED, {"$set": {"tag": [["x"]]}}),
        (WRAPPED, {"$set": {"tag": "x"}}),
        (WRAPPED, {"$unset": {"tag.0": ""}}),
        (WRAPPED, {"$set": {"tag.0": [1]}}),
        (WRAPPED, {"$set": {"tag.1": 1}}),
        (WRAPPED, {"$rename": {"tag.0.a": "tag.0.b"}}),
        (MAPPED, {"$set": {"status": "secret"}}),
        (MAPPED, {"$min": {"status": "active"}}),
        (KEPT, {"$set": {"status": "active"}}),
        (KEPT, {"$set": {"status": "one"}}),
        (KEPT, {"$set": {"status": "a"}}),
        (ops.MapValues("status", {"a": 1}), {"$set": {"status": 1.0}}),
        (ops.AddField("status", "new"), {"$set": {"status": "sold"}}),
        (ops.CopyField("a", "b"), {"$set": {"a": 1}}),
        (ops.CopyField("a", "b"), {"$set": {"b": 1}}),
        (ops.RemoveField("old", restore=ops.CopyField("names", "old")), {"$push": {"names": "x"}}),
        (ops.Compute("size", {"$bsonSize": "$$ROOT"}, len), {"$inc": {"n": 1}}),
        (RENAMED, {"$set": {"body": 1}, "$inc": {"body.n": 1}}),
        (RENAMED, {"$set": {"body": 1}, "$setOnInsert": {"body": 1}}),
    ],
)
def test_where_the_two_orders_may_differ_there_is_no_translation(operation: Any, operators: dict[str, Any]) -> None:
    assert translated(operators, operation) is None


def test_rows_of_another_form_are_left_out() -> None:
    found = translated({"$set": {"country.code": "AT"}}, NESTED)

    assert found is not None
    assert found.filter["$and"] == [
        {"_id": 1},
        {"countrycode": {"$exists": True}},
        {"country.code": {"$exists": False}},
        {"__docstore_residue.2.fields.country": {"$exists": False}},
    ]


def test_conditions_go_back_through_the_operations_before() -> None:
    steps = [Step(ops.RenameField("cc", "countrycode"), to=2), Step(NESTED, ops.RenameField("country", "land"), to=3)]

    found = translate_update({"land.code": "AT"}, {"$set": {"n": 1}}, steps)
    moved = translate_update({}, {"$set": {"n": 1, "m.land": 1}}, steps)

    assert found is not None
    assert moved is not None
    assert found.operators == {"$set": {"n": 1}}
    assert {"__docstore_residue.2.fields.countrycode": {"$exists": False}} in found.filter["$and"]
    assert moved.filter == {}


def test_the_filter_finds_the_element_that_the_positional_operator_stands_for() -> None:
    found = translated({"$set": {"body.$": 9}}, RENAMED, filter={"body": {"$gt": 5}})
    ambiguous = translated({"$set": {"l.$": 9}}, WRAPPED, filter={"l": 1, "tag": 2})

    assert found is not None
    assert (found.filter["$and"][0], found.operators) == ({"text": {"$gt": 5}}, {"$set": {"text.$": 9}})
    assert ambiguous is None
    assert translated({"$set": {"address.postcode.$": 9}}, MOVED, filter={"address.postcode": 5}) is None


def test_what_is_set_on_insert_says_nothing_of_rows_that_are_there() -> None:
    found = translated({"$inc": {"body": 1}, "$setOnInsert": {"status": "new"}}, RENAMED, ops.AddField("status", "old"))

    assert found is not None
    assert found.operators == {"$inc": {"text": 1}, "$setOnInsert": {"status": "new"}}


def test_a_filter_that_cannot_be_said_exactly_is_not_sent() -> None:
    assert translated({"$inc": {"n": 1}}, ops.AddField("status", "new"), filter={"status": "new"}) is None
    assert translated({"$inc": {"n": 1}}, RENAMED, filter={"$where": "true"}) is None


def test_what_a_function_reads_is_not_known() -> None:
    step = Step(upgrade=dict, downgrade=dict, writes=["slug"], to=2)

    assert translate_update({}, {"$inc": {"n": 1}}, [step]) is None
    assert stepped_on(step) is None
    assert stepped_on(Step(ops.Compute("size", {"$bsonSize": "$$ROOT"}, len), to=2)) is None
