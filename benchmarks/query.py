"""
What queries cost while half of the rows are old, against the same queries when every row has been rewritten.

Real cities on a private mongod, half of them at version 1 and half at latest, with the indexes of both shapes; beside
them the same cities, all at latest. Both are asked through docstore. The middle of the ratios of alternating rounds:

- a selective query on a path that steps have changed, translated: at most 3;
- a query on paths that no step changes, passed through: at most 1.05;
- the other ways, for comparison.

    python benchmarks/query.py [--rows 100000] [--rounds 9] [--check]
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel
from pymongo import AsyncMongoClient

from benchmarks.read import cities
from benchmarks.rounds import Side, alternate, median_ratio
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
    One query: how often it is asked in a round, and how much more it may cost while rows are old.
    """

    name: str
    way: Way
    query: Row
    ask: Ask
    times: int
    bound: float | None = None


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
    listed, slug = {"names": "Graz"}, {"slug": "graz"}
    return [
        Case("find, translated", Way.TRANSLATED, {"filter": small}, found(small), 20, 3.0),
        Case("count, translated", Way.TRANSLATED, {"filter": small}, counted(small), 20, 3.0),
        Case("find, passed through", Way.AS_STORED, {"filter": large}, found(large, projection=Size), 50, 1.05),
        Case("count, passed through", Way.AS_STORED, {"filter": large}, counted(large), 50, 1.05),
        Case("the same, whole documents", Way.AS_STORED, {"filter": large}, found(large), 20),
        Case(
            "sorted by a changed path",
            Way.UPGRADED,
            {"filter": small, **by_admin1},
            found(small, **by_admin1),
            10,
        ),
        Case("upgraded on the server", Way.UPGRADED, {"filter": listed}, found(listed), 1),
        Case(
            "upgraded in the client",
            Way.IN_CLIENT,
            {"filter": slug, "allow_client_filter": True},
            found(slug, allow_client_filter=True),
            1,
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


def side(name: str, case: Case, queries: Queries[City]) -> Side:
    """
    Return what asks the query as often as a round needs.
    """

    async def run() -> int:
        return sum([await case.ask(queries) for _ in range(case.times)])

    return Side(name, run)


async def main(rows: int, rounds: int) -> bool:
    """
    Print what every query costs in both collections, and tell whether the ratios are within the bounds.
    """
    within = True
    async with EmbeddedServer(cache_gb=0.5) as server, AsyncMongoClient[Row](server.uri) as client:
        database = client["bench"]
        await fill(database, cities(rows))
        mixed, rewritten = asked(database, "mixed"), asked(database, "rewritten")
        print(f"{rows:,} cities; half at version 1 / all at latest, milliseconds for one query")
        for case in cases():
            explained = await mixed.explain(**case.query)
            assert explained.way is case.way, (case.name, explained)
            sides = [side("half old", case, mixed), side("all at latest", case, rewritten)]
            await alternate(sides, rounds=rounds if case.times > 1 else min(rounds, 3))
            old, new = (1000 * each.median / case.times for each in sides)
            ratio = median_ratio(*sides)
            limit = "" if case.bound is None else f"  at most {case.bound:.2f}"
            matching = sides[0].rows // case.times
            print(f"    {case.name:<28} {matching:>5} match {old:9.2f} / {new:8.2f}   ratio {ratio:8.2f}{limit}")
            within &= case.bound is None or ratio <= case.bound
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="leave with exit code 1 if a ratio is too high")
    arguments = parser.parse_args()
    # The rows that the client reads are announced in every round.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    good = asyncio.run(main(arguments.rows, arguments.rounds))
    sys.exit(0 if good or not arguments.check else 1)
