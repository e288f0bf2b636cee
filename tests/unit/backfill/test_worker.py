"""
How a worker ends, by a clock that stands still while there is work to do.
"""

import asyncio
import datetime
import selectors
from contextlib import suppress
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore.backfill.ending import Ending
from docstore.backfill.who import Who
from docstore.backfill.worker import Worker
from docstore.mongo.client import CLOSING_TIME


class Skipping(selectors.DefaultSelector):
    """
    Adds up how long the event loop would have waited, and does not wait.
    """

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.waited += timeout
        return ready


class Loop(asyncio.SelectorEventLoop):
    """
    An event loop whose clock shows the time that was waited for.
    """

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.waited


async def stuck(over: asyncio.Event) -> None:
    """
    Wait as the driver does while no server is there: cancelled or not.
    """
    while not over.is_set():
        with suppress(asyncio.CancelledError):
            await over.wait()


async def seconds_to_end(monkeypatch: pytest.MonkeyPatch) -> float:
    """
    Return how long a worker takes to end all of whose calls are stuck.
    """
    stop, over = asyncio.Event(), asyncio.Event()
    client, now = AsyncMongoClient[dict[str, Any]](connect=False), datetime.datetime.now(datetime.UTC)
    worker = Worker(client["nowhere"], {}, who=Who("w", "here", 1), ending=Ending(stop), now=lambda: now)

    async def look(self: Worker) -> None:
        self._at_work = {str(number): asyncio.create_task(stuck(over)) for number in range(3)}
        await stuck(over)

    monkeypatch.setattr(Worker, "_look", look)
    working = asyncio.create_task(worker.work(drain=False))
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10)
    stop.set()
    told = loop.time()
    await working
    took = loop.time() - told
    over.set()
    await client.close()
    return took


def test_a_worker_that_is_to_stop_ends_within_five_seconds_whatever_the_database_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        took = runner.run(seconds_to_end(monkeypatch))

    # The rest is for the process itself to end.
    assert 0 < took <= 4.0 - CLOSING_TIME
