"""The reading half of a collection: documents at the latest shape, whatever shape is stored."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.errors import DocumentNotFoundError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.reading import SortKeys
from docstore.mongo.row_writer import RowWriter
from docstore.store.cursor import Cursor, OnError
from docstore.store.encoding import sendable
from docstore.store.explaining import Explanation
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

_Filter = Mapping[str, Any] | None


class CollectionReads(Generic[D]):
    """What reads rows; see `Collection`."""

    def __init__(
        self, database: AnyDatabase, kind: Kind[D], *, writer: RowWriter, write_back: WriteBack | None
    ) -> None:
        self.kind = kind
        self._reader = RowReader(kind)
        self._queries = Queries(database, kind, self._reader)
        self._offering_reader = self._reader
        self._offering_queries = self._queries
        if write_back is not None:
            queue = write_back
            self._offering_reader = RowReader(kind, lambda raw, _: queue.offer(kind, writer, raw))
            self._offering_queries = Queries(database, kind, self._offering_reader)

    async def get(self, id: Any, *, session: AnySession | None = None) -> D:
        """
        Return the document with this id.

        Raises:
            DocumentNotFoundError: There is none.
            DocumentError: The row cannot be read: it is newer, retired, has no readable tag, cannot be upgraded, or
                the model refuses it.
        """
        raw = await self._queries.raw_by_id(self._value(id), session=session)
        if raw is None:
            raise DocumentNotFoundError(kind=self.kind.name, id=id)
        reader = self._offering_reader if session is None else self._reader
        return reader.read(raw)

    @overload
    async def find_one(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        projection: None = ...,
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> D | None: ...

    @overload
    async def find_one(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        projection: type[P],
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> P | None: ...

    async def find_one(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        projection: type[P] | None = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> D | P | None:
        """
        Return the first document that matches, or None; see `find`.

        Raises:
            DocumentError: The row cannot be read.
            StaleQueryError: See `find`.
        """
        return await self._reading(session).find_one(
            self._filter(filter),
            sort=sort,
            skip=skip,
            projection=projection,
            allow_client_filter=allow_client_filter,
            session=session,
        )

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        limit: int = ...,
        projection: None = ...,
        on_error: OnError = ...,
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> Cursor[D]: ...

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        limit: int = ...,
        projection: type[P],
        on_error: OnError = ...,
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> Cursor[P]: ...

    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: type[P] | None = None,
        on_error: OnError = "raise",
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> Cursor[D] | Cursor[P]:
        """
        Return a cursor over the documents that match: `async for`, or `to_list()`.

        Filter and sort are MongoDB's, on stored names at the latest shape. The answer is the one that a collection
        would give in which every row had been rewritten to latest.

        Args:
            filter: Which documents; all of them without it.
            sort: Keys and directions, such as `[("population", -1)]`.
            skip: How many to leave out at the beginning.
            limit: How many to return at most; 0 stands for all.
            projection: A model of some of the fields, to read instead of the kind's. Its objects cannot be replaced.
            on_error: "raise" the error of a row that cannot be read where it stands, or "skip" it and list it in the
                cursor's `skipped`.
            allow_client_filter: Where only Python functions can upgrade old rows that the query needs, read and
                upgrade these, however many, instead of refusing. Their number is logged before the first is read.
            session: The session to read in.

        Raises:
            DocumentError: A row cannot be read, when its turn comes.
            StaleQueryError: Old rows are stored that this query would need and that cannot be brought along; when the
                first document is wanted. Carries paths, versions, the number of rows, the reason and the ways out.
        """
        return self._reading(session).find(
            self._filter(filter),
            sort=sort,
            skip=skip,
            limit=limit,
            projection=projection,
            on_error=on_error,
            allow_client_filter=allow_client_filter,
            session=session,
        )

    async def count(
        self, filter: _Filter = None, *, allow_client_filter: bool = False, session: AnySession | None = None
    ) -> int:
        """
        Return how many documents match, exactly; see `find`.

        Raises:
            DocumentError: An old row cannot be upgraded, so nobody can tell whether it matches.
            StaleQueryError: See `find`.
        """
        return await self._queries.count(self._filter(filter), allow_client_filter=allow_client_filter, session=session)

    async def explain(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        allow_client_filter: bool = False,
    ) -> Explanation:
        """
        Tell which way `find` would take with these arguments, and why; with the server's plan.

        Nothing is read but counts. A query that would be refused is explained, with the ways out; it is not raised.

        Raises:
            QueryRefusedError: The filter or a sort key names the tag, or a field by a name that only the model has.
        """
        return await self._queries.explain(
            self._filter(filter), sort=sort, skip=skip, limit=limit, allow_client_filter=allow_client_filter
        )

    def _reading(self, session: AnySession | None) -> Queries[D]:
        # A row read in a transaction may be the transaction's own: to write it back would make the two collide.
        return self._offering_queries if session is None else self._queries

    def _filter(self, filter: _Filter) -> dict[str, Any]:
        return {path: sendable(value, kind=self.kind.name, path=path) for path, value in (filter or {}).items()}

    def _value(self, id: Any) -> Any:
        return sendable(id, kind=self.kind.name, path="_id")
