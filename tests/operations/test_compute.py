import datetime
from collections.abc import Mapping
from typing import Any

import pytest

from docstore import operations as ops
from docstore.core.paths import MISSING
from docstore.errors import NotInvertibleError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses


def slug(row: Mapping[str, Any]) -> Any:
    return row["code"].lower() if "code" in row else MISSING


EXPRESSION = {"$cond": [{"$eq": [{"$type": "$code"}, "missing"]}, "$$REMOVE", {"$toLower": "$code"}]}
SLUG = ops.Compute("x.slug", EXPRESSION, slug)


def test_the_result_is_stored() -> None:
    gives(SLUG, {"code": "AT-6"}, {"code": "AT-6", "x": {"slug": "at-6"}})
    gives(ops.Compute("a", {"$literal": None}, lambda _: None), {}, {"a": None})


def test_a_missing_result_adds_nothing() -> None:
    leaves(SLUG, {})
    leaves(SLUG, {"x": None})


def test_a_present_field_is_refused_or_replaced_where_it_stands() -> None:
    refuses(SLUG, {"code": "A", "x": {"slug": None}}, "x.slug", "null", "missing")
    replacing = ops.Compute("code", {"$toLower": "$code"}, slug, replace=True)
    gives(replacing, {"code": "A", "n": 1}, {"code": "a", "n": 1})
    gives(ops.Compute("n", "$$REMOVE", lambda _: MISSING, replace=True), {"n": 1, "m": 2}, {"m": 2})


def test_a_function_that_raises_refuses_the_row() -> None:
    refuses(SLUG, {"code": 5}, "x.slug", "AttributeError", "a function that raises nothing")


def test_a_result_that_cannot_be_stored_refuses_the_row() -> None:
    refuses(ops.Compute("a", 1, lambda _: {1}), {}, "a", "set", "a value that can be stored")
    refuses(ops.Compute("a", 1, lambda _: 2**64), {}, "a", "long", "a value that can be stored")


def test_the_result_is_what_the_database_would_give_back() -> None:
    moment = datetime.datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=datetime.UTC)
    result = ops.Compute("a", 1, lambda _: (moment,)).apply({})

    assert result == {"a": [datetime.datetime.fromisoformat("2024-01-01T10:00:00.123")]}


def test_the_function_cannot_change_the_row() -> None:
    def meddle(row: Any) -> None:
        row["code"] = 1

    refuses(ops.Compute("a", 1, meddle), {"code": "A"}, "a", "TypeError", "a function that raises nothing")


def test_what_the_expression_reads_is_found_in_it() -> None:
    expression = {"$concat": ["$a.b", {"$literal": "$no"}, {"$let": {"vars": {"v": "$c"}, "in": "$$v.d"}}]}
    operation = ops.Compute("x", expression, lambda _: "")

    assert operation.reads == {("a", "b"), ("c",), ("x",)}
    assert operation.writes == {("x",)}


def test_the_inverse_removes_the_field_or_is_what_was_given() -> None:
    comes_back(SLUG, {"code": "AT", "x": {}})
    assert SLUG.invert().invert() == SLUG
    lower = ops.Compute("code", {"$toLower": "$code"}, slug, replace=True, inverse=ops.RemoveField("code"))
    assert lower.invert() == ops.RemoveField("code")
    with pytest.raises(NotInvertibleError, match="it replaces; give inverse"):
        ops.Compute("code", {"$toLower": "$code"}, slug, replace=True).invert()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("$$NOW", r"reads the variable \$\$NOW"),
        ({"$add": [1, {"$rand": {}}]}, r"\$rand does not give the same answer"),
        ({"$map": {"input": "$a", "in": "$$that"}}, r"the variable \$\$that"),
        ({"$let": {"vars": {"dsItem": 1}, "in": 1}}, "binds the variable 'dsItem', which is reserved"),
    ],
)
def test_an_expression_that_depends_on_more_than_the_row_is_refused(expression: object, reason: str) -> None:
    invalid(lambda: ops.Compute("a", expression, lambda _: 1), reason)
    invalid(lambda: ops.Compute("a", 1, lambda _: 1, requires=expression), reason)


def test_impossible_arguments_are_refused() -> None:
    wrong: Any = "text"
    invalid(lambda: ops.Compute("a", 1, wrong), "needs a function as python")
    invalid(lambda: ops.Compute("a", 1, lambda _: 1, inverse=wrong), "needs an operation as inverse")
