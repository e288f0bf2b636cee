"""
Expressions: written for wherever the document at hand is.
"""

from typing import Any

import pytest

from docstore.core.expressions import (
    Literal,
    Ref,
    absent,
    both,
    is_type,
    present,
    readable,
    references,
    render,
    set_where,
    writable,
)


def test_a_reference_is_written_for_the_row_or_for_a_variable() -> None:
    expression = {"$add": [Ref(("a", "b")), {"$literal": 1}, Ref(())]}

    assert render(expression) == {"$add": ["$a.b", {"$literal": 1}, "$$ROOT"]}
    assert render(expression, "item") == {"$add": ["$$item.a.b", {"$literal": 1}, "$$item"]}


@pytest.mark.parametrize("value", ["$price", "$$ROOT", {"$add": ["$a", 1]}, ["$a"], None, 1])
def test_a_literal_stays_data(value: Any) -> None:
    assert render(Literal(value)) == {"$literal": value}
    assert list(references(Literal(value))) == []


def test_every_reference_is_found() -> None:
    expression = {"$cond": [Ref(("a",)), {"b": [Ref(("c", "d"))]}, Literal(1), "$$bound"]}

    assert list(references(expression)) == [("a",), ("c", "d")]


def test_conditions_are_joined_in_order() -> None:
    assert both([]) is True
    assert both(["one"]) == "one"
    assert both(["one", "two"]) == {"$and": ["one", "two"]}


def test_types_are_asked_for() -> None:
    assert render(is_type(Ref(("a",)), "int")) == {"$eq": [{"$type": "$a"}, "int"]}
    assert render(is_type(Ref(("a",)), "int", "long")) == {"$in": [{"$type": "$a"}, ["int", "long"]]}
    assert render(present(("a",))) == {"$ne": [{"$type": "$a"}, "missing"]}
    assert render(absent(("a",))) == {"$eq": [{"$type": "$a"}, "missing"]}


def test_every_parent_is_asked_for_once() -> None:
    asked = [render(condition) for condition in writable(("a", "b", "c"), ("a", "d"), ("e",))]

    assert asked == [
        {"$in": [{"$type": "$a"}, ["object", "missing"]]},
        {"$in": [{"$type": "$a.b"}, ["object", "missing"]]},
    ]
    assert render(readable(("a", "b"))) == [{"$in": [{"$type": "$a"}, ["object", "missing", "null"]]}]


def test_a_top_level_field_is_set_as_it_is_or_kept() -> None:
    assert set_where(("a",), Literal(1)) == (("a",), Literal(1))
    assert set_where(("a",), Literal(1), "$$when") == (("a",), {"$cond": ["$$when", Literal(1), Ref(("a",))]})


def test_a_nested_field_is_set_without_making_empty_parents() -> None:
    path, value = set_where(("a", "b"), Literal(1), "$$when")

    assert path == ("a",)
    assert render(value) == {
        "$cond": [
            "$$when",
            {
                "$setField": {
                    "field": {"$literal": "b"},
                    "input": {"$ifNull": ["$a", {"$literal": {}}]},
                    "value": {"$literal": 1},
                }
            },
            "$a",
        ]
    }
