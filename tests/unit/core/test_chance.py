"""
Filters that draw rows by chance.
"""

from typing import Any

import pytest

from docstore import Step
from docstore import operations as ops
from docstore.core.chance import hangs_on_chance, without_chance
from docstore.core.query import untouched_part
from docstore.core.translation import translate

_DRAWN: dict[str, Any] = {"$expr": {"$lt": [{"$rand": {}}, 0.5]}}


@pytest.mark.parametrize(
    ("filter", "steady"),
    [
        ({"$sampleRate": 0.5}, {}),
        ({"$sampleRate": 0.5, "a": 1}, {"a": 1}),
        ({"a": 1, **_DRAWN}, {"a": 1}),
        ({"$and": [{"a": 1}, {"$sampleRate": 0.5}]}, {"$and": [{"a": 1}]}),
        ({"$and": [_DRAWN]}, {}),
        ({"a": 1, "$or": [{"b": 1}, {"$sampleRate": 0.5}]}, {"a": 1}),
        ({"$nor": [{"$and": [_DRAWN]}], "a": 1}, {"a": 1}),
    ],
)
def test_what_hangs_on_chance_is_left_out_with_all_that_hangs_on_it(
    filter: dict[str, Any], steady: dict[str, Any]
) -> None:
    assert hangs_on_chance(filter)
    assert without_chance(filter) == steady
    assert untouched_part(filter, frozenset()) == steady
    translation = translate(filter, [Step(ops.RenameField("x", "y"), to=2)])
    assert (translation.filter, translation.exact) == (steady, False)


@pytest.mark.parametrize(
    "filter",
    [
        {},
        {"a": {"$sampleRate": 1}},
        {"a": {"$eq": {"$rand": {}}}},
        {"$expr": {"$eq": ["$a", {"$literal": {"$rand": {}}}]}},
        {"$and": [{"a": 1}], "$or": []},
    ],
)
def test_a_filter_that_does_not_is_left_as_it_is(filter: dict[str, Any]) -> None:
    assert not hangs_on_chance(filter)
    assert without_chance(filter) is filter
