"""A collection in memory, for the mock: it lacks the stages with which a server upgrades rows inside a query."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from docstore.core.bson_values import RawDocument, encode
from docstore.mongo.reading import SortKeys

_PLACE: Final = "__docstore_place"


async def query_in_memory(
    rows: Sequence[tuple[RawDocument, bytes]],
    filter: Mapping[str, Any],
    *,
    sort: SortKeys = (),
    skip: int = 0,
    limit: int = 0,
) -> AsyncGenerator[bytes, None]:
    """
    Yield the stored bytes of those rows whose upgraded form matches, in the order of their upgraded forms.

    Everything is held in memory and answered by mongomock: for tests, on a handful of rows.

    Args:
        rows: Every row that may match: upgraded, and as it is stored.
        filter: Asked of the upgraded form; so are the sort keys.
        sort: In which order.
        skip: How many rows to leave out at the beginning.
        limit: How many rows to yield at most; 0 stands for all.
    """
    from mongomock import MongoClient  # noqa: PLC0415 - only users of the mock have it

    scratch: Any = MongoClient()["scratch"]["rows"]
    if rows:
        scratch.insert_many([{**row, _PLACE: place} for place, (row, _) in enumerate(rows)])
    cursor = scratch.find(dict(filter), skip=skip, limit=abs(limit))
    for row in cursor.sort(list(sort)) if sort else cursor:
        yield rows[row[_PLACE]][1]


def aggregate_in_memory(
    collections: Mapping[str, Sequence[RawDocument]], name: str, pipeline: Sequence[Mapping[str, Any]]
) -> list[bytes]:
    """
    Return what mongomock makes of a pipeline over the collection of this name, which may join the others.
    """
    from mongomock import MongoClient  # noqa: PLC0415 - only users of the mock have it

    scratch: Any = MongoClient()["scratch"]
    for each, rows in collections.items():
        if rows:
            scratch[each].insert_many([dict(row) for row in rows])
    return [encode(row) for row in scratch[name].aggregate([dict(stage) for stage in pipeline])]
