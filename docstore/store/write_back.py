"""Storing rows that were upgraded by a read, in the background."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final

import structlog

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded, upgraded
from docstore.core.write_version import ControlState
from docstore.errors import DocumentError
from docstore.mongo.row_writer import Rewritten, RowWriter
from docstore.store.gate import WriteGate

#: How many rows may wait. What comes on top is dropped: the row stays old, and the next read offers it again.
CAPACITY: Final = 1024
#: Rows, and bytes of stored rows, that go into one command. A command holds a row twice, and 16 MB at most.
BATCH_ROWS: Final = 64
BATCH_BYTES: Final = 3_000_000

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WriteBackStatistics:
    """What became of the rows that reads have offered so far."""

    #: Rows stored at the write version: the latest one, as long as no rollout is under way.
    stored: int
    #: Rows that somebody changed in the meantime; theirs stands.
    conflicts: int
    #: Rows not even tried: the queue was full, or the store was closed.
    dropped: int
    #: Rows whose write failed, because the database refused it (a unique index has such a row) or was not reachable.
    failed: int
    #: Rows in the queue, or being written.
    waiting: int


@dataclass(frozen=True, slots=True)
class _Offer:
    kind: Kind[Any]
    writer: RowWriter
    raw: bytes


class WriteBack:
    """
    A bounded queue of old rows, and one task that rewrites them under the guard, at the write version.

    Offering never waits and never fails. The row is upgraded again when its turn comes, so nothing is shared with
    the document that the reader holds. What is not written stays as it was: losing it is no mistake.

    Args:
        gate: The gate of the store; says what is to be stored, and whether anything may be.
        capacity: How many rows may wait.
    """

    def __init__(self, gate: WriteGate, *, capacity: int = CAPACITY) -> None:
        self._gate = gate
        self._capacity = capacity
        self._offers: asyncio.Queue[_Offer] = asyncio.Queue(capacity)
        self._waiting: set[bytes] = set()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._stored = self._conflicts = self._dropped = self._failed = 0

    def offer(self, kind: Kind[Any], writer: RowWriter, raw: bytes) -> None:
        """Queue a stored row that is below latest; one that waits already is not queued twice."""
        if raw in self._waiting:
            return
        if self._closed or self._offers.full():
            self._dropped += 1
            return
        if self._worker is None:
            # Begun here and not earlier: reads run on the loop that the driver belongs to.
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="docstore write-back")
        self._offers.put_nowait(_Offer(kind, writer, raw))
        self._waiting.add(raw)

    def statistics(self) -> WriteBackStatistics:
        """Return what became of the rows that reads have offered so far."""
        return WriteBackStatistics(
            stored=self._stored,
            conflicts=self._conflicts,
            dropped=self._dropped,
            failed=self._failed,
            waiting=len(self._waiting),
        )

    async def drain(self) -> None:
        """Return when every row that waits now has had its turn."""
        await self._offers.join()

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - a bound on good will, not on the call
        """
        Take no more rows, and give those that wait up to *timeout* seconds; the rest is dropped.

        Doing so twice is no mistake.
        """
        self._closed = True
        if self._worker is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._offers.join(), timeout)
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker
        self._worker = None
        self._dropped += len(self._waiting)
        self._waiting.clear()

    async def _work(self) -> None:
        carried: _Offer | None = None
        while True:
            batch = [carried or await self._offers.get()]
            carried = self._fill(batch)
            try:
                await self._write(batch)
            except Exception as error:  # noqa: BLE001 - nobody waits for this task: it must outlive any one batch
                self._failed += len(batch)
                _log.warning("write_back_failed", kind=batch[0].kind.name, rows=len(batch), error=type(error).__name__)
            for offer in batch:
                self._waiting.discard(offer.raw)
                self._offers.task_done()

    def _fill(self, batch: list[_Offer]) -> _Offer | None:
        """Add what waits for the same collection; return the first that did not fit."""
        size = len(batch[0].raw)
        while len(batch) < BATCH_ROWS:
            try:
                offer = self._offers.get_nowait()
            except asyncio.QueueEmpty:
                return None
            size += len(offer.raw)
            if offer.writer is not batch[0].writer or size > BATCH_BYTES:
                return offer
            batch.append(offer)
        return None

    async def _write(self, batch: list[_Offer]) -> None:
        async with self._gate.writing(batch[0].kind.name) as control:
            await self._write_at(batch, control)

    async def _write_at(self, batch: list[_Offer], control: ControlState) -> None:
        kind, writer = batch[0].kind, batch[0].writer
        pairs = []
        failed = kept = 0
        for offer in batch:
            try:
                after = _at_write_version(offer.raw, kind, control)
            except DocumentError:
                # The model takes more than BSON holds; the other rows are written all the same.
                failed += 1
                continue
            if after is None:
                kept += 1
            else:
                pairs.append((offer.raw, after))
        if len(pairs) == 1:
            # By itself a row may be of any size.
            outcome = Rewritten(int(await writer.rewrite(*pairs[0], session=None) is not None))
        else:
            outcome = await writer.rewrite_many(pairs)
        failed += outcome.refused
        if failed:
            error = None if outcome.refusal is None else type(outcome.refusal).__name__
            _log.warning("write_back_refused", kind=kind.name, rows=failed, error=error)
        self._failed += failed
        self._stored += outcome.rewritten
        self._conflicts += len(batch) - failed - kept - outcome.rewritten


def _at_write_version(raw: bytes, kind: Kind[Any], control: ControlState) -> RawDocument | None:
    """Return a row as it is to be stored, or None where it stands there already, or above."""
    row = decoded(raw, kind)
    standing = kind.version(row)
    # Not above latest: another release has moved on, and what it stores this one cannot make.
    target = min(control.version_for(row["_id"], standing=standing), kind.latest)
    return upgraded(raw, kind, to=target) if target > standing else None
