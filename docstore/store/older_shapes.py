"""Documents in older published shapes: read, and taken back."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from bson.errors import BSONError
from pydantic import BaseModel

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document, get_origin_row, set_origin_row
from docstore.core.kind import Kind
from docstore.core.lens import put, seen_at
from docstore.core.merge import merge
from docstore.core.newer_steps import kind_at, standing
from docstore.core.older_document import OlderDocument
from docstore.core.row_faults import decoded, refused
from docstore.errors import (
    ConflictError,
    DocumentError,
    DocumentExistsError,
    DocumentNotFoundError,
    InvalidDocumentError,
    UnguardedReplaceError,
    UpdateRefusedError,
    VersionRangeError,
)
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import DuplicateRowError, RowWriter
from docstore.store.composing import RowComposer
from docstore.store.encoding import dumped, encoded, storable
from docstore.store.gate import OpenWrite
from docstore.store.pauses import TRIES, Pause
from docstore.store.rows import RowReader, decoded_parts
from docstore.store.stored_form import StoredForm
from docstore.store.tokens import fits

D = TypeVar("D", bound=Document)

#: What an older shape comes back as: the dict that was read, any other mapping of stored names, or a model's object.
Older: TypeAlias = Mapping[str, Any] | BaseModel
#: Takes a document in an older shape and returns it changed.
ChangeOlder: TypeAlias = Callable[[Any], Any | Awaitable[Any]]


class OlderReader(RowReader[Any]):
    """
    Brings rows of one kind to one version: as `OlderDocument`, or into a model of that shape.

    Raises:
        VersionRangeError: The kind does not have the version.
    """

    def __init__(self, kind: Kind[Any], version: int, model: type[BaseModel] | None = None) -> None:
        super().__init__(kind)
        if type(version) is not int or not kind.floor <= version <= kind.latest:
            raise VersionRangeError(kind=kind.name, asked=version, floor=kind.floor, latest=kind.latest)
        self.version = version
        self.model = model

    def read(self, raw: bytes, row: RawDocument | None = None) -> Any:
        """
        Return one row in the older shape.

        Raises:
            DowngradeFailedError, UpgradeFailedError, NotInvertibleError: It cannot be brought there.
            DocumentError: See `RowReader.read`.
        """
        kind = self.kind
        shape = seen_at(kind, decoded(raw, kind) if row is None else row, self.version, trimming=True)
        if self.model is None:
            older = OlderDocument(shape, version=self.version)
            set_origin_row(older, raw)
            return older
        shape.pop(kind.version_field)
        try:
            document = self.model.__pydantic_validator__.validate_python(shape)
        except Exception as error:  # noqa: BLE001 - whatever a validator raises, it is this row that is at fault
            # The cause would show the row's values in every traceback.
            raise refused(error, kind=kind, row=shape, version=self.version) from None
        if isinstance(document, Document):
            set_origin_row(document, raw)
        return document

    def rows(self, batch: bytes, on_error: Callable[[DocumentError], None] | None = None) -> Iterator[Any]:
        """Yield the rows of a batch in the older shape; see `RowReader.rows`."""
        for raws, rows in decoded_parts(batch):
            for raw, row in zip(raws, rows, strict=True):
                try:
                    document = self.read(raw, row)
                except DocumentError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                else:
                    yield document


class OlderReplacements(Generic[D]):
    """What `Collection.replace` and `Collection.modify` do with *as_version*; see there for what they raise."""

    def __init__(
        self,
        kind: Kind[D],
        *,
        writer: RowWriter,
        composer: RowComposer[D],
        form: StoredForm[D],
        writing: OpenWrite,
        pause: Pause,
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._composer = composer
        self._form = form
        self._writing = writing
        self._pause = pause

    async def replace(self, document: Older, version: int, session: AnySession | None) -> None:
        """Store what a client changed in the document that it got."""
        raw = get_origin_row(document)
        if raw is None:
            raise UnguardedReplaceError(kind=self._kind.name, id=_id(self._kind, document))
        await self._store(document, version, raw, session)

    async def replace_matching(self, document: Older, version: int, token: str, session: AnySession | None) -> None:
        """Store in what a document differs from the row with this token."""
        row_id = _id(self._kind, document)
        raw = await self._writer.current(row_id, session=session)
        if raw is None or not fits(token, raw):
            raise ConflictError(kind=self._kind.name, id=row_id)
        await self._store(document, version, raw, session)

    async def overwrite(self, document: Older, version: int, session: AnySession | None) -> None:
        """Store in what a document differs from whatever row is there."""
        row_id = _id(self._kind, document)
        for tries in range(1, TRIES + 1):
            raw = await self._current(row_id, session)
            if await self._written(document, raw, self._changed(document, version, raw), session):
                return
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=row_id, tries=TRIES)

    async def modify(self, id: Any, change: ChangeOlder, reader: OlderReader, session: AnySession | None) -> Any:
        """Read, change, store; again from the start if the row changed meanwhile."""
        wanted = reader.model or Mapping
        for tries in range(1, TRIES + 1):
            raw = await self._current(id, session)
            result = change(reader.read(raw))
            document = await result if inspect.isawaitable(result) else result
            if not isinstance(document, wanted):
                name = "dict" if reader.model is None else reader.model.__name__
                msg = f"change() must return the changed {name}, not {type(document).__name__}"
                raise TypeError(msg)
            if await self._written(document, raw, self._changed(document, reader.version, raw), session):
                return document
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=id, tries=TRIES)

    async def _store(self, document: Older, version: int, raw: bytes, session: AnySession | None) -> None:
        after = self._changed(document, version, raw)
        for tries in range(1, TRIES + 1):
            if await self._written(document, raw, after, session):
                return
            now = await self._writer.current(after["_id"], session=session)
            # A rewrite changes the row's version, and nothing that anybody wrote: what is to be stored stays the same.
            if now is None or not self._composer.same(raw, now):
                raise ConflictError(kind=self._kind.name, id=after["_id"], tries=tries)
            raw = now
        raise ConflictError(kind=self._kind.name, id=after["_id"], tries=TRIES)

    async def _current(self, id: Any, session: AnySession | None) -> bytes:
        raw = await self._writer.current(id, session=session)
        if raw is None:
            raise DocumentNotFoundError(kind=self._kind.name, id=id)
        return raw

    async def _written(self, document: Older, raw: bytes, after: RawDocument, session: AnySession | None) -> bool:
        """Turn the row *raw* into *after*, which is at latest; tell whether it was still there."""
        try:
            async with self._writing(session) as control:
                form = self._form.changed(after, raw, control)
                await self._form.ready([form], session)
                stored = await self._writer.rewrite(raw, form, session=session)
        except DuplicateRowError as error:
            raise DocumentExistsError(kind=self._kind.name, id=after["_id"], index=error.index) from error
        if stored is not None and isinstance(document, Document | OlderDocument):
            set_origin_row(document, stored)
        return stored is not None

    def _changed(self, document: Older, version: int, raw: bytes) -> RawDocument:
        """
        Return the row *raw* at latest, with everything in which *document* differs from it at *version*.

        One above latest is returned where it stands.
        """
        kind = self._kind
        row = decoded(raw, kind)
        shape = self._shape(document, version, raw)
        try:
            after = put(kind_at(kind, standing(kind, row)), row, shape, version, trimming=True)
        except (BSONError, OverflowError) as error:
            # The cause would show the row's values in every traceback.
            reason = f"a step made something of it that cannot be stored: {type(error).__name__}"
            raise UpdateRefusedError(kind=kind.name, reason=reason) from None
        try:
            RowReader(kind).read(encoded(after, kind=kind.name))
        except InvalidDocumentError as error:
            error.add_note("nothing was written: the model of the latest version would refuse the row")
            raise
        return after

    def _shape(self, document: Older, version: int, raw: bytes) -> RawDocument:
        kind = self._kind
        if isinstance(document, OlderDocument) and document.version not in {0, version}:
            reason = f"it was read in the shape of version {document.version}, not in that of {version}"
            raise UpdateRefusedError(kind=kind.name, reason=reason)
        if not isinstance(document, BaseModel):
            sent = {name: storable(value, kind=kind.name, path=name) for name, value in document.items()}
            encoded(sent, kind=kind.name)
            return sent
        # A model may not know every field of its version.
        shape = seen_at(kind, decoded(raw, kind), version, trimming=True)
        before = dumped(OlderReader(kind, version, type(document)).read(raw), kind=kind.name)
        now = dumped(document, kind=kind.name)
        return merge(shape, before, now)


def _id(kind: Kind[Any], document: Older) -> Any:
    fields = dumped(document, kind=kind.name) if isinstance(document, BaseModel) else document
    if "_id" not in fields:
        raise UpdateRefusedError(kind=kind.name, reason="the document has no '_id'")
    return storable(fields["_id"], kind=kind.name, path="_id")
