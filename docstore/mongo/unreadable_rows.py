"""Finding the rows whose tag says no version."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.canonical_id import canonical
from docstore.core.coverage import UNTAGGED_TYPES
from docstore.core.version import TAG_TYPES, tag_version
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.selections import Selection

_TYPE: Final = "type"


async def unreadable_rows(
    database: AnyDatabase, collection: str, field: str, *, selection: Selection | None = None
) -> AsyncGenerator[tuple[Any, str], None]:
    """
    Yield the id of every row whose tag is there and no positive integer, and the type of the tag.

    Reads every row: such rows are rare, and no index finds them. With a *selection*, reads its rows only.
    """
    rows = open_collection(database, collection, primary=True)
    with translated():
        if driver_of(database) is Driver.MOCK:
            async for row in rows.find({}, {field: 1}):
                tag = row.get(field)
                if tag is not None and tag_version(tag) is None:
                    yield row["_id"], type_name(tag)
            return
        wanted: RawDocument = {"$expr": {"$not": [_readable(f"${field}")]}}
        shown: RawDocument = {_TYPE: {"$type": f"${field}"}}
        if selection is None:
            async for row in rows.find(wanted, shown):
                yield row["_id"], row[_TYPE]
            return
        async with aclosing(selection.pages()) as pages:
            async for ids in pages:
                # A collection with a collation of its own finds texts that are only similar.
                named = {canonical(each) for each in ids}
                async for row in rows.find({**wanted, "_id": {"$in": ids}}, shown):
                    if canonical(row["_id"]) in named:
                        yield row["_id"], row[_TYPE]


def _readable(tag: str) -> RawDocument:
    """The same as `tag_version`, for the server; a tag that is not there counts as readable."""
    integral = {"$and": [{"$gt": [tag, 0]}, {"$lt": [tag, float("inf")]}, {"$eq": [tag, {"$trunc": tag}]}]}
    return {
        "$switch": {
            "branches": [
                {"case": {"$in": [{"$type": tag}, sorted(UNTAGGED_TYPES)]}, "then": True},
                {"case": {"$in": [{"$type": tag}, list(TAG_TYPES)]}, "then": integral},
            ],
            "default": False,
        }
    }
