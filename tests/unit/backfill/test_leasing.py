"""
Letting go of a batch in time.
"""

import asyncio
from typing import Any

import pytest

from docstore.backfill.leasing import Held, LeaseLostError
from docstore.errors import StoreRejectedError

LEASE = 0.3


class Silent:
    """
    Batches of a database that does not answer.
    """

    async def renew(self, _: Any) -> bool:
        await asyncio.Event().wait()
        return True


async def test_a_worker_stops_when_its_lease_has_run_out_although_its_renewal_still_waits_for_an_answer() -> None:
    loop = asyncio.get_running_loop()
    batches: Any = Silent()
    batch: Any = None
    held = Held(batches, batch, lease=LEASE)
    written: list[float] = []
    begun = loop.time()

    async def write() -> None:
        while True:
            written.append(loop.time() - begun)
            await asyncio.sleep(LEASE / 100)

    with pytest.raises(LeaseLostError):
        await held.do(write())

    # The renewal was asked for after a third of the lease, and may not wait for a whole one from then on.
    assert written[-1] < LEASE * 7 / 6


class Interrupted:
    """
    Batches of a database that refuses the first call, because somebody ended it, for example.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.renewed = asyncio.Event()

    async def renew(self, _: Any) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise StoreRejectedError(reason="Interrupted", code=11601)
        self.renewed.set()
        return True


async def test_a_renewal_that_is_refused_once_is_asked_for_again_before_the_lease_runs_out() -> None:
    batches: Any = Interrupted()
    batch: Any = None
    held = Held(batches, batch, lease=LEASE)

    async def until_renewed() -> None:
        await batches.renewed.wait()

    await held.do(until_renewed())

    assert batches.asked == 2
