"""
Holding the backfill back, with signals that say what the test wants and a clock that moves as it waits.
"""

import asyncio
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore.backfill.throttling import BATCH_SECONDS, Hold, Throttling
from docstore.core.throttle import FIRST_NICE, MOST_NICE, UNKNOWN_FOR, Answer, Verdict
from docstore.errors import StoreRejectedError, StoreUnavailableError

INTERVAL = 0.001


class Said:
    """
    A signal that says one thing after another, and the last one for ever.
    """

    name = "said"

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self._verdicts = list(verdicts)
        self.asked = 0
        self.closed = False

    async def ask(self) -> Sequence[Answer]:
        self.asked += 1
        verdict = self._verdicts.pop(0) if len(self._verdicts) > 1 else self._verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return [Answer(self.name, verdict, f"it is {verdict.name}")]

    async def close(self) -> None:
        self.closed = True


class Ticking:
    """
    A clock on which every look takes a second.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1.0
        return self.seconds


def never() -> bool:
    return False


def throttling(*verdicts: Verdict | Exception, **options: Any) -> tuple[Throttling, Said]:
    said = Said(*verdicts)
    return Throttling([said], **{"interval": INTERVAL, **options}), said


def named(logs: Iterable[Any], name: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == name]


async def test_before_batch_returns_at_once_while_all_is_well() -> None:
    throttle, said = throttling(Verdict.NORMAL)

    await throttle.before_batch(never)

    assert (said.asked, throttle.hold, throttle.waited) == (1, None, {})


async def test_before_batch_asks_no_more_often_than_the_interval() -> None:
    throttle, said = throttling(Verdict.NORMAL, interval=3600)

    for _ in range(5):
        await throttle.before_batch(never)

    assert said.asked == 1


async def test_before_batch_waits_as_long_as_a_signal_says_stop() -> None:
    throttle, said = throttling(Verdict.STOP, Verdict.STOP, Verdict.STOP, Verdict.NORMAL)

    await throttle.before_batch(never)

    assert said.asked == 4
    assert throttle.waited.keys() == {"said"}


async def test_before_batch_returns_when_the_run_is_to_stop_although_it_is_held() -> None:
    held = asyncio.Event()
    throttle, _ = throttling(Verdict.STOP)
    throttle.on_change = lambda _: held.set()
    stop = asyncio.Event()
    waiting = asyncio.create_task(throttle.before_batch(stop.is_set))

    await held.wait()
    stop.set()
    await waiting

    assert throttle.hold is not None
    assert throttle.hold.stopped


async def test_hold_tells_reason_and_since_when() -> None:
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    throttle, _ = throttling(Verdict.SLOW_DOWN, now=lambda: noon)

    await throttle.before_batch(never)

    assert throttle.hold == Hold(signal="said", reason="it is SLOW_DOWN", since=noon, stopped=False, nice=FIRST_NICE)


async def test_on_change_is_told_of_the_hold_and_of_its_end() -> None:
    holds: list[Hold | None] = []
    throttle, _ = throttling(Verdict.STOP, Verdict.NORMAL, interval=0)
    throttle.on_change = holds.append

    for _ in range(10):
        await throttle.before_batch(never)

    assert holds[0] is not None
    assert holds[0].stopped
    assert holds[-1] is None


async def test_after_some_work_what_follows_waits_its_share() -> None:
    throttle, _ = throttling(Verdict.SLOW_DOWN)
    await throttle.before_batch(never)

    throttle.worked(seconds=0.4)
    await throttle.before_batch(never)

    # Between the two a busy machine may wait for something else.
    assert throttle.waited["said"] >= 0.4 * FIRST_NICE * 0.5


async def test_a_batch_that_took_long_holds_back_but_never_stops() -> None:
    throttle = Throttling(interval=0)

    throttle.after_batch(seconds=BATCH_SECONDS.slow)
    await throttle.before_batch(never)

    assert throttle.hold is not None
    assert not throttle.hold.stopped


async def test_a_signal_that_cannot_be_had_is_logged_once_and_stops_nothing() -> None:
    throttle, said = throttling(StoreRejectedError(reason="Unauthorized", code=13), interval=0)

    with capture_logs() as logs:
        for _ in range(3):
            await throttle.before_batch(never)

    (entry,) = named(logs, "signal_unknown")
    assert entry["reason"] == "said cannot be asked: the user lacks the privilege"
    assert (said.asked, throttle.hold) == (3, None)


async def test_a_signal_that_stays_unknown_is_not_taken_for_healthy() -> None:
    clock = Ticking()
    throttle, _ = throttling(StoreUnavailableError(reason="away"), interval=0, clock=clock)

    while clock.seconds < UNKNOWN_FOR + 10:
        await throttle.before_batch(never)

    assert throttle.hold is not None
    assert "said cannot be asked" in throttle.hold.reason


async def test_a_signal_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Said):
        async def ask(self) -> Sequence[Answer]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("docstore.backfill.throttling.ANSWER_TIME", 0.01)
    throttle = Throttling([Silent(Verdict.NORMAL)], interval=0)

    with capture_logs() as logs:
        await throttle.before_batch(never)

    assert len(named(logs, "signal_unknown")) == 1


async def test_a_signal_that_is_not_understood_is_unknown_and_stops_nothing() -> None:
    throttle, _ = throttling(KeyError("opcounters"), interval=0)

    with capture_logs() as logs:
        await throttle.before_batch(never)

    (entry,) = named(logs, "signal_unknown")
    assert entry["reason"] == "said was not understood: KeyError"


async def test_being_stopped_for_long_is_an_event_of_its_own_again_and_again() -> None:
    stops = [Verdict.STOP] * 20
    throttle, _ = throttling(*stops, Verdict.NORMAL, alarm_after=10.0, interval=0, clock=Ticking())

    with capture_logs() as logs:
        await throttle.before_batch(never)

    alarms = named(logs, "throttled_for_long")
    assert len(alarms) >= 2
    assert alarms[0]["seconds"] >= 10.0
    assert alarms[1]["seconds"] >= alarms[0]["seconds"] + 10.0
    assert len(named(logs, "throttled")) == 2  # stopped, then slow
    assert alarms[0]["log_level"] == "warning"


async def test_values_are_those_of_the_last_round() -> None:
    throttle = Throttling(interval=0)
    throttle.after_batch(seconds=0.25)
    await throttle.before_batch(never)
    measured = throttle.values

    await throttle.before_batch(never)

    assert measured == {"batch": 0.25}
    assert throttle.values == {}


async def test_close_closes_every_signal() -> None:
    throttle, said = throttling(Verdict.NORMAL)

    await throttle.close()

    assert said.closed


class Slow:
    """
    A probe that is slow, and whether anybody else is there.
    """

    name = "slow"

    def __init__(self, others: Verdict) -> None:
        self._others = others

    async def ask(self) -> Sequence[Answer]:
        return [
            Answer("others", self._others, "others", pause=0.5),
            Answer("probe_read", Verdict.SLOW_DOWN, "a tiny read took long"),
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("others", "pause"),
    [
        pytest.param(Verdict.NORMAL, FIRST_NICE, id="nobody-there"),
        pytest.param(Verdict.SLOW_DOWN, MOST_NICE, id="company"),
        pytest.param(Verdict.UNKNOWN, MOST_NICE, id="nobody-knows"),
    ],
)
async def test_a_slow_server_holds_back_little_where_nobody_else_is_there_to_feel_it(
    others: Verdict, pause: float
) -> None:
    throttle = Throttling([Slow(others)], interval=0)

    for _ in range(10):
        await throttle.look()

    assert throttle.hold is not None
    assert throttle.hold.nice == pause
    assert throttle.in_bursts is (pause > FIRST_NICE)


async def test_a_pause_ends_early_when_nothing_speaks_for_it_any_more() -> None:
    throttle, _ = throttling(Verdict.SLOW_DOWN, Verdict.NORMAL)
    await throttle.look()
    # A call of the batch waited for the database to come back.
    throttle.worked(seconds=100_000.0)

    await asyncio.wait_for(throttle.before_batch(never), 5)

    assert throttle.hold is None
    assert throttle.waited["said"] < FIRST_NICE * 100_000.0
