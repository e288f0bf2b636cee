"""
Leaving in time, whatever the driver makes of being cancelled.
"""

import asyncio

from docstore.errors import StoreUnavailableError
from docstore.mongo.leaving import ended, is_told_to_end, said

NO_TIME = 0.01


async def never() -> None:
    await asyncio.Event().wait()


async def deaf() -> None:
    """
    Swallow every cancellation, as a driver may that waits for a server.
    """
    for _ in range(5):
        try:
            await never()
        except asyncio.CancelledError:
            continue


async def begun(*calls: asyncio.Task[None]) -> list[asyncio.Task[None]]:
    await asyncio.sleep(0)
    return list(calls)


async def test_tasks_that_end_when_they_are_cancelled_have_ended() -> None:
    tasks = await begun(asyncio.create_task(never()), asyncio.create_task(never()))

    assert await ended(tasks, seconds=NO_TIME)
    assert all(task.cancelled() for task in tasks)
    assert await ended([])


async def test_a_task_that_swallows_one_cancellation_is_told_again() -> None:
    async def hard_of_hearing() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            await never()

    assert await ended(await begun(asyncio.create_task(hard_of_hearing())), times=2, seconds=NO_TIME)


async def test_a_task_that_does_not_end_is_left_behind() -> None:
    (task,) = await begun(asyncio.create_task(deaf()))

    assert not await ended([task], seconds=NO_TIME)
    assert not task.done()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def test_a_loop_that_repeats_what_fails_sees_that_it_was_told_to_end() -> None:
    async def repeats() -> None:
        while not is_told_to_end():
            try:
                await never()
            except asyncio.CancelledError:
                # What a driver makes of it that is looking for a server.
                continue

    (task,) = await begun(asyncio.create_task(repeats()))

    assert await ended([task], seconds=NO_TIME)
    assert not task.cancelled()


async def test_last_words_that_the_database_does_not_take_are_done_without() -> None:
    heard = []

    async def refused() -> None:
        raise StoreUnavailableError(reason="away")

    async def taken() -> None:
        heard.append("taken")

    for call in (never(), deaf(), refused(), taken()):
        await said(call, seconds=NO_TIME)
    assert heard == ["taken"]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        await ended([task], seconds=NO_TIME)
        await ended([task], seconds=NO_TIME)
        await ended([task], seconds=NO_TIME)
