"""Storing changed documents: what changed since the row was read, and only if it is still that row."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document, get_origin_row, set_origin_row
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.errors import ConflictError, DocumentExistsError, DocumentNotFoundError, UnguardedReplaceError
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import DuplicateRowError, RowWriter
from docstore.store.composing import RowComposer
from docstore.store.gate import OpenWrite
from docstore.store.pauses import TRIES, Pause
from docstore.store.rows import RowReader
from docstore.store.stored_form import StoredForm
from docstore.store.tokens import fits

D = TypeVar("D", bound=Document)


class Replacements(Generic[D]):
    """What `Collection.replace` and `Collection.modify` do; see there for what they promise and raise."""

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
        self._reader = RowReader(kind)
        self._pause = pause

    async def replace(self, document: D, session: AnySession | None) -> None:
        """Store what changed since the document was read."""
        raw = get_origin_row(document)
        if raw is None:
            raise UnguardedReplaceError(kind=self._kind.name, id=document.id)
        await self._replace_row(document, raw, session)

    async def replace_matching(self, document: D, token: str, session: AnySession | None) -> None:
        """Store in what a document differs from the row with this token."""
        raw = await self._writer.current(self._composer.id_of(document), session=session)
        if raw is None or not fits(token, raw):
            raise ConflictError(kind=self._kind.name, id=document.id)
        await self._replace_row(document, raw, session)

    async def overwrite(self, document: D, session: AnySession | None) -> None:
        """Store the whole document over whatever row is there, unless that is one that this code cannot read."""
        kind = self._kind
        row = decoded(self._composer.new(document), kind)
        try:
            async with self._writing(session) as control:
                if self._form.is_latest(control):
                    stored = await self._writer.overwrite(
                        row["_id"], row, field=kind.version_field, versions=range(1, kind.latest + 1), session=session
                    )
                else:
                    # Where the row stands says how it is stored, and what of it is kept.
                    stored = await self._put_in_place(row, control, session)
        except DuplicateRowError as error:
            raise DocumentExistsError(kind=kind.name, id=document.id, index=error.index) from error
        if stored is not None:
            set_origin_row(document, stored)
            return
        there = await self._writer.current(row["_id"], session=session)
        if there is None:
            raise DocumentNotFoundError(kind=kind.name, id=document.id)
        kind.version(decoded(there, kind))
        # It can be read now: another writer replaced it between the two calls.
        raise ConflictError(kind=kind.name, id=document.id)

    async def _put_in_place(self, row: RawDocument, control: ControlState, session: AnySession | None) -> bytes | None:
        for tries in range(1, TRIES + 1):
            raw = await self._writer.current(row["_id"], session=session)
            if raw is None:
                return None
            after = self._form.changed(self._form.over(row, raw), raw, control)
            await self._form.ready([after], session)
            stored = await self._writer.rewrite(raw, after, session=session)
            if stored is not None:
                return stored
            await self._pause(tries)
        return None

    async def modify(self, id: Any, change: Callable[[D], D | Awaitable[D]], session: AnySession | None) -> D:
        """Read, change, store; again from the start if the row changed meanwhile."""
        for tries in range(1, TRIES + 1):
            raw = await self._writer.current(id, session=session)
            if raw is None:
                raise DocumentNotFoundError(kind=self._kind.name, id=id)
            result = change(self._reader.read(raw))
            document: D = await result if inspect.isawaitable(result) else result
            if not isinstance(document, self._kind.model):
                msg = f"change() must return the changed {self._kind.model.__name__}, not {type(document).__name__}"
                raise TypeError(msg)
            if await self._store_changes(document, raw, session):
                return document
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=id, tries=TRIES)

    async def _replace_row(self, document: D, raw: bytes, session: AnySession | None) -> None:
        """Store in what a document differs from the row *raw*, also if that was merely rewritten meanwhile."""
        for tries in range(1, TRIES + 1):
            if await self._store_changes(document, raw, session):
                return
            now = await self._writer.current(self._composer.id_of(document), session=session)
            # A rewrite by the backfill or by write-back changes the row's version, and nothing that anybody wrote.
            if now is None or not self._composer.same(raw, now):
                raise ConflictError(kind=self._kind.name, id=document.id, tries=tries)
            raw = now
        raise ConflictError(kind=self._kind.name, id=document.id, tries=TRIES)

    async def _store_changes(self, document: D, raw: bytes, session: AnySession | None) -> bool:
        """Write what turns the row *raw* into the document; tell whether the row was still there."""
        try:
            async with self._writing(session) as control:
                after = self._form.changed(self._composer.changed(document, raw), raw, control)
                await self._form.ready([after], session)
                stored = await self._writer.rewrite(raw, after, session=session)
        except DuplicateRowError as error:
            raise DocumentExistsError(kind=self._kind.name, id=document.id, index=error.index) from error
        if stored is None:
            return False
        set_origin_row(document, stored)
        return True
