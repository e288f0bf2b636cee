"""
Deciding whether the backfill may go on: every signal answers, the worst answer counts, and coming back is slow.

A signal that cannot be had is `unknown`. That is not healthy: for a while the pace stays as it is (also where it was a
stop), then the backfill holds back a little, for as long as it lasts. It never stops for it, because a user without the
privilege to ask would wait for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final


class Verdict(IntEnum):
    """
    What a signal says, mildest first.
    """

    #: Nothing speaks against full speed.
    NORMAL = 0
    #: The signal cannot be had at the moment.
    UNKNOWN = 1
    #: The database shows the load: pause longer between batches.
    SLOW_DOWN = 2
    #: Begin no batch until it is better.
    STOP = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What one signal says, and why, in words for people; *value* is what was measured, if anything was.
    """

    signal: str
    verdict: Verdict
    reason: str
    value: float | None = None
    #: The pause that `SLOW_DOWN` asks for, as a share of the time worked; None stands for more with every round.
    pause: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """
    From where on a measured value means slow, and stop.
    """

    slow: float
    #: None: however large the value is, it does not mean stop.
    stop: float | None

    def judge(self, signal: str, value: float, *, unit: str, what: str) -> Answer:
        """
        Return the answer for a measured value.
        """
        for verdict, limit in ((Verdict.STOP, self.stop), (Verdict.SLOW_DOWN, self.slow)):
            if limit is not None and value >= limit:
                return Answer(signal, verdict, f"{what}: {value:.3g} {unit} (limit {limit:.3g})", value)
        return Answer(signal, Verdict.NORMAL, f"{what}: {value:.3g} {unit}", value)

    def above(self, best: float, *, slow_times: float, stop_times: float) -> "Limits":
        """
        Return limits that lie at least so many times above the best value seen.

        What is slow depends on where the servers stand: a majority across an ocean is never quick.
        """
        return Limits(
            slow=max(self.slow, best * slow_times),
            stop=None if self.stop is None else max(self.stop, best * stop_times),
        )


#: A signal that stays unknown for longer than this, in seconds, makes the backfill hold back.
UNKNOWN_FOR: Final = 30.0
#: The pause grows by this factor with every bad round, and shrinks by `RECOVER` with every good one.
BACK_OFF: Final = 2.0
RECOVER: Final = 0.8
#: The pause after work, as a share of the time that it took: the first and the longest.
FIRST_NICE: Final = 0.25
MOST_NICE: Final = 8.0
#: A share below this is full speed.
_LEAST_NICE: Final = FIRST_NICE / 4


@dataclass(frozen=True, slots=True)
class Throttle:
    """
    How much the backfill holds back; a value, replaced after each round of answers.

    Times are seconds of any clock that does not go back.

    Args:
        nice: The pause after work as a share of the time that it took; 0 is full speed.
        asked: Whether that is just the pause that a signal asks or asked for, and nothing was found slow meanwhile.
        signal: The signal that makes it hold back, or "" at full speed.
        reason: Why, or "".
        since: Since when it has held back without a break, or None.
        stopped_since: Since when no batch may begin, or None.
        unknown_since: Since when each signal has been unknown.
    """

    nice: float = 0.0
    asked: bool = False
    signal: str = ""
    reason: str = ""
    since: float | None = None
    stopped_since: float | None = None
    unknown_since: tuple[tuple[str, float], ...] = ()

    @property
    def stopped(self) -> bool:
        """
        Whether no batch may begin.
        """
        return self.stopped_since is not None

    def after(self, answers: Sequence[Answer], *, now: float) -> "Throttle":
        """
        Return the throttle after a round of answers: quick to back off, slow to come back.
        """
        earlier = dict(self.unknown_since)
        unknown = {
            answer.signal: earlier.get(answer.signal, now) for answer in answers if answer.verdict is Verdict.UNKNOWN
        }
        worst = max(answers, key=lambda answer: answer.verdict, default=Answer("", Verdict.NORMAL, ""))
        lasting = next((each for each in answers if now - unknown.get(each.signal, now) >= UNKNOWN_FOR), None)
        nice, signal, reason, least = self.nice, self.signal, self.reason, 0.0
        slow = [each for each in answers if each.verdict >= Verdict.SLOW_DOWN]
        if slow:
            growing = [each for each in slow if each.pause is None]
            least = max((each.pause for each in slow if each.pause is not None), default=0.0)
            nice = max(least, min(MOST_NICE, max(FIRST_NICE, nice * BACK_OFF)) if growing else _recovered(nice))
            worst = max(growing or slow, key=lambda answer: answer.verdict)
            signal, reason = worst.signal, worst.reason
        elif worst.verdict is Verdict.NORMAL:
            nice = _recovered(nice)
        elif lasting is not None:
            nice = max(FIRST_NICE, _recovered(nice))
            signal, reason = lasting.signal, f"{lasting.reason}, for {now - unknown[lasting.signal]:.0f} s"
        # Who was stopped by a signal that falls silent goes on no sooner: an overloaded server answers nothing at all.
        silent = any(now - since < UNKNOWN_FOR for since in unknown.values())
        stopped = worst.verdict is Verdict.STOP or (self.stopped and silent)
        if stopped and worst.verdict is not Verdict.STOP:
            signal, reason = self.signal, self.reason
        holds = nice > 0
        return replace(
            self,
            nice=nice,
            asked=nice > 0 and (nice == least or (self.asked and nice <= self.nice)),
            signal=signal if holds else "",
            reason=reason if holds else "",
            since=(now if self.since is None else self.since) if holds else None,
            stopped_since=(now if self.stopped_since is None else self.stopped_since) if stopped else None,
            unknown_since=tuple(sorted(unknown.items())),
        )

    def pause_after(self, seconds: float, *, courtesy: float | None = None) -> float:
        """
        Return how many seconds to wait after work that took *seconds*.

        Args:
            seconds: How long it took.
            courtesy: The share that is enough after this work where the pause is just one that a signal asks for.
        """
        return seconds * (self.nice if courtesy is None or not self.asked else min(courtesy, self.nice))


def _recovered(nice: float) -> float:
    return nice * RECOVER if nice * RECOVER > _LEAST_NICE else 0.0
