"""
Deleting the rows that match at the latest shape, whatever shape is stored.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Generic, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing
from docstore.core.query import read_query
from docstore.core.row_faults import decoded
from docstore.errors import ConflictError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import rows_of
from docstore.mongo.row_writer import RowWriter
from docstore.store.gate import OpenWrite
from docstore.store.matching_rows import MatchingRows
from docstore.store.pauses import TRIES, Pause
from docstore.store.query import Queries

D = TypeVar("D", bound=Document)

#: Rows, and bytes of rows, that are deleted by one command.
_ROWS_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 8_000_000


class Deletions(Generic[D]):
    """
    Deletes rows of one kind by a filter.

    Where no step changes what the filter looks at, that is one command. Otherwise an old row is deleted under the
    guard: only if it is still exactly the row of which was seen that it matches.
    """

    def __init__(
        self,
        kind: Kind[D],
        *,
        writer: RowWriter,
        writing: OpenWrite,
        rows: MatchingRows[D],
        queries: Queries[D],
        pause: Pause,
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._writing = writing
        self._rows = rows
        self._queries = queries
        self._pause = pause

    async def one(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> bool:
        """Delete one row that matches; tell whether there was one."""
        for tries in range(1, TRIES + 1):
            if await self._delete(filter, many=False, session=session):
                return True
            raw = await self._rows.first(filter, in_client=in_client, judged=True, session=session)
            if raw is None:
                return False
            self._kind.version(decoded(raw, self._kind))
            if await self._delete_exactly([raw], session):
                return True
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=None, tries=TRIES)

    async def many(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> int:
        """Delete every row that matches; return how many were deleted."""
        await self._rows.refuse_unreadable(filter, session, in_client=in_client)
        if not self._is_touched(filter):
            return await self._delete(filter, many=True, session=session)
        deleted = 0
        for tries in range(1, TRIES + 1):
            old, missed = await self._delete_old(filter, in_client=in_client, session=session)
            deleted += old + await self._delete(filter, many=True, session=session)
            # A row may have been taken down to an older version between the two.
            if not missed and not await self._rows.holds_old(filter, in_client=in_client, session=session):
                return deleted
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=None, tries=TRIES)

    async def _delete_old(
        self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None
    ) -> tuple[int, int]:
        """Delete the old rows that match; return how many were, and how many had changed meanwhile."""
        deleted = missed = 0
        async for rows in self._old_rows(filter, in_client=in_client, session=session):
            gone = await self._delete_exactly(rows, session)
            deleted += gone
            missed += len(rows) - gone
        return deleted, missed

    async def _old_rows(
        self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None
    ) -> AsyncGenerator[list[bytes], None]:
        ids: list[Any] = []
        old = self._queries.old_ids(filter, allow_client_filter=in_client, session=session)
        async with aclosing(old) as found:
            async for row_id in found:
                ids.append(row_id)
                if len(ids) == _ROWS_AT_ONCE:
                    async for rows in self._those(ids, filter, in_client=in_client, session=session):
                        yield rows
                    ids = []
        if ids:
            async for rows in self._those(ids, filter, in_client=in_client, session=session):
                yield rows

    async def _those(
        self, ids: list[Any], filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield those of the rows with these ids that still match, as they are stored, in parts."""
        part: list[bytes] = []
        asked = {"_id": {"$in": ids}, "$and": [dict(filter)]}
        matching = self._queries.rows(
            asked, allow_client_filter=in_client, announced=True, judged=True, session=session
        )
        async with aclosing(matching) as found:
            async for batch in found:
                for row in rows_of(batch):
                    if part and sum(map(len, part)) + len(row) > _BYTES_AT_ONCE:
                        yield part
                        part = []
                    part.append(row)
        if part:
            yield part

    async def _delete(self, filter: Mapping[str, Any], *, many: bool, session: AnySession | None) -> int:
        """Delete rows of which the filter says the same as they are stored: all readable ones, or those at latest."""
        at: Mapping[str, Any] = self._rows.readable
        if self._is_touched(filter):
            at = {"versions": [self._kind.latest], "untagged": False}
        async with self._writing(session):
            return await self._writer.delete_matching(
                filter, field=self._kind.version_field, many=many, session=session, **at
            )

    async def _delete_exactly(self, rows: Sequence[bytes], session: AnySession | None) -> int:
        async with self._writing(session):
            return await self._writer.delete_exactly(rows, session=session)

    def _is_touched(self, filter: Mapping[str, Any]) -> bool:
        return bool(read_query(filter).touched(changing(self._kind)))
