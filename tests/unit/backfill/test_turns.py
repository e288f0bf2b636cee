"""
Batches side by side, or one alone.
"""

import asyncio
import random

import pytest

from docstore.backfill.turns import Turns


async def is_let_in(task: "asyncio.Task[None]") -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


async def test_batches_are_worked_on_side_by_side() -> None:
    turns = Turns()
    await turns.begin(alone=False)

    assert await is_let_in(asyncio.create_task(turns.begin(alone=False)))


async def test_one_that_is_to_be_alone_waits_for_those_at_hand_and_goes_before_those_that_come_later() -> None:
    turns = Turns()
    await turns.begin(alone=False)
    alone = asyncio.create_task(turns.begin(alone=True))
    assert not await is_let_in(alone)
    later = asyncio.create_task(turns.begin(alone=False))

    turns.end(alone=False)

    assert (await is_let_in(alone), await is_let_in(later)) == (True, False)
    turns.end(alone=True)
    assert await is_let_in(later)


async def test_one_that_gives_up_waiting_holds_nobody_back() -> None:
    turns = Turns()
    await turns.begin(alone=False)
    alone = asyncio.create_task(turns.begin(alone=True))
    later = asyncio.create_task(turns.begin(alone=False))
    assert not await is_let_in(later)

    alone.cancel()

    assert await is_let_in(later)
    with pytest.raises(asyncio.CancelledError):
        await alone


async def test_nobody_is_ever_beside_one_that_is_alone() -> None:
    turns, chance = Turns(), random.Random(1)
    at_work: list[bool] = []
    seen: list[list[bool]] = []

    async def work(*, alone: bool) -> None:
        for _ in range(20):
            await turns.begin(alone=alone)
            at_work.append(alone)
            seen.append(list(at_work))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            at_work.remove(alone)
            turns.end(alone=alone)

    await asyncio.gather(*(work(alone=number < 2) for number in range(6)))

    assert len(seen) == 120
    assert all(len(together) == 1 for together in seen if True in together)
    assert max(map(len, seen)) > 1
