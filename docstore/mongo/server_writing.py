"""Writing rows over Motor and PyMongo Async."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from docstore.core.bson_values import CODEC, RawDocument, decode, type_name
from docstore.errors import StoreRejectedError, StoreUnavailableError
from docstore.mongo.driver import AnyDatabase, AnySession, open_collection, settled
from docstore.mongo.failures import translate, translated
from docstore.mongo.guard import SIMPLE_COLLATION, guard, guarded_update, row_update
from docstore.mongo.row_writer import DuplicateRowError, Inserted, Rewritten, UpdateResult
from docstore.mongo.tag_filters import joined, tagged

_DUPLICATE_KEY: Final = 11000
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
        self._database = database
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
                return Inserted(stored=frozenset(), duplicates={0: _index(error.details)})
            except BulkWriteError as error:
                return _partly(error, everything, ordered=ordered)
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
                raise DuplicateRowError(_index(error.details)) from None
        return _bytes(stored)

    async def rewrite_many(self, pairs: Sequence[tuple[bytes, RawDocument]]) -> Rewritten:
        """Rewrite several rows, each by itself and only if it is still what it was; return how many were."""
        collation = await self._own_collation()
        statements: list[dict[str, Any]] = []
        rewritten = refused = 0
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
                answer = await self._database.command(
                    {"update": self._name, "updates": statements, "ordered": False}, codec_options=CODEC
                )
            rewritten += answer["n"]
            refused = len(answer.get("writeErrors", ()))
        return Rewritten(rewritten, refused)

    async def overwrite(
        self, id: Any, row: RawDocument, *, field: str, versions: Sequence[int], session: AnySession | None
    ) -> bytes | None:
        """Store *row* in place of the row with this id if its tag is missing or one of *versions*."""
        readable = joined({"_id": {"$eq": id}}, tagged(field, versions, untagged=True))
        with translated():
            try:
                # A pipeline, because a plain replacement refuses field names that begin with a dollar.
                stored = await self._newest.find_one_and_update(
                    readable,
                    [{"$replaceWith": {"$literal": row}}],
                    return_document=ReturnDocument.AFTER,
                    session=session,
                )
            except DuplicateKeyError as error:
                raise DuplicateRowError(_index(error.details)) from None
        return _bytes(stored)

    async def update(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        field: str,
        version: int,
        many: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> UpdateResult:
        """Apply update operators to rows whose tag is *version*, atomically for each row."""
        write = self._rows.update_many if many else self._rows.update_one
        with translated():
            try:
                result = await write(
                    joined(filter, tagged(field, [version])),
                    operators,
                    upsert=upsert,
                    array_filters=array_filters,
                    session=session,
                )
            except DuplicateKeyError as error:
                raise DuplicateRowError(_index(error.details)) from None
        return UpdateResult(result.matched_count, result.modified_count, result.upserted_id)

    async def outside(
        self,
        filter: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool,
        session: AnySession | None,
    ) -> bytes | None:
        """Return any row that matches and whose tag is none of *versions* (nor missing, if *untagged*), or None."""
        return await self._first(joined(filter, {"$nor": [tagged(field, versions, untagged=untagged)]}), session)

    async def delete(self, id: Any, *, session: AnySession | None) -> bool:
        """Delete a row; tell whether there was one."""
        with translated():
            result = await self._rows.delete_one({"_id": {"$eq": id}}, session=session)
        return bool(result.deleted_count)

    async def _first(self, filter: Mapping[str, Any], session: AnySession | None) -> bytes | None:
        with translated():
            return _bytes(await self._newest.find_one(filter, session=session))

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
                if session is not None and session.in_transaction:
                    return await compare_and_write(session)
                async with await settled(self._database.client.start_session()) as own:
                    stored: bytes | None = await own.with_transaction(
                        compare_and_write,
                        read_concern=ReadConcern("snapshot"),
                        write_concern=WriteConcern("majority"),
                        read_preference=ReadPreference.PRIMARY,
                    )
            except DuplicateKeyError as error:
                raise DuplicateRowError(_index(error.details)) from None
        return stored

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


def _index(details: Mapping[str, Any] | None) -> str | None:
    """Return the name of the unique index; the text around it holds values and goes nowhere."""
    found = re.search(r" index: (\S+) dup key", str((details or {}).get("errmsg", "")))
    return found[1] if found else None


def _partly(error: BulkWriteError, everything: frozenset[int], *, ordered: bool) -> Inserted:
    faults: list[dict[str, Any]] = list((error.details or {}).get("writeErrors", []))
    if not faults:
        # Only the write concern failed: the rows are there, and nobody knows for how long.
        raise StoreUnavailableError(reason="the write concern was not met") from error
    positions = {int(fault["index"]) for fault in faults}
    first = min(positions)
    stored = {place for place in everything if place < first} if ordered else everything - positions
    duplicates = {int(fault["index"]): _index(fault) for fault in faults if fault.get("code") == _DUPLICATE_KEY}
    refusal = translate(error) if len(duplicates) < len(positions) else None
    return Inserted(stored=frozenset(stored), duplicates=duplicates, refusal=refusal)
