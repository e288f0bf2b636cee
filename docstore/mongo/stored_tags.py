"""
Which tags are stored in a collection: every value, also those that are no version.
"""

from collections.abc import Mapping
from typing import Any

from bson.decimal128 import Decimal128

from docstore.mongo.driver import AnySession, settled
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.reading import RowSource
from docstore.mongo.tag_index import find_tag_index


async def stored_tags(
    source: RowSource, field: str, *, narrowed: Mapping[str, Any] | None = None, session: AnySession | None = None
) -> list[Any]:
    """
    Return the tags that are stored; None stands for rows without a tag. On a real server.

    With the index on the tag that is a jump from value to value, and of equal numbers one stands for all, whatever its
    type. Without it every row is read, and a tag is named once for each type.

    Args:
        source: The collection.
        field: The tag.
        narrowed: Look only among the rows that match this filter.
        session: The session to read in.
    """
    index = None if narrowed else await find_tag_index(source.database, source.name, field)
    tags: list[dict[str, Any]] = [{"$group": {"_id": {"tag": f"${field}", "type": {"$type": f"${field}"}}}}]
    options: dict[str, Any] = {}
    if narrowed:
        tags.insert(0, {"$match": dict(narrowed)})
    if index is not None:
        tags = [
            {"$sort": {field: 1, "_id": 1}},
            {"$group": {"_id": f"${field}", "any": {"$first": "$_id"}}},
            {"$project": {"_id": {"tag": "$_id"}}},
        ]
        options = {"hint": index, "collation": SIMPLE_COLLATION}
    with translated():
        cursor = await settled(source.collection.aggregate(tags, session=session, **options))
        return [group["_id"].get("tag") async for group in cursor]


def comparable_tag(tag: Any) -> Any:
    """
    Return a tag as Python compares it with a version: as the server does, which groups equal numbers of all types.
    """
    if isinstance(tag, Decimal128):
        number = tag.to_decimal()
        return number if number.is_finite() else False
    return tag if tag is None or (isinstance(tag, int | float) and not isinstance(tag, bool)) else False
