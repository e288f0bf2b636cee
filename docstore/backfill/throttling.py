"""
Holding the backfill back when the database shows the load: asks the signals now and then, and waits between batches.
"""

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from docstore.backfill import events
from docstore.core.throttle import FIRST_NICE, Answer, Limits, Throttle, Verdict
from docstore.errors import StoreError, StoreRejectedError
from docstore.mongo.leaving import ended
from docstore.mongo.others import Others
from docstore.mongo.signals import Signal

#: Seconds between two rounds of questions.
INTERVAL: Final = 1.0
#: A signal that does not answer for so long, in seconds, is unknown.
ANSWER_TIME: Final = 5.0
#: Being stopped for longer than this, in seconds, is an event of its own; again after as long again.
ALARM_AFTER: Final = 60.0
#: A batch that takes so many seconds means slow. It never means stop: a stopped backfill would not measure it again.
BATCH_SECONDS: Final = Limits(slow=4.0, stop=None)
#: What only those feel who use the server at the same time.
FELT_BY_OTHERS: Final = frozenset({"probe_read", "probe_write", "read_latency"})
#: How often to look whether a wait is over, in seconds.
_LOOK: Final = 0.05
#: "Unauthorized" among the server's codes.
_UNAUTHORIZED: Final = 13


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Why the backfill holds back, and since when.
    """

    #: The signal that speaks against going on, and what it says.
    signal: str
    reason: str
    since: datetime.datetime
    #: Whether no batch may begin at all.
    stopped: bool
    #: The pause after work, as a share of the time that it took.
    nice: float


class Throttling:
    """
    Says when the next batch may begin.

    Time spent here is no stall: whoever watches a run for progress leaves it out (`waited`). May be shared by several
    tasks of one event loop.

    Args:
        signals: Who is asked; with none, only the batches' own time holds it back.
        interval: Seconds between two rounds of questions.
        alarm_after: Seconds of being stopped after which `throttled_for_long` is logged.
        clock: Seconds that never go back.
        now: The time of day, for people.
    """

    def __init__(
        self,
        signals: Sequence[Signal] = (),
        *,
        interval: float = INTERVAL,
        alarm_after: float = ALARM_AFTER,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        #: Seconds that batches have waited, by signal.
        self.waited: dict[str, float] = {}
        #: What was measured last, by signal.
        self.values: dict[str, float] = {}
        #: Told whenever the hold changes.
        self.on_change: Callable[[Hold | None], None] | None = None
        self._signals = tuple(signals)
        self._interval = interval
        self._alarm_after = alarm_after
        self._clock = clock
        self._now = now
        self._throttle = Throttle()
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._since: datetime.datetime | None = None
        self._told: Hold | None = None
        self._alarmed_at: float | None = None
        self._slowest_batch: float | None = None
        self._nice_until = clock()
        self._first_look: asyncio.Task[None] | None = None

    @property
    def hold(self) -> Hold | None:
        """
        Why it holds back at the moment, or None at full speed.
        """
        throttle = self._throttle
        if self._since is None or not throttle.nice:
            return None
        return Hold(
            signal=throttle.signal,
            reason=throttle.reason,
            since=self._since,
            stopped=throttle.stopped,
            nice=throttle.nice,
        )

    @property
    def in_bursts(self) -> bool:
        """
        Whether rows are worked on a few at a time, so that somebody who waits gets a turn soon.
        """
        # The least pause is for a slow server with nobody there to feel it: small batches would only add to its load.
        return self._throttle.nice > FIRST_NICE

    async def before_batch(self, is_over: Callable[[], bool]) -> None:
        """
        Return when the next rows may be worked on, or when *is_over* says that there are none any more.
        """
        while (pause := self._nice_until - self._clock()) > self._interval and not is_over():
            # Looks in between: a pause for a batch that took minutes ends when nothing speaks for it any more.
            await self._wait(self._interval, is_over, self._throttle.signal)
            await self.look()
            if not self._throttle.nice:
                self._nice_until = self._clock()
        await self._wait(pause, is_over, self._throttle.signal)
        await self.look()
        while self._throttle.stopped and not is_over():
            await self._wait(self._interval, is_over, self._throttle.signal)
            await self.look()

    def worked(self, *, seconds: float, operations: int = 0, courtesy: float | None = None) -> None:
        """
        Say what some work took, so that what follows it waits as long as it should.

        Args:
            seconds: How long it took.
            operations: How many reads and inserts it needed, about.
            courtesy: The pause that is enough after this work for others who are just there, as a share of its time.
        """
        pause = self._throttle.pause_after(seconds, courtesy=courtesy)
        self._nice_until = max(self._nice_until, self._clock()) + pause
        for signal in self._signals:
            if isinstance(signal, Others):
                signal.did(operations)

    def after_batch(self, *, seconds: float) -> None:
        """
        Say how long a batch worked, pauses left out.
        """
        self._slowest_batch = max(seconds, self._slowest_batch or 0.0)

    def begin(self) -> None:
        """
        Begin to ask: the first answers take a moment, and are needed soon.
        """
        self._first_look = asyncio.create_task(self.look())

    async def close(self) -> None:
        """
        Remove what the signals keep in the database.
        """
        if self._first_look is not None:
            await ended([self._first_look])
        for signal in self._signals:
            await signal.close()

    async def look(self) -> None:
        """
        Ask the signals, if that was not done just now.
        """
        async with self._asking:
            now = self._clock()
            if self._asked_at is not None and now - self._asked_at < self._interval:
                return
            answers = [answer for some in await asyncio.gather(*map(_asked, self._signals)) for answer in some]
            answers = [*_without_company(answers), *self._judged_batches()]
            self.values = {answer.signal: answer.value for answer in answers if answer.value is not None}
            now = self._asked_at = self._clock()
            before, self._throttle = self._throttle, self._throttle.after(answers, now=now)
            self._tell_unknown(before, answers)
            self._tell_hold(now)

    def _judged_batches(self) -> list[Answer]:
        slowest, self._slowest_batch = self._slowest_batch, None
        if slowest is None:
            return []
        return [BATCH_SECONDS.judge("batch", slowest, unit="s", what="the last batches took up to")]

    def _tell_unknown(self, before: Throttle, answers: Sequence[Answer]) -> None:
        earlier = dict(before.unknown_since)
        for answer in answers:
            if answer.verdict is Verdict.UNKNOWN and answer.signal not in earlier:
                events.signal_unknown(signal=answer.signal, reason=answer.reason)

    def _tell_hold(self, now: float) -> None:
        throttle = self._throttle
        if not throttle.nice:
            self._since = None
        elif self._since is None:
            self._since = self._now()
        hold = self.hold
        if hold is None and self._told is not None:
            events.throttle_released(seconds=(self._now() - self._told.since).total_seconds())
        elif hold is not None and (self._told is None or hold.stopped is not self._told.stopped):
            events.throttled(reason=hold.reason, stopped=hold.stopped, nice=hold.nice)
        if hold != self._told and self.on_change is not None:
            self.on_change(hold)
        self._told = hold
        self._tell_alarm(now)

    def _tell_alarm(self, now: float) -> None:
        stopped_since = self._throttle.stopped_since
        if stopped_since is None:
            self._alarmed_at = None
        elif now - (self._alarmed_at or stopped_since) >= self._alarm_after:
            self._alarmed_at = now
            events.throttled_for_long(reason=self._throttle.reason, seconds=now - stopped_since)

    async def _wait(self, seconds: float, is_over: Callable[[], bool], signal: str) -> None:
        began = self._clock()
        until = began + seconds
        while (now := self._clock()) < until and not is_over():  # noqa: ASYNC110 - no single event ends it
            await asyncio.sleep(min(until - now, _LOOK))
        if seconds > 0:
            self.waited[signal] = self.waited.get(signal, 0.0) + self._clock() - began


def _without_company(answers: Sequence[Answer]) -> Sequence[Answer]:
    """
    Return the answers, milder where it is known that nobody else is there to feel that the server is slow.

    What is slow then is the machine, or the backfill itself: a short pause is enough, and does not grow.
    """
    if not any(answer.signal == Others.name and answer.verdict is Verdict.NORMAL for answer in answers):
        return answers
    return [
        replace(answer, pause=FIRST_NICE)
        if answer.signal in FELT_BY_OTHERS and answer.verdict is Verdict.SLOW_DOWN
        else answer
        for answer in answers
    ]


async def _asked(signal: Signal) -> Sequence[Answer]:
    """
    Return what a signal says; what keeps it from answering makes it unknown, and never fails the backfill.
    """
    try:
        async with asyncio.timeout(ANSWER_TIME):
            return await signal.ask()
    except TimeoutError:
        return [Answer(signal.name, Verdict.UNKNOWN, f"{signal.name} did not answer within {ANSWER_TIME:.0f} s")]
    except StoreRejectedError as error:
        reason = "the user lacks the privilege" if error.code == _UNAUTHORIZED else error.reason
        return [Answer(signal.name, Verdict.UNKNOWN, f"{signal.name} cannot be asked: {reason}")]
    except StoreError as error:
        return [Answer(signal.name, Verdict.UNKNOWN, f"{signal.name} cannot be asked: {error}")]
    except Exception as error:  # noqa: BLE001 - servers that are only similar answer something else
        return [Answer(signal.name, Verdict.UNKNOWN, f"{signal.name} was not understood: {type(error).__name__}")]
