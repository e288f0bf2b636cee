"""
Readers of rows that tell an observer at which versions the rows are stored.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.newer_steps import standing
from docstore.core.row_faults import decoded
from docstore.errors import DocumentError
from docstore.store.observer import Observer
from docstore.store.older_shapes import OlderReader
from docstore.store.projection import ProjectionReader
from docstore.store.rows import RowReader

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

_OnOld = Callable[[bytes, RawDocument], None]
_OnError = Callable[[DocumentError], None]


class ObservedRowReader(RowReader[D]):
    """
    A `RowReader` that is watched. A class of its own, so that one that nobody watches costs nothing.
    """

    def __init__(
        self, kind: Kind[D], observer: Observer, on_old: _OnOld | None = None, *, on_failed: _OnError | None = None
    ) -> None:
        super().__init__(kind, on_old, on_failed=on_failed)
        self._observer = observer

    def read(self, raw: bytes, row: RawDocument | None = None) -> D:
        """Return the document of one row; see `RowReader.read`."""
        try:
            return super().read(raw, row)
        except DocumentError as error:
            self._observer.unreadable(error)
            raise

    def rows(self, batch: bytes, on_error: _OnError | None = None) -> Iterator[D]:
        """Yield the documents of a batch in order; see `RowReader.rows`."""
        return _watched(super().rows(batch, _told(self._observer, on_error)), self._observer)

    def _modelled(self, raw: bytes, row: RawDocument, version: int) -> D:
        document = super()._modelled(raw, row, version)
        self._observer.read(version)
        return document


class ObservedOlderReader(OlderReader):
    """
    An `OlderReader` that is watched.
    """

    def __init__(
        self, kind: Kind[Any], version: int, model: type[BaseModel] | None = None, *, observer: Observer
    ) -> None:
        super().__init__(kind, version, model)
        self._observer = observer

    def read(self, raw: bytes, row: RawDocument | None = None) -> Any:
        """Return one row in the older shape; see `OlderReader.read`."""
        try:
            row = decoded(raw, self.kind) if row is None else row
            stored_at = standing(self.kind, row)
            shape = super().read(raw, row)
        except DocumentError as error:
            self._observer.unreadable(error)
            raise
        self._observer.read(stored_at)
        return shape


class ObservedProjectionReader(ProjectionReader[P]):
    """
    A `ProjectionReader` that is watched.
    """

    def __init__(self, kind: Kind[Any], model: type[P], *, observer: Observer) -> None:
        super().__init__(kind, model)
        self._observer = observer

    def rows(self, batch: bytes, on_error: _OnError | None = None) -> Iterator[P]:
        """Yield the objects of a batch of whole rows; see `ProjectionReader.rows`."""
        return _watched(super().rows(batch, _told(self._observer, on_error)), self._observer)

    def parts(self, batch: bytes, on_error: _OnError | None = None) -> Iterator[P]:
        """Yield the objects of a batch of parts of rows; see `ProjectionReader.parts`."""
        return _watched(super().parts(batch, _told(self._observer, on_error)), self._observer)

    def _upgraded(self, row: RawDocument) -> tuple[RawDocument, int]:
        row, version = super()._upgraded(row)
        self._observer.read(version)
        return row, version

    def _checked(self, row: RawDocument) -> tuple[RawDocument, int]:
        row, version = super()._checked(row)
        self._observer.read(version)
        return row, version


def row_reader(
    kind: Kind[D], observer: Observer | None, on_old: _OnOld | None = None, *, on_failed: _OnError | None = None
) -> RowReader[D]:
    """Return what reads the rows of a kind; see `RowReader`."""
    if observer is None:
        return RowReader(kind, on_old, on_failed=on_failed)
    return ObservedRowReader(kind, observer, on_old, on_failed=on_failed)


def older_reader(
    kind: Kind[Any], version: int, model: type[BaseModel] | None, observer: Observer | None
) -> OlderReader:
    """Return what reads the rows of a kind in an older shape; see `OlderReader`."""
    if observer is None:
        return OlderReader(kind, version, model)
    return ObservedOlderReader(kind, version, model, observer=observer)


def projection_reader(kind: Kind[Any], model: type[P], observer: Observer | None) -> ProjectionReader[P]:
    """Return what reads parts of the rows of a kind; see `ProjectionReader`."""
    return (
        ProjectionReader(kind, model) if observer is None else ObservedProjectionReader(kind, model, observer=observer)
    )


def _told(observer: Observer, on_error: _OnError | None) -> _OnError | None:
    if on_error is None:
        return None

    def tell(error: DocumentError) -> None:
        observer.unreadable(error)
        on_error(error)

    return tell


def _watched(rows: Iterator[P], observer: Observer) -> Iterator[P]:
    try:
        yield from rows
    except DocumentError as error:
        observer.unreadable(error)
        raise
