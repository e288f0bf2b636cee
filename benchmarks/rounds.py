"""
Two ways of doing the same, measured in turn, so that a busy machine slows both of them down.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Side:
    """
    One way of doing the work, and how long each of its rounds took, in seconds.

    `run` returns how many rows it handled. `prepare` comes before each round and is not measured.
    """

    name: str
    run: Callable[[], Awaitable[int]]
    prepare: Callable[[], Awaitable[None]] | None = None
    seconds: list[float] = field(default_factory=list)
    rows: int = 0

    @property
    def best(self) -> float:
        """
        The quickest round.
        """
        return min(self.seconds)

    @property
    def median(self) -> float:
        """
        The round in the middle.
        """
        return statistics.median(self.seconds)


async def alternate(sides: Sequence[Side], *, rounds: int, warmup: int = 1) -> None:
    """
    Run every side once in each round, each time in another order, and keep the times.

    The first *warmup* rounds are not kept. Garbage of one side is collected before the next one begins.
    """
    for number in range(warmup + rounds):
        turn = number % len(sides)
        for side in (*sides[turn:], *sides[:turn]):
            if side.prepare is not None:
                await side.prepare()
            gc.collect()
            begin = time.perf_counter()
            side.rows = await side.run()
            elapsed = time.perf_counter() - begin
            if number >= warmup:
                side.seconds.append(elapsed)
    handled = {side.rows for side in sides}
    assert len(handled) == 1, f"the sides did different work: {handled}"


def median_ratio(side: Side, other: Side) -> float:
    """
    Return how long *side* took in relation to *other*: the middle of the ratios of each round.
    """
    return statistics.median(mine / theirs for mine, theirs in zip(side.seconds, other.seconds, strict=True))


def show(sides: Sequence[Side]) -> None:
    """
    Print the best and the median round of every side, in microseconds for each row.
    """
    for side in sides:
        per_row = 1e6 / max(side.rows, 1)
        best, median = side.best * per_row, side.median * per_row
        print(f"    {side.name:<58} best {best:6.2f}  median {median:6.2f} µs/row")
