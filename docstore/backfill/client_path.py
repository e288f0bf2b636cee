"""The client path: rows are read, upgraded in Python and written back under the guard, all three at a time."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from docstore.backfill.context import RunContext
from docstore.backfill.directing import in_python
from docstore.backfill.patience import cancelled, patiently
from docstore.backfill.upgrading import Upgraded
from docstore.core.id_range import BEGINNING
from docstore.errors import DocstoreError
from docstore.mongo.batch_writing import Rewrite
from docstore.mongo.old_rows import OldRows, Page

#: Rows read, upgraded and written together. More make a command slower to answer and a conflict likelier.
PAGE_SIZE: Final = 250
#: Batches on their way to the server while the next one is upgraded.
IN_FLIGHT: Final = 3
#: Rows upgraded before the event loop gets its turn; a few milliseconds' work for ordinary steps.
AT_ONCE: Final = 50
#: How often a row that keeps changing is tried before the next pass has to take it.
TRIES: Final = 5


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
                reading = self._read_ahead(page.last, upto)
                upgraded = await self._upgrade(page.rows)
                self.untouched += upgraded.untouched
                while len(in_flight) >= IN_FLIGHT:
                    await in_flight.popleft()
                in_flight.append(asyncio.create_task(self._write(upgraded)))
                await self._context.breathe()
            while in_flight:
                await in_flight.popleft()
        finally:
            # After a fault or a cancellation only; whatever the server still does, it does under the guard.
            await cancelled(reading, *in_flight)

    async def _upgrade(self, rows: Sequence[bytes]) -> Upgraded:
        """
        Upgrade rows, a few at a time, and let the event loop send and receive in between.

        Not in a thread: two threads that pass the interpreter's lock to and fro lose more time than they share work.
        """
        upgraded = Upgraded()
        for first in range(0, len(rows), AT_ONCE):
            self._upgrader.upgrade(rows[first : first + AT_ONCE], upgraded)
            await asyncio.sleep(0)
        return upgraded

    def _read_ahead(self, after: Any, upto: Any) -> asyncio.Task[Page]:
        return asyncio.create_task(patiently(lambda: self._rows.read(after, upto, size=PAGE_SIZE)))

    async def _write(self, upgraded: Upgraded) -> None:
        await self._put_aside([(_id(error), error) for error in upgraded.poison])
        batch: Sequence[Rewrite] = upgraded.rewrites
        for _ in range(TRIES):
            if not batch:
                return
            batch = await self._write_once(batch)
        self.contested += len(batch)

    async def _write_once(self, batch: Sequence[Rewrite]) -> Sequence[Rewrite]:
        """Write a batch; return new rewrites for the rows that were changed by others meanwhile."""
        written = await patiently(lambda: self._writer.write(batch))
        self._context.meter.add(client=written.rewritten)
        await self._put_aside([(batch[place].id, error) for place, error in written.refused.items()])
        if written.rewritten + len(written.refused) == len(batch):
            return ()
        # The answer does not say which rows did not match. Those that are gone or done are not found again.
        ids = [rewrite.id for place, rewrite in enumerate(batch) if place not in written.refused]
        page = await patiently(lambda: self._rows.read_those(ids))
        again = await self._upgrade(page.rows)
        await self._put_aside([(_id(error), error) for error in again.poison])
        self._context.meter.add(conflicts=len(again.rewrites))
        return again.rewrites

    async def _put_aside(self, errors: Sequence[tuple[Any, DocstoreError]]) -> None:
        await self._context.aside.put(errors, version=self._rows.version)


def _id(error: DocstoreError) -> Any:
    return getattr(error, "id", None)
