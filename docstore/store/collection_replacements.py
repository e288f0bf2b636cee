"""
The half of a collection that stores changed documents, in the latest shape or in an older one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.older_document import OlderDocument
from docstore.errors import NewerVersionError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.store.collection_aggregation import CollectionAggregation
from docstore.store.collection_by_id import require_version
from docstore.store.gate import WriteGate
from docstore.store.observer import Observer
from docstore.store.older_shapes import ChangeOlder, Older, OlderReplacements
from docstore.store.pauses import Pause
from docstore.store.replacing import Replacements
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)


class CollectionReplacements(CollectionAggregation[D]):
    """What stores documents that were read and changed; see `Collection`."""

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        gate: WriteGate,
        pause: Pause,
        write_back: WriteBack | None = None,
        kinds: Sequence[Kind[Any]] = (),
        observer: Observer | None = None,
    ) -> None:
        super().__init__(database, kind, gate=gate, pause=pause, write_back=write_back, kinds=kinds, observer=observer)
        self._replacements = Replacements(
            kind, writer=self._writer, composer=self._composer, form=self._form, writing=self._writing, pause=pause
        )
        self._older_replacements = OlderReplacements(
            kind, writer=self._writer, composer=self._composer, form=self._form, writing=self._writing, pause=pause
        )

    @overload
    async def replace(
        self,
        document: D,
        *,
        if_token: str | None = ...,
        unguarded: bool = ...,
        as_version: None = ...,
        session: AnySession | None = ...,
    ) -> None: ...

    @overload
    async def replace(
        self,
        document: Older,
        *,
        if_token: str | None = ...,
        unguarded: bool = ...,
        as_version: int,
        session: AnySession | None = ...,
    ) -> None: ...

    async def replace(
        self,
        document: D | Older,
        *,
        if_token: str | None = None,
        unguarded: bool = False,
        as_version: int | None = None,
        session: AnySession | None = None,
    ) -> None:
        """
        Store what changed in a document since it was read.

        Only the fields whose encoded value changed are written, so the others keep their BSON type, and fields that
        the model does not know survive. An old row goes to the latest version in the same write; one above latest that
        was read through published steps stays where it stands, with all that only its own version has. Nothing is
        written where nothing changed. Afterwards the document stands for the row as it is stored now: it can be
        changed and replaced again.

        Args:
            document: A document that was read, inserted or replaced through a store; or any, with one of these:
            if_token: The `version_token` of the row that it is meant for, which came back from a client.
            unguarded: Store the whole document over whatever row is there, without what the model does not know.
            as_version: *document* has the shape of this version: an `OlderDocument` or a `Document` that was read so,
                or (with *if_token* or *unguarded*) any mapping of stored names or any model's object. What it leaves
                out is removed; what its shape cannot express is kept. Counted, see `docstore coverage`.
            session: The session to write in.

        Raises:
            ConflictError: The row changed or went since it was read; nothing was written. That docstore itself has
                merely rewritten it to the latest version is no change.
            UnguardedReplaceError: The document was never read, and neither *if_token* nor *unguarded* was given.
            DocumentNotFoundError: With *unguarded*: there is no row with this id.
            DocumentExistsError: Another row has the same unique key.
            UpdateRefusedError: The document's id was changed; or the row cannot take what an older shape says: that of
                *as_version*, or this code's own where the row stands above latest.
            DocumentError: What would be stored could not be read back; or, with *if_token* or *unguarded*, the row
                that is there now is newer or has no readable tag; or a step refuses an older shape.
            VersionRangeError: The kind does not have *as_version*.
            NotInvertibleError: A step above *as_version* has no way back.
        """
        if unguarded and if_token is not None:
            msg = "give if_token or unguarded, not both"
            raise ValueError(msg)
        if as_version is not None:
            await self._replace_older(document, as_version, if_token, session, unguarded=unguarded)
            return
        if not isinstance(document, self.kind.model):
            msg = f"a {self.kind.model.__name__} is needed, not {type(document).__name__}; or as_version="
            raise TypeError(msg)
        if unguarded:
            await self._replacements.overwrite(document, session)
        elif if_token is not None:
            await self._replacements.replace_matching(document, if_token, session)
        else:
            await self._replacements.replace(document, session)

    async def _replace_older(
        self, document: Older, version: int, token: str | None, session: AnySession | None, *, unguarded: bool
    ) -> None:
        self._older.reader(version, None)
        if unguarded:
            await self._older_replacements.overwrite(document, version, session)
        elif token is not None:
            await self._older_replacements.replace_matching(document, version, token, session)
        else:
            await self._older_replacements.replace(document, version, session)

    @overload
    async def modify(
        self,
        id: Any,
        change: Callable[[D], D | Awaitable[D]],
        *,
        as_version: None = ...,
        session: AnySession | None = ...,
    ) -> D: ...

    @overload
    async def modify(
        self,
        id: Any,
        change: Callable[[OlderDocument], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
        *,
        as_version: int,
        model: None = ...,
        session: AnySession | None = ...,
    ) -> Mapping[str, Any]: ...

    @overload
    async def modify(
        self,
        id: Any,
        change: Callable[[P], P | Awaitable[P]],
        *,
        as_version: int,
        model: type[P],
        session: AnySession | None = ...,
    ) -> P: ...

    async def modify(
        self,
        id: Any,
        change: ChangeOlder,
        *,
        as_version: int | None = None,
        model: type[BaseModel] | None = None,
        session: AnySession | None = None,
    ) -> Any:
        """
        Read a document, change it and store it; again from the start if the row changed meanwhile.

        No concurrent write is lost, whoever makes it. Writes what `replace` writes.

        Args:
            id: The document's id.
            change: Takes the document and returns it, changed, or another one with the same id; may be a coroutine
                function. It is called once for every try, each time with the row as it is then, so it must not have
                effects of its own.
            as_version: Give it the document in the shape of this version, and take it back so; see `replace`.
            model: A model of the shape of *as_version*, instead of a dict.
            session: The session to read and write in. In a transaction there is one try: what another writer changed
                ends the transaction, as it does with the driver's own calls.

        Returns:
            What *change* returned, standing for the row as it is stored now.

        Raises:
            DocumentNotFoundError: There is no row with this id.
            ConflictError: Every try met a conflict; carries how many there were.
            TypeError: *change* returned something else than a document of this kind.
            UpdateRefusedError, DocumentExistsError, DocumentError: See `replace`.
        """
        require_version(as_version, model)
        row_id = self._value(id)

        async def modify() -> Any:
            if as_version is not None:
                reader = self._older.reader(as_version, model)
                return await self._older_replacements.modify(row_id, change, reader, session)
            return await self._replacements.modify(row_id, change, session)

        try:
            return await modify()
        except NewerVersionError:
            if not await self._learnt():
                raise
            return await modify()
