"""
Pipelines in two: the stages that look at one document at a time, and the others.
"""

from typing import Any

import pytest

from docstore.core.row_wise import parted

_MATCH: dict[str, Any] = {"$match": {"a": 1}}
_SORT: dict[str, Any] = {"$sort": {"b": 1}}


@pytest.mark.parametrize(
    ("pipeline", "each"),
    [
        ([], 0),
        ([_MATCH, {"$unwind": "$a"}, {"$set": {"b": 1}}], 3),
        ([_MATCH, {"$group": {"_id": "$a"}}, _MATCH], 1),
        ([{"$lookup": {"from": "x", "pipeline": [], "as": "y"}}, {"$limit": 1}], 1),
        ([{"$unionWith": "x"}, _MATCH], 0),
        ([{"$aStageOfTomorrow": {}}], 0),
    ],
)
def test_stages_are_parted_at_the_first_that_looks_at_several_documents(pipeline: list[Any], each: int) -> None:
    two = parted(pipeline)
    assert (len(two.each), [*two.each, *two.rest]) == (each, pipeline)


def test_only_what_the_rest_depends_on_is_kept_and_the_id_always() -> None:
    assert parted([_MATCH, {"$group": {"_id": "$a.x", "n": {"$max": "$b"}}}]).kept == (
        {"$project": {"_id": 1, "a": 1, "b": 1}},
    )
    assert parted([{"$group": {"_id": {"$getField": "a.x"}}}]).kept == ()
    assert parted([_SORT]).kept == ()
    assert parted([_SORT, {"$project": {"c": 1}}]).kept == ({"$project": {"_id": 1, "b": 1, "c": 1}},)
    assert parted([_MATCH]).kept == ()


def test_of_a_limit_only_the_first_documents_matter() -> None:
    two = parted([_MATCH, _SORT, {"$skip": 3}, {"$limit": 4}, {"$count": "n"}])
    assert (two.first, two.at_most) == ((_SORT, {"$limit": 7}), 7)
    two = parted([{"$limit": 4}])
    assert (two.first, two.at_most) == (({"$limit": 4},), 4)
    for pipeline in ([_SORT], [_SORT, {"$skip": 3}], [_SORT, {"$count": "n"}, {"$limit": 1}], [_MATCH]):
        assert parted(pipeline).at_most is None
