"""One kind's rows, read and written at the latest shape."""

from collections.abc import Sequence
from typing import Any, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.errors import DocumentExistsError, DocumentNotFoundError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.row_events import Token
from docstore.store.bulk import BulkResult, BulkRun, Delete, Operation, SingleWrites
from docstore.store.changes import WAIT, Changes
from docstore.store.client_versions import AskedVersions
from docstore.store.collection_by_id import Learn
from docstore.store.collection_replacements import CollectionReplacements
from docstore.store.cursor import OnError
from docstore.store.gate import WriteGate
from docstore.store.inserting import Inserts
from docstore.store.observer import Observer
from docstore.store.pauses import Pause
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)


class Collection(CollectionReplacements[D]):
    """
    The rows of one kind, as documents at the latest shape.

    Made by `Store.collection`. Rows are stored with the latest tag; rows that are older are brought up when they are
    read, and rewritten when they are changed. Every method takes the session of a transaction or of causal
    consistency, opened with the driver.

    Every method that writes keeps three promises: it takes effect only on the row that it was meant for, whoever else
    writes (P1); tag and shape change in one atomic write (P2); a row above latest is never tagged down (P4). Nothing is
    stored above the write version, and nothing at all by a node that others may take for dead (P6); reads go on then.

    Every method raises:
        StoreUnavailableError: The database could not be reached, or did not answer; a write may have taken effect.
        StoreRejectedError: The database refused.

    Every method that writes raises:
        StaleNodeError: The node was not heard of in time; nothing was written.
        WriteVersionUnwritableError: The row has to be stored below latest; that row was not written.
        StoreClosedError: The store is closed; nothing was written.
        NodeRefusedError: The store was not opened before this write, and the fleet does not admit it.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        gate: WriteGate,
        pause: Pause,
        write_back: WriteBack | None = None,
        kinds: Sequence[Kind[Any]] = (),
        asked: AskedVersions | None = None,
        observer: Observer | None = None,
        learn: Learn | None = None,
    ) -> None:
        super().__init__(database, kind, gate=gate, pause=pause, write_back=write_back, kinds=kinds, observer=observer)
        self._database = database
        self._learn = learn
        self._inserts = Inserts(
            kind, writer=self._writer, composer=self._composer, form=self._form, writing=self._writing
        )
        if asked is not None:
            self._older.count_with(asked)

    async def insert(self, document: D, *, session: AnySession | None = None) -> Any:
        """
        Store a new document; return its id.

        The document stays as it is, but for remembering its row: it can be given to `replace` at once.

        Raises:
            DocumentExistsError: A row with this id, or the same unique key, exists; carries the index.
            InvalidDocumentError, UnstorableValueError: It could not be read back; nothing was written.
            UpdateRefusedError: It has a field by a name of docstore's own; nothing was written.
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
            UpdateRefusedError: One has a field by a name of docstore's own; nothing was written.
        """
        async with self._writing(session) as control:
            rows = [self._inserts.row(document, control) for document in documents]
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
                allow_client_filter=one.allow_client_filter,
                session=within,
            ),
            delete=self._delete,
        )
        return await BulkRun(writes, operations, session).run(kind=self.kind.name, ordered=ordered)

    async def _delete(self, one: Delete, session: AnySession | None) -> int:
        if one.many:
            return await self.delete_many(one.filter, allow_client_filter=one.allow_client_filter, session=session)
        return int(await self.delete_one(one.filter, allow_client_filter=one.allow_client_filter, session=session))

    async def delete(self, id: Any, *, session: AnySession | None = None) -> None:
        """
        Delete the row with this id, whatever its version.

        Raises:
            DocumentNotFoundError: There is none.
        """
        async with self._writing(session):
            deleted = await self._writer.delete(self._value(id), session=session)
        if not deleted:
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
            reader=self._reader,
            resume_after=resume_after,
            start_after=start_after,
            include_rewrites=include_rewrites,
            on_error=on_error,
            wait=wait,
        )
