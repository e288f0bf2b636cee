"""The aggregation stages of queries over mixed versions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from docstore.core.stale_branch import Branch

#: Where an upgraded row carries its stored form through an aggregation. docstore's own: it never leaves the server.
STORED: Final = "__docstore_stored"

#: Matches nothing.
NO_ROW: Final[Mapping[str, Any]] = {"$expr": {"$literal": False}}


def both_of(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filter that matches what both match."""
    parts = [dict(part) for part in (first, second) if part]
    return parts[0] if len(parts) == 1 else {"$and": parts} if parts else {}


def one_of(filters: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the filter that matches what one of them matches; the server plans each by itself."""
    if not filters:
        return NO_ROW
    return filters[0] if len(filters) == 1 else {"$or": list(filters)}


def union_of(pipelines: Sequence[Sequence[Mapping[str, Any]]], collection: str) -> list[Mapping[str, Any]]:
    """Return one pipeline that gives what all of them give, one after another."""
    first, *others = pipelines
    return [*first, *({"$unionWith": {"coll": collection, "pipeline": list(other)}} for other in others)]


def branch_pipeline(branch: Branch, filter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the pipeline that upgrades the rows of a branch, keeps their stored form beside, and matches."""
    return [
        {"$match": both_of(branch.match or NO_ROW, branch.narrowed)},
        {"$set": {STORED: "$$ROOT"}},
        *branch.stages,
        {"$match": dict(filter)},
    ]


def documents_pipeline(documents: Sequence[Mapping[str, Any]], filter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """
    Return the pipeline that matches documents that are given as they are; the collection must not be empty.

    (`$documents` would not need one, but is no stage of servers before 5.1.)
    """
    return [
        {"$limit": 1},
        {"$project": {"_id": 0, "given": {"$literal": list(documents)}}},
        {"$unwind": "$given"},
        {"$replaceWith": "$given"},
        {"$match": dict(filter)},
    ]


def with_documents(
    pipeline: Sequence[Mapping[str, Any]], documents: Sequence[Mapping[str, Any]], collection: str, *, unions: bool
) -> list[Mapping[str, Any]]:
    """
    Return the pipeline that gives what a pipeline over a collection gives, and documents as they are.

    Args:
        pipeline: The pipeline.
        documents: The documents.
        collection: Where the pipeline is run; it must not be empty.
        unions: Whether there is a `$unionWith`; a transaction has none. Without it the collection is read twice.
    """
    if not documents:
        return list(pipeline)
    if unions:
        given = documents_pipeline(documents, {})
        return [*pipeline, {"$unionWith": {"coll": collection, "pipeline": given}}]
    # One document to which the pipeline's results are joined one by one, and one that stands for the others.
    joined = {
        "from": collection,
        "let": {"dsStored": "$stored"},
        "pipeline": [{"$match": {"$expr": "$$dsStored"}}, *pipeline],
        "as": "each",
    }
    return [
        {"$limit": 1},
        {"$project": {"_id": 0, "stored": {"$literal": [True, False]}}},
        {"$unwind": "$stored"},
        {"$lookup": joined},
        # Right behind it, so that the server never holds the results as one list.
        {"$unwind": {"path": "$each", "preserveNullAndEmptyArrays": True}},
        {"$match": {"$or": [{"stored": False}, {"each": {"$exists": True}}]}},
        {"$project": {"each": {"$cond": ["$stored", ["$each"], {"$literal": list(documents)}]}}},
        {"$unwind": "$each"},
        {"$replaceWith": "$each"},
    ]


def order_and_limits(sort: Sequence[tuple[str, Any]], skip: int, limit: int) -> list[Mapping[str, Any]]:
    """Return the stages for sort keys, and for how many rows to leave out and to return at most (0: all)."""
    stages: list[Mapping[str, Any]] = [{"$sort": dict(sort)}] if sort else []
    if skip:
        stages.append({"$skip": skip})
    if limit:
        stages.append({"$limit": abs(limit)})
    return stages


#: The last stage: the ids.
ONLY_ID: Final[Mapping[str, Any]] = {"$project": {"_id": 1}}

#: The last stage: every row as it is stored.
AS_STORED_AGAIN: Final[Mapping[str, Any]] = {"$replaceWith": {"$ifNull": [f"${STORED}", "$$ROOT"]}}
