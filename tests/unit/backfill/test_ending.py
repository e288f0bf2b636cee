"""
Ending in time: one deadline for everything that a process still does when it was told to stop.
"""

import asyncio
from typing import Any

import pytest

from docstore.backfill.ending import GRACE, TIME_TO_ASK, TIME_TO_END, Ending
from docstore.commands import as_node as module
from docstore.commands.as_node import as_node
from docstore.errors import BackfillInterruptedError
from tests.kinds import place_kind
from tests.unit.backfill.test_worker import Loop, stuck


class Clock:
    """
    Stands still until it is moved.
    """

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def never() -> object:
    return await asyncio.Event().wait()


async def answered() -> str:
    await asyncio.sleep(0)
    return "answered"


@pytest.fixture
def clock() -> Clock:
    """
    Seconds, as the test says.
    """
    return Clock()


@pytest.fixture
def late(clock: Clock) -> Ending:
    """
    The ending of a process whose time is over.
    """
    ending = Ending(clock=clock)
    ending.stop.set()
    assert ending.left() == pytest.approx(TIME_TO_END)
    clock.now += TIME_TO_END
    return ending


async def test_without_a_hurry_there_is_no_limit(clock: Clock) -> None:
    ending = Ending(clock=clock)

    assert ending.left() is None
    assert await ending.in_time(answered()) == "answered"
    assert await ending.unless_stopped(answered()) == "answered"
    assert await ending.or_interrupted(answered(), kind="place") == "answered"


async def test_everything_is_measured_from_the_moment_at_which_the_process_was_told(clock: Clock) -> None:
    ending = Ending(clock=clock)
    ending.stop.set()
    ending.left()
    clock.now += 1.0

    assert ending.left(GRACE) == pytest.approx(GRACE - 1.0)
    assert ending.left(TIME_TO_ASK) == pytest.approx(TIME_TO_ASK - 1.0)
    assert ending.left() == pytest.approx(TIME_TO_END - 1.0)
    clock.now += TIME_TO_END
    assert ending.left() == 0.0


async def test_what_does_not_answer_in_time_is_ended_whatever_it_is(late: Ending) -> None:
    said = []

    async def parting() -> None:
        said.append("good-bye")

    assert await late.unless_stopped(never()) is None
    assert await late.in_time(never()) is None
    with pytest.raises(BackfillInterruptedError):
        await late.or_interrupted(never(), kind="place")
    await late.leave(never(), parting())
    await asyncio.sleep(0)

    assert said == ["good-bye"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_process_whose_every_call_is_stuck_has_ended_when_its_time_is_over() -> None:
    async def seconds_to_end() -> float:
        ending, over, loop = Ending(), asyncio.Event(), asyncio.get_running_loop()
        working = asyncio.create_task(ending.unless_stopped(stuck(over)))
        await asyncio.sleep(10)
        ending.stop.set()
        told = loop.time()
        await working
        await ending.in_time(stuck(over))
        await ending.leave(stuck(over), stuck(over), stuck(over))
        took = loop.time() - told
        over.set()
        await asyncio.sleep(0.1)
        return took

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert 0 < runner.run(seconds_to_end()) <= TIME_TO_END + 0.1


async def test_what_has_an_answer_is_heard_even_by_a_process_that_is_late(late: Ending) -> None:
    answering = asyncio.create_task(answered())
    await answering

    async def known() -> str:
        return await answering

    assert await late.unless_stopped(known(), grace=TIME_TO_END + GRACE) == "answered"


async def test_a_command_that_is_told_to_stop_while_it_joins_the_fleet_leaves_it(
    late: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    class Member:
        async def open(self) -> None:
            called.append("open")
            await never()

        async def close(self) -> None:
            called.append("close")

    monkeypatch.setattr(module, "member_of", lambda *_, **__: Member())
    database: Any = None

    with pytest.raises(BackfillInterruptedError):
        async with as_node(database, place_kind(latest=2), service="a test", ending=late):
            pytest.fail("it has not joined")

    assert called == ["open", "close"]
