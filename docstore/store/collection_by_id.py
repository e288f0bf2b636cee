"""Where the reading of a collection begins: one document by its id, in the latest shape or in an older one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.older_document import OlderDocument
from docstore.errors import DocumentError, DocumentNotFoundError, NewerVersionError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.row_writer import RowWriter
from docstore.store.absent_versions import KnownAbsence, unwatched
from docstore.store.encoding import sendable
from docstore.store.observed_reading import row_reader
from docstore.store.observer import Observer
from docstore.store.older_reads import OlderReads
from docstore.store.query import Queries
from docstore.store.write_back import WriteBack

if TYPE_CHECKING:
    from docstore.store.rows import RowReader

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

_Filter = Mapping[str, Any] | None

#: Looks for published steps that lead down from a row just met; tells whether there are new ones.
Learn: TypeAlias = Callable[[], Awaitable[bool]]


class CollectionById(Generic[D]):
    """What reads a row by its id, and what all reading needs; see `Collection`."""

    #: None where no steps are taken from others.
    _learn: Learn | None = None

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        writer: RowWriter,
        write_back: WriteBack | None,
        on_failed: Callable[[DocumentError], None],
        observer: Observer | None = None,
        absence: KnownAbsence = unwatched,
    ) -> None:
        self.kind = kind
        self._older = OlderReads(database, kind, observer, absence)
        self._reader = row_reader(kind, observer, on_failed=on_failed)
        self._queries = Queries(database, kind, self._reader, observer, absence=absence)
        self._offering_reader = self._reader
        self._offering_queries = self._queries
        if write_back is not None:
            queue = write_back
            self._offering_reader = row_reader(
                kind, observer, lambda raw, _: queue.offer(kind, writer, raw), on_failed=on_failed
            )
            self._offering_queries = Queries(database, kind, self._offering_reader, observer, absence=absence)

    @overload
    async def get(
        self, id: Any, *, as_version: None = ..., model: None = ..., session: AnySession | None = ...
    ) -> D: ...

    @overload
    async def get(
        self, id: Any, *, as_version: int, model: None = ..., session: AnySession | None = ...
    ) -> OlderDocument: ...

    @overload
    async def get(self, id: Any, *, as_version: int, model: type[P], session: AnySession | None = ...) -> P: ...

    async def get(
        self,
        id: Any,
        *,
        as_version: int | None = None,
        model: type[BaseModel] | None = None,
        session: AnySession | None = None,
    ) -> D | OlderDocument | BaseModel:
        """
        Return the document with this id.

        Args:
            id: The document's id.
            as_version: Return it in the shape of this version instead: as an `OlderDocument`, which is a dict; or as
                *model*. The question is counted, see `docstore coverage`.
            model: A model of the shape of *as_version*. Where it is a `Document`, its object can be replaced.
            session: The session to read in.

        Raises:
            DocumentNotFoundError: There is none.
            DocumentError: The row cannot be read: it is newer, retired, has no readable tag, cannot be upgraded (or
                brought down), or the model refuses it.
            VersionRangeError: The kind does not have *as_version*.
            NotInvertibleError: A step above *as_version* has no way back.
        """
        require_version(as_version, model)
        reader: RowReader[Any] = self._offering_reader if session is None else self._reader
        if as_version is not None:
            reader = self._older.reader(as_version, model)
        raw = await self._queries.raw_by_id(self._value(id), session=session)
        if raw is None:
            raise DocumentNotFoundError(kind=self.kind.name, id=id)
        document: D | OlderDocument | BaseModel
        try:
            document = reader.read(raw)
        except NewerVersionError:
            if not await self._learnt():
                raise
            document = reader.read(raw)
        return document

    async def _learnt(self) -> bool:
        """Tell whether a row can be read now that stands above all steps that were known."""
        return self._learn is not None and await self._learn()

    def _reading(
        self,
        session: AnySession | None,
        as_version: int | None = None,
        model: type[BaseModel] | None = None,
        projection: type[BaseModel] | None = None,
    ) -> Queries[Any]:
        require_version(as_version, model)
        if as_version is not None:
            if projection is not None:
                msg = "give projection or as_version, not both"
                raise ValueError(msg)
            return self._older.queries(as_version, model)
        # A row read in a transaction may be the transaction's own: to write it back would make the two collide.
        return self._offering_queries if session is None else self._queries

    def _filter(self, filter: _Filter) -> dict[str, Any]:
        return {path: sendable(value, kind=self.kind.name, path=path) for path, value in (filter or {}).items()}

    def _value(self, id: Any) -> Any:
        return sendable(id, kind=self.kind.name, path="_id")


def require_version(as_version: int | None, model: type[BaseModel] | None) -> None:
    """Make sure that a model of an older shape comes with its version."""
    if model is not None and as_version is None:
        msg = "model= is of the shape of as_version=, which is missing"
        raise ValueError(msg)
