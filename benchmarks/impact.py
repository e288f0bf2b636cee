"""
What a backfill costs the others: the latency of foreground work beside it.

On real cities of a private mongod, in alternating rounds: foreground work alone, beside a throttled backfill (the
default), and beside one that never holds back; on the server path (version 1 to 4) and on the client path (4 to 6).
The backfill is a `docstore worker` process; the foreground work, one `find_one` and one `update_one` after the other
at a steady rate, has a process of its own too. Bounds for the throttled backfill: the 99th percentile of reads and of
updates at most twice that of the idle rounds, and more than 2,000 rows per second.

Before each round the rows are written out and read in again, as those of a collection that has been there for a while
are: in pages of 32 kB. Rows that were stored a moment ago stand in pages of up to 10 MB in the cache; the server splits
such a page when it is changed, and everybody waits for it, 40 to 50 ms here. `--fresh` measures that.

    python benchmarks/impact.py [--path server] [--rows 60000] [--rounds 3] [--pairs 150] [--fresh] [--check]
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks.backfill import cities, stored
from benchmarks.foreground import Foreground, Sample, foreground
from docstore import commands
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from upgraders.city import city

ROOT = Path(__file__).parents[1]
DATABASE = "bench"
OPERATIONS = ("find_one", "update_one")
PATHS = ("server", "client")
#: The bounds.
WORST, LEAST = 2.0, 2_000
#: What the server keeps in memory: everything; and for a moment before each round next to nothing.
CACHE_GB, TINY_CACHE_MB = 4, 20
HELD = "bytes currently in the cache"
#: How often to look whether that is so, five times a second.
LOOKS = 300
#: How long an idle round takes, and how long the server is left alone before each round, in seconds.
IDLE, SETTLE = 8.0, 2.0


@dataclass(slots=True)
class Condition:
    """
    What the foreground work has beside it, and what was measured.

    `worker` holds the options of the worker; None stands for no backfill at all.
    """

    name: str
    worker: Sequence[str] | None
    samples: list[Sample] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def percentile(self, operation: str, percent: int) -> float:
        """
        Return a percentile of an operation's latency over all rounds, in milliseconds.
        """
        seconds = [sample.seconds for sample in self.samples if sample.name == operation]
        return statistics.quantiles(seconds, n=100)[percent - 1] * 1000


@asynccontextmanager
async def worker(uri: str, options: Sequence[str]) -> AsyncIterator[None]:
    """
    Have a worker process that is up and waits for runs.
    """
    environment = {**os.environ, "DOCSTORE_URI": uri.replace("/?", f"/{DATABASE}?"), "DOCSTORE_UPGRADERS": "upgraders"}
    command = [sys.executable, "-m", "docstore.cli", "worker", *options]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220, S603
    try:
        await asyncio.sleep(SETTLE)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def age(database: Any) -> None:
    """
    Have every page of the rows and their indexes written out, and read in again.

    Raises:
        TimeoutError: The server keeps them in memory.
    """
    admin = database.client.admin
    await admin.command("fsync")
    await cache(admin, f"{TINY_CACHE_MB}MB")
    # The server tells nobody when it has made room.
    for _ in range(LOOKS):
        if (await admin.command("serverStatus"))["wiredTiger"]["cache"][HELD] <= TINY_CACHE_MB * 1_000_000:
            break
        await asyncio.sleep(0.2)
    else:
        raise TimeoutError("the server did not write its rows out")
    await cache(admin, f"{CACHE_GB}GB")
    for index in await database[city.collection].index_information():
        # With a field that no index has, so that the rows are read, too.
        await database[city.collection].find({}, {"name": 1}).hint(index).to_list()


async def cache(admin: Any, size: str) -> None:
    """
    Set how much the server keeps in memory.
    """
    await admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": f"cache_size={size}"})


async def measure(condition: Condition, database: Any, work: Foreground, *, uri: str, to: int) -> None:
    """
    Measure one round of a condition.
    """
    if condition.worker is None:
        await asyncio.sleep(SETTLE)
        begun, ended = time.time(), time.time() + IDLE
        await asyncio.sleep(IDLE)
    else:
        async with worker(uri, condition.worker):
            await commands.backfill_start(database, city, to=to, by="the benchmark")
            status = await commands.backfill_wait(database, city.name)
        assert status.state is RunState.SUCCEEDED, status.reason
        assert status.started is not None
        assert status.ended is not None
        begun, ended = status.started.timestamp(), status.ended.timestamp()
        condition.rates.append(status.done / (ended - begun))
    condition.samples += [sample for sample in work.samples() if begun <= sample.due < ended]


def show(conditions: Sequence[Condition]) -> bool:
    """
    Print what was measured, and tell whether the throttled backfill kept within its bounds.
    """
    idle, throttled, _ = conditions
    for condition in conditions:
        latencies = ""
        for operation in OPERATIONS:
            p50, p99 = (condition.percentile(operation, percent) for percent in (50, 99))
            times = f" ({p99 / idle.percentile(operation, 99):.1f}x)" if condition is not idle else "       "
            latencies += f"  {operation} p50 {p50:5.2f}  p99 {p99:6.2f} ms{times}"
        rows = f"  {statistics.median(condition.rates):7,.0f} rows/s" if condition.rates else ""
        print(f"    {condition.name:<27}{latencies}{rows}")
    worst = max(throttled.percentile(name, 99) / idle.percentile(name, 99) for name in OPERATIONS)
    rate = statistics.median(throttled.rates)
    print(f"    throttled: p99 {worst:.2f}x of idle (at most {WORST:.1f}x), {rate:,.0f} rows/s (above {LEAST:,})")
    return worst <= WORST and rate > LEAST


async def main(number: int, rounds: int, pairs: float, paths: Sequence[str], *, fresh: bool) -> bool:
    """
    Print the latencies, and tell whether they are within the bounds.
    """
    rows = cities(number)
    within = True
    async with EmbeddedServer(cache_gb=CACHE_GB) as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
        database = client[DATABASE]
        ids = [row["_id"] for row in rows]
        with foreground(server.uri, DATABASE, city.collection, ids, rate=pairs) as work:
            for path, version, to in (("server", 1, 4), ("client", 4, 6)):
                if path not in paths:
                    continue
                prepare = await stored(database, rows, version)
                conditions = [
                    Condition("idle", None),
                    Condition("beside a throttled backfill", []),
                    Condition("beside an unthrottled one", ["--no-throttle"]),
                ]
                for turn in range(rounds):
                    first = turn % len(conditions)
                    for condition in (*conditions[first:], *conditions[:first]):
                        await prepare()
                        if not fresh:
                            await age(database)
                        await measure(condition, database, work, uri=server.uri, to=to)
                print(f"{path} path, version {version} to {to}, {number:,} rows, {pairs:.0f} pairs/s:")
                within &= show(conditions)
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=float, default=150.0)
    parser.add_argument("--path", choices=PATHS, help="measure this path only; by default both")
    parser.add_argument("--fresh", action="store_true", help="leave the rows in the pages in which they were stored")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is not kept")
    given = parser.parse_args()
    paths = [given.path] if given.path else ["server", "client"]
    kept = asyncio.run(main(given.rows, given.rounds, given.pairs, paths, fresh=given.fresh))
    sys.exit(1 if given.check and not kept else 0)
