"""
What the server would make of rows, next to what they are: both from one and the same image of each row.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from docstore.core.bson_values import RawDocument, decode
from docstore.core.chain import CompiledChain
from docstore.core.id_range import BEGINNING, IdRange
from docstore.mongo.driver import AnyDatabase, open_collection, settled
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.reading import rows_of
from docstore.mongo.selections import Selection

#: Holds the row as it is stored while the pipeline runs.
_STORED: Final = "docstore_stored"
#: The two rows come in one document of at most 16 MB. In bytes.
_LARGEST: Final = 7 * 1024 * 1024


class ServerResults:
    """
    Runs a compiled chain over stored rows and writes nothing.

    Each row is read once: it is kept as it is, then the pipeline goes over it, in one aggregation. So a write of
    somebody else falls before both or after both, and cannot look like a difference. Rows of more than 7 MB are left
    out. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Args:
        database: Where the rows are; on a real server.
        collection: The collection.
        field: The tag.
        index: The name of the (tag, `_id`) index; None: none is used.
        collated: Whether the collection has a collation of its own, which has to be overruled.
        selection: The ids of the rows to which this is limited; None stands for all rows.
        avoid: The ids of rows that are as if they were not there; looked at with every call.
    """

    def __init__(
        self,
        database: AnyDatabase,
        collection: str,
        *,
        field: str,
        index: str | None,
        collated: bool,
        selection: Selection | None = None,
        avoid: Sequence[Any] = (),
    ) -> None:
        self._rows = open_collection(database, collection, primary=True)
        self._field = field
        self._selection = selection
        self._avoid = avoid
        self._options: dict[str, Any] = {} if index is None else {"hint": index}
        if collated:
            self._options["collation"] = SIMPLE_COLLATION

    async def of_range(
        self, range: IdRange, chain: CompiledChain, *, skip: int = 0, limit: int | None = None, backwards: bool = False
    ) -> AsyncGenerator[Sequence[tuple[RawDocument, RawDocument]], None]:
        """
        Yield pairs of rows, as stored and as the server would make them, in batches.

        Args:
            range: The rows; those at the chain's source that its condition takes.
            chain: The way.
            skip: How many rows of the range to leave out at its beginning, those that the condition declines too.
            limit: How many rows of the range to look at; all by default.
            backwards: Begin at the end of the range.
        """
        bounds: list[Any] = [
            {operator: ["$_id", {"$literal": bound}]}
            for operator, bound in (("$gt", range.after), ("$lte", range.upto))
            if bound is not BEGINNING
        ]
        part: list[RawDocument] = [{"$skip": skip}] if skip else []
        if limit is not None:
            part.append({"$limit": limit})
        wanted: RawDocument = {"$expr": {"$and": bounds}} if bounds else {}
        if self._selection is not None:
            wanted["_id"] = {"$in": await self._selection.ids(range.after, range.upto)}
        if self._avoid:
            wanted["_id"] = {**wanted.get("_id", {}), "$nin": list(self._avoid)}
        async with aclosing(
            self._pairs(chain, [{"$match": wanted}, {"$sort": {"_id": -1 if backwards else 1}}, *part])
        ) as batches:
            async for batch in batches:
                yield batch

    async def of_ids(
        self, ids: Sequence[Any], chain: CompiledChain
    ) -> AsyncGenerator[Sequence[tuple[RawDocument, RawDocument]], None]:
        """
        Yield pairs for those of the rows with these ids that stand at the chain's source and that it takes.
        """
        async with aclosing(self._pairs(chain, [{"$match": {"_id": {"$in": list(ids)}}}])) as batches:
            async for batch in batches:
                yield batch

    async def _pairs(
        self, chain: CompiledChain, part: Sequence[RawDocument]
    ) -> AsyncGenerator[Sequence[tuple[RawDocument, RawDocument]], None]:
        pipeline = [
            {"$match": {self._field: chain.source}},
            *part,
            {"$match": {"$expr": {"$and": [{"$lt": [{"$bsonSize": "$$ROOT"}, _LARGEST]}, chain.condition]}}},
            {"$set": {_STORED: "$$ROOT"}},
            *chain.pipeline,
        ]
        with translated():
            cursor = await settled(self._rows.aggregate_raw_batches(pipeline, **self._options))
            try:
                async for batch in cursor:
                    yield [_pair(row) for row in rows_of(batch)]
            finally:
                await cursor.close()


def _pair(raw: bytes) -> tuple[RawDocument, RawDocument]:
    row = decode(raw)
    return row.pop(_STORED), row
