"""
Update operators while rows are stored below latest: they say what they say of the latest shape all the same.
"""

from dataclasses import replace
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from docstore.core.canonical_id import bucket
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.errors import ConflictError, DocumentExistsError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import DuplicateRowError, RowWriter, UpdateResult
from docstore.mongo.tag_filters import joined
from docstore.store.gate import OpenWrite
from docstore.store.matching_rows import MatchingRows
from docstore.store.pauses import TRIES, Pause
from docstore.store.stored_form import StoredForm
from docstore.store.straight_updates import Statement, SteppedOn, StraightUpdate, is_read_only
from docstore.store.update_request import UpdateRequest
from docstore.store.updated_row import UpdatedRow
from docstore.store.updating_in_transaction import UpdatesInTransaction

D = TypeVar("D", bound=Document)

#: How often an upsert is tried whose key another row has: once more than it takes to lose one race.
UPSERT_TRIES: Final = 3

#: Which form of the row is asked for.
Returns: TypeAlias = Literal["before", "after"]

_NOTHING: Final = UpdateResult(0, 0)


class UpdatesBelowLatest(Generic[D]):
    """
    Applies update operators to rows of one kind of which some are to be stored below latest.

    Where filter and operators can be said of rows as these are stored, that is one ordinary update (`StraightUpdate`).
    Otherwise it takes a transaction for each row (`UpdatesInTransaction`). Operators are never applied in Python.
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
        self._writing = writing
        self._rows = rows
        self._pause = pause
        self._stepped_on = SteppedOn(kind)
        self._at_latest = UpdatesInTransaction(kind, writer=writer, form=form, writing=writing, rows=rows)

    async def apply(
        self, request: UpdateRequest, *, many: bool, upsert: bool, session: AnySession | None
    ) -> UpdateResult:
        """Apply operators to one row that matches, or to all; see `Collection.update`."""
        straight = StraightUpdate(request, self._stepped_on)
        tried = None
        if many:
            await self._rows.refuse_unreadable(request.filter, session)
            result = await self._all(request, straight, session)
        else:
            result, tried = await self._any(request, straight, session)
        if result.matched or (many and not upsert):
            return result
        done = await self._one(request, straight, tried=tried, upsert=upsert, session=session)
        return result if done is None else done.result

    async def find_and_apply(
        self, request: UpdateRequest, *, sort: SortKeys, after: bool, upsert: bool, session: AnySession | None
    ) -> bytes | None:
        """Apply operators to the first row that matches; return it as it was or is stored; see `Updates`."""
        straight = StraightUpdate(request, self._stepped_on)
        tried = straight.everywhere(sort)
        if sort and tried is not None:
            await self._refuse_unreadable_first(request, sort, session)
        async with self._writing(session) as control:
            if is_read_only(self._kind, control):
                tried = None
            elif not sort:
                tried = straight.at(control.write_version)
            if tried is not None:
                await self._look_for_canary(request, control, session)
                found = await self._found(tried, request, sort=sort, after=after, session=session)
                if found is not None:
                    return found
        done = await self._one(
            request,
            straight,
            tried=tried,
            sort=sort,
            upsert=upsert,
            returns="after" if after else "before",
            session=session,
        )
        if done is None:
            return None
        return done.after if after else done.before

    async def _any(
        self, request: UpdateRequest, straight: StraightUpdate, session: AnySession | None
    ) -> tuple[UpdateResult, Statement | None]:
        """Update one of the rows that stand where rows are stored; tell what of, and by which statement."""
        async with self._writing(session) as control:
            statement = None if is_read_only(self._kind, control) else straight.at(control.write_version)
            if statement is None:
                return _NOTHING, None
            await self._look_for_canary(request, control, session)
            return await self._sent(statement, request, many=False, session=session), statement

    async def _all(self, request: UpdateRequest, straight: StraightUpdate, session: AnySession | None) -> UpdateResult:
        """Update every row that matches: at once, or each that matches at one moment by itself and once."""
        statement = straight.everywhere()
        if statement is not None:
            async with self._writing(session) as control:
                if not is_read_only(self._kind, control):
                    return await self._sent(statement, request, many=True, session=session)
        matched = modified = 0
        async for row_id, version in self._rows.standing(request.filter, in_client=request.in_client, session=session):
            done = await self._changed(request, straight, row_id, version, session=session)
            if done is not None:
                matched += done.result.matched
                modified += done.result.modified
        if not matched:
            await self._check(request, session)
        return UpdateResult(matched, modified)

    async def _refuse_unreadable_first(
        self, request: UpdateRequest, sort: SortKeys, session: AnySession | None
    ) -> None:
        raw = await self._rows.first(request.filter, sort=sort, in_client=request.in_client, session=session)
        if raw is not None:
            self._kind.version(decoded(raw, self._kind))

    async def _one(
        self,
        request: UpdateRequest,
        straight: StraightUpdate,
        *,
        tried: Statement | None,
        sort: SortKeys = (),
        upsert: bool,
        returns: Returns | None = None,
        session: AnySession | None,
    ) -> UpdatedRow | None:
        """Update the first row that matches, or insert one; None where there is none, and none is to be inserted."""
        for tries in range(1, TRIES + 1):
            raw = await self._rows.first(request.filter, sort=sort, in_client=request.in_client, session=session)
            if raw is None and not upsert:
                await self._check(request, session)
                return None
            try:
                if raw is None:
                    done = await self._at_latest.insert(request, session)
                else:
                    row_id, version = self._rows.stands(raw)
                    done = await self._changed(
                        request, straight, row_id, version, tried=tried, returns=returns, session=session
                    )
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

    async def _changed(
        self,
        request: UpdateRequest,
        straight: StraightUpdate,
        row_id: Any,
        version: int | None,
        *,
        tried: Statement | None = None,
        returns: Returns | None = None,
        session: AnySession | None,
    ) -> UpdatedRow | None:
        """Update one row, as it is stored if that is possible; None if it does not match."""
        statement = None if version is None else straight.at(version)
        if statement is not None and statement is not tried:
            async with self._writing(session) as control:
                if not is_read_only(self._kind, control):
                    _count(control, row_id, version)
                    done = await self._sent_to(row_id, statement, request, returns=returns, session=session)
                    if done is not None:
                        return done
        return await self._at_latest.change(request, row_id, session)

    async def _look_for_canary(self, request: UpdateRequest, control: ControlState, session: AnySession | None) -> None:
        """
        Have an update counted for a canary if the one row that it names stands at the canary's version.

        The answer to an update that goes straight does not tell where the row stood, and a refusal neither.
        """
        canary, row_id = control.canary, request.fixed_id
        if canary is None or row_id is None or bucket(row_id) >= canary.percent:
            return
        raw = await self._writer.current(row_id, session=session)
        if raw is not None:
            _count(control, *self._rows.stands(raw))

    async def _sent_to(
        self,
        row_id: Any,
        statement: Statement,
        request: UpdateRequest,
        *,
        returns: Returns | None,
        session: AnySession | None,
    ) -> UpdatedRow | None:
        to_it = replace(statement, filter=joined(statement.filter, {"_id": {"$eq": row_id}}))
        if returns is None:
            result = await self._sent(to_it, request, many=False, session=session)
            return UpdatedRow(result) if result.matched else None
        found = await self._found(to_it, request, after=returns == "after", session=session)
        return None if found is None else UpdatedRow(UpdateResult(1, 1), **{returns: found})

    async def _sent(
        self, statement: Statement, request: UpdateRequest, *, many: bool, session: AnySession | None
    ) -> UpdateResult:
        return await self._writer.update(
            statement.filter,
            statement.operators,
            field=self._kind.version_field,
            versions=statement.versions,
            untagged=statement.untagged,
            many=many,
            upsert=False,
            array_filters=request.array_filters,
            session=session,
        )

    async def _found(
        self,
        statement: Statement,
        request: UpdateRequest,
        *,
        sort: SortKeys = (),
        after: bool,
        session: AnySession | None,
    ) -> bytes | None:
        return await self._writer.find_and_update(
            statement.filter,
            statement.operators,
            field=self._kind.version_field,
            versions=statement.versions,
            untagged=statement.untagged,
            sort=sort,
            after=after,
            upsert=False,
            array_filters=request.array_filters,
            session=session,
        )

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


def _count(control: ControlState, row_id: Any, version: int | None) -> None:
    """Have a write counted that leaves its row where it stands: what was decided of a row is what is counted."""
    if control.canary is not None and version == control.canary.version:
        control.version_for(row_id, standing=version)
