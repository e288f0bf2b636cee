"""The same answers on the mock, which has none of the stages: every row is upgraded and held in memory."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Any

from docstore.core.bson_values import RawDocument, decode
from docstore.core.kind import Kind
from docstore.core.row_faults import brought, decoded
from docstore.core.stale_branch import StoredVersion, Way
from docstore.core.stale_query import decide, other_versions, stands_at
from docstore.errors import DocumentError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import Batches, RowSource
from docstore.mongo.scratch import query_in_memory
from docstore.mongo.stored_versions import stored_versions
from docstore.store.asked import Course, Query
from docstore.store.cursor import Report
from docstore.store.deciding import stale


class StaleQueriesInMemory:
    """`StaleQueries` for users' quick unit tests: refusals and errors are the same, the bounds are those of memory."""

    def __init__(self, source: RowSource, kind: Kind[Any]) -> None:
        self._source = source
        self._kind = kind

    async def rows(
        self,
        query: Query,
        *,
        report: Report | None,
        session: AnySession | None,
        course: Course | None = None,
        judged: bool = False,
    ) -> Batches:
        """See `StaleQueries.rows`; every row is judged."""
        del session, judged
        rows = await self._rows(query, report, course)
        found = query_in_memory(rows, query.filter, sort=query.sort, skip=query.skip, limit=query.limit)
        async with aclosing(found):
            async for row in found:
                yield row

    async def ids(
        self, query: Query, versions: Collection[StoredVersion], *, session: AnySession | None
    ) -> AsyncGenerator[Any, None]:
        """See `StaleQueries.ids`."""
        del session
        asked = [pair for pair in await self._rows(query, None) if stands_at(self._kind, decode(pair[1]), versions)]
        async with aclosing(query_in_memory(asked, query.filter, limit=query.limit)) as found:
            async for row in found:
                yield decode(row)["_id"]

    async def count(self, query: Query, *, session: AnySession | None) -> int:
        """See `StaleQueries.count`."""
        return len([row async for row in self.rows(query, report=None, session=session)])

    async def _rows(
        self, query: Query, report: Report | None, course: Course | None = None
    ) -> list[tuple[RawDocument, bytes]]:
        """Return every row as the query has to see it, and as it is stored."""
        narrowed = query.untouched_part(self._kind)
        stored = await stored_versions(
            self._source, self._kind.version_field, other_versions(self._kind), narrowed=narrowed
        )
        decision = decide(
            self._kind, query.paths, stored, filter=query.filter, sort=query.sort, in_client=query.in_client
        )
        raws = [raw async for raw in self._source.find(narrowed)]
        decoded_rows = [decoded(raw, self._kind) for raw in raws]

        def standing(versions: Collection[StoredVersion]) -> list[bool]:
            return [stands_at(self._kind, row, versions) for row in decoded_rows]

        if decision.way is Way.REFUSED and (held_up := sum(standing(decision.versions))):
            raise stale(self._kind, decision, held_up, decision.reason)
        in_client = [branch.version for branch in decision.branches if branch.way is Way.IN_CLIENT]
        if course is not None:
            course.way, course.client_rows = decision.way, sum(standing(in_client))
        mattering = standing([branch.version for branch in decision.branches])
        rows: list[tuple[RawDocument, bytes]] = []
        for raw, matters in zip(raws, mattering, strict=True):
            try:
                rows.append((brought(raw, self._kind) if matters else decode(raw), raw))
            except DocumentError as error:
                if report is None:
                    raise
                report(error)
        return rows
