"""Filters on the tag that match numbers only, and other filters joined to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from docstore.core.direction import Direction


def tagged(field: str, versions: Sequence[int], *, untagged: bool = False, mock: bool = False) -> dict[str, Any]:
    """
    Return the filter for rows whose tag is one of *versions*, as int32, int64 or double.

    Equality alone would also match an array that holds the number, and a Decimal128.

    Args:
        field: The field that holds the tag.
        versions: The versions that match.
        untagged: Rows whose tag is missing or null match too.
        mock: Leave out what mongomock cannot do (it takes no Decimal128 for a number anyway).
    """
    values: list[int | None] = [None, *versions] if untagged else [*versions]
    return {field: {"$in": values, "$not": {"$type": "array" if mock else ["array", "decimal"]}}}


def short_of(direction: Direction, target: int) -> dict[str, Any]:
    """
    Return the condition on the tag that rows meet as long as a run has, or may have, something to do for them.

    The server finds them by ranges of the index: everything but the numbers on the far side of *target*. Those hold,
    besides versions, fractions and Decimal128 values that are no version; nothing that says "not there" is among them.

    Args:
        direction: Where the run takes rows.
        target: To which version.
    """
    if direction is Direction.ADOPT:
        return {"$eq": None}
    return {"$not": {"$gte" if direction is Direction.UP else "$lte": target}}


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the filter that matches what both match.

    Side by side where no name collides: an upsert takes the new row's fields from there (mongomock from nowhere else).
    """
    if first.keys().isdisjoint(second.keys()):
        return {**first, **second}
    return {"$and": [dict(first), dict(second)]}
