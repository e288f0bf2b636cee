"""
What queries cost while half of the rows are old, against the same queries when every row has been rewritten.

Real cities on a private mongod, half of them at version 1 and half at latest, with the indexes of both shapes; beside
them the same cities, all at latest. Both are filled in turn, a thousand rows here and a thousand there in the same
order, every row padded to the same size in both and nothing compressed, so that they are equally large and equally
fragmented. Both are asked through docstore, one query here and one there, so that a busy machine slows both down; the
ratio is the middle one of all such pairs, and with it stands where it lies with 95 % confidence.

- a selective query on a path that steps have changed, translated: at most 3;
- a query on paths that no step changes, passed through: at most 1.05. It is the same command in both collections,
  which is looked at too. What else it costs to read whole documents that are old is their upgrade in Python: a line of
  its own, without a bound;
- the other ways, for comparison;
- a collection in which nothing old can be left, because a fence proved it, through a store that is a node, against the
  bare driver and the model: queries on changed paths and updates (`benchmarks/fenced.py`).

    python benchmarks/query.py [--rows 100000] [--queries 1000] [--check]
"""

import argparse
import asyncio
import gc
import itertools
import logging
import math
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bson
import structlog
from bson import Binary
from pydantic import BaseModel
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from benchmarks.fenced import behind_a_fence
from benchmarks.read import cities
from docstore import Kind
from docstore.core.stale_branch import Way
from docstore.embedded import EmbeddedServer
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from upgraders.city import City, city

Row = dict[str, Any]
Ask = Callable[[Queries[City]], Awaitable[int]]

#: Paths of both shapes, and those that all versions share.
INDEXES = ("countrycode", "country.code", "names", "slug", "population")

#: The two collections.
MIXED, REWRITTEN = "mixed", "rewritten"

#: Rows that go into one collection before it is the other's turn.
IN_TURN = 1000

#: What a field of padding needs besides its bytes.
FIELD_OF_BYTES = len(bson.encode({"padding": Binary(b"")})) - len(bson.encode({}))

#: Pairs of queries before the first that counts, and between two collections of garbage.
WARM_UP, PAIRS_AT_ONCE = 50, 100

#: What says nothing about the question.
OF_SESSION = {"lsid", "$clusterTime", "$db"}


class Size(BaseModel):
    """
    Two fields that no step changes.
    """

    name: str
    population: int


@dataclass(frozen=True, slots=True)
class Case:
    """
    One query, the way that it has to take, and how much more it may cost while rows are old.

    A *slow* one is asked a few times only.
    """

    name: str
    way: Way
    query: Row
    ask: Ask
    bound: float | None = None
    slow: bool = False


def found(filter: Row, **options: Any) -> Ask:
    """
    Return what reads all documents that match.
    """

    async def ask(queries: Queries[City]) -> int:
        return len(await queries.find(filter, **options).to_list())

    return ask


def counted(filter: Row) -> Ask:
    """
    Return what counts the documents that match.
    """

    async def ask(queries: Queries[City]) -> int:
        return await queries.count(filter)

    return ask


def cases() -> list[Case]:
    """
    Return the queries that are measured.
    """
    small, large = {"country.code": "AD"}, {"population": {"$gt": 5_000_000}}
    by_admin1: Row = {"sort": [("country.admin1", 1)]}
    largest: Row = {"sort": [("population", -1)], "limit": 5}
    listed, slug = {"names": "Graz"}, {"slug": "graz-at"}
    return [
        Case("find, translated", Way.TRANSLATED, {"filter": small}, found(small), 3.0),
        Case("find, translated and sorted", Way.TRANSLATED, {"filter": small, **largest}, found(small, **largest), 3.0),
        Case("count, translated", Way.TRANSLATED, {"filter": small}, counted(small), 3.0),
        Case("find, passed through", Way.AS_STORED, {"filter": large}, found(large, projection=Size), 1.05),
        Case("count, passed through", Way.AS_STORED, {"filter": large}, counted(large), 1.05),
        Case("find, with upgrades in Python", Way.AS_STORED, {"filter": large}, found(large)),
        Case(
            "sorted by a changed path",
            Way.UPGRADED,
            {"filter": small, **by_admin1},
            found(small, **by_admin1),
        ),
        Case("upgraded on the server", Way.UPGRADED, {"filter": listed}, found(listed), slow=True),
        Case(
            "upgraded in the client",
            Way.IN_CLIENT,
            {"filter": slug, "allow_client_filter": True},
            found(slug, allow_client_filter=True),
            slow=True,
        ),
    ]


class Listener(CommandListener):
    """
    Keeps the commands that a client sends, without what says nothing about the question.
    """

    def __init__(self) -> None:
        self.sent: list[Row] = []

    def started(self, event: CommandStartedEvent) -> None:
        """
        Keep a command without the name of its collection, which is the value of its first field.
        """
        first = next(iter(event.command))
        self.sent.append({key: event.command[key] for key in event.command if key not in {first, *OF_SESSION}})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """
        Do nothing.
        """

    def failed(self, event: CommandFailedEvent) -> None:
        """
        Do nothing.
        """


def padded(row: Row, size: int, rng: random.Random) -> Row:
    """
    Return a row of exactly so many bytes.
    """
    missing = size - len(bson.encode(row)) - FIELD_OF_BYTES
    return {**row, "padding": Binary(rng.randbytes(missing))}


def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """
    Yield what the two collections hold of each city: old or at latest here, at latest there, and equally large.
    """
    rng = random.Random(0)
    for place, old in enumerate(rows):
        latest = city.upgrade(old)
        size = max(len(bson.encode(each)) for each in (old, latest)) + FIELD_OF_BYTES
        yield padded((old, latest)[place % 2], size, rng), padded(latest, size, rng)


async def fill(database: Any, rows: list[Row]) -> None:
    """
    Store the cities half old and all new, build the indexes, and write everything to disk.
    """
    for name in (MIXED, REWRITTEN):
        plain = {"wiredTiger": {"configString": "block_compressor=none"}}
        await database.create_collection(name, storageEngine=plain)
    stored = pairs(rows)
    while part := list(itertools.islice(stored, IN_TURN)):
        for name, held in zip((MIXED, REWRITTEN), zip(*part, strict=True), strict=True):
            await database[name].insert_many(held)
    for path in INDEXES:
        for name in (MIXED, REWRITTEN):
            await database[name].create_index(path)
    for name in (MIXED, REWRITTEN):
        await database[name].create_index([(city.version_field, 1), ("_id", 1)])
    await database.client.admin.command("fsync")


async def size_on_disk(database: Any, collection: str) -> int:
    """
    Return how large a collection's file is, without its indexes, in bytes.
    """
    size: int = (await database.command("collStats", collection))["storageSize"]
    return size


async def commands(uri: str, collection: str, ask: Ask) -> list[Row]:
    """
    Return the commands that a query sends.
    """
    listener = Listener()
    async with AsyncMongoClient[Row](uri, event_listeners=[listener]) as client:
        await ask(asked(client["bench"], collection))
    return listener.sent


def asked(database: Any, collection: str) -> Queries[City]:
    """
    Return the queries of a collection of cities.
    """
    kind = Kind(collection, collection=collection, model=City, steps=city.steps)
    return Queries(database, kind, RowReader(kind))


async def timed(ask: Ask, queries: Queries[City]) -> tuple[float, int]:
    """
    Return how long one query took, in seconds, and how many documents it met.
    """
    begin = time.perf_counter()
    matching = await ask(queries)
    return time.perf_counter() - begin, matching


@dataclass(frozen=True, slots=True)
class Compared:
    """
    What a query costs while half of the rows are old, in seconds, and in relation to the same when none is.

    *ratio* is the median of all pairs; *low* and *high* are its bounds with 95 % confidence.
    """

    seconds: float
    ratio: float
    low: float
    high: float
    matching: int


async def compared(case: Case, mixed: Queries[City], rewritten: Queries[City], times: int) -> Compared:
    """
    Ask both collections in turn, each first in every other pair, without the collector of garbage.
    """
    here: list[float] = []
    ratios: list[float] = []
    met: set[int] = set()
    warm_up = 0 if case.slow else WARM_UP
    for number in range(-warm_up, times):
        if number % PAIRS_AT_ONCE == 0 or number == -warm_up:
            gc.collect()
            gc.disable()
        taken: dict[int, float] = {}
        for place in (0, 1) if number % 2 else (1, 0):
            taken[place], matching = await timed(case.ask, (mixed, rewritten)[place])
            met.add(matching)
        if number >= 0:
            here.append(taken[0])
            ratios.append(taken[0] / taken[1])
    gc.enable()
    assert len(met) == 1, f"the answers differ: {met}"
    ratios.sort()
    # How many of so many pairs lie below their true median is binomial.
    off = math.ceil(0.98 * math.sqrt(times))
    low, high = ratios[max(times // 2 - off, 0)], ratios[min(times // 2 + off, times - 1)]
    return Compared(statistics.median(here), statistics.median(ratios), low, high, met.pop())


async def main(rows: int, times: int) -> bool:
    """
    Print what every query costs in both collections, and tell whether the ratios are within the bounds.
    """
    within = True
    async with EmbeddedServer(cache_gb=0.5) as server, AsyncMongoClient[Row](server.uri) as client:
        database = client["bench"]
        await fill(database, cities(rows))
        sizes = [await size_on_disk(database, name) for name in (MIXED, REWRITTEN)]
        assert max(sizes) < 1.05 * min(sizes), sizes
        mixed, rewritten = asked(database, MIXED), asked(database, REWRITTEN)
        on_disk = " and ".join(f"{size / 1e6:.1f}" for size in sizes)
        print(f"{rows:,} cities ({on_disk} MB); one query while half are at version 1, against all at latest")
        for case in cases():
            explained = await mixed.explain(**case.query)
            assert explained.way is case.way, (case.name, explained)
            if case.way is Way.AS_STORED:
                sent = [await commands(server.uri, name, case.ask) for name in (MIXED, REWRITTEN)]
                assert sent[0] == sent[1], (case.name, sent)
            result = await compared(case, mixed, rewritten, 3 if case.slow else times)
            limit = "" if case.bound is None else f"  at most {case.bound:.2f}"
            cost = f"{1000 * result.seconds:9.2f} ms   ratio {result.ratio:8.3f} ({result.low:.3f}-{result.high:.3f})"
            print(f"    {case.name:<30} {result.matching:>5} match {cost}{limit}", flush=True)
            within &= case.bound is None or result.ratio <= case.bound
        print("behind a fence at latest; against the bare driver and the model")
        for name, pairs_of in await behind_a_fence(database, rows, times):
            ours, plain = pairs_of.medians
            print(f"    {name:<30} {1000 * ours:9.2f} ms   {1000 * plain:6.2f} ms   ratio {pairs_of.ratio}", flush=True)
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--check", action="store_true", help="leave with exit code 1 if a ratio is too high")
    arguments = parser.parse_args()
    # The rows that the client reads are announced in every round.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    good = asyncio.run(main(arguments.rows, arguments.queries))
    sys.exit(0 if good or not arguments.check else 1)
