"""
Pauses in the midst of a batch.
"""

from collections.abc import Sequence

from docstore.backfill.breathing import Breathing
from docstore.backfill.throttling import BATCH_SECONDS, Throttling
from docstore.core.throttle import Answer, Verdict


class Company:
    """
    A signal that asks for pauses twice as long as the work.
    """

    name = "company"

    async def ask(self) -> Sequence[Answer]:
        return [Answer(self.name, Verdict.SLOW_DOWN, "others are there", pause=2.0)]

    async def close(self) -> None:
        pass


class Clock:
    """
    A clock that stands still unless it is moved, or looked at by somebody who waits.
    """

    def __init__(self) -> None:
        self.seconds = 100.0
        self.step = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


def never() -> bool:
    return False


async def test_each_breath_lasts_as_long_as_the_work_before_it_asks_for() -> None:
    clock = Clock()
    throttling = Throttling([Company()], clock=clock, interval=3600)
    await throttling.look()
    breathing = Breathing(throttling, never, clock=clock)

    for _ in range(2):
        clock.seconds += 0.5
        clock.step = 0.0625
        await breathing.breathe(1)
        clock.step = 0.0

    # Two pauses of 1 s, and a few looks at the clock, which take a sixteenth of a second each.
    assert 2.0 <= breathing.paused < 3.0
    assert 1.0 <= breathing.worked < 1.5


async def test_a_shorter_breath_is_enough_after_work_that_rests_itself_while_nothing_is_slow() -> None:
    clock = Clock()
    throttling = Throttling([Company()], clock=clock, interval=3600)
    await throttling.look()
    breathing = Breathing(throttling, never, 0.5, clock=clock)

    clock.seconds += 4.0
    clock.step = 0.0625
    await breathing.breathe(1)

    assert 2.0 <= breathing.paused < 3.0


async def test_at_full_speed_a_breath_is_no_pause() -> None:
    clock = Clock()
    breathing = Breathing(Throttling(clock=clock), never, clock=clock)

    clock.seconds += 0.5
    await breathing.breathe(1)

    assert (breathing.paused, breathing.worked) == (0.0, 0.5)


async def test_a_batch_is_judged_by_its_work_and_not_by_its_pauses() -> None:
    clock = Clock()
    throttling = Throttling([Company()], clock=clock, interval=0)
    await throttling.look()
    breathing = Breathing(throttling, never, clock=clock)
    clock.seconds += BATCH_SECONDS.slow / 2
    clock.step = 0.125
    await breathing.breathe(1)
    clock.step = 0.0

    breathing.end()
    await throttling.look()

    assert breathing.paused >= BATCH_SECONDS.slow
    assert throttling.values["batch"] < BATCH_SECONDS.slow


async def test_a_breath_ends_when_the_work_is_over() -> None:
    clock = Clock()
    throttling = Throttling([Company()], clock=clock)
    await throttling.look()
    breathing = Breathing(throttling, lambda: True, clock=clock)
    clock.seconds += 3600

    await breathing.breathe(1)

    assert breathing.paused == 0.0
