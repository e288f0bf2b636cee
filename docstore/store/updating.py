"""
Update operators on rows of any version: they only ever meet the latest shape.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum
from typing import Generic, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.errors import ConflictError, DocumentExistsError, StoreRejectedError, UpdateRefusedError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import DuplicateRowError, RowWriter, UpdateResult
from docstore.mongo.tag_filters import joined
from docstore.mongo.transactions import NO_TRANSACTIONS
from docstore.store.gate import OpenWrite
from docstore.store.matching_rows import MatchingRows
from docstore.store.pauses import TRIES, Pause
from docstore.store.stored_form import StoredForm
from docstore.store.update_request import UpdateRequest
from docstore.store.updating_below_latest import UPSERT_TRIES, UpdatesBelowLatest

D = TypeVar("D", bound=Document)
T = TypeVar("T")


class _Stored(Enum):
    """What is found out on passing the gate, instead of an update."""

    BELOW_LATEST = "rows are to be stored below latest"


class Updates(Generic[D]):
    """
    Applies update operators to rows of one kind.

    Two atomic writes for a row that is still old: a rewrite to the latest version under the guard, which changes its
    shape and not its meaning, then the operators with the tag in the filter. Any other writer may come between. Where
    rows are to be stored below latest, `UpdatesBelowLatest` takes the update.

    That no row matches is only said, and a row only inserted, after a look at one moment at the rows of all versions:
    one that is rewritten up or down meanwhile stands somewhere at every moment.
    """

    def __init__(
        self,
        kind: Kind[D],
        *,
        writer: RowWriter,
        form: StoredForm[D],
        writing: OpenWrite,
        rows: MatchingRows[D],
        pause: Pause,
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._form = form
        self._writing = writing
        self._rows = rows
        self._pause = pause
        self._below = UpdatesBelowLatest(kind, writer=writer, form=form, writing=writing, rows=rows, pause=pause)

    async def apply(
        self, request: UpdateRequest, *, many: bool, upsert: bool, session: AnySession | None
    ) -> UpdateResult:
        """Apply operators to one row that matches, or to all; see `Collection.update`."""

        async def write(*, insert: bool, within: AnySession | None) -> UpdateResult:
            return await self._writer.update(
                request.filter,
                request.inserting if insert else request.operators,
                field=self._kind.version_field,
                versions=[self._kind.latest],
                many=many,
                upsert=insert,
                array_filters=request.array_filters,
                session=within,
            )

        async def change() -> UpdateResult | _Stored | None:
            if many:
                if await self._stores_below_latest():
                    return _Stored.BELOW_LATEST
                await self._rows.refuse_unreadable(request.filter, session, in_client=request.in_client)
                if not await self._rows.bring_up_all(request.filter, in_client=request.in_client, session=session):
                    return None
            async with self._writing(session) as control:
                # Since a rollback rows may stand lower that match.
                if not self._form.is_latest(control):
                    return _Stored.BELOW_LATEST
                result = await write(insert=False, within=session)
            return result if result.matched or (many and not upsert) else None

        async def insert(within: AnySession | None) -> UpdateResult:
            return await write(insert=True, within=within)

        async def below() -> UpdateResult:
            return await self._below.apply(request, many=many, upsert=upsert, session=session)

        return await self._until_done(
            request, change, insert if upsert else None, below, nothing=UpdateResult(0, 0), session=session
        )

    async def find_and_apply(
        self, request: UpdateRequest, *, sort: SortKeys, after: bool, upsert: bool, session: AnySession | None
    ) -> bytes | None:
        """
        Apply operators to the first row that matches; return it, at latest, as it was or as it is *after*.

        None stands for: no row matched, or none before one was inserted.
        """

        async def write(request: UpdateRequest, *, insert: bool, within: AnySession | None) -> bytes | None:
            return await self._writer.find_and_update(
                request.filter,
                request.inserting if insert else request.operators,
                field=self._kind.version_field,
                versions=[self._kind.latest],
                sort=sort,
                after=after,
                upsert=insert,
                array_filters=request.array_filters,
                session=within,
            )

        missed = 0

        async def change() -> bytes | _Stored | None:
            nonlocal missed
            if sort and await self._stores_below_latest():
                return _Stored.BELOW_LATEST
            chosen = await self._first(request, sort, session)
            if chosen is None:
                return None
            async with self._writing(session) as control:
                # Since a rollback the first row may stand lower.
                if not self._form.is_latest(control):
                    return _Stored.BELOW_LATEST
                found = await write(chosen, insert=False, within=session)
            if found is None and chosen is not request:
                # Somebody else took it. Which row is the first now is chosen anew, among those of all versions.
                missed += 1
                await self._pause(missed)
            return found

        async def insert(within: AnySession | None) -> bytes | None:
            return await write(request, insert=True, within=within)

        async def below() -> bytes | None:
            return await self._below.find_and_apply(request, sort=sort, after=after, upsert=upsert, session=session)

        return await self._until_done(request, change, insert if upsert else None, below, nothing=None, session=session)

    async def _first(self, request: UpdateRequest, sort: SortKeys, session: AnySession | None) -> UpdateRequest | None:
        """
        Choose the first row of all versions, and bring it up; return the update of it alone, or None if it went.

        Without an order any row will do, and where all that match stand at latest, the first is for the server to find.
        """
        if not sort:
            return request
        if not await self._rows.holds_others(request.filter, in_client=request.in_client, session=session):
            await self._rows.refuse_unreadable_first(request.filter, sort, session)
            return request
        raw = await self._rows.first(request.filter, sort=sort, in_client=request.in_client, session=session)
        if raw is None or (self._rows.is_old(raw) and not await self._rows.bring_up(raw, session)):
            return None
        return replace(request, filter=joined(request.filter, {"_id": {"$eq": decoded(raw, self._kind)["_id"]}}))

    async def _until_done(
        self,
        request: UpdateRequest,
        change: Callable[[], Awaitable[T | _Stored | None]],
        insert: Callable[[AnySession | None], Awaitable[T]] | None,
        below: Callable[[], Awaitable[T]],
        *,
        nothing: T,
        session: AnySession | None,
    ) -> T:
        """
        Change what matches, or insert, or find that nothing matches: whichever comes true first.

        Args:
            request: The update.
            change: Changes rows at latest; returns None where there was none, or that rows are to be stored below it.
            insert: Changes one, or inserts one where there is none.
            below: Does all of it while rows are to be stored below latest.
            nothing: What to return where nothing matches and nothing is to be inserted.
            session: The session to write in.
        """
        for tries in range(1, TRIES + 1):
            try:
                changed = await change()
                if isinstance(changed, _Stored):
                    return await below()
                if changed is not None:
                    return changed
                raw = await self._rows.first(request.filter, in_client=request.in_client, session=session)
                if raw is not None:
                    if not await self._rows.bring_up(raw, session):
                        await self._pause(tries)
                    continue
                if insert is None:
                    return nothing
                async with self._writing(session) as control:
                    # Else the next round finds out how rows are stored now.
                    latest = self._form.is_latest(control)
                    inserted, result = await self._insert(request, insert, session) if latest else (False, None)
                if inserted:
                    return result if result is not None else nothing
            except DuplicateRowError as error:
                # Another writer was quicker with an upsert of the same key: its row is updated in the next round.
                if insert is None or tries >= UPSERT_TRIES or _in_transaction(session):
                    raise DocumentExistsError(kind=self._kind.name, id=request.fixed_id, index=error.index) from error
                await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=request.fixed_id, tries=TRIES)

    async def _stores_below_latest(self) -> bool:
        async with self._writing() as control:
            return not self._form.is_latest(control)

    async def _insert(
        self, request: UpdateRequest, insert: Callable[[AnySession | None], Awaitable[T]], session: AnySession | None
    ) -> tuple[bool, T | None]:
        """Insert where nothing matches; tell whether that was so, and what came of it."""
        if request.fixed_id is not None or not self._rows.can_be_old:
            # The index on the id refuses a second row of the same id, whatever its version.
            return True, await insert(session)

        async def look_and_insert(within: AnySession | None) -> tuple[bool, T | None]:
            if await self._rows.first(request.filter, in_client=request.in_client, session=within) is not None:
                return False, None
            return True, await insert(within)

        try:
            return await self._writer.in_transaction(look_and_insert, session=session)
        except StoreRejectedError as error:
            if error.code != NO_TRANSACTIONS:
                raise
            raise UpdateRefusedError(
                kind=self._kind.name,
                reason="an upsert by other fields than the _id takes a transaction, which a standalone server has not",
            ) from error


def _in_transaction(session: AnySession | None) -> bool:
    return session is not None and bool(session.in_transaction)
