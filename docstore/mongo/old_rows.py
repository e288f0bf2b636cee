"""The rows that stand at one version, in the order of their ids: found, read and rewritten range by range."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from docstore.core.bson_values import CODEC, encode
from docstore.core.chain import CompiledChain
from docstore.core.id_range import BEGINNING
from docstore.core.row_faults import id_of
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated, unmet
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.reading import RowSource, rows_of
from docstore.mongo.selections import IDS_AT_ONCE, Selection

#: How long the server may take over the rewrite of one range, in seconds.
TIME_LIMIT: Final = 20.0

_TIME_IS_UP: Final = 50
#: The write concern of what a later write waits for.
_WITHOUT_WAITING: Final = {"w": 1, "j": False}
_RAW: Final = CODEC.with_options(document_class=RawBSONDocument)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as the server sent them, and the id of the last one."""

    rows: tuple[bytes, ...]
    last: Any


class OldRows:
    """
    The rows of one collection whose tag is one value.

    Rows are found through the (tag, `_id`) index, in ranges of ids: the comparison is made by `$expr`, because a plain
    `$gt` only sees ids of one type. No cursor is kept open over an index in which rows move: each call begins after
    the id where the last one ended. Reads go to the primary, since a secondary may show rows that are done already.

    Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Args:
        database: Where the rows are.
        collection: The collection.
        field: The tag.
        version: The tag's value; None stands for rows without a tag. Arrays that hold it, and a Decimal128, match too.
        index: The name of the (tag, `_id`) index.
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
        version: int | None,
        index: str,
        collated: bool,
        selection: Selection | None = None,
        avoid: Sequence[Any] = (),
    ) -> None:
        self.version = version
        self._database = database
        self._name = collection
        self._mock = RowSource(database, collection) if driver_of(database) is Driver.MOCK else None
        self._rows = open_collection(database, collection, primary=True)
        self._tag = {field: version}
        self._selection = selection
        self._avoid = avoid
        self._options: dict[str, Any] = {"hint": index}
        if collated:
            self._options["collation"] = SIMPLE_COLLATION

    async def end_of_range(self, after: Any, size: int) -> tuple[Any, bool]:
        """
        Return the id of the last of the next *size* rows, or `BEGINNING` if there is none. Reads the index only.

        Of a selection, it is the last of the next ids, whether or not their rows stand at the version.

        Returns:
            The id, and whether there are fewer than *size*: behind it stands only what was inserted since.
        """
        if self._selection is not None:
            ids = await self._selection.ids(after, limit=min(size, IDS_AT_ONCE))
            return (ids[-1] if ids else BEGINNING), False
        with translated():
            for sort, skip in ((1, size - 1), (-1, 0)):
                cursor = self._rows.find(
                    self._between(after), {"_id": 1}, sort=[("_id", sort)], skip=skip, limit=-1, **self._options
                )
                for row in await cursor.to_list():
                    return row["_id"], sort == -1
        return BEGINNING, True

    async def middle(self, after: Any, upto: Any, size: int) -> Any:
        """Return the id of the last of the first *size* rows of a range, or `BEGINNING` if it holds fewer."""
        with translated():
            cursor = self._rows.find(
                await self._selected(after, upto),
                {"_id": 1},
                sort=[("_id", 1)],
                skip=size - 1,
                limit=-1,
                **self._options,
            )
            for row in await cursor.to_list():
                return row["_id"]
        return BEGINNING

    async def ends(self, after: Any, upto: Any, *, size: int, number: int) -> list[Any]:
        """
        Return the id of every *size*-th row of a range, of *number* at most; reads the index only.
        """
        with translated():
            cursor = self._rows.find(
                await self._selected(after, upto),
                {"_id": 1},
                sort=[("_id", 1)],
                limit=-size * number,
                batch_size=size * number,
                **self._options,
            )
            found = await cursor.to_list()
        return [row["_id"] for row in found[size - 1 :: size]]

    async def count(self, after: Any, upto: Any) -> int:
        """
        Return how many rows of a range there are.
        """
        with translated():
            return int(await self._rows.count_documents(await self._selected(after, upto), **self._options))

    async def rewrite(self, after: Any, upto: Any, chain: CompiledChain, *, waits: bool = True) -> int:
        """
        Run a compiled chain over the rows after one id and up to another; return how many it took.

        Each row is rewritten by itself, atomically (P1), and only where the chain's condition holds. Rows that are
        declined stay as they are. May be repeated.

        Args:
            after: The id before the first row.
            upto: The last id.
            chain: The way to the target.
            waits: Wait as the write concern of the collection says. Without that, an election may take the rewrite
                back, after which the rows are old ones again.

        Raises:
            StoreTimeoutError: It took longer than `TIME_LIMIT`; rows that were rewritten stay so.
        """
        wanted = await self._selected(after, upto, chain.condition)
        statement = {"q": wanted, "u": chain.pipeline, "multi": True}
        command: dict[str, Any] = {
            "update": self._name,
            # Ids go back to the server exactly as they came.
            "updates": [RawBSONDocument(encode(statement | self._options), _RAW)],
            "maxTimeMS": round(TIME_LIMIT * 1000),
        }
        concern = self._rows.write_concern.document if waits else _WITHOUT_WAITING
        if concern:
            command["writeConcern"] = concern
        with translated():
            answer = await self._database.command(command)
            for fault in answer.get("writeErrors", ()):
                raise _fault(fault)
            if (unsure := unmet(answer)) is not None:
                raise unsure
        return int(answer["n"])

    async def read(self, after: Any, upto: Any = BEGINNING, *, size: int) -> Page:
        """
        Return the next rows after an id, at most *size* and as many as fit into one answer; none at the end.

        Args:
            after: The id before the first row.
            upto: The last id to read; by default there is no bound.
            size: How many at most.
        """
        if self._selection is None:
            return await self._page(self._between(after, upto), size)
        while ids := await self._selection.ids(after, upto, limit=IDS_AT_ONCE):
            page = await self._page({**self._tag, "_id": {"$in": ids, **self._avoided()}}, size)
            if page.rows:
                return page
            after = ids[-1]
        return Page(rows=(), last=BEGINNING)

    async def read_those(self, ids: Sequence[Any]) -> Page:
        """Return those of the rows that still stand at this version, as many as fit into one answer."""
        return await self._page({**self._tag, "_id": {"$in": list(ids)}}, len(ids))

    async def _page(self, filter: dict[str, Any], size: int) -> Page:
        if self._mock is not None:
            found = self._mock.find(filter, sort=[("_id", 1)], limit=size)
            rows = [row async for row in found]
            return Page(rows=tuple(rows), last=id_of(rows[-1]) if rows else BEGINNING)
        with translated():
            # A negative limit: one answer, and the server keeps no cursor. Without a batch size that is 101 rows.
            cursor = self._rows.find_raw_batches(
                filter, sort=[("_id", 1)], limit=-size, batch_size=size, **self._options
            )
            rows = [row async for batch in cursor for row in rows_of(batch)]
        return Page(rows=tuple(rows), last=id_of(rows[-1]) if rows else BEGINNING)

    async def _selected(self, after: Any, upto: Any, condition: Any = None) -> dict[str, Any]:
        """
        Return what describes the rows of a range, of the selection alone if there is one.
        """
        wanted = self._between(after, upto, condition)
        if self._selection is None:
            return wanted
        return {**wanted, "_id": {"$in": await self._selection.ids(after, upto), **self._avoided()}}

    def _between(self, after: Any, upto: Any = BEGINNING, condition: Any = None) -> dict[str, Any]:
        conditions = [
            {operator: ["$_id", {"$literal": bound}]}
            for operator, bound in (("$gt", after), ("$lte", upto))
            if bound is not BEGINNING
        ]
        if condition is not None:
            conditions.append(condition)
        wanted = {**self._tag, "$expr": {"$and": conditions}} if conditions else dict(self._tag)
        return {**wanted, "_id": self._avoided()} if self._avoid else wanted

    def _avoided(self) -> dict[str, Any]:
        return {"$nin": list(self._avoid)} if self._avoid else {}


def _fault(fault: dict[str, Any]) -> PyMongoError:
    code = fault["code"]
    # As the driver does it; the text is left out, since it can quote the row.
    return ExecutionTimeout("", code) if code == _TIME_IS_UP else OperationFailure("", code)
