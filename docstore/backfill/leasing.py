"""
Holding a batch while it is being worked on, and letting go of it when another worker has it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from docstore.core.batch_record import BatchRecord
from docstore.errors import StoreError
from docstore.mongo.batches import Batches
from docstore.mongo.leaving import ended, is_told_to_end

#: How often a lease is renewed before it would run out.
_RENEWALS: Final = 3


class LeaseLostError(Exception):
    """
    Another worker may have the batch by now; a signal within this package.
    """


class Held:
    """
    A batch that was just claimed. Its lease is renewed from now on, until `do` is through or `let_go` was called.

    Args:
        batches: Where the lease is kept.
        batch: The batch.
        lease: How long a lease lasts, in seconds.
    """

    def __init__(self, batches: Batches, batch: BatchRecord, *, lease: float) -> None:
        self.batch = batch
        self._renewing = asyncio.create_task(_renew(batches, batch, lease))

    async def do(self, work: Coroutine[Any, Any, None]) -> None:
        """
        Do the work of the batch; cancel it when the lease is lost.

        What the server still does of cancelled work is harmless, because every rewrite is guarded; the end of it only
        saves effort.

        Raises:
            LeaseLostError: The work was not finished.
        """
        working = asyncio.create_task(work)
        try:
            await asyncio.wait({working, self._renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeaseLostError
            working.result()
        finally:
            self.let_go()
            await ended([working])

    def let_go(self) -> None:
        """
        Renew the lease no more.
        """
        self._renewing.cancel()


async def _renew(batches: Batches, batch: BatchRecord, lease: float) -> None:
    """
    Return when the lease is lost.
    """
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while loop.time() - renewed < lease:
        await asyncio.sleep(lease / _RENEWALS)
        asked = loop.time()
        try:
            async with asyncio.timeout_at(renewed + lease):
                if not await batches.renew(batch):
                    return
        except (StoreError, TimeoutError):
            if is_told_to_end():
                return
            continue
        renewed = asked
