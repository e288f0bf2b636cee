"""
Updating one row that a fence does not let stand at latest, not even within a transaction.
"""

from typing import Any, Generic, TypeVar

from docstore.core.bson_values import encode
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import DuplicateRowError, RowWriter
from docstore.mongo.tag_filters import joined
from docstore.mongo.writing import open_scratch
from docstore.store.matching_rows import MatchingRows
from docstore.store.stored_form import StoredForm
from docstore.store.update_request import UpdateRequest
from docstore.store.updated_row import UpdatedRow

D = TypeVar("D", bound=Document)


class UpdatesAside(Generic[D]):
    """
    Updates rows at the latest shape in another collection, within one transaction with the row's own.

    The row is put there at latest, the server applies the operators, and what came of it is stored where it belongs, as
    it has to be. Nobody sees the other collection: it is empty before and after. It has no index but that on the ids,
    and compares texts byte by byte.
    """

    def __init__(self, kind: Kind[D], *, writer: RowWriter, form: StoredForm[D], rows: MatchingRows[D]) -> None:
        self._kind = kind
        self._writer = writer
        self._form = form
        self._rows = rows

    async def change(
        self, request: UpdateRequest, row_id: Any, control: ControlState, within: AnySession | None
    ) -> UpdatedRow | None:
        """Update the row with this id; None if it does not match."""
        raw = await self._writer.current(row_id, session=within)
        if raw is None:
            return None
        # Decided before the server has a say, so that what it refuses is counted for a canary.
        control.version_for(row_id, standing=self._rows.stands(raw)[1])
        at_latest = self._rows.upgraded(raw) if self._rows.is_old(raw) else decoded(raw, self._kind)
        scratch = open_scratch(self._writer)
        await scratch.insert([encode(at_latest)], ordered=True, session=within)
        result = await scratch.update(
            joined(request.filter, {"_id": {"$eq": row_id}}),
            request.operators,
            field=self._kind.version_field,
            versions=[self._kind.latest],
            many=False,
            upsert=False,
            array_filters=request.array_filters,
            session=within,
        )
        made = await self._taken(scratch, row_id, within)
        if not result.matched or made is None:
            return None
        after = self._form.changed(decoded(made, self._kind), raw, control)
        await self._form.ready([after], within)
        stored = await self._writer.rewrite(raw, after, session=within)
        return None if stored is None else UpdatedRow(result, before=raw, after=stored)

    async def insert(
        self, request: UpdateRequest, control: ControlState, within: AnySession | None
    ) -> UpdatedRow | None:
        """
        Insert what an upsert inserts; None if a row matches now.

        Raises:
            DuplicateRowError: A unique index has such a row already.
        """
        if await self._rows.first(request.filter, in_client=request.in_client, session=within) is not None:
            return None
        scratch = open_scratch(self._writer)
        result = await scratch.update(
            request.filter,
            request.inserting,
            field=self._kind.version_field,
            versions=[self._kind.latest],
            many=False,
            upsert=True,
            array_filters=request.array_filters,
            session=within,
        )
        made = await self._taken(scratch, result.upserted_id, within)
        if made is None:
            return None
        row = self._form.inserted(decoded(made, self._kind), control)
        await self._form.ready([row], within)
        raw = encode(row)
        outcome = await self._writer.insert([raw], ordered=True, session=within)
        if outcome.duplicates:
            raise DuplicateRowError(outcome.duplicates[0])
        return UpdatedRow(result, before=None, after=raw)

    async def _taken(self, scratch: RowWriter, row_id: Any, within: AnySession | None) -> bytes | None:
        made = await scratch.current(row_id, session=within)
        await scratch.delete(row_id, session=within)
        return made
