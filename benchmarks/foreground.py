"""
Somebody else's work on the rows: one read and one update after the other, at a steady rate, in a process of its own.
"""

import multiprocessing
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pymongo import MongoClient

#: Connections at work; a pair that is late on one does not keep those of the others waiting.
THREADS = 16
#: Incremented; no step of the cities touches it.
FIELD = "population"


@dataclass(frozen=True, slots=True)
class Sample:
    """
    One read or update: when it was due (seconds since 1970), and how long its answer took from then, in seconds.
    """

    name: str
    due: float
    seconds: float


class Foreground:
    """
    The other end of the process.
    """

    def __init__(self, told: Connection) -> None:
        self._told = told

    def samples(self) -> list[Sample]:
        """
        Return what was measured since the last time this was asked.
        """
        self._told.send("samples")
        return [Sample(*values) for values in self._told.recv()]


@contextmanager
def foreground(uri: str, database: str, collection: str, ids: Sequence[int], *, rate: float) -> Iterator[Foreground]:
    """
    Work on random rows until the block ends.

    Args:
        uri: The server.
        database: Its database.
        collection: The collection.
        ids: The rows.
        rate: Pairs of one `find_one` and one `update_one` (`$inc`) per second.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, uri, (database, collection), list(ids), rate), daemon=True)
    process.start()
    # Held by the process alone from now on, so that its death ends every waiting.
    there.close()
    try:
        assert here.recv() == "ready"
        yield Foreground(here)
    finally:
        process.terminate()
        process.join()


def _work(told: Connection, uri: str, name: tuple[str, str], ids: Sequence[int], rate: float) -> None:
    """
    Work, and tell the samples whenever somebody asks, until the process is ended.
    """
    samples: list[tuple[str, float, float]] = []
    client = MongoClient[dict[str, Any]](uri)
    database, collection = name
    rows = client[database][collection]
    for number in range(THREADS):
        each = (rows, ids, THREADS / rate, number / rate, samples)
        threading.Thread(target=_pairs, args=each, daemon=True).start()
    told.send("ready")
    while told.recv():
        # The threads only append.
        taken = len(samples)
        told.send(samples[:taken])
        del samples[:taken]


def _pairs(
    rows: Any, ids: Sequence[int], interval: float, offset: float, samples: list[tuple[str, float, float]]
) -> None:
    chance = random.Random(offset)
    planned = time.time() + offset
    while True:
        planned += interval
        early = planned - time.time()
        if early > 0:
            time.sleep(early)
        # Waking up late is this process's own affair; being late because the last answer was is not.
        due = time.time() if early > 0 else planned
        row = {"_id": chance.choice(ids)}
        rows.find_one(row)
        read = time.time()
        rows.update_one(row, {"$inc": {FIELD: 1}})
        written = time.time()
        samples.extend([("find_one", due, read - due), ("update_one", read, written - read)])
