"""
Rows of several shapes in one order, inside a transaction: it has no `$unionWith` in which they could meet.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import bson

from docstore.core.bson_values import CODEC
from docstore.core.kind import Kind
from docstore.core.row_faults import id_of
from docstore.core.stale_pipelines import ONLY_ID, order_and_limits
from docstore.mongo.driver import AnySession
from docstore.mongo.past_rows import key_of
from docstore.mongo.reading import Batches, RowSource, rows_of
from docstore.store.aggregating import Aggregations
from docstore.store.asked import Course, Query
from docstore.store.cursor import Report

#: How many rows are fetched by their ids at once.
_AT_ONCE: Final = 128


class SortedInTransaction:
    """
    Finds the ids in the right order by a pipeline that upgrades rows in their place, then reads the rows.

    Args:
        source: The collection.
        kind: Whose rows these are.
    """

    def __init__(self, source: RowSource, kind: Kind[Any]) -> None:
        self._source = source
        self._pipelines = Aggregations(source.database, kind, {kind.collection: kind})

    async def rows(self, query: Query, session: AnySession, report: Report | None, course: Course | None) -> Batches:
        """
        Yield the matching rows, as they are stored, in batches; what is held is the ids of one batch.

        Raises:
            StaleQueryError, DocumentError: See `StaleQueries`.
        """
        order = order_and_limits(query.sort, query.skip, query.limit)
        pipeline: Sequence[Mapping[str, Any]] = [{"$match": dict(query.filter)}, *order, ONLY_ID]
        found = self._pipelines.batches(
            pipeline, report=report, session=session, in_client=query.in_client, course=course
        )
        async with aclosing(found) as batches:
            async for batch in batches:
                ids = [row["_id"] for row in bson.decode_all(batch, CODEC)]
                for begin in range(0, len(ids), _AT_ONCE):
                    yield await self._by_ids(ids[begin : begin + _AT_ONCE], session)

    async def _by_ids(self, ids: Sequence[Any], session: AnySession) -> bytes:
        rows: dict[Any, bytes] = {}
        async with aclosing(self._source.find({"_id": {"$in": list(ids)}}, session=session)) as found:
            async for batch in found:
                rows |= {key_of(id_of(raw)): raw for raw in rows_of(batch)}
        return b"".join(rows[key] for key in map(key_of, ids) if key in rows)
