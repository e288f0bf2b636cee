"""
A tiny read and a tiny write, timed as a user would feel them.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from pymongo import WriteConcern

from docstore.core.throttle import Answer, Limits
from docstore.errors import StoreError
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated

#: Holds one document, and exists only while somebody probes.
PROBE: Final = "docstore_probe"
#: How many times the best value seen means slow, and stop, if that is more than the limit.
_SLOW_TIMES: Final = 4.0
_STOP_TIMES: Final = 40.0
#: How often each is timed; the one in the middle counts, so that a single hiccup is none of the server.
PROBE_READS: Final = 3


class Probe:
    """
    Times reads by `_id` and writes that wait for a majority, a few of each.

    Both are on one document in a collection of its own, whoever probes; so what a killed process leaves behind is one
    document. What is slow depends on the best time seen so far.
    """

    name: Final = "probe"

    def __init__(
        self,
        database: AnyDatabase,
        *,
        read: Limits,
        write: Limits,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._database = database
        self._document = open_collection(database, PROBE, primary=True).with_options(
            write_concern=WriteConcern("majority")
        )
        self._read = read
        self._write = write
        self._clock = clock
        self._best: tuple[float, float] | None = None

    async def ask(self) -> Sequence[Answer]:
        """
        See `Signal`.
        """
        with translated():
            if self._best is None:
                # Makes the collection, which takes longer than anything that is measured here.
                await self._document.update_one({"_id": 1}, {"$inc": {"probed": 1}}, upsert=True)
            times = [await self._timed() for _ in range(PROBE_READS)]
        read, write = (statistics.median(each) * 1000 for each in zip(*times, strict=True))
        best = (read, write) if self._best is None else (min(read, self._best[0]), min(write, self._best[1]))
        self._best = best
        return [
            _judged("probe_read", self._read, read, best[0], "a tiny read took"),
            _judged("probe_write", self._write, write, best[1], "a tiny majority write took"),
        ]

    async def _timed(self) -> tuple[float, float]:
        """
        Return how many seconds one read and one write took.
        """
        began = self._clock()
        await self._document.find_one({"_id": 1})
        read_at = self._clock()
        await self._document.update_one({"_id": 1}, {"$inc": {"probed": 1}}, upsert=True)
        return read_at - began, self._clock() - read_at

    async def close(self) -> None:
        """
        Drop the collection, if it was made; others that still probe make it again.
        """
        if self._best is None:
            return
        try:
            with translated():
                await self._database.drop_collection(PROBE)
        except StoreError:
            # Without the privilege, or without a database, one tiny document stays.
            return


def _judged(name: str, limits: Limits, value: float, best: float, what: str) -> Answer:
    return limits.above(best, slow_times=_SLOW_TIMES, stop_times=_STOP_TIMES).judge(name, value, unit="ms", what=what)
