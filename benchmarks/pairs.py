"""
Two ways of doing the same, call by call in turn, so that whatever slows the machine down for a moment slows both.
"""

import gc
import math
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

#: Makes one call; takes its number.
Call: TypeAlias = Callable[[int], Awaitable[object]]

#: How many standard deviations there are to either side of 95 of 100 values.
_TWO_SIDED_95: Final = 1.96
#: The share of the calls that come first and are not counted.
_WARMUP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    A ratio, and between what it lies in 95 of 100 such measurements.
    """

    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(slots=True)
class Pairs:
    """
    How long each call took in one way and in the other, in seconds.
    """

    one: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> Estimate:
        """
        How long the one takes in relation to the other: the middle of the ratios of all pairs.

        Nothing is supposed of how the ratios are spread: the bounds are those of them that stand so far from the middle
        as chance brings the middle of so many.
        """
        ratios = sorted(one / other for one, other in zip(self.one, self.other, strict=True))
        away = math.ceil(_TWO_SIDED_95 * math.sqrt(len(ratios)) / 2)
        middle = len(ratios) // 2
        low, high = ratios[max(middle - away, 0)], ratios[min(middle + away, len(ratios) - 1)]
        return Estimate(statistics.median(ratios), low, high)

    @property
    def medians(self) -> tuple[float, float]:
        """
        How long a call takes in the one way and in the other.
        """
        return statistics.median(self.one), statistics.median(self.other)


async def paired(one: Call, other: Call, *, calls: int, chance: Random) -> Pairs:
    """
    Make so many calls in both ways, each directly after the other; a coin says which comes first.

    What is alive by then is left out of garbage collections: they are as short for both as they can be.
    """
    pairs = Pairs()
    gc.collect()
    gc.freeze()
    try:
        for number in range(-round(calls * _WARMUP), calls):
            sides = [(one, pairs.one), (other, pairs.other)]
            if chance.random() < 0.5:
                sides.reverse()
            for call, seconds in sides:
                begin = time.perf_counter()
                await call(abs(number))
                elapsed = time.perf_counter() - begin
                if number >= 0:
                    seconds.append(elapsed)
    finally:
        gc.unfreeze()
    return pairs
