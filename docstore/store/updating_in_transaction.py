"""
Updating one row within a transaction: it stands at latest for a moment, which nobody sees.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.errors import DocstoreError, FencedError, StoreRejectedError, UpdateRefusedError
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import RowWriter
from docstore.mongo.tag_filters import joined
from docstore.mongo.transactions import NO_TRANSACTIONS
from docstore.store.gate import OpenWrite
from docstore.store.matching_rows import MatchingRows
from docstore.store.stored_form import StoredForm
from docstore.store.update_request import UpdateRequest
from docstore.store.updated_row import UpdatedRow
from docstore.store.updating_aside import UpdatesAside

D = TypeVar("D", bound=Document)

_Work: TypeAlias = Callable[[ControlState, AnySession | None], Awaitable[UpdatedRow | None]]


class UpdatesInTransaction(Generic[D]):
    """
    Updates rows that are stored below latest, one at a time, at the latest shape.

    The row is brought up to latest, the server applies the operators, and what came of it is stored as it has to be.
    Where a fence does not let latest in, the first such row finds that out, and this one and all others stand at latest
    beside their collection (`UpdatesAside`).
    """

    def __init__(
        self, kind: Kind[D], *, writer: RowWriter, form: StoredForm[D], writing: OpenWrite, rows: MatchingRows[D]
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._form = form
        self._writing = writing
        self._rows = rows
        self._aside = UpdatesAside(kind, writer=writer, form=form, rows=rows)
        #: Whether a fence has refused a row at latest.
        self._is_shut_out = False

    async def change(self, request: UpdateRequest, row_id: Any, session: AnySession | None) -> UpdatedRow | None:
        """Update the row with this id; None if it does not match."""
        inside, aside = partial(self._change, request, row_id), partial(self._aside.change, request, row_id)
        return await self._in_or_beside(inside, aside, session)

    async def insert(self, request: UpdateRequest, session: AnySession | None) -> UpdatedRow | None:
        """Insert what an upsert inserts; None if a row matches now."""
        return await self._in_or_beside(partial(self._insert, request), partial(self._aside.insert, request), session)

    async def _in_or_beside(self, inside: _Work, aside: _Work, session: AnySession | None) -> UpdatedRow | None:
        if not self._is_shut_out:
            try:
                return await self._within_one(inside, session)
            except FencedError:
                self._is_shut_out = True
                if session is not None and session.in_transaction:
                    # The server has ended the transaction, which is the user's.
                    raise
        return await self._within_one(aside, session)

    async def _within_one(
        self,
        work: _Work,
        session: AnySession | None,
    ) -> UpdatedRow | None:
        """Run *work* in one transaction, which is one write."""
        await self._form.prepare(session)
        try:
            async with self._writing(session) as control:
                return await self._writer.in_transaction(partial(work, control), session=session)
        except StoreRejectedError as error:
            if error.code != NO_TRANSACTIONS:
                raise
            raise UpdateRefusedError(
                kind=self._kind.name,
                reason="rows are stored below the latest version, and operators on what a step reads or changes take a "
                "transaction then, which a standalone server has not; use modify()",
            ) from error

    async def _change(
        self, request: UpdateRequest, row_id: Any, control: ControlState, within: AnySession | None
    ) -> UpdatedRow | None:
        """Bring a row up, have the server update it, and store it as it has to be; None if it does not match."""
        raw = await self._writer.current(row_id, session=within)
        if raw is None:
            return None
        # Decided before the server has a say, so that what it refuses is counted for a canary.
        control.version_for(row_id, standing=self._rows.stands(raw)[1])
        if self._rows.is_old(raw):
            await self._writer.rewrite(raw, self._rows.upgraded(raw), session=within)
        result = await self._writer.update(
            joined(request.filter, {"_id": {"$eq": row_id}}),
            request.operators,
            field=self._kind.version_field,
            versions=[self._kind.latest],
            many=False,
            upsert=False,
            array_filters=request.array_filters,
            session=within,
        )
        stored = await self._stored(row_id, partial(self._form.changed, raw=raw, control=control), raw, within)
        return UpdatedRow(result, before=raw, after=stored) if result.matched and stored is not None else None

    async def _insert(
        self, request: UpdateRequest, control: ControlState, within: AnySession | None
    ) -> UpdatedRow | None:
        """Insert a row at latest, and store it as it has to be; None if one matches now."""
        if await self._rows.first(request.filter, in_client=request.in_client, session=within) is not None:
            return None
        result = await self._writer.update(
            request.filter,
            request.inserting,
            field=self._kind.version_field,
            versions=[self._kind.latest],
            many=False,
            upsert=True,
            array_filters=request.array_filters,
            session=within,
        )
        stored = await self._stored(result.upserted_id, partial(self._form.inserted, control=control), None, within)
        return None if stored is None else UpdatedRow(result, before=None, after=stored)

    async def _stored(
        self,
        row_id: Any,
        form: Callable[[dict[str, Any]], dict[str, Any]],
        before: bytes | None,
        within: AnySession | None,
    ) -> bytes | None:
        """Store the row that stands at latest within the transaction in its form; or as it was, if it has none."""
        raw = await self._writer.current(row_id, session=within)
        if raw is None:
            return None
        try:
            after = form(decoded(raw, self._kind))
            await self._form.ready([after], within)
        except DocstoreError:
            # The transaction may be the user's, who may go on with it.
            if before is None:
                await self._writer.delete(row_id, session=within)
            else:
                await self._writer.rewrite(raw, decoded(before, self._kind), session=within)
            raise
        return await self._writer.rewrite(raw, after, session=within)
