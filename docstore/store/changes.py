"""What happens to a kind's rows, as it happens: documents at the latest shape."""

from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import structlog

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.errors import DocumentError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.past_rows import PastRows
from docstore.mongo.row_events import RowEvent, RowEvents, Token
from docstore.store.cursor import OnError
from docstore.store.rewrites import Rewrites
from docstore.store.rows import RowReader

D = TypeVar("D", bound=Document)

#: How long `try_next` waits for a change, in seconds, unless told otherwise.
WAIT: Final = 1.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change(Generic[D]):
    """
    One change of one row, or the end of the collection.
    """

    #: "insert", "update", "replace" or "delete"; or "drop", "rename", "dropDatabase", "invalidate" for the collection.
    operation: str
    #: The row's `_id`; None for what concerns the collection.
    id: Any
    #: The document at the latest shape: right after an insert or a replacement, right after **or later than** an
    #: update (exactly after it where the collection keeps post-images). None after a deletion, also a later one.
    document: D | None
    #: Whether the row was only brought to another version, which is proved, or the transaction that did it tells the
    #: change by a later update of the row; see `Collection.watch`.
    rewrite: bool
    #: Goes on right after this change: `watch(resume_after=...)`.
    token: Token


class Changes(Generic[D]):
    """
    The changes of one kind's rows, in the order in which the server made them; made by `Collection.watch`.

    Begins when it is opened: `async with`, `open`, or the first change that is wanted. Nothing is lost in between,
    or by a call that fails or is cancelled: the next one goes on after the last change that was returned. So a change
    whose handling failed is only seen again by a stream that begins at an earlier token. One task at a time.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        reader: RowReader[D] | None = None,
        resume_after: Token | None,
        start_after: Token | None,
        include_rewrites: bool,
        on_error: OnError,
        wait: float,
    ) -> None:
        self._database = database
        self._kind = kind
        self._reader = reader or RowReader(kind)
        self._rewrites = Rewrites(kind, PastRows(database, kind.collection))
        self._include_rewrites = include_rewrites
        self._on_error = on_error
        self._wait = wait
        self._token = resume_after
        self._start_after = start_after
        self._events: RowEvents | None = None
        self._batch: list[RowEvent] = []
        self._ready: deque[tuple[RowEvent, bool]] = deque()
        self._ended = False

    @property
    def resume_token(self) -> Token | None:
        """
        Where another stream goes on: behind all that was returned or left out so far. None before it is opened.

        It moves on while nothing happens, too: a consumer that stores it now and then is not outrun by the oplog.
        """
        return self._start_after if self._token is None else self._token

    async def open(self) -> None:
        """
        Begin now, if that was not done yet.

        Raises:
            StoreUnavailableError: The database could not be reached.
            StoreRejectedError: No change stream can be had here: a standalone server, the mock, a missing privilege;
                or what the token stands for is gone from the oplog.
        """
        if self._events is not None or self._ended:
            return
        events = RowEvents(self._database, self._kind.collection)
        try:
            await events.open(
                resume_after=self._token,
                start_after=self._start_after if self._token is None else None,
                wait=self._wait,
            )
        except BaseException:
            await events.close()
            raise
        self._events = events
        self._token = events.token or self._token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change[D]:
        while not self._ended or self._ready:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration

    async def try_next(self) -> Change[D] | None:
        """
        Return the next change, or None where none is to be shown within the wait.

        Raises:
            DocumentError: The row cannot be read (unless `on_error="skip"`); the next call goes on behind it.
            StoreUnavailableError: The connection was lost, and could not be mended; the next call tries again.
            StoreRejectedError: See `open`.
        """
        if not self._ready:
            await self._fetch()
        while self._ready:
            event, rewrite = self._ready.popleft()
            self._token = event.token
            if rewrite and not self._include_rewrites:
                continue
            change = self._change(event, rewrite=rewrite)
            if change is not None:
                return change
        return None

    async def close(self) -> None:
        """
        Give the server's cursor back and end; doing so twice is no mistake. The token stays.

        With Motor, whose calls cannot be broken off, this takes up to the wait.
        """
        self._ended = True
        self._ready.clear()
        await self._break_off()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _fetch(self) -> None:
        await self.open()
        if self._events is None:
            return
        try:
            # Kept until it is judged: a call that is cancelled in between loses nothing.
            batch = self._batch = self._batch or await self._events.batch()
            rewrites = await self._rewrites.among(batch)
        except Exception:
            # What the driver has given is not returned yet: it is asked for again, after the last token.
            await self._break_off()
            raise
        self._batch = []
        self._ready.extend((event, place in rewrites) for place, event in enumerate(batch))
        if not batch:
            self._token = self._events.token or self._token
        elif batch[-1].operation == "invalidate":
            self._ended = True
            await self._break_off()

    async def _break_off(self) -> None:
        events, self._events, self._batch = self._events, None, []
        if events is not None:
            await events.close()

    def _change(self, event: RowEvent, *, rewrite: bool) -> Change[D] | None:
        document = None
        if event.document is not None:
            try:
                document = self._reader.read(event.document)
            except DocumentError as error:
                if self._on_error == "raise":
                    raise
                reason, kind = str(error), self._kind.name
                _log.warning("change_skipped", kind=kind, id=event.id, error=type(error).__name__, reason=reason)
                return None
        return Change(event.operation, event.id, document, rewrite, event.token)
