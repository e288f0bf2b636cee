"""
One backfill under fire: workers that are killed, writers that go on, and a book that has to agree in the end.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import PyMongoError

from docstore import commands
from docstore.backfill.operating import LiveOption
from docstore.backfill.run_status import RunStatus
from docstore.core.run_record import RunOptions
from tests.soak.cities import TAG, Cities
from tests.soak.workers import Database, Workers
from tests.soak.writers import Book, Writers, faults
from upgraders.city import city

WORKERS: Final = 3
#: How long a batch takes, in seconds; short, so that there are many.
BATCH_SECONDS: Final = 0.25
#: By which share of the work done the last kill is due, and no row at an old version is inserted any more.
LAST_KILL: Final = 0.8
_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of the run, of the workers and of the rows.
    """

    status: RunStatus
    kills: tuple[int, ...]
    #: How many batches were claimed again after their worker was killed.
    taken_over: int
    book: Book
    faults: list[str]
    quarantined: int
    complaints: list[str]


class Soak:
    """
    Rows, writers and workers around one run.

    Args:
        database: An empty database.
        workers: Starts the processes.
        cities: The rows.
        rows: How many.
        kills: How often each worker is killed.
        seed: What happens when.
    """

    def __init__(
        self, database: Database, workers: Workers, cities: Cities, *, rows: int, kills: int, seed: int
    ) -> None:
        self._database = database
        self._workers = workers
        self._cities = cities
        self._count = rows
        self._kills = kills
        self._seed = seed
        self._rows = database[city.collection]
        self._writers = Writers(self._rows, cities, count=rows, seed=seed)
        self.share_done = 0.0

    async def run(self, trouble: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Outcome:
        """
        Let the run go on to its end, with *trouble* meanwhile, and look at every row.
        """
        for first in range(0, self._count, _AT_ONCE):
            await self._rows.insert_many(
                [self._cities.old(number) for number in range(first, min(first + _AT_ONCE, self._count))]
            )
        await commands.backfill_start(
            self._database,
            city,
            to=self._cities.target,
            # Until every worker is there; a quick one could be through before.
            options=RunOptions(batch_seconds=BATCH_SECONDS, rate=10),
            by="a soak",
        )
        stop = asyncio.Event()
        watching = asyncio.create_task(self._watch())
        writing = asyncio.create_task(self._writers.write(stop))
        async with asyncio.TaskGroup() as at_work:
            killing = [at_work.create_task(self._be_killed(number)) for number in range(WORKERS)]
            at_work.create_task(self._begin())
            if trouble is not None:
                at_work.create_task(trouble())
        self._writers.insert_old = False
        await self._workers.until_drained()
        stop.set()
        book = await writing
        watching.cancel()
        return await self._outcome(book, tuple(each.result() for each in killing))

    async def _begin(self) -> None:
        await self._workers.until_joined(WORKERS)
        await commands.backfill_set(self._database, city.name, LiveOption.RATE, None, seconds=None, by="a soak")

    async def _be_killed(self, worker: int) -> int:
        rng = random.Random(self._seed * WORKERS + worker)
        slot = LAST_KILL / self._kills
        times = [(number + rng.random()) * slot for number in range(self._kills)]
        return await self._workers.be_killed(times, lambda: self.share_done, seed=rng.randrange(1000))

    async def _watch(self) -> None:
        """
        Tell the writers and those who kill how far the run is.
        """
        pause = max(0.05, self._count / 1_000_000)
        while True:
            try:
                run = await self._database["docstore_runs"].find_one({}, {"cursor": 1})
                done = await self._rows.count_documents({TAG: self._cities.target})
            except PyMongoError:
                # No primary; there is one again in a moment.
                await asyncio.sleep(pause)
                continue
            front = ((run or {}).get("cursor") or {}).get("after")
            self._writers.front = front if isinstance(front, int) else 0
            self.share_done = done / self._count
            self._writers.insert_old = self._writers.insert_old and self.share_done < LAST_KILL
            await asyncio.sleep(pause)

    async def _outcome(self, book: Book, kills: tuple[int, ...]) -> Outcome:
        (status,) = await commands.backfill_status(self._database, city.name)
        again = {"token": {"$gt": 1}}
        return Outcome(
            status=status,
            kills=kills,
            taken_over=await self._database["docstore_batches"].count_documents(again),
            book=book,
            faults=await faults(self._rows.find(), self._cities, book, count=self._count),
            quarantined=await self._database["docstore_quarantine"].count_documents({}),
            complaints=self._workers.complaints(),
        )
