"""
The rows that a write is meant for, of any version, and bringing those up that are old.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Generic, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, newer_versions, readable
from docstore.core.query import read_query
from docstore.core.row_faults import decoded, id_of
from docstore.core.stale_query import old_versions, stands_at
from docstore.core.version import tag_version
from docstore.core.write_version import ControlState
from docstore.errors import ConflictError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import SortKeys, rows_of
from docstore.mongo.row_writer import RowWriter
from docstore.store.composing import RowComposer
from docstore.store.gate import OpenWrite
from docstore.store.pauses import TRIES, Pause
from docstore.store.query import Queries
from docstore.store.stored_form import StoredForm

D = TypeVar("D", bound=Document)

#: Rows, and bytes of stored rows, that are rewritten by one command. It holds a row twice.
_ROWS_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 3_000_000


class MatchingRows(Generic[D]):
    """
    Finds rows at the latest shape for a write, and rewrites old ones to the latest version under the guard.

    A rewrite changes a row's shape and not its meaning: whatever becomes of the write that it is made for, the row is
    as a backfill would have left it.

    With *in_client* rows that only Python can upgrade are read and matched, however many, as `find` does where that is
    allowed.
    """

    def __init__(
        self,
        kind: Kind[D],
        *,
        writer: RowWriter,
        composer: RowComposer[D],
        form: StoredForm[D],
        writing: OpenWrite,
        queries: Queries[D],
        pause: Pause,
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._composer = composer
        self._form = form
        self._writing = writing
        self._queries = queries
        self._pause = pause
        untagged = kind.detect is not None or kind.baseline >= kind.floor
        #: The versions that this code knows, and whether rows without a tag are among them.
        self.readable: Mapping[str, Any] = {"versions": range(kind.floor, kind.latest + 1), "untagged": untagged}
        #: Whether rows may be stored that have to be brought up before operators may meet them.
        self.can_be_old = bool(old_versions(kind))

    async def first(
        self,
        filter: Mapping[str, Any],
        *,
        sort: SortKeys = (),
        in_client: bool,
        judged: bool = False,
        session: AnySession | None,
    ) -> bytes | None:
        """Return the first row that matches at one moment, as it is stored, whatever its version; or None."""
        rows = self._queries.rows(
            filter, sort=sort, limit=1, allow_client_filter=in_client, judged=judged, session=session
        )
        async with aclosing(rows) as found:
            async for batch in found:
                return rows_of(batch)[0]
        return None

    async def holds_old(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> bool:
        """Tell whether a row below latest matches."""
        ids = self._queries.old_ids(filter, limit=1, allow_client_filter=in_client, session=session)
        async with aclosing(ids) as found:
            return await anext(found, None) is not None

    async def holds_others(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> bool:
        """Tell whether a row below latest matches, or one above that is read through published steps."""
        if await self.newer(filter, in_client=in_client, session=session) is not None:
            return True
        return await self.holds_old(filter, in_client=in_client, session=session)

    def is_old(self, raw: bytes) -> bool:
        """Tell whether a row has to be brought up before operators may meet it."""
        return not stands_at(self._kind, decoded(raw, self._kind), [self._kind.latest])

    async def refuse_unreadable(
        self, filter: Mapping[str, Any], session: AnySession | None, *, in_client: bool = False
    ) -> None:
        """Raise if a row matches whose version this code does not know, though it may read it (P4)."""
        kind = self._kind
        # Rows that are read through published steps are asked for in the shape of latest, the others as they are.
        unknown = {**self.readable, "versions": range(kind.floor, readable(kind) + 1)}
        raw = await self._writer.outside(filter, field=kind.version_field, session=session, **unknown)
        raw = await self.newer(filter, in_client=in_client, session=session) if raw is None else raw
        if raw is not None:
            kind.version(decoded(raw, kind))

    async def newer(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> bytes | None:
        """Return a row that matches and is read through published steps, as it is stored, or None."""
        if not newer_versions(self._kind):
            return None
        ids = self._queries.old_ids(filter, limit=1, allow_client_filter=in_client, newer=True, session=session)
        async with aclosing(ids) as found:
            async for row_id in found:
                return await self._writer.current(row_id, session=session)
        return None

    async def refuse_unreadable_first(
        self, filter: Mapping[str, Any], sort: SortKeys, session: AnySession | None
    ) -> None:
        """Do the same if it is the first one that matches but for those of other versions that can be read."""
        kind = self._kind
        old = {**self.readable, "versions": [*range(kind.floor, kind.latest), *newer_versions(kind)]}
        raw = await self._writer.outside(filter, field=kind.version_field, sort=sort, session=session, **old)
        if raw is not None:
            kind.version(decoded(raw, kind))

    async def bring_up(self, raw: bytes, session: AnySession | None) -> bool:
        """
        Rewrite one old row to the latest version; tell whether it was still that row.

        Raises:
            DocumentError: It cannot be read, or the model would refuse it.
        """
        if not self.is_old(raw):
            return True
        async with self._writing(session) as control:
            return await self._writer.rewrite(raw, self._upgraded(raw, control), session=session) is not None

    async def bring_up_all(self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None) -> bool:
        """
        Rewrite every old row that matches to the latest version; tell whether rows are to be stored there at all.

        They may not be any more, since a rollback.

        Raises:
            DocumentError: One cannot be read, or the model would refuse it; others may have been rewritten.
            ConflictError: Other writers were quicker in every try.
        """
        ids: list[Any] = []
        old = self._queries.old_ids(filter, allow_client_filter=in_client, session=session)
        async with aclosing(old) as found:
            async for row_id in found:
                ids.append(row_id)
                if len(ids) == _ROWS_AT_ONCE:
                    if not await self._bring_up_those(ids, session):
                        return False
                    ids = []
        return not ids or await self._bring_up_those(ids, session)

    async def _bring_up_those(self, ids: Sequence[Any], session: AnySession | None) -> bool:
        left = list(ids)
        for tries in range(1, TRIES + 1):
            rows = [raw for raw in await self._writer.those(left, session=session) if self.is_old(raw)]
            if not rows:
                return True
            # The size of a command is bounded, and the writer's command for many knows no session.
            if session is None and len(rows) > 1 and sum(map(len, rows)) <= _BYTES_AT_ONCE and tries == 1:
                async with self._writing() as control:
                    if not self._form.is_latest(control):
                        return False
                    await self._writer.rewrite_many([(raw, self._upgraded(raw, control)) for raw in rows])
                continue
            for raw in rows:
                async with self._writing(session) as control:
                    if not self._form.is_latest(control):
                        return False
                    await self._writer.rewrite(raw, self._upgraded(raw, control), session=session)
            left = [id_of(raw) for raw in rows]
            if tries > 1:
                await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=left[0], tries=TRIES)

    async def standing(
        self, filter: Mapping[str, Any], *, in_client: bool, session: AnySession | None
    ) -> AsyncGenerator[tuple[Any, int | None], None]:
        """Yield id and version of every row that matches, each once, whatever becomes of the rows meanwhile."""
        touched = read_query(filter).touched(changing(self._kind))
        # What is read at one moment stands still. Elsewhere rows move in every index but the one on their ids.
        rows = self._queries.rows(
            filter, sort=() if touched else [("_id", 1)], allow_client_filter=in_client, session=session
        )
        async with aclosing(rows) as found:
            if session is not None and session.in_transaction:
                # A transaction sees its own writes.
                held = [self.stands(raw) async for batch in found for raw in rows_of(batch)]
                for row in held:
                    yield row
                return
            async for batch in found:
                for raw in rows_of(batch):
                    yield self.stands(raw)

    def stands(self, raw: bytes) -> tuple[Any, int | None]:
        """
        Return a row's id, and the version at which it stands by its tag alone; None where that does not tell.

        Raises:
            InvalidDocumentError: The bytes are no valid BSON.
        """
        kind, row = self._kind, decoded(raw, self._kind)
        tag = row.get(kind.version_field)
        version = tag_version(tag) if tag is not None else kind.baseline if kind.detect is None else None
        known = version is not None and kind.floor <= version <= kind.latest
        return row["_id"], version if known else None

    def upgraded(self, raw: bytes) -> RawDocument:
        """
        Return a row at latest.

        Raises:
            DocumentError: It cannot be read, or the model would refuse it.
        """
        return self._composer.upgraded(raw)

    def _upgraded(self, raw: bytes, control: ControlState) -> RawDocument:
        return self._form.changed(self._composer.upgraded(raw), raw, control)
