"""Queries of one kind: what is found, sorted and counted is the latest shape, whatever shape is stored."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.reading import RowSource, SortKeys
from docstore.store.cursor import Cursor, OnError, Report
from docstore.store.rows import RowReader

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)


class Queries(Generic[D]):
    """The reading half of a collection."""

    def __init__(self, database: AnyDatabase, kind: Kind[D], reader: RowReader[D]) -> None:
        self._kind = kind
        self._reader = reader
        self._source = RowSource(database, kind.collection)

    @overload
    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: None = None,
        on_error: OnError = "raise",
        session: AnySession | None = None,
    ) -> Cursor[D]: ...

    @overload
    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: type[P],
        on_error: OnError = "raise",
        session: AnySession | None = None,
    ) -> Cursor[P]: ...

    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: type[BaseModel] | None = None,
        on_error: OnError = "raise",
        session: AnySession | None = None,
    ) -> Cursor[Any]:
        """Return the documents that match."""

        def batches(report: Report | None) -> AsyncGenerator[bytes, None]:
            del report
            return self._source.find(filter or {}, sort=sort, skip=skip, limit=limit, session=session)

        return Cursor(batches, self._reader.rows, kind=self._kind.name, on_error=on_error)

    @overload
    async def find_one(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        projection: None = None,
        session: AnySession | None = None,
    ) -> D | None: ...

    @overload
    async def find_one(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        projection: type[P],
        session: AnySession | None = None,
    ) -> P | None: ...

    async def find_one(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        projection: type[BaseModel] | None = None,
        session: AnySession | None = None,
    ) -> BaseModel | None:
        """Return the first document that matches, or None."""
        cursor: Cursor[Any] = self.find(filter, sort=sort, skip=skip, limit=1, projection=projection, session=session)
        async with cursor:
            return await anext(cursor, None)

    async def count(self, filter: Mapping[str, Any] | None = None, *, session: AnySession | None = None) -> int:
        """Return how many rows match, exactly."""
        return await self._source.count(filter or {}, session=session)

    async def old_ids(
        self, filter: Mapping[str, Any] | None = None, *, limit: int = 0, session: AnySession | None = None
    ) -> AsyncIterator[Any]:
        """Yield the ids of rows below latest that match *filter* at the latest shape."""
        raise NotImplementedError
        yield

    async def raw_by_id(self, id: Any, *, session: AnySession | None = None) -> bytes | None:
        """Return the row with this id as it is stored, or None."""
        return await self._source.one(id, session=session)
