"""
Update operators while rows are stored below latest: they say what they say of the latest shape all the same.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.query import read_query
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.errors import (
    ConflictError,
    DocstoreError,
    DocumentExistsError,
    StoreRejectedError,
    UpdateRefusedError,
)
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

D = TypeVar("D", bound=Document)

#: How often an upsert is tried whose key another row has: once more than it takes to lose one race.
UPSERT_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Done:
    """What an update did to one row: as it was stored before (None: it was inserted), and as it is stored now."""

    result: UpdateResult
    before: bytes | None
    after: bytes


class UpdatesBelowLatest(Generic[D]):
    """
    Applies update operators to rows of one kind of which some are to be stored below latest.

    Where no step reads or changes what filter and operators are about, that is one ordinary update: it says the same of
    every shape. Otherwise it takes a transaction for each row: the row is brought up to latest, the server applies the
    operators, and what came of it is stored as it has to be. Operators are never applied in Python, and nobody sees the
    row in between.
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
        self._stepped_on = _stepped_on(kind)

    async def apply(
        self, request: UpdateRequest, *, many: bool, upsert: bool, session: AnySession | None
    ) -> UpdateResult:
        """Apply operators to one row that matches, or to all; see `Collection.update`."""
        if many:
            await self._rows.refuse_unreadable(request.filter, session)
        result = UpdateResult(0, 0)
        if self._says_the_same(request, ()):
            async with self._writing(session):
                result = await self._writer.update(
                    request.filter,
                    request.operators,
                    field=self._kind.version_field,
                    many=many,
                    upsert=False,
                    array_filters=request.array_filters,
                    session=session,
                    **self._rows.readable,
                )
        elif many:
            result = await self._each(request, session)
        if result.matched:
            return result
        if many and not upsert:
            if not self._says_the_same(request, ()):
                await self._check(request, session)
            return result
        done = await self._one(request, sort=(), upsert=upsert, session=session)
        return result if done is None else done.result

    async def find_and_apply(
        self, request: UpdateRequest, *, sort: SortKeys, after: bool, upsert: bool, session: AnySession | None
    ) -> bytes | None:
        """Apply operators to the first row that matches; return it as it was or is stored; see `Updates`."""
        if self._says_the_same(request, sort):
            if sort:
                await self._refuse_unreadable_first(request, sort, session)
            async with self._writing(session):
                found = await self._writer.find_and_update(
                    request.filter,
                    request.operators,
                    field=self._kind.version_field,
                    sort=sort,
                    after=after,
                    upsert=False,
                    array_filters=request.array_filters,
                    session=session,
                    **self._rows.readable,
                )
            if found is not None:
                return found
        done = await self._one(request, sort=sort, upsert=upsert, session=session)
        if done is None:
            return None
        return done.after if after else done.before

    def _says_the_same(self, request: UpdateRequest, sort: SortKeys) -> bool:
        """Tell whether a plain update of rows as they are stored does what it would do to them at latest."""
        if self._stepped_on is None or not self._stepped_on.isdisjoint(request.touched):
            return False
        asked = read_query(request.filter, sort)
        return not asked.touched(self._kind.writes(self._kind.floor, self._kind.latest))

    async def _refuse_unreadable_first(
        self, request: UpdateRequest, sort: SortKeys, session: AnySession | None
    ) -> None:
        raw = await self._rows.first(request.filter, sort=sort, in_client=request.in_client, session=session)
        if raw is not None:
            self._kind.version(decoded(raw, self._kind))

    async def _each(self, request: UpdateRequest, session: AnySession | None) -> UpdateResult:
        """Update every row that matches at one moment, each by itself and once."""
        matched = modified = 0
        async for row_id in self._rows.ids(request.filter, in_client=request.in_client, session=session):
            done = await self._within_one(partial(self._change, request, row_id), session)
            if done is not None:
                matched += done.result.matched
                modified += done.result.modified
        return UpdateResult(matched, modified)

    async def _one(
        self, request: UpdateRequest, *, sort: SortKeys, upsert: bool, session: AnySession | None
    ) -> _Done | None:
        """Update the first row that matches, or insert one; None where there is none, and none is to be inserted."""
        for tries in range(1, TRIES + 1):
            raw = await self._rows.first(request.filter, sort=sort, in_client=request.in_client, session=session)
            if raw is None and not upsert:
                await self._check(request, session)
                return None
            try:
                if raw is None:
                    done = await self._within_one(partial(self._insert, request), session)
                else:
                    row_id = decoded(raw, self._kind)["_id"]
                    done = await self._within_one(partial(self._change, request, row_id), session)
            except DuplicateRowError as error:
                # Another writer was quicker with an upsert of the same key: its row is updated in the next round.
                lost = session is not None and session.in_transaction
                if raw is not None or tries >= UPSERT_TRIES or lost:
                    raise DocumentExistsError(kind=self._kind.name, id=request.fixed_id, index=error.index) from error
                done = None
            if done is not None:
                return done
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=request.fixed_id, tries=TRIES)

    async def _check(self, request: UpdateRequest, session: AnySession | None) -> None:
        """Have the server look at an update of no row: whether it takes the operators is nothing that rows decide."""
        async with self._writing(session):
            await self._writer.update(
                joined(request.filter, {"_id": {"$in": []}}),
                request.operators,
                field=self._kind.version_field,
                versions=[self._kind.latest],
                many=False,
                upsert=False,
                array_filters=request.array_filters,
                session=session,
            )

    async def _within_one(
        self, work: Callable[[ControlState, AnySession | None], Awaitable[_Done | None]], session: AnySession | None
    ) -> _Done | None:
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
    ) -> _Done | None:
        """Bring a row up, have the server update it, and store it as it has to be; None if it does not match."""
        raw = await self._writer.current(row_id, session=within)
        if raw is None:
            return None
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
        return _Done(result, before=raw, after=stored) if result.matched and stored is not None else None

    async def _insert(self, request: UpdateRequest, control: ControlState, within: AnySession | None) -> _Done | None:
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
        return None if stored is None else _Done(result, before=None, after=stored)

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


def _stepped_on(kind: Kind[Any]) -> frozenset[str] | None:
    """Return the top-level fields that steps read or change; None where nobody can tell."""
    # What a function reads is not declared, and what `detect` looks at neither.
    if kind.detect is not None or any(not step.operations for step in kind.steps):
        return None
    each = (operation for step in kind.steps for operation in step.operations)
    return frozenset(path[0] for operation in each for path in operation.reads | operation.writes)
