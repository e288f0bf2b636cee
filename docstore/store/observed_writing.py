"""
A writer of rows that tells an observer at which versions rows were stored, and which writes came too late.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind
from docstore.core.version import tag_version
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import Inserted, Rewritten, RowWriter, UpdateResult
from docstore.mongo.writing import open_row_writer
from docstore.store.observer import Observer

T = TypeVar("T")

INSERT: Final = "insert"
#: A row was turned into another form of itself under the guard: by replace, modify, or an upgrade.
REWRITE: Final = "rewrite"
OVERWRITE: Final = "overwrite"
UPDATE: Final = "update"


def row_writer(database: AnyDatabase, kind: Kind[Any], observer: Observer | None) -> RowWriter:
    """Return what writes the rows of a kind; no call is made."""
    writer = open_row_writer(database, kind.collection)
    return writer if observer is None else ObservedRowWriter(writer, kind.version_field, observer)


class ObservedRowWriter:
    """
    A `RowWriter` that is watched; see there for what its methods do.

    What is done within a transaction is counted when it is done, also if the transaction is given up or run again.
    """

    def __init__(self, writer: RowWriter, field: str, observer: Observer) -> None:
        self._writer = writer
        self._field = field
        self._observer = observer

    async def current(self, id: Any, *, session: AnySession | None) -> bytes | None:
        """Return the row as the primary has it now, or None."""
        return await self._writer.current(id, session=session)

    async def those(self, ids: Sequence[Any], *, session: AnySession | None) -> list[bytes]:
        """Return those of the rows with these ids that are there."""
        return await self._writer.those(ids, session=session)

    async def insert(self, rows: Sequence[bytes], *, ordered: bool, session: AnySession | None) -> Inserted:
        """Insert rows."""
        inserted = await self._writer.insert(rows, ordered=ordered, session=session)
        for place in inserted.stored:
            self._observer.wrote(INSERT, self._version_of(RawBSONDocument(rows[place])), 1)
        return inserted

    async def rewrite(self, raw: bytes, after: RawDocument, *, session: AnySession | None) -> bytes | None:
        """Turn the row *raw* into *after* if it is still exactly *raw*."""
        stored = await self._writer.rewrite(raw, after, session=session)
        if stored is None:
            self._observer.conflicts(1)
        # Where they do not differ, nothing is written, and what comes back is *raw* itself.
        elif stored is not raw:
            self._observer.wrote(REWRITE, self._version_of(after), 1)
        return stored

    async def rewrite_many(self, pairs: Sequence[tuple[bytes, RawDocument]]) -> Rewritten:
        """Rewrite several rows, each by itself."""
        outcome = await self._writer.rewrite_many(pairs)
        self._observer.wrote(REWRITE, self._same_version(after for _, after in pairs), outcome.rewritten)
        self._observer.conflicts(len(pairs) - outcome.rewritten - outcome.refused)
        return outcome

    async def overwrite(
        self, id: Any, row: RawDocument, *, field: str, versions: Sequence[int], session: AnySession | None
    ) -> bytes | None:
        """Store *row* in place of the row with this id."""
        stored = await self._writer.overwrite(id, row, field=field, versions=versions, session=session)
        if stored is not None:
            self._observer.wrote(OVERWRITE, self._version_of(row), 1)
        return stored

    async def update(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool = False,
        many: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> UpdateResult:
        """Apply update operators to rows whose tag is one of *versions*."""
        result = await self._writer.update(
            filter,
            operators,
            field=field,
            versions=versions,
            untagged=untagged,
            many=many,
            upsert=upsert,
            array_filters=array_filters,
            session=session,
        )
        known = versions[0] if len(versions) == 1 and not untagged else None
        self._observer.wrote(UPDATE, known, result.modified)
        if upsert and not result.matched:
            self._observer.wrote(INSERT, known, 1)
        return result

    async def find_and_update(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool = False,
        sort: SortKeys,
        after: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> bytes | None:
        """Apply update operators to the first row whose tag is one of *versions*."""
        found = await self._writer.find_and_update(
            filter,
            operators,
            field=field,
            versions=versions,
            untagged=untagged,
            sort=sort,
            after=after,
            upsert=upsert,
            array_filters=array_filters,
            session=session,
        )
        if found is not None:
            self._observer.wrote(UPDATE, self._version_of(RawBSONDocument(found)), 1)
        elif upsert:
            self._observer.wrote(UPDATE, versions[0] if len(versions) == 1 else None, 1)
        return found

    async def in_transaction(
        self, work: Callable[[AnySession | None], Awaitable[T]], *, session: AnySession | None
    ) -> T:
        """Run *work* at one moment, all of it or nothing."""
        return await self._writer.in_transaction(work, session=session)

    async def outside(
        self,
        filter: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool,
        sort: SortKeys = (),
        session: AnySession | None,
    ) -> bytes | None:
        """Return the first row that matches and whose tag is none of *versions*."""
        return await self._writer.outside(
            filter, field=field, versions=versions, untagged=untagged, sort=sort, session=session
        )

    async def delete(self, id: Any, *, session: AnySession | None) -> bool:
        """Delete a row; tell whether there was one."""
        deleted = await self._writer.delete(id, session=session)
        self._observer.deleted(int(deleted))
        return deleted

    async def delete_matching(
        self,
        filter: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool,
        many: bool,
        session: AnySession | None,
    ) -> int:
        """Delete one row, or all, that match."""
        deleted = await self._writer.delete_matching(
            filter, field=field, versions=versions, untagged=untagged, many=many, session=session
        )
        self._observer.deleted(deleted)
        return deleted

    async def delete_exactly(self, rows: Sequence[bytes], *, session: AnySession | None) -> int:
        """Delete rows, each only if it is still exactly what it was."""
        deleted = await self._writer.delete_exactly(rows, session=session)
        self._observer.deleted(deleted)
        self._observer.conflicts(len(rows) - deleted)
        return deleted

    def _version_of(self, row: Mapping[str, Any]) -> int | None:
        return tag_version(row.get(self._field))

    def _same_version(self, rows: Iterable[Mapping[str, Any]]) -> int | None:
        """Return the version of all rows; None where they differ, because nobody knows which of them were stored."""
        versions = {self._version_of(row) for row in rows}
        return versions.pop() if len(versions) == 1 else None
