"""
Holding a batch while it is being worked on, and letting go of it when another worker has it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from docstore.core.run_record import BatchRecord
from docstore.errors import StoreUnavailableError
from docstore.mongo.batches import Batches

#: How often a lease is renewed before it would run out.
_RENEWALS: Final = 3


class LeaseLostError(Exception):
    """
    Another worker may have the batch by now; a signal within this package.
    """


async def while_held(batches: Batches, batch: BatchRecord, work: Coroutine[Any, Any, None], *, lease: float) -> None:
    """
    Do the work of a batch, renewing its lease; cancel the work when the lease is lost.

    What the server still does of cancelled work is harmless, because every rewrite is guarded; the end of it only
    saves effort.

    Args:
        batches: Where the lease is kept.
        batch: The batch, just claimed.
        work: What is to be done.
        lease: How long a lease lasts, in seconds.

    Raises:
        LeaseLostError: The work was not finished.
    """
    working = asyncio.create_task(work)
    renewing = asyncio.create_task(_renew(batches, batch, lease))
    try:
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise LeaseLostError
        working.result()
    finally:
        for task in (working, renewing):
            task.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)


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
            async with asyncio.timeout(lease):
                if not await batches.renew(batch):
                    return
        except (StoreUnavailableError, TimeoutError):
            continue
        renewed = asked
