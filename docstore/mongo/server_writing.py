"""Writing rows over Motor and PyMongo Async."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, ReturnDocument
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from docstore.core.bson_values import CODEC, RawDocument, decode, encode, type_name
from docstore.core.row_faults import id_of
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase, AnySession, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION, guard, guarded_update, overwriting, row_update
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import DuplicateRowError, Inserted, Rewritten, UpdateResult
from docstore.mongo.tag_filters import joined, tagged
from docstore.mongo.transactions import in_transaction
from docstore.mongo.write_answers import partly_inserted, refusal_of, unique_index

T = TypeVar("T")

_UNAUTHORIZED: Final = 13
_RAW: Final = CODEC.with_options(document_class=RawBSONDocument)

#: The types of ids that an index orders alike under every collation.
_WITHOUT_COLLATION: Final = frozenset(
    {"int", "long", "double", "decimal", "objectId", "date", "bool", "null", "binData"}
)


class _Collation(Enum):
    """How a collection compares strings if nothing else is said."""

    SIMPLE = "byte by byte"
    OWN = "by rules of its own"
    UNKNOWN = "nobody may ask"


class ServerRowWriter:
    """Writes rows of one collection of a real server; see `RowWriter`."""

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self.database = database
        self._name = collection
        rows = open_collection(database, collection).with_options(codec_options=_RAW)
        # Without an acknowledgement nobody can tell whether the guard held.
        self._rows = rows if rows.write_concern.acknowledged else rows.with_options(write_concern=WriteConcern(w=1))
        # A secondary may lag behind: what it has would never pass the guard.
        self._newest = self._rows.with_options(read_preference=ReadPreference.PRIMARY)
        self._collation: _Collation | None = None

    async def current(self, id: Any, *, session: AnySession | None) -> bytes | None:
        """Return the row as the primary has it now, or None."""
        return await self._first({"_id": {"$eq": id}}, session)

    async def those(self, ids: Sequence[Any], *, session: AnySession | None) -> list[bytes]:
        """Return those of the rows with these ids that are there, as the primary has them now."""
        asked = {encode({"": row_id}) for row_id in ids}
        with translated():
            found = [bytes(row.raw) async for row in self._newest.find({"_id": {"$in": list(ids)}}, session=session)]
        # A collection with a collation of its own finds texts that are only similar.
        return [row for row in found if encode({"": id_of(row)}) in asked]

    async def insert(self, rows: Sequence[bytes], *, ordered: bool, session: AnySession | None) -> Inserted:
        """Insert rows; where *ordered*, nothing after the first fault."""
        everything = frozenset(range(len(rows)))
        with translated():
            try:
                if len(rows) == 1:
                    await self._rows.insert_one(_document(rows[0]), session=session)
                else:
                    await self._rows.insert_many(list(map(_document, rows)), ordered=ordered, session=session)
            except DuplicateKeyError as error:
                return Inserted(stored=frozenset(), duplicates={0: unique_index(error.details)})
            except BulkWriteError as error:
                return partly_inserted(error, everything, ordered=ordered)
        return Inserted(stored=everything, duplicates={})

    async def rewrite(self, raw: bytes, after: RawDocument, *, session: AnySession | None) -> bytes | None:
        """Turn the row *raw* into *after* if it is still exactly *raw*."""
        before = decode(raw)
        update = row_update(before, after)
        if update is None:
            return raw
        row_id = before["_id"]
        collation = await self._own_collation()
        if collation is _Collation.OWN and type_name(row_id) not in _WITHOUT_COLLATION:
            # The index finds this id by the collection's rules only, and those call different rows equal.
            return await self._rewrite_in_transaction(raw, row_id, update, session)
        options = {} if collation is _Collation.SIMPLE else {"collation": SIMPLE_COLLATION}
        with translated():
            try:
                stored = await self._rows.find_one_and_update(
                    guard(raw, row_id), update, return_document=ReturnDocument.AFTER, session=session, **options
                )
            except DocumentTooLarge:
                # The row and what is written to it do not fit into one command.
                return await self._rewrite_in_transaction(raw, row_id, update, session)
            except DuplicateKeyError as error:
                raise DuplicateRowError(unique_index(error.details)) from None
        return _bytes(stored)

    async def rewrite_many(self, pairs: Sequence[tuple[bytes, RawDocument]]) -> Rewritten:
        """Rewrite several rows, each by itself and only if it is still what it was; return how many were."""
        collation = await self._own_collation()
        statements: list[dict[str, Any]] = []
        rewritten = 0
        faults: list[dict[str, Any]] = []
        for raw, after in pairs:
            statement = guarded_update(raw, after, collation=collation is not _Collation.SIMPLE)
            if statement is None:
                rewritten += 1
            elif collation is _Collation.OWN and type_name(after["_id"]) not in _WITHOUT_COLLATION:
                rewritten += await self.rewrite(raw, after, session=None) is not None
            else:
                statements.append(statement)
        if statements:
            with translated():
                answer = await self.database.command(
                    {"update": self._name, "updates": statements, "ordered": False}, codec_options=CODEC
                )
            rewritten += answer["n"]
            faults = answer.get("writeErrors", [])
        return Rewritten(rewritten, len(faults), refusal_of(faults[0]) if faults else None)

    async def overwrite(
        self, id: Any, row: RawDocument, *, field: str, versions: Sequence[int], session: AnySession | None
    ) -> bytes | None:
        """Store *row* in place of the row with this id if its tag is missing or one of *versions*."""
        readable = joined({"_id": {"$eq": id}}, tagged(field, versions, untagged=True))
        with translated():
            try:
                update = overwriting(row, max(versions))
                stored = await self._newest.find_one_and_update(
                    readable, update, return_document=ReturnDocument.AFTER, session=session
                )
            except DuplicateKeyError as error:
                raise DuplicateRowError(unique_index(error.details)) from None
        return _bytes(stored)

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
        """Apply update operators to rows whose tag is one of *versions*, atomically for each row."""
        write = self._rows.update_many if many else self._rows.update_one
        with translated():
            try:
                result = await write(
                    joined(filter, tagged(field, versions, untagged=untagged)),
                    operators,
                    upsert=upsert,
                    array_filters=array_filters,
                    session=session,
                )
            except DuplicateKeyError as error:
                raise DuplicateRowError(unique_index(error.details)) from None
        return UpdateResult(result.matched_count, result.modified_count, result.upserted_id)

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
        """Apply update operators to the first row that stands there; return it as it was, or as it is *after*."""
        with translated():
            try:
                found = await self._rows.find_one_and_update(
                    joined(filter, tagged(field, versions, untagged=untagged)),
                    operators,
                    sort=list(sort) or None,
                    upsert=upsert,
                    return_document=ReturnDocument.AFTER if after else ReturnDocument.BEFORE,
                    array_filters=array_filters,
                    session=session,
                )
            except DuplicateKeyError as error:
                raise DuplicateRowError(unique_index(error.details)) from None
        return _bytes(found)

    async def in_transaction(
        self, work: Callable[[AnySession | None], Awaitable[T]], *, session: AnySession | None
    ) -> T:
        """Run *work* at one moment, all of it or nothing; it may run more than once."""
        with translated():
            return await in_transaction(self.database, session, work)

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
        """Return the first row that matches and whose tag is none of *versions* (nor missing, if *untagged*)."""
        return await self._first(joined(filter, {"$nor": [tagged(field, versions, untagged=untagged)]}), session, sort)

    async def delete(self, id: Any, *, session: AnySession | None) -> bool:
        """Delete a row; tell whether there was one."""
        with translated():
            result = await self._rows.delete_one({"_id": {"$eq": id}}, session=session)
        return bool(result.deleted_count)

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
        """Delete one row, or all, that match and whose tag is one of *versions* (or missing, if *untagged*)."""
        delete = self._rows.delete_many if many else self._rows.delete_one
        with translated():
            result = await delete(joined(filter, tagged(field, versions, untagged=untagged)), session=session)
        return int(result.deleted_count)

    async def delete_exactly(self, rows: Sequence[bytes], *, session: AnySession | None) -> int:
        """Delete rows, each only if it is still exactly what it was; return how many were."""
        collation = None if await self._own_collation() is _Collation.SIMPLE else SIMPLE_COLLATION
        deletions = [DeleteOne(guard(row, id_of(row)), collation=collation) for row in rows]
        with translated():
            result = await self._rows.bulk_write(deletions, ordered=False, session=session)
        return int(result.deleted_count)

    async def _first(self, filter: Mapping[str, Any], session: AnySession | None, sort: SortKeys = ()) -> bytes | None:
        with translated():
            return _bytes(await self._newest.find_one(filter, sort=list(sort) or None, session=session))

    async def _rewrite_in_transaction(
        self, raw: bytes, id: Any, update: Any, session: AnySession | None
    ) -> bytes | None:
        """Compare in Python and write, in one transaction: exact under any collation and up to any size."""

        async def compare_and_write(within: AnySession) -> bytes | None:
            stored = _bytes(await self._newest.find_one({"_id": {"$eq": id}}, session=within))
            if stored != raw:
                return None
            # Nobody can change the row between the two: this write would end in a conflict, and all of it be repeated.
            return _bytes(
                await self._newest.find_one_and_update(
                    {"_id": {"$eq": id}}, update, return_document=ReturnDocument.AFTER, session=within
                )
            )

        with translated():
            try:
                return await in_transaction(self.database, session, compare_and_write)
            except DuplicateKeyError as error:
                raise DuplicateRowError(unique_index(error.details)) from None

    async def _own_collation(self) -> _Collation:
        if self._collation is None:
            try:
                with translated():
                    options = await self._rows.options()
            except StoreRejectedError as error:
                if error.code != _UNAUTHORIZED:
                    raise
                self._collation = _Collation.UNKNOWN
            else:
                self._collation = _Collation.OWN if options.get("collation") else _Collation.SIMPLE
        return self._collation


def _document(raw: bytes) -> RawBSONDocument:
    return RawBSONDocument(raw, _RAW)


def _bytes(document: RawBSONDocument | None) -> bytes | None:
    return None if document is None else bytes(document.raw)
