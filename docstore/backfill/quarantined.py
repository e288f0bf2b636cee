"""
What quarantine says about rows, for people and programs.
"""

import datetime
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, field_serializer

from docstore.backfill.mended import is_mended
from docstore.core.bson_values import RawDocument, comparison_key
from docstore.core.extended_json import to_text
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded, id_of
from docstore.errors import NotQuarantinedError
from docstore.mongo.chosen_rows import chosen_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.quarantine import KeptRecord, Quarantine

#: Rows looked at together; each may be large.
_AT_ONCE: Final = 100


class QuarantinedRow(BaseModel):
    """
    One row that cannot be upgraded, and why. Holds values of the row only in *text* and *document*, if at all.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: The row's `_id`; Extended JSON when dumped as JSON.
    id: Any
    #: The version at which it stands; null where its tag does not say.
    version: int | None
    #: The version that it was to be brought to.
    target: int
    #: The version that the step at fault produces; null where no step is (the model, the tag, the server).
    step: int | None
    #: The class of the error.
    error: str
    #: What it says about types and places.
    reason: str
    #: The field at fault, where one is known.
    path: str | None
    #: What the user's own code said; only where the run was told to record it.
    text: str | None
    #: How many runs and retries failed on the row.
    tries: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    #: The stored row; only where it was asked for.
    document: RawDocument | None = None

    @field_serializer("id", "document", when_used="json")
    def _extended(self, value: Any) -> Any:
        return json.loads(to_text(value))

    @classmethod
    def of(cls, kind: str, kept: KeptRecord, document: RawDocument | None = None) -> Self:
        """
        Return what a kept record says.
        """
        record = kept.record
        return cls(
            kind=kind,
            id=record.row_id,
            version=record.version,
            target=record.target,
            step=record.step,
            error=record.error,
            reason=record.reason,
            path=record.path,
            text=record.text,
            tries=kept.tries,
            first_seen=kept.first_seen,
            last_seen=kept.last_seen,
            document=document,
        )


async def quarantined_rows(
    database: AnyDatabase, kind: Kind[Any], *, limit: int | None = None
) -> Sequence[QuarantinedRow]:
    """
    Return the kind's rows in quarantine that are still at fault, in the order of their ids; reads only.

    Rows that were changed since they failed, and would come through now, are left out.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    found: list[QuarantinedRow] = []
    async with aclosing(_at_fault(database, kind, None)) as records:
        async for kept in records:
            if limit is not None and len(found) >= limit:
                break
            found.append(QuarantinedRow.of(kind.name, kept))
    return found


async def quarantined_row(
    database: AnyDatabase, kind: Kind[Any], row_id: Any, *, with_document: bool = False
) -> QuarantinedRow:
    """
    Return what quarantine says about one row; reads only.

    Raises:
        NotQuarantinedError: It is not (any more) in quarantine, or was changed and would come through now.
        InvalidDocumentError: The stored bytes are no valid BSON, so that the document cannot be shown.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    async with aclosing(_at_fault(database, kind, [row_id])) as records:
        kept = await anext(records, None)
    if kept is None:
        raise NotQuarantinedError(kind=kind.name, id=row_id)
    rows = await chosen_rows(database, kind.collection, [kept.record.row_id]) if with_document else []
    return QuarantinedRow.of(kind.name, kept, decoded(rows[0], kind) if rows else None)


async def recorded_rows(database: AnyDatabase, kind: Kind[Any]) -> int:
    """
    Return how many rows are in quarantine, those among them that would come through now; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await Quarantine(database, kind.name).count(kind.collection, kind.version_field)


async def _at_fault(
    database: AnyDatabase, kind: Kind[Any], ids: Sequence[Any] | None
) -> AsyncGenerator[KeptRecord, None]:
    """
    Yield the records of rows that were not mended, a page of rows being looked at together.
    """
    page: list[KeptRecord] = []
    async with aclosing(Quarantine(database, kind.name).kept(kind.collection, kind.version_field, ids=ids)) as records:
        async for kept in records:
            page.append(kept)
            if len(page) == _AT_ONCE:
                for each in await _not_mended(database, kind, page):
                    yield each
                page = []
    for each in await _not_mended(database, kind, page):
        yield each


async def _not_mended(database: AnyDatabase, kind: Kind[Any], page: Sequence[KeptRecord]) -> Sequence[KeptRecord]:
    rows = await chosen_rows(database, kind.collection, [kept.record.row_id for kept in page]) if page else []
    stored = {comparison_key(id_of(raw)): raw for raw in rows}
    return [
        kept
        for kept in page
        if (raw := stored.get(comparison_key(kept.record.row_id))) is None or not is_mended(kind, kept.record, raw)
    ]
