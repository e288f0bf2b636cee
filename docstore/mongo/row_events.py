"""A collection's changes as the server tells them, in batches and in order, over Motor and PyMongo Async."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from docstore.core.bson_values import CODEC, RawDocument, decode
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated

#: Says where a stream of changes goes on: a small BSON document that only the server understands.
Token: TypeAlias = Mapping[str, Any]

#: Events that are taken together, and bytes of their documents after which no more are added.
BATCH_EVENTS: Final = 256
BATCH_BYTES: Final = 4_000_000
#: How long an event that the driver holds already may take to come, in seconds; Motor hands it over from a thread.
_AT_HAND: Final = 0.005
_UNAUTHORIZED: Final = 13
_RAW: Final = CODEC.with_options(document_class=RawBSONDocument)


@dataclass(frozen=True, slots=True)
class RowEvent:
    """
    One event. *id* is None for what concerns the collection as a whole (`drop`, `rename`, `invalidate`).
    """

    operation: str
    id: Any
    token: Token
    time: Timestamp
    #: Names of the top-level fields and dotted paths that an update changed or removed; empty for other operations.
    changed: frozenset[str]
    #: The row after the event, or None. Not *exact*: it may be as a later event left it.
    document: bytes | None
    exact: bool
    #: The row before the event, where the collection keeps such images.
    before: bytes | None


class RowEvents:
    """
    The events of one collection from a moment on: the one that a token names, else now, when it is opened.

    A broken connection is mended by the driver once; what it cannot mend comes out as `StoreUnavailableError`. Events
    that were not returned are lost to this object then, and to no other that is opened with the last token.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self._driver = driver_of(database)
        if self._driver is Driver.MOCK:
            raise StoreRejectedError(reason="mongomock has no change streams")
        self._rows = open_collection(database, collection)
        self._stream: Any = None
        self._coming: asyncio.Task[Any] | None = None
        self._taken: list[RowEvent] = []
        self._keeps_images = False

    async def open(self, *, resume_after: Token | None, start_after: Token | None, wait: float) -> None:
        """
        Begin after a token, or now. *wait* is how long one call of `batch` may go without an event, in seconds.
        """
        self._keeps_images = await self._images_are_kept()
        wanted = "whenAvailable" if self._keeps_images else "updateLookup"
        options: dict[str, Any] = {"full_document": wanted, "max_await_time_ms": round(wait * 1000)}
        if self._keeps_images:
            options["full_document_before_change"] = "whenAvailable"
        for name, token in (("resume_after", resume_after), ("start_after", start_after)):
            if token is not None:
                options[name] = dict(token)
        with translated():
            stream = await settled(self._rows.with_options(codec_options=_RAW).watch(**options))
            # Motor opens it now, instead of at the first event.
            self._stream = await stream.__aenter__()

    @property
    def token(self) -> Token | None:
        """The token behind everything that the driver has given so far, where the server tells one."""
        token = None if self._stream is None or self._coming is not None else self._stream.resume_token
        return None if token is None else _plain(token)

    async def batch(self) -> list[RowEvent]:
        """
        Return the next events: what is at hand, or what comes first, or none after *wait*.

        A call that is cancelled loses nothing: the next one goes on with what it had.
        """
        # Kept here and not in the call, which may be cancelled.
        events = self._taken
        size = 0
        while len(events) < BATCH_EVENTS and size < BATCH_BYTES:
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._stream.try_next())
                # What the driver holds already is there after one turn of the loop.
                await asyncio.sleep(0)
            if not self._coming.done():
                # Waiting does not cancel: the event would be lost with the call that brings it.
                await asyncio.wait({self._coming}, timeout=_AT_HAND if events else None)
            if not self._coming.done():
                break
            coming, self._coming = self._coming, None
            with translated():
                event = coming.result()
            if event is None:
                break
            events.append(self._event(event))
            size += len(event.raw)
            if events[-1].operation == "invalidate":
                break
        if self._keeps_images:
            # An image that is gone is looked up, as the server itself does where none are kept.
            for place, event in enumerate(events):
                if event.operation == "update" and event.document is None:
                    events[place] = replace(event, document=await self._current(event.id))
        self._taken = []
        return events

    async def close(self) -> None:
        """Give the server's cursor back; doing so twice is no mistake."""
        coming, self._coming = self._coming, None
        stream, self._stream = self._stream, None
        if coming is not None:
            if self._driver is not Driver.MOTOR:
                # What runs in Motor's thread cannot be cancelled: it would open the cursor again behind our back.
                coming.cancel()
            await asyncio.wait({coming})
            if not coming.cancelled():
                coming.exception()
        if stream is not None:
            with contextlib.suppress(Exception), translated():
                await stream.close()

    def _event(self, event: RawBSONDocument) -> RowEvent:
        operation = str(event["operationType"])
        key = event.get("documentKey")
        description = event.get("updateDescription")
        changed: RawDocument = {} if description is None else decode(bytes(description.raw))
        document, before = event.get("fullDocument"), event.get("fullDocumentBeforeChange")
        return RowEvent(
            operation=operation,
            id=None if key is None else decode(bytes(key.raw))["_id"],
            token=_plain(event["_id"]),
            time=event["clusterTime"],
            changed=frozenset((*changed.get("updatedFields", ()), *changed.get("removedFields", ()))),
            document=None if document is None else bytes(document.raw),
            exact=document is not None and (operation != "update" or self._keeps_images),
            before=None if before is None else bytes(before.raw),
        )

    async def _current(self, id: Any) -> bytes | None:
        with translated():
            row = await self._rows.with_options(codec_options=_RAW).find_one({"_id": {"$eq": id}})
        return None if row is None else bytes(row.raw)

    async def _images_are_kept(self) -> bool:
        try:
            with translated():
                options = await self._rows.options()
        except StoreRejectedError as error:
            if error.code != _UNAUTHORIZED:
                raise
            return False
        kept: bool = options.get("changeStreamPreAndPostImages", {}).get("enabled", False)
        return kept


def _plain(token: Mapping[str, Any]) -> Token:
    # What the caller began with is given back as it came.
    return decode(bytes(token.raw)) if isinstance(token, RawBSONDocument) else dict(token)
