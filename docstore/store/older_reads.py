"""Questions for documents in older published shapes."""

from typing import Any, Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase
from docstore.store.absent_versions import KnownAbsence, unwatched
from docstore.store.client_versions import AskedVersions
from docstore.store.observed_reading import older_reader
from docstore.store.observer import Observer
from docstore.store.older_shapes import OlderReader
from docstore.store.query import Queries

D = TypeVar("D", bound=Document)

#: How many shapes are kept ready; a service has a few versions, each with a model or two.
_READY: Final = 32

_Shape: TypeAlias = tuple[int, type[BaseModel] | None]


class OlderReads(Generic[D]):
    """
    Readers and queries that give the rows of one kind in older shapes, and count that they were asked for.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        observer: Observer | None = None,
        absence: KnownAbsence = unwatched,
    ) -> None:
        self._database = database
        self._absence = absence
        self._observer = observer
        self._kind = kind
        self._asked: AskedVersions | None = None
        self._ready: dict[_Shape, tuple[OlderReader, Queries[Any]]] = {}

    def count_with(self, asked: AskedVersions) -> None:
        """Count every question from now on."""
        self._asked = asked

    def reader(self, version: int, model: type[BaseModel] | None) -> OlderReader:
        """
        Return what reads rows at a version.

        Raises:
            VersionRangeError: The kind does not have it.
        """
        return self._shape(version, model)[0]

    def queries(self, version: int, model: type[BaseModel] | None) -> Queries[Any]:
        """
        Return what finds rows, asked for at the latest shape, and reads them at a version.

        Raises:
            VersionRangeError: The kind does not have it.
        """
        return self._shape(version, model)[1]

    def _shape(self, version: int, model: type[BaseModel] | None) -> tuple[OlderReader, Queries[Any]]:
        shape = (version, model)
        if shape not in self._ready:
            if len(self._ready) >= _READY:
                self._ready.clear()
            reader = older_reader(self._kind, version, model, self._observer)
            self._ready[shape] = (reader, Queries(self._database, self._kind, reader, absence=self._absence))
        if self._asked is not None and version < self._kind.latest:
            self._asked.count(self._kind.name, version)
        return self._ready[shape]
