"""The same answers on the mock, which has none of the stages: every row is upgraded and held in memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from docstore.core.bson_values import RawDocument, decode
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded, upgraded
from docstore.core.stale_query import Way, decide, old_versions, stands_at
from docstore.errors import DocumentError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import Batches, RowSource
from docstore.mongo.scratch import query_in_memory
from docstore.mongo.stored_versions import stored_versions
from docstore.store.cursor import Report
from docstore.store.stale_query import Query, stale


class StaleQueriesInMemory:
    """`StaleQueries` for users' quick unit tests: refusals and errors are the same, the bounds are those of memory."""

    def __init__(self, source: RowSource, kind: Kind[Any]) -> None:
        self._source = source
        self._kind = kind
        self._old = old_versions(kind)

    async def rows(self, query: Query, *, report: Report | None, session: AnySession | None) -> Batches:
        """See `StaleQueries.rows`."""
        del session
        rows = await self._rows(query, report)
        found = query_in_memory(rows, query.filter, sort=query.sort, skip=query.skip, limit=query.limit)
        async with aclosing(found):
            async for row in found:
                yield row

    async def old_ids(self, query: Query, *, session: AnySession | None) -> AsyncGenerator[Any, None]:
        """See `StaleQueries.old_ids`."""
        del session
        old = [pair for pair in await self._rows(query, None) if stands_at(self._kind, decode(pair[1]), self._old)]
        async with aclosing(query_in_memory(old, query.filter, limit=query.limit)) as found:
            async for row in found:
                yield decode(row)["_id"]

    async def count(self, query: Query, *, session: AnySession | None) -> int:
        """See `StaleQueries.count`."""
        return len([row async for row in self.rows(query, report=None, session=session)])

    async def _rows(self, query: Query, report: Report | None) -> list[tuple[RawDocument, bytes]]:
        """Return every row as the query has to see it, and as it is stored."""
        narrowed = query.untouched_part(self._kind)
        stored = await stored_versions(self._source, self._kind.version_field, self._old, narrowed=narrowed)
        decision = decide(self._kind, query.paths, stored)
        raws = [raw async for raw in self._source.find(narrowed)]
        mattering = [stands_at(self._kind, decoded(raw, self._kind), decision.versions) for raw in raws]
        if decision.way is Way.REFUSED and any(mattering):
            raise stale(self._kind, decision, sum(mattering), decision.reason)
        rows: list[tuple[RawDocument, bytes]] = []
        for raw, matters in zip(raws, mattering, strict=True):
            try:
                rows.append((upgraded(raw, self._kind) if matters else decode(raw), raw))
            except DocumentError as error:
                if report is None:
                    raise
                report(error)
        return rows
