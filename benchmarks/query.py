"""
What queries cost while half of the rows are old, against the same queries when every row has been rewritten.

Real cities on a private mongod, half of them at version 1 and half at latest, with the indexes of both shapes; beside
them the same cities, all at latest. Both are asked through docstore, one query here and one there, so that a busy
machine slows both down; the ratio is the middle one of all such pairs.

- a selective query on a path that steps have changed, translated: at most 3;
- a query on paths that no step changes, passed through: at most 1.05;
- the other ways, for comparison.

    python benchmarks/query.py [--rows 100000] [--queries 1000] [--check]
"""

import argparse
import asyncio
import gc
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel
from pymongo import AsyncMongoClient

from benchmarks.read import cities
from docstore import Kind
from docstore.core.stale_query import Way
from docstore.embedded import EmbeddedServer
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from upgraders.city import City, city

Row = dict[str, Any]
Ask = Callable[[Queries[City]], Awaitable[int]]

#: Paths of both shapes, and those that all versions share.
INDEXES = ("countrycode", "country.code", "names", "slug", "population")


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
    listed, slug = {"names": "Graz"}, {"slug": "graz-at"}
    return [
        Case("find, translated", Way.TRANSLATED, {"filter": small}, found(small), 3.0),
        Case("count, translated", Way.TRANSLATED, {"filter": small}, counted(small), 3.0),
        Case("find, passed through", Way.AS_STORED, {"filter": large}, found(large, projection=Size), 1.05),
        Case("count, passed through", Way.AS_STORED, {"filter": large}, counted(large), 1.05),
        Case("the same, whole documents", Way.AS_STORED, {"filter": large}, found(large)),
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


async def fill(database: Any, rows: list[Row]) -> None:
    """
    Store the cities half old and all new, and build the indexes.
    """
    latest = [city.upgrade(row) for row in rows]
    await database["rewritten"].insert_many(latest)
    await database["mixed"].insert_many([(rows, latest)[place % 2][place] for place in range(len(rows))])
    for name in ("rewritten", "mixed"):
        await database[name].create_index([(city.version_field, 1), ("_id", 1)])
        for path in INDEXES:
            await database[name].create_index(path)


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


async def compared(case: Case, mixed: Queries[City], rewritten: Queries[City], times: int) -> tuple[float, float, int]:
    """
    Return what a query costs here, in seconds, and how many times as much as there; and how many documents it meets.
    """
    here: list[float] = []
    there: list[float] = []
    met: set[int] = set()
    gc.collect()
    for number in range(times):
        for queries, seconds in ((mixed, here), (rewritten, there))[:: -1 if number % 2 else 1]:
            elapsed, matching = await timed(case.ask, queries)
            seconds.append(elapsed)
            met.add(matching)
    assert len(met) == 1, f"the answers differ: {met}"
    ratio = statistics.median(one / other for one, other in zip(here, there, strict=True))
    return statistics.median(here), ratio, met.pop()


async def main(rows: int, times: int) -> bool:
    """
    Print what every query costs in both collections, and tell whether the ratios are within the bounds.
    """
    within = True
    async with EmbeddedServer(cache_gb=0.5) as server, AsyncMongoClient[Row](server.uri) as client:
        database = client["bench"]
        await fill(database, cities(rows))
        mixed, rewritten = asked(database, "mixed"), asked(database, "rewritten")
        print(f"{rows:,} cities; one query while half are at version 1, against all at latest")
        for case in cases():
            explained = await mixed.explain(**case.query)
            assert explained.way is case.way, (case.name, explained)
            seconds, ratio, matching = await compared(case, mixed, rewritten, 3 if case.slow else times)
            limit = "" if case.bound is None else f"  at most {case.bound:.2f}"
            cost = f"{1000 * seconds:9.2f} ms   ratio {ratio:8.2f}"
            print(f"    {case.name:<28} {matching:>5} match {cost}{limit}")
            within &= case.bound is None or ratio <= case.bound
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
