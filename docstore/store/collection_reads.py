"""The reading half of a collection: documents at the latest shape, whatever shape is stored."""

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.older_document import OlderDocument
from docstore.errors import NewerVersionError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import SortKeys
from docstore.store.collection_by_id import CollectionById
from docstore.store.cursor import Cursor, OnError
from docstore.store.explaining import Explanation

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

_Filter = Mapping[str, Any] | None


class CollectionReads(CollectionById[D]):
    """What finds rows; see `Collection`."""

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

    @overload
    async def find_one(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        allow_client_filter: bool = ...,
        as_version: int,
        model: None = ...,
        session: AnySession | None = ...,
    ) -> OlderDocument | None: ...

    @overload
    async def find_one(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        allow_client_filter: bool = ...,
        as_version: int,
        model: type[P],
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
        as_version: int | None = None,
        model: type[BaseModel] | None = None,
        session: AnySession | None = None,
    ) -> D | OlderDocument | BaseModel | None:
        """
        Return the first document that matches, or None; see `find`.

        Raises:
            DocumentError: The row cannot be read.
            StaleQueryError: See `find`.
        """
        queries = self._reading(session, as_version, model, projection)
        asked: dict[str, Any] = {
            "filter": self._filter(filter),
            "sort": sort,
            "skip": skip,
            "projection": projection,
            "allow_client_filter": allow_client_filter,
            "session": session,
        }
        try:
            return await queries.find_one(**asked)
        except NewerVersionError:
            if not await self._learnt():
                raise
            return await queries.find_one(**asked)

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

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        limit: int = ...,
        on_error: OnError = ...,
        allow_client_filter: bool = ...,
        as_version: int,
        model: None = ...,
        session: AnySession | None = ...,
    ) -> Cursor[OlderDocument]: ...

    @overload
    def find(
        self,
        filter: _Filter = None,
        *,
        sort: SortKeys | None = ...,
        skip: int = ...,
        limit: int = ...,
        on_error: OnError = ...,
        allow_client_filter: bool = ...,
        as_version: int,
        model: type[P],
        session: AnySession | None = ...,
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
        as_version: int | None = None,
        model: type[BaseModel] | None = None,
        session: AnySession | None = None,
    ) -> Cursor[Any]:
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
            as_version: Return the documents in the shape of this version; filter and sort speak of the latest shape
                all the same. See `get`.
            model: A model of the shape of *as_version*; see `get`.
            session: The session to read in.

        Raises:
            DocumentError: A row cannot be read, when its turn comes.
            VersionRangeError: The kind does not have *as_version*.
            NotInvertibleError: A step above *as_version* has no way back; when a row meets it.
            StaleQueryError: Old rows are stored that this query would need and that cannot be brought along; when the
                first document is wanted. Carries paths, versions, the number of rows, the reason and the ways out.
        """
        return self._reading(session, as_version, model, projection).find(
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
