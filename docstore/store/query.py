"""Queries of one kind: what is found, sorted and counted is the latest shape, whatever shape is stored."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document, misnomers
from docstore.core.kind import Kind
from docstore.core.newer_steps import newer_versions
from docstore.core.query import read_query
from docstore.core.stale_branch import StoredVersion, Way
from docstore.core.stale_query import old_versions
from docstore.mongo.driver import AnyDatabase, AnySession, Driver
from docstore.mongo.reading import Batches, RowSource, SortKeys
from docstore.store.absent_versions import KnownAbsence, unwatched
from docstore.store.asked import Course, Query, check_names
from docstore.store.cursor import Cursor, OnError, ReadBatch, Report
from docstore.store.explaining import Explanation, explain
from docstore.store.observed_reading import projection_reader
from docstore.store.observer import Observer
from docstore.store.rows import RowReader
from docstore.store.stale_query import StaleQueries
from docstore.store.stale_query_in_memory import StaleQueriesInMemory

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

_Filter = Mapping[str, Any] | None


class Queries(Generic[D]):
    """
    The reading half of a collection.

    Filters and sort keys are MongoDB's, on stored names at the latest shape (`_id`, `country.code`). A query on paths
    that no step changes is an ordinary find or count. One that a step changes gives the answer that it would give if
    every row had been rewritten to latest: while older rows are stored, the filter is asked in their shape too, or they
    are upgraded inside the query. Rows above latest are brought down in the same ways, through published steps.

    Three kinds of rows are matched in the shape in which they are stored, because nobody knows another one: above all
    known steps, below the floor, and with a tag that is no version. Reading one that matches raises its error.

    Every method raises:
        QueryRefusedError: The filter or a sort key names the tag, which is docstore's, or a field by a name that it
            has in the model only (`id` for `_id`).
        StaleQueryError: The query needs older rows that cannot be brought along: functions write these paths (and
            `allow_client_filter` was not given), an operator such as `$text` cannot follow an upgrade, too many rows
            need Python, the server is a standalone. Carries paths, versions, the number of rows, the reason and the
            ways out.
        StoreUnavailableError, StoreRejectedError: The database could not be reached, or refused.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        reader: RowReader[D],
        observer: Observer | None = None,
        *,
        absence: KnownAbsence = unwatched,
    ) -> None:
        self._kind, self._reader, self._observer = kind, reader, observer
        self._misnomers = misnomers(kind.model)
        self._source = RowSource(database, kind.collection)
        self._stale = (
            StaleQueriesInMemory(self._source, kind)
            if self._source.driver is Driver.MOCK
            else StaleQueries(self._source, kind, absence)
        )

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: None = None,
        on_error: OnError = "raise",
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> Cursor[D]: ...

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: type[P],
        on_error: OnError = "raise",
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> Cursor[P]: ...

    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        projection: type[BaseModel] | None = None,
        on_error: OnError = "raise",
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> Cursor[Any]:
        """
        Return a cursor over the documents that match.

        Args:
            filter: Which rows; all of them without it.
            sort: Keys and directions, such as `[("population", -1)]`; without it the order is unspecified.
            skip: How many rows to leave out at the beginning.
            limit: How many rows to read at most; 0 stands for all. Rows that are skipped for an error count.
            projection: A model of some of the fields, to read instead of the kind's. Its objects cannot be replaced.
            on_error: What happens to a row that cannot be read: "raise" its error where it stands, or "skip" it and
                list it in the cursor's `skipped`.
            allow_client_filter: Read and upgrade, in Python, old rows that only functions can upgrade, however many
                these are, instead of refusing the query. How many is logged before the first is read, and stands in
                the cursor's `client_rows`. Memory stays bounded; a sort without a limit has to fit into it.
            session: The session to read in. A query that upgrades old rows needs a snapshot: it reads in the session's
                transaction if there is one, else in a snapshot that shows all that the session has seen.

        Raises:
            QueryRefusedError, StaleQueryError: See the class; the latter when the first document is wanted.
        """
        query = self._query(filter, sort, skip, limit, in_client=allow_client_filter)
        touched = query.is_touched(self._kind)
        course = Course(None if touched else Way.AS_STORED)
        read: ReadBatch[Any] = self._reader.rows
        fields = None
        if projection is not None:
            partial = projection_reader(self._kind, projection, self._observer)
            fields = None if touched else partial.fields
            read = partial.rows if fields is None else partial.parts

        def batches(report: Report | None) -> Batches:
            if touched:
                return self._stale.rows(query, report=report, session=session, course=course)
            return self._source.find(
                query.filter,
                projection=fields,
                sort=query.sort,
                skip=query.skip,
                limit=query.limit,
                session=session,
            )

        return Cursor(batches, read, kind=self._kind.name, on_error=on_error, course=course)

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
        projection: type[BaseModel] | None = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> BaseModel | None:
        """
        Return the first document that matches, or None; see `find`.

        Raises:
            DocumentError: The row cannot be read.
        """
        cursor: Cursor[Any] = self.find(
            filter,
            sort=sort,
            skip=skip,
            limit=1,
            projection=projection,
            allow_client_filter=allow_client_filter,
            session=session,
        )
        async with cursor:
            return await anext(cursor, None)

    async def count(
        self, filter: _Filter = None, *, allow_client_filter: bool = False, session: AnySession | None = None
    ) -> int:
        """
        Return how many rows match, exactly.

        Raises:
            DocumentError: An old row cannot be upgraded, so nobody can tell whether it matches.
        """
        query = self._query(filter, in_client=allow_client_filter)
        if query.is_touched(self._kind):
            return await self._stale.count(query, session=session)
        return await self._source.count(query.filter, session=session)

    def rows(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        limit: int = 0,
        allow_client_filter: bool = False,
        announced: bool = False,
        judged: bool = False,
        session: AnySession | None = None,
    ) -> Batches:
        """
        Return the rows that match, as they are stored, in batches; see `find`.

        With *announced* it is not logged how many the client reads: they are part of what an earlier query announced.
        With *judged* no row is among them that matches by chance, because it cannot be upgraded.

        Raises:
            DocumentError: An old row cannot be upgraded, so nobody can tell whether it matches.
        """
        query = self._query(filter, sort, limit=limit, in_client=allow_client_filter, announced=announced)
        if query.is_touched(self._kind):
            return self._stale.rows(query, report=None, session=session, judged=judged)
        return self._source.find(query.filter, sort=query.sort, limit=query.limit, session=session)

    def old_ids(
        self,
        filter: _Filter = None,
        *,
        limit: int = 0,
        allow_client_filter: bool = False,
        newer: bool = False,
        session: AnySession | None = None,
    ) -> AsyncGenerator[Any, None]:
        """
        Yield the ids of the rows stored below latest (with *newer*, above it) that match at the latest shape.

        They are in no particular order. One that cannot be brought to latest may be among them by chance.

        Raises:
            DocumentError: An old row would have to be upgraded for this, and cannot be.
        """
        versions: Sequence[StoredVersion] = newer_versions(self._kind) if newer else old_versions(self._kind)
        query = self._query(filter, limit=limit, in_client=allow_client_filter)
        return self._stale.ids(query, versions, session=session)

    async def explain(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        allow_client_filter: bool = False,
    ) -> Explanation:
        """Tell which way `find` would take with these arguments, and why; a refusal is told, not raised."""
        query = self._query(filter, sort, skip, limit, in_client=allow_client_filter)
        return await explain(self._source, self._kind, self._stale, query)

    async def raw_by_id(self, id: Any, *, session: AnySession | None = None) -> bytes | None:
        """Return the row with this id as it is stored, or None."""
        return await self._source.one(id, session=session)

    def _query(
        self,
        filter: _Filter,
        sort: SortKeys | None = (),
        skip: int = 0,
        limit: int = 0,
        *,
        in_client: bool = False,
        announced: bool = False,
    ) -> Query:
        asked, keys = filter or {}, sort or ()
        query = Query(asked, read_query(asked, keys), keys, skip, limit, in_client, announced)
        check_names(self._kind, query.paths, self._misnomers)
        return query
