"""
Which paths a query looks at.
"""

from typing import Any

import pytest

from docstore.core.query import EVERYTHING, read_query, untouched_part


def _paths(filter: dict[str, Any]) -> set[str]:
    return {".".join(path) if path else "*" for path in read_query(filter).paths}


@pytest.mark.parametrize(
    ("filter", "paths"),
    [
        ({}, set()),
        ({"a": 1}, {"a"}),
        ({"a.b": {"$gt": 1, "$lt": 5}}, {"a.b"}),
        ({"a": {"b": 1}}, {"a"}),
        ({"a.0.b": 1}, {"a.b"}),
        ({"a.12": 1}, {"a"}),
        ({"0": 1}, {"0"}),
        ({"$and": [{"a": 1}, {"$or": [{"b": 1}, {"$nor": [{"c.d": None}]}]}]}, {"a", "b", "c.d"}),
        ({"a": {"$not": {"$in": [1]}}}, {"a"}),
        ({"a": {"$elemMatch": {"b": 1, "c.d": {"$gt": 2}}}}, {"a.b", "a.c.d"}),
        ({"a": {"$elemMatch": {"$or": [{"b": 1}, {"c": 1}]}}}, {"a.b", "a.c"}),
        ({"a": {"$elemMatch": {"$gt": 1}}}, {"a"}),
        ({"a": {"$elemMatch": {"b": 1}, "$size": 2}}, {"a"}),
        ({"a": {"$not": {"$elemMatch": {"b": 1}}}}, {"a", "a.b"}),
        ({"a": {"$elemMatch": {"b": {"$elemMatch": {"c": 1}}}}}, {"a.b.c"}),
        ({"$comment": "a"}, set()),
        ({"$expr": {"$gt": ["$a.b", "$c"]}}, {"a.b", "c"}),
        ({"$expr": {"$eq": ["$a", {"$literal": "$b"}]}}, {"a"}),
        ({"$expr": {"$gt": ["$until", "$$NOW"]}}, {"until"}),
        ({"$expr": {"$let": {"vars": {"x": "$a.b"}, "in": {"$eq": ["$$x.c", 1]}}}}, {"a.b"}),
        ({"$expr": {"$anyElementTrue": {"$map": {"input": "$l", "in": {"$eq": ["$$this.k", 1]}}}}}, {"l"}),
        ({"$expr": {"$eq": ["$$ROOT.a", "$$CURRENT.b.c"]}}, {"a", "b.c"}),
        ({"$expr": {"$eq": [{"$getField": "a.b"}, 1]}}, {"a.b"}),
        ({"$expr": {"$eq": [{"$getField": {"field": {"$literal": "$x"}, "input": "$a"}}, 1]}}, {"a"}),
        ({"ref.$id": 1}, {"ref.$id"}),
        ({"a": {"$geoWithin": {"$box": [[0, 0], [1, 1]]}}}, {"a"}),
    ],
)
def test_the_paths_of_a_filter_are_those_it_looks_at(filter: dict[str, Any], paths: set[str]) -> None:
    assert _paths(filter) == paths


@pytest.mark.parametrize(
    "filter",
    [
        {"$where": "this.a == 1"},
        {"$text": {"$search": "a"}},
        {"$jsonSchema": {"required": ["a"]}},
        {"$expr": {"$eq": ["$$ROOT", {"$literal": {"a": 1}}]}},
        {"$expr": {"$in": ["x", {"$map": {"input": {"$objectToArray": "$$CURRENT"}, "in": "$$this.k"}}]}},
        {"$expr": {"$getField": {"$concat": ["a", "$b"]}}},
        {"$expr": {"$function": {"body": "function() { return true }", "args": [], "lang": "js"}}},
        {"$someOperatorOfTheFuture": {"a": 1}},
        {"$and": [{"a": 1}, "no filter"]},
    ],
)
def test_a_filter_that_may_look_anywhere_is_taken_to_look_at_everything(filter: dict[str, Any]) -> None:
    paths = read_query(filter)
    assert EVERYTHING in paths.paths
    assert paths.touched(frozenset({("any", "path")}))


@pytest.mark.parametrize(
    ("filter", "operator"),
    [
        ({"$text": {"$search": "a"}}, "$text"),
        ({"$or": [{"$where": "true"}]}, "$where"),
        ({"place": {"$near": [0, 0]}}, "$near"),
        ({"place": {"$nearSphere": {"$geometry": {}}}}, "$nearSphere"),
    ],
)
def test_operators_that_cannot_follow_an_upgrade_are_named(filter: dict[str, Any], operator: str) -> None:
    assert read_query(filter).first_only == {operator}


def test_sort_keys_count_as_looked_at() -> None:
    assert read_query({}, [("a.b", 1), ("c.0", -1)]).paths == {("a", "b"), ("c",)}
    assert read_query({}, [("$natural", 1)]).first_only == {"$natural"}
    assert read_query({}, [("score", {"$meta": "textScore"})]).first_only == {"$meta"}


@pytest.mark.parametrize(
    ("path", "touched"),
    [("a", True), ("a.b", True), ("a.b.c", True), ("a.x", False), ("ab", False), ("_id", False), ("_id.a", False)],
)
def test_a_path_is_touched_by_what_lies_above_or_below_it(path: str, touched: bool) -> None:  # noqa: FBT001
    assert bool(read_query({path: 1}).touched(frozenset({("a", "b")}))) is touched


def test_where_any_path_may_change_only_the_id_is_untouched() -> None:
    query = read_query({"_id": 1, "a": 1, "_id.x": 2})
    assert query.touched(None) == (("a",),)


def test_the_untouched_part_keeps_what_holds_before_and_after() -> None:
    writes = frozenset({("new",), ("old",)})
    asked = {
        "_id": 7,
        "same": {"$gt": 1},
        "new": 2,
        "$and": [{"same": 1, "new": 1}, {"old": 3}, {"$or": [{"same": 1}, {"new": 1}]}],
        "$or": [{"same": 1}, {"_id": 2}],
        "$nor": [{"new": 1}],
        "$comment": "why",
        "place": {"$near": [0, 0]},
    }
    assert untouched_part(asked, writes) == {
        "_id": 7,
        "same": {"$gt": 1},
        "$and": [{"same": 1}],
        "$or": [{"same": 1}, {"_id": 2}],
    }
    assert untouched_part(asked, None) == {"_id": 7}


def test_the_tag_is_recognised_wherever_it_is_named() -> None:
    assert read_query({"$or": [{"a": 1}, {"v": {"$gt": 1}}]}).names("v")
    assert read_query({"$expr": {"$eq": ["$v", 1]}}).names("v")
    assert read_query({}, [("v", 1)]).names("v")
    assert not read_query({"a.v": 1, "$expr": {"$eq": ["$a", {"$literal": "$v"}]}}).names("v")
