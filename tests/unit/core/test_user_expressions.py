"""
Expressions that users write: what they read is told apart from what they hold.
"""

from typing import Any

import pytest

from docstore.core.expressions import Literal, Ref, render
from docstore.core.user_expressions import as_value, parse_expression


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("$a", Ref(("a",))),
        ("$a.b", Ref(("a", "b"))),
        ("$_id", Ref(("_id",))),
        ("$$ROOT", Ref(())),
        ("$$CURRENT", Ref(())),
        ("$$ROOT.a.b", Ref(("a", "b"))),
        ("plain", "plain"),
        (5, 5),
        (None, None),
        ("$$REMOVE", "$$REMOVE"),
        ({"$literal": "$a"}, Literal("$a")),
        (["$a", {"b": "$c"}], [Ref(("a",)), {"b": Ref(("c",))}]),
        ({"$getField": "a.b"}, {"$getField": {"input": Ref(()), "field": "a.b"}}),
        (
            {"$getField": {"field": {"$literal": "$x"}, "input": "$a"}},
            {"$getField": {"input": Ref(("a",)), "field": Literal("$x")}},
        ),
    ],
)
def test_references_and_literals_are_told_apart(written: Any, parsed: Any) -> None:
    assert parse_expression(written) == parsed


@pytest.mark.parametrize(
    "written",
    [
        {"$let": {"vars": {"v": "$$ROOT"}, "in": {"$add": ["$$v.a", 1]}}},
        {"$map": {"input": "$l", "in": "$$this"}},
        {"$map": {"input": "$l", "as": "one", "in": "$$one.a"}},
        {"$filter": {"input": "$l", "as": "one", "cond": {"$gt": ["$$one", 1]}, "limit": "$n"}},
        {"$reduce": {"input": "$l", "initialValue": "$x", "in": {"$concat": ["$$value", "$$this"]}}},
    ],
)
def test_variables_that_the_expression_binds_stay(written: Any) -> None:
    assert render(parse_expression(written)) == written


def test_references_follow_the_document_and_variables_do_not() -> None:
    parsed = parse_expression({"$map": {"input": "$l", "in": {"$add": ["$$this", "$a", "$$ROOT.b"]}}})

    assert render(parsed, "item") == {"$map": {"input": "$$item.l", "in": {"$add": ["$$this", "$$item.a", "$$item.b"]}}}


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("$$NOW", "NOW, which it does not bind"),
        ("$$v", "v, which it does not bind"),
        ({"$let": {"vars": {"v": "$$v"}, "in": 1}}, "v, which it does not bind"),
        ({"$map": {"input": "$$this", "in": 1}}, "this, which it does not bind"),
        ({"$map": {"input": "$l", "as": "one", "in": "$$this"}}, "this, which it does not bind"),
        ({"$reduce": {"input": "$l", "initialValue": "$$value", "in": 1}}, "value, which it does not bind"),
        ({"$add": [{"$rand": {}}, 1]}, "does not give the same answer"),
        ({"$function": {"body": "", "args": [], "lang": "js"}}, "runs code"),
        ({"$let": {"vars": {"CURRENT": "$a"}, "in": "$b"}}, "'CURRENT', which is reserved"),
        ({"$map": {"input": "$l", "as": "dsItem", "in": 1}}, "'dsItem', which is reserved"),
    ],
)
def test_what_depends_on_more_than_the_document_is_refused(written: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_expression(written)


def test_a_plain_document_is_made_a_value() -> None:
    assert as_value({"a": 1}) == {"$mergeObjects": [{"a": 1}]}
    assert as_value({}) == Literal({})
    assert as_value({"$add": [1, 2]}) == {"$add": [1, 2]}
    assert as_value(Ref(("a",))) == Ref(("a",))
    assert as_value([1]) == [1]
