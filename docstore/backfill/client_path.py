"""The client path: rows are read, upgraded in Python and written back under the guard, all three at a time."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from docstore.backfill.context import RunContext
from docstore.backfill.directing import in_python
from docstore.backfill.pacing import PAGE
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Path
from docstore.backfill.upgrading import Upgraded
from docstore.core.direction import Direction
from docstore.core.failed_row import FailedRow
from docstore.core.id_range import BEGINNING
from docstore.errors import FencedError
from docstore.mongo.batch_writing import Rewrite, Written, refused_rows
from docstore.mongo.leaving import ended
from docstore.mongo.old_rows import OldRows, Page

#: Bursts for which rows are read together while the backfill holds back; a read of its own for each would cost more.
BURSTS_AT_ONCE: Final = 5
#: Batches on their way to the server while the next one is upgraded.
IN_FLIGHT: Final = 3
#: How long rows are upgraded before the event loop gets its turn, in seconds: leases are renewed beside slow steps too.
TURN: Final = 0.003
#: After how long the rows of a page that were upgraded are written without the rest of it, in seconds. The page was
#: measured by earlier rows: where these turn out slow, they would wait for long, and so would whoever stops the worker.
SLOW: Final = 2 * PAGE
#: How often a row that keeps changing is tried before the next pass has to take it.
TRIES: Final = 5
#: How often a row that fails is tried before it is put aside.
ROW_TRIES: Final = 3
#: How long failed rows rest before the next try, in seconds; twice as long after each further one.
ROW_REST: Final = 0.1

_Failed: TypeAlias = list[FailedRow]


class ClientPath:
    """
    Rewrites the rows of one version in Python.

    A page is read while the one before it is upgraded and three before that are written, so that neither side waits for
    the other. What is held in memory is these pages, of at most 16 MB each, however many rows there are (P9).
    """

    def __init__(self, context: RunContext, rows: OldRows) -> None:
        self._context = context
        self._rows = rows
        self._writer = context.writer()
        self._upgrader = in_python(context.direction, context.kind, context.target, self._writer, context.validation)
        #: Rows that were still being changed by others after every try.
        self.contested = 0
        #: Rows that turned out to stand at the target or above.
        self.untouched = 0

    async def rewrite(self, after: Any = BEGINNING, upto: Any = BEGINNING) -> None:
        """Rewrite the rows after one id and up to another; by default all of them."""
        in_flight: deque[asyncio.Task[None]] = deque()
        reading = self._read_ahead(after, upto)
        try:
            while (page := await reading).rows and not self._context.stop.is_set():
                if self._burst() is not None:
                    # One thing at a time is asked of a server that is to have pauses.
                    await _ended(in_flight)
                    await self._rewrite_in_bursts(page.rows)
                    reading = self._read_ahead(page.last, upto)
                    continue
                reading = self._read_ahead(page.last, upto)
                reads, done = 1, 0
                while done < len(page.rows) and not self._context.stop.is_set():
                    upgraded = await self._upgrade(page.rows[done:], seconds=SLOW)
                    await _ended(in_flight, but=IN_FLIGHT - 1)
                    self.untouched += upgraded.untouched
                    in_flight.append(asyncio.create_task(self._write(upgraded)))
                    await self._context.breathe(reads)
                    reads, done = 0, done + upgraded.met
            await _ended(in_flight)
        finally:
            # After a fault or a cancellation only; whatever the server still does, it does under the guard.
            await ended([reading, *in_flight])

    async def _rewrite_in_bursts(self, rows: Sequence[bytes]) -> None:
        """Rewrite a page a few rows at a time, with a pause before each part."""
        reads, done = 1, 0
        while done < len(rows) and not self._context.stop.is_set():
            part = rows[done : done + (self._burst() or len(rows))]
            upgraded = await self._upgrade_in_pause(part, reads)
            self.untouched += upgraded.untouched
            await self._write(upgraded)
            reads, done = 0, done + len(part)
        await self._context.breathe(reads)

    async def _upgrade_in_pause(self, rows: Sequence[bytes], reads: int) -> Upgraded:
        """Upgrade rows while the server has its pause, and let it have the whole of it."""
        upgrading = asyncio.create_task(self._upgrade(rows))
        try:
            await self._context.breathe(reads)
            return await upgrading
        finally:
            await ended([upgrading])

    async def _upgrade(self, rows: Sequence[bytes], *, seconds: float = math.inf) -> Upgraded:
        """
        Upgrade rows for so long, a few at a time, and let the event loop send and receive in between.

        Not in a thread: two threads that pass the interpreter's lock to and fro lose more time than they share work.
        """
        upgraded = Upgraded()
        begun = turn = time.monotonic()
        for raw in rows:
            self._upgrader.upgrade((raw,), upgraded)
            if time.monotonic() - turn > TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
                if turn - begun > seconds:
                    break
        return upgraded

    def _read_ahead(self, after: Any, upto: Any) -> asyncio.Task[Page]:
        page, burst = self._context.page(), self._burst()
        size = page if burst is None else min(page, burst * BURSTS_AT_ONCE)
        return asyncio.create_task(patiently(lambda: self._rows.read(after, upto, size=size)))

    def _burst(self) -> int | None:
        return self._context.burst(Path.CLIENT)

    async def _write(self, upgraded: Upgraded) -> None:
        """Write what was upgraded, and try rows that fail again: what they need, or what is in them, may come late."""
        failed = await self._written(upgraded)
        for tries in range(1, ROW_TRIES):
            if not failed or self._context.stop.is_set():
                break
            await asyncio.sleep(ROW_REST * 2 ** (tries - 1))
            # Those that are gone, or done by others, are not found again.
            failed = await self._written(await self._once_more([row.id for row in failed]))
        await self._context.aside.put(failed, version=self._rows.version)

    async def _written(self, upgraded: Upgraded) -> _Failed:
        """Write what was upgraded, again where others were quicker; return the rows that failed, and why."""
        failed: _Failed = [*upgraded.poison]
        batch: Sequence[Rewrite] = upgraded.rewrites
        for _ in range(TRIES):
            if not batch:
                return failed
            batch = await self._write_once(batch, failed)
        self.contested += len(batch)
        return failed

    async def _write_once(self, batch: Sequence[Rewrite], failed: _Failed) -> Sequence[Rewrite]:
        """Write a batch; return new rewrites for the rows that were changed by others meanwhile."""
        written = await patiently(lambda: self._writer.write(batch))
        self._context.meter.add(client=written.rewritten)
        self._refuse_fenced(written)
        failed += refused_rows(batch, written)
        if written.rewritten + len(written.refused) == len(batch):
            return ()
        # The answer does not say which rows did not match. Those that are gone or done are not found again.
        again = await self._once_more(
            [rewrite.id for place, rewrite in enumerate(batch) if place not in written.refused]
        )
        failed += again.poison
        self._context.meter.add(conflicts=len(again.rewrites))
        return again.rewrites

    def _refuse_fenced(self, written: Written) -> None:
        """
        Have the run fail where a fence shuts its target out: no row is at fault, and all would be put aside.

        Only where `detect` places untagged rows does each have a version of its own.

        Raises:
            FencedError: It does.
        """
        if self._context.direction is Direction.ADOPT and self._context.kind.detect is not None:
            return
        for error in written.refused.values():
            if isinstance(error, FencedError):
                raise error

    async def _once_more(self, ids: Sequence[Any]) -> Upgraded:
        page = await patiently(lambda: self._rows.read_those(ids))
        return await self._upgrade(page.rows)


async def _ended(writing: deque[asyncio.Task[None]], *, but: int = 0) -> None:
    """Wait until no more than so many are left."""
    while len(writing) > but:
        await writing.popleft()
