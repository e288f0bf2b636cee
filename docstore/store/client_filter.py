"""Rows that only Python can upgrade, matched by the server all the same: read, upgraded and sent along in parts."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import bson
from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import CODEC, RawDocument, encode
from docstore.core.kind import Kind
from docstore.core.row_faults import brought
from docstore.core.stale_pipelines import STORED, documents_pipeline, order_and_limits
from docstore.errors import DocumentError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import Batches, RowSource, rows_of
from docstore.store.asked import Query
from docstore.store.cursor import Report

T = TypeVar("T")

#: How many rows are read at a time, and their size in bytes as they are stored; and the size of what is sent at a time.
PART_ROWS: Final = 1000
PART_BYTES: Final = 4 * 1024 * 1024

#: How many bytes of upgraded rows may be sent along with a query. A command holds 16 MB, and their stored form besides.
SENT_BYTES: Final = 8 * 1024 * 1024


class ClientFilter:
    """
    Upgrades rows in Python and has the server match what became of them: docstore knows no query operator itself.

    One part of the rows is held at a time. With sort keys and a limit, so many of the first rows are held besides;
    with sort keys alone, every row that matches.
    """

    def __init__(self, source: RowSource, kind: Kind[Any], query: Query, *, session: AnySession | None) -> None:
        self._source = source
        self._kind = kind
        self._query = query
        self._session = session

    async def matching(
        self, filter: Mapping[str, Any], report: Report | None
    ) -> AsyncGenerator[list[tuple[RawDocument, bytes]], None]:
        """
        Yield the rows that match, upgraded and as they are stored, part by part, in no particular order.

        Args:
            filter: Which stored rows to read.
            report: Takes the errors of rows that no step can upgrade; without it they are raised.
        """
        async with aclosing(parts_of(self._source, filter, session=self._session)) as parts:
            async for raws in parts:
                upgraded = ((row, raw) for raw in raws if (row := self.upgraded(raw, report)) is not None)
                for rows in cut(upgraded, _sent_bytes):
                    if found := await self._matched(rows):
                        yield found

    async def first(
        self, filter: Mapping[str, Any], report: Report | None, *, at_most: int
    ) -> list[tuple[RawDocument, bytes]] | None:
        """
        Return the rows that match and can be among the first by the query's sort keys, in no particular order.

        None if more than *at_most* rows would have to be held.
        """
        window = self._query.skip + abs(self._query.limit) if self._query.limit else 0
        held: list[tuple[RawDocument, bytes]] = []
        async with aclosing(self.matching(filter, report)) as parts:
            async for found in parts:
                held += found
                if window and len(held) > window:
                    held = await self._matched(held, limit=window)
                if len(held) > at_most or sum(map(_sent_bytes, held)) > PART_BYTES:
                    return None
        return held

    async def try_upgrading(self, filter: Mapping[str, Any]) -> None:
        """Raise the error of the first stored row that matches *filter* and that no step can upgrade."""
        async with aclosing(parts_of(self._source, filter, session=self._session)) as parts:
            async for raws in parts:
                for raw in raws:
                    self.upgraded(raw, None)

    def sent_along(self, raws: Iterable[bytes], report: Report | None) -> list[tuple[RawDocument, bytes]] | None:
        """
        Return rows upgraded and as they are stored, to be sent along with the query.

        None if they are too large for that; nothing is reported then.
        """
        faults: list[DocumentError] = []
        take = None if report is None else faults.append
        found = [(row, raw) for raw in raws if (row := self.upgraded(raw, take)) is not None]
        if too_large(row for row, _ in found):
            return None
        if report is not None:
            for fault in faults:
                report(fault)
        return found

    def upgraded(self, raw: bytes, report: Report | None) -> RawDocument | None:
        """Return a row at the latest shape; None where no step can upgrade it and *report* took the error."""
        try:
            return brought(raw, self._kind)
        except DocumentError as error:
            if report is None:
                raise
            report(error)
            return None

    async def _matched(
        self, rows: list[tuple[RawDocument, bytes]], *, limit: int = 0
    ) -> list[tuple[RawDocument, bytes]]:
        """Return those of the rows that match; with *limit*, the first so many by the sort keys."""
        sent = [{**row, STORED: place} for place, (row, _) in enumerate(rows)]
        stages = order_and_limits(self._query.sort, 0, limit) if limit else []
        only_places = {"$project": {"_id": 0, STORED: 1}}
        # With *limit* they are known to match, and what hangs on chance must not be asked again.
        pipeline = [*documents_pipeline(sent, {} if limit else self._query.filter), *stages, only_places]
        places: list[int] = []
        async for batch in self._source.aggregate(pipeline, session=self._session):
            places += [found[STORED] for found in bson.decode_all(batch, CODEC)]
        return [rows[place] for place in places]


async def parts_of(
    source: RowSource, filter: Mapping[str, Any], *, session: AnySession | None
) -> AsyncGenerator[list[bytes], None]:
    """Yield stored rows in parts that Python upgrades and sends along at once."""
    part: list[bytes] = []
    size = 0
    async with aclosing(source.find(filter, session=session)) as batches:
        async for batch in batches:
            for raw in rows_of(batch):
                if part and (len(part) >= PART_ROWS or size + len(raw) > PART_BYTES):
                    yield part
                    part, size = [], 0
                part.append(raw)
                size += len(raw)
    if part:
        yield part


def cut(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Put items into parts of at most `PART_BYTES`; a larger one is a part by itself. Takes no more than it needs."""
    part: list[T] = []
    held = 0
    for item in items:
        # Functions may have made much of what was stored as little.
        more = size(item)
        if part and held + more > PART_BYTES:
            yield part
            part, held = [], 0
        part.append(item)
        held += more
    if part:
        yield part


def _sent_bytes(candidate: tuple[RawDocument, bytes]) -> int:
    return len(encode(candidate[0]))


def too_large(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether upgraded rows are more than may be sent along with a query."""
    return sum(len(encode(row)) for row in rows) > SENT_BYTES


def with_stored(row: RawDocument, raw: bytes) -> RawDocument:
    """Return an upgraded row that carries its stored form through an aggregation."""
    return {**row, STORED: RawBSONDocument(raw)}


async def stored_rows(parts: AsyncGenerator[list[tuple[RawDocument, bytes]], None], *, only_id: bool) -> Batches:
    """Yield the rows as they are stored, or of each its id."""
    async with aclosing(parts):
        async for found in parts:
            for row, raw in found:
                yield encode({"_id": row["_id"]}) if only_id else raw


async def window(parts: Sequence[Batches], *, skip: int, limit: int) -> Batches:
    """Yield what the parts yield, one after another and row by row, but for the first *skip*, and *limit* at most."""
    left = abs(limit)
    for part in parts:
        async with aclosing(part) as found:
            async for batch in found:
                for row in rows_of(batch):
                    if skip:
                        skip -= 1
                        continue
                    yield row
                    left -= 1
                    if not left:
                        return
