"""Writing rows on mongomock-motor, by plain calls only."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import bson
from bson.binary import UuidRepresentation
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from docstore.core.bson_values import CODEC, RawDocument, decode, encode
from docstore.core.residue import RESIDUE, above
from docstore.mongo.driver import AnyDatabase, AnySession, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import DuplicateRowError, Inserted, Rewritten, UpdateResult
from docstore.mongo.tag_filters import joined, tagged

T = TypeVar("T")

# The mock refuses native UUIDs, and keeps a `Binary` as it is.
_PLAIN: Final = CODEC.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)


class MockRowWriter:
    """
    Writes rows of one collection of the mock; see `RowWriter`.

    The mock compares documents loosely (order of fields, booleans, NaN), so the guard is done by hand: read, compare
    the bytes, write. That is atomic there, because the mock never gives the event loop a chance in between;
    `docs/mock.md` says what that means and what is missing.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self._rows = open_collection(database, collection)

    async def current(self, id: Any, *, session: AnySession | None) -> bytes | None:
        """Return the row as it is stored, or None."""
        return await self._first({"_id": {"$eq": id}}, session)

    async def those(self, ids: Sequence[Any], *, session: AnySession | None) -> list[bytes]:
        """Return those of the rows with these ids that are there."""
        found = [await self.current(row_id, session=session) for row_id in ids]
        return [row for row in found if row is not None]

    async def insert(self, rows: Sequence[bytes], *, ordered: bool, session: AnySession | None) -> Inserted:
        """Insert rows, one by one; where *ordered*, nothing after the first fault."""
        stored: set[int] = set()
        duplicates: dict[int, str | None] = {}
        for place, row in enumerate(rows):
            with translated():
                try:
                    await self._rows.insert_one(_plain(row), session=session)
                except DuplicateKeyError:
                    duplicates[place] = None
                    if ordered:
                        break
                else:
                    stored.add(place)
        return Inserted(stored=frozenset(stored), duplicates=duplicates)

    async def rewrite(self, raw: bytes, after: RawDocument, *, session: AnySession | None) -> bytes | None:
        """Turn the row *raw* into *after* if it is still exactly *raw*."""
        row_id = bson.decode(raw, _PLAIN)["_id"]
        if await self.current(row_id, session=session) != raw:
            return None
        return await self._replace({"_id": row_id}, after, session)

    async def rewrite_many(self, pairs: Sequence[tuple[bytes, RawDocument]]) -> Rewritten:
        """Rewrite several rows, each by itself and only if it is still what it was; return how many were."""
        rewritten = refused = 0
        for raw, after in pairs:
            try:
                rewritten += await self.rewrite(raw, after, session=None) is not None
            except DuplicateRowError:
                refused += 1
        return Rewritten(rewritten, refused)

    async def overwrite(
        self, id: Any, row: RawDocument, *, field: str, versions: Sequence[int], session: AnySession | None
    ) -> bytes | None:
        """Store *row* in place of the row with this id if its tag is missing or one of *versions*."""
        readable = joined({"_id": id}, tagged(field, versions, untagged=True, mock=True))
        there = await self._first(readable, session)
        kept = {} if there is None else above(decode(there).get(RESIDUE) or {}, max(versions))
        return await self._replace(readable, {**row, RESIDUE: kept} if kept else row, session)

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
        _refuse_positional(operators, "$[")
        write = self._rows.update_many if many else self._rows.update_one
        options = {} if array_filters is None else {"array_filters": array_filters}
        with translated():
            try:
                result = await write(
                    joined(filter, tagged(field, versions, untagged=untagged, mock=True)),
                    operators,
                    upsert=upsert,
                    session=session,
                    **options,
                )
            except DuplicateKeyError:
                raise DuplicateRowError(None) from None
        matched = 0 if result.upserted_id is not None else result.matched_count
        return UpdateResult(matched, result.modified_count, result.upserted_id)

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
        if array_filters is not None:
            msg = "mongomock has no array filters"
            raise NotImplementedError(msg)
        # It takes the first element, whatever the filter found.
        _refuse_positional(operators, "$")
        with translated():
            try:
                found = await self._rows.find_one_and_update(
                    joined(filter, tagged(field, versions, untagged=untagged, mock=True)),
                    operators,
                    sort=list(sort) or None,
                    upsert=upsert,
                    return_document=ReturnDocument.AFTER if after else ReturnDocument.BEFORE,
                    session=session,
                )
            except DuplicateKeyError:
                raise DuplicateRowError(None) from None
        return None if found is None else encode(found)

    async def in_transaction(
        self, work: Callable[[AnySession | None], Awaitable[T]], *, session: AnySession | None
    ) -> T:
        """Run *work* at one moment: the mock lets nobody come between its calls."""
        return await work(session)

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
        readable = tagged(field, versions, untagged=untagged, mock=True)
        return await self._first(joined(filter, {"$nor": [readable]}), session, sort)

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
            result = await delete(
                joined(filter, tagged(field, versions, untagged=untagged, mock=True)), session=session
            )
        return int(result.deleted_count)

    async def delete_exactly(self, rows: Sequence[bytes], *, session: AnySession | None) -> int:
        """Delete rows, each only if it is still exactly what it was; return how many were."""
        deleted = 0
        for row in rows:
            row_id = bson.decode(row, _PLAIN)["_id"]
            if await self.current(row_id, session=session) == row:
                deleted += await self.delete(row_id, session=session)
        return deleted

    async def _first(self, filter: Mapping[str, Any], session: AnySession | None, sort: SortKeys = ()) -> bytes | None:
        with translated():
            row = await self._rows.find_one(filter, sort=list(sort) or None, session=session)
        return None if row is None else encode(row)

    async def _replace(self, filter: Mapping[str, Any], row: RawDocument, session: AnySession | None) -> bytes | None:
        with translated():
            try:
                result = await self._rows.replace_one(filter, _plain(encode(row)), session=session)
            except DuplicateKeyError:
                raise DuplicateRowError(None) from None
        return await self.current(row["_id"], session=session) if result.matched_count else None


def _plain(row: bytes) -> RawDocument:
    return bson.decode(row, _PLAIN)


def _refuse_positional(operators: Mapping[str, Any], beginning: str) -> None:
    """Refuse paths with a segment that mongomock would misunderstand."""
    paths = [path for fields in operators.values() for path in fields]
    if any(segment.startswith(beginning) for path in paths for segment in path.split(".")):
        msg = f"mongomock cannot do positional operators that begin with {beginning} in this call"
        raise NotImplementedError(msg)
