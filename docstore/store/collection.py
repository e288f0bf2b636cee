"""One kind's rows, read and written at the latest shape."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.errors import DocumentExistsError, DocumentNotFoundError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.row_events import Token
from docstore.store.bulk import BulkResult, BulkRun, Delete, Operation, SingleWrites
from docstore.store.changes import WAIT, Changes
from docstore.store.collection_aggregation import CollectionAggregation
from docstore.store.cursor import OnError
from docstore.store.inserting import Inserts
from docstore.store.pauses import Pause
from docstore.store.replacing import Replacements
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)


class Collection(CollectionAggregation[D]):
    """
    The rows of one kind, as documents at the latest shape.

    Made by `Store.collection`. Rows are stored with the latest tag; rows that are older are brought up when they are
    read, and rewritten when they are changed. Every method takes the session of a transaction or of causal
    consistency, opened with the driver.

    Every method that writes keeps three promises: it takes effect only on the row that it was meant for, whoever else
    writes (P1); tag and shape change in one atomic write (P2); a row above latest is never changed (P4).

    Every method raises:
        StoreUnavailableError: The database could not be reached, or did not answer; a write may have taken effect.
        StoreRejectedError: The database refused.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        pause: Pause,
        write_back: WriteBack | None = None,
        kinds: Sequence[Kind[Any]] = (),
    ) -> None:
        super().__init__(database, kind, pause=pause, write_back=write_back, kinds=kinds)
        self._database = database
        self._inserts = Inserts(kind, writer=self._writer, composer=self._composer)
        self._replacements = Replacements(kind, writer=self._writer, composer=self._composer, pause=pause)

    async def insert(self, document: D, *, session: AnySession | None = None) -> Any:
        """
        Store a new document; return its id.

        The document stays as it is, but for remembering its row: it can be given to `replace` at once.

        Raises:
            DocumentExistsError: A row with this id, or the same unique key, exists; carries the index.
            InvalidDocumentError, UnstorableValueError: It could not be read back; nothing was written.
        """
        return (await self.insert_many([document], session=session))[0]

    async def insert_many(
        self, documents: Sequence[D], *, ordered: bool = True, session: AnySession | None = None
    ) -> list[Any]:
        """
        Store new documents; return their ids in the same order.

        Each row is stored or not by itself. Those that were stored remember their row, also when another failed.

        Args:
            documents: The documents. All are checked before the first is sent.
            ordered: Stop at the first that exists already; otherwise store all others.
            session: The session to write in.

        Raises:
            DocumentExistsError: For the first that exists already; its notes tell how many were stored.
            StoreRejectedError: The database refused one for another reason; its notes tell the same.
            InvalidDocumentError, UnstorableValueError: One could not be read back; nothing was written.
        """
        rows = [self._inserts.row(document) for document in documents]
        stored = await self._inserts.store(documents, rows, ordered=ordered, session=session)
        if stored.errors:
            first = next(
                (error for error in stored.errors.values() if not isinstance(error, DocumentExistsError)), None
            )
            error = first or stored.errors[min(stored.errors)]
            if len(rows) > 1:
                error.add_note(f"{len(stored.places)} of {len(rows)} documents were stored")
            raise error
        return [document.id for document in documents]

    async def replace(
        self,
        document: D,
        *,
        if_token: str | None = None,
        unguarded: bool = False,
        session: AnySession | None = None,
    ) -> None:
        """
        Store what changed in a document since it was read.

        Only the fields whose encoded value changed are written, so the others keep their BSON type, and fields that
        the model does not know survive. An old row goes to the latest version in the same write. Nothing is written
        where nothing changed. Afterwards the document stands for the row as it is stored now: it can be changed and
        replaced again.

        Args:
            document: A document that was read, inserted or replaced through a store; or any, with one of these:
            if_token: The `version_token` of the row that it is meant for, which came back from a client.
            unguarded: Store the whole document over whatever row is there, without what the model does not know.
            session: The session to write in.

        Raises:
            ConflictError: The row changed or went since it was read; nothing was written. That docstore itself has
                merely rewritten it to the latest version is no change.
            UnguardedReplaceError: The document was never read, and neither *if_token* nor *unguarded* was given.
            DocumentNotFoundError: With *unguarded*: there is no row with this id.
            DocumentExistsError: Another row has the same unique key.
            UpdateRefusedError: The document's id was changed.
            DocumentError: What would be stored could not be read back; or, with *if_token* or *unguarded*, the row
                that is there now is newer or has no readable tag.
        """
        if unguarded and if_token is not None:
            msg = "give if_token or unguarded, not both"
            raise ValueError(msg)
        if unguarded:
            await self._replacements.overwrite(document, session)
        elif if_token is not None:
            await self._replacements.replace_matching(document, if_token, session)
        else:
            await self._replacements.replace(document, session)

    async def modify(self, id: Any, change: Callable[[D], D | Awaitable[D]], *, session: AnySession | None = None) -> D:
        """
        Read a document, change it and store it; again from the start if the row changed meanwhile.

        No concurrent write is lost, whoever makes it. Writes what `replace` writes.

        Args:
            id: The document's id.
            change: Takes the document and returns it, changed, or another one with the same id; may be a coroutine
                function. It is called once for every try, each time with the row as it is then, so it must not have
                effects of its own.
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
        return await self._replacements.modify(self._value(id), change, session)

    async def bulk(
        self, operations: Sequence[Operation[D]], *, ordered: bool = True, session: AnySession | None = None
    ) -> BulkResult:
        """
        Make several writes, each with the promises that it has by itself; they are not atomic together.

        Args:
            operations: `Insert`, `Replace`, `Update` and `Delete`, in any mixture.
            ordered: One after another, and none after the first that fails. Otherwise all are tried, in any order and
                several at once; none more once the database is away.
            session: The session to write in. In a transaction the first error is raised by itself, as it has ended it.

        Returns:
            How many rows were inserted, replaced, matched, modified and deleted, and the ids of upserted ones.

        Raises:
            BulkFailedError: Some failed; carries the result, with the error of each by its position, and the positions
                that were not tried.
            TypeError: One is no such operation; nothing was written.
        """
        writes = SingleWrites(
            inserts=self._inserts,
            replace=lambda one, within: self.replace(
                one.document, if_token=one.if_token, unguarded=one.unguarded, session=within
            ),
            update=lambda one, within: self.update(
                one.filter,
                one.operators,
                many=one.many,
                upsert=one.upsert,
                array_filters=one.array_filters,
                session=within,
            ),
            delete=self._delete,
        )
        return await BulkRun(writes, operations, session).run(kind=self.kind.name, ordered=ordered)

    async def _delete(self, one: Delete, session: AnySession | None) -> int:
        if one.many:
            return await self.delete_many(one.filter, session=session)
        return int(await self.delete_one(one.filter, session=session))

    async def delete(self, id: Any, *, session: AnySession | None = None) -> None:
        """
        Delete the row with this id, whatever its version.

        Raises:
            DocumentNotFoundError: There is none.
        """
        if not await self._writer.delete(self._value(id), session=session):
            raise DocumentNotFoundError(kind=self.kind.name, id=id)

    def watch(
        self,
        *,
        resume_after: Token | None = None,
        start_after: Token | None = None,
        include_rewrites: bool = False,
        on_error: OnError = "raise",
        wait: float = WAIT,
    ) -> Changes[D]:
        """
        Return the changes of the rows from now on, or from a token on: `async with`, then `async for`.

        Every change that anybody makes is seen once and in order, but for rewrites: changes that moved a row to
        another version and left its meaning as it was. One is left out only if that is proved by the row just before
        and just after it; a write that also changes something is always shown. What cannot be proved (the stream is
        more than five minutes behind, and the collection keeps no images) is shown too.

        Needs a replica set.

        Args:
            resume_after: The token of the last change that was handled.
            start_after: The same; also after `invalidate`, where the collection was dropped and made again.
            include_rewrites: Show rewrites too; their `rewrite` is true.
            on_error: "raise" the error of a row that cannot be read, or "skip" the change and log it.
            wait: How long `try_next` waits for a change, in seconds.

        Raises:
            ValueError: Two tokens were given.
        """
        if resume_after is not None and start_after is not None:
            msg = "give resume_after or start_after, not both"
            raise ValueError(msg)
        return Changes(
            self._database,
            self.kind,
            resume_after=resume_after,
            start_after=start_after,
            include_rewrites=include_rewrites,
            on_error=on_error,
            wait=wait,
        )
