"""
What counting rows by version costs, against `$group` on the same data.

Real cities at latest on a private mongod, multiplied to a million rows, one in a hundred of them tagged with version 1.
Alternating rounds, middle of the ratios, and what the server examines for each call that is sent, as `explain` tells:

- `docstore coverage`, everything that the command does, against `$group` by the tag, which reads every row: at least 3
  times as fast, without examining a row;
- `$group` with the (tag, `_id`) index as a hint, and the pass by type and value that coverage makes where it has to,
  for comparison;
- `docstore coverage --remaining`: examines about as many keys as there are rows below latest.

    python benchmarks/coverage.py [--rows 1000000] [--rounds 5] [--cache-gb 0.25] [--check]
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import structlog
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from benchmarks.read import cities
from benchmarks.rounds import Side, alternate, median_ratio, show
from docstore.commands import coverage, remaining
from docstore.embedded import EmbeddedServer
from docstore.mongo.counting_by_value import type_and_value
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.tag_index import build_tag_index
from upgraders.city import city

Row = dict[str, Any]

#: How much faster than `$group` coverage has to be.
BOUND: Final = 3.0
#: Keys that are looked at beside those that are counted: where values end, the oldest row of each version.
BESIDE: Final = 60
TAG: Final = city.version_field
#: Calls that `explain` takes, and their fields that it does not.
_EXPLAINED: Final = frozenset({"aggregate", "count", "distinct", "find"})
_OF_SESSIONS: Final = frozenset(
    {"lsid", "$db", "$clusterTime", "txnNumber", "startTransaction", "autocommit", "readConcern", "$readPreference"}
)
#: Real cities that are multiplied; further apart than any two of their ids.
REAL, APART = 20_000, 100_000_000


async def fill(database: Any, rows: int) -> int:
    """
    Store so many rows and the indexes on their tag; return how many of them stand below latest.
    """
    real = min(rows, REAL)
    await database["real"].insert_many([city.upgrade(row, to=city.latest) for row in cities(real)])
    copies = -(-rows // real)
    tag = {"$cond": [{"$eq": [{"$mod": ["$n", 100]}, 0]}, 1, city.latest]}
    pipeline: list[Row] = [
        {"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"n": {"$documentNumber": {}}}}},
        {"$set": {"copy": {"$range": [0, copies]}}},
        {"$unwind": "$copy"},
        {"$set": {"_id": {"$add": ["$_id", {"$multiply": ["$copy", APART]}]}, TAG: tag}},
        {"$unset": ["copy", "n"]},
        {"$limit": rows},
        {"$out": city.collection},
    ]
    await (await database["real"].aggregate(pipeline, allowDiskUse=True)).to_list()
    await build_tag_index(database, city.collection, TAG)
    return int(await database[city.collection].count_documents({TAG: 1}))


def sides(database: Any) -> list[Side]:
    """
    Return coverage, and the ways to the same numbers by `$group`.
    """
    rows = database[city.collection]

    async def covered() -> int:
        (result,) = await coverage(database, [city], record=False)
        assert result.report.exact
        return result.report.total

    async def grouped(key: Any, **options: Any) -> int:
        counts = await rows.aggregate([{"$group": {"_id": key, "rows": {"$sum": 1}}}], **options)
        return sum([group["rows"] async for group in counts])

    hint = {"hint": f"docstore_{TAG}", "collation": SIMPLE_COLLATION}
    return [
        Side("docstore coverage", covered),
        Side("$group by the tag", lambda: grouped(f"${TAG}")),
        Side("$group by the tag, through the index", lambda: grouped(f"${TAG}", **hint)),
        Side("$group by type and value, through the index", lambda: grouped(type_and_value(TAG), **hint)),
    ]


class Heard(CommandListener):
    """
    What is asked of the rows, as it is sent.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[str, Row]] = []

    def started(self, event: CommandStartedEvent) -> None:
        """
        Keep what can be explained, without what belongs to the session.
        """
        if event.command_name in _EXPLAINED and event.command[event.command_name] == city.collection:
            command = {name: value for name, value in event.command.items() if name not in _OF_SESSIONS}
            self.commands.append((event.database_name, command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """
        Nothing.
        """

    def failed(self, event: CommandFailedEvent) -> None:
        """
        Nothing.
        """


async def examined(
    client: AsyncMongoClient[Row], heard: Heard, act: Callable[[], Awaitable[object]]
) -> tuple[int, int]:
    """
    Return how many keys and documents the server examines for what is asked of the rows meanwhile, as `explain` tells.
    """
    heard.commands.clear()
    await act()
    keys = documents = 0
    for name, command in list(heard.commands):
        told = await client[name].command({"explain": command, "verbosity": "executionStats"})
        for stats in _executions(told):
            keys, documents = keys + stats["totalKeysExamined"], documents + stats["totalDocsExamined"]
    return keys, documents


def _executions(told: Any) -> Iterator[Row]:
    if isinstance(told, dict):
        if "totalKeysExamined" in told:
            yield told
            return
        for value in told.values():
            yield from _executions(value)
    elif isinstance(told, list):
        for value in told:
            yield from _executions(value)


async def measure(number: int, rounds: int, cache_gb: float) -> list[str]:
    """
    Print the figures, and return those that miss their bounds.
    """
    missed = []
    heard = Heard()
    async with (
        EmbeddedServer(cache_gb=cache_gb) as server,
        AsyncMongoClient[Row](server.uri, event_listeners=[heard]) as client,
    ):
        database = client["benchmark"]
        below = await fill(database, number)
        print(f"{number:,} rows, {below:,} of them below latest")
        every = sides(database)
        await alternate(every, rounds=rounds)
        show(every)
        for side in every:
            keys, documents = await examined(client, heard, side.run)
            print(f"    {side.name:<58} {keys:>11,} keys, {documents:>11,} documents examined")
            if side is every[0] and documents:
                missed.append(f"coverage examined {documents} documents")
        for side in every[1:]:
            print(f"    coverage is {median_ratio(side, every[0]):.2f} times as fast as {side.name}")
        if median_ratio(every[1], every[0]) < BOUND:
            missed.append(f"coverage is less than {BOUND} times as fast as $group")

        async def left() -> int:
            (result,) = await remaining(database, [city], record=False)
            return result.report.remaining

        only = Side("docstore coverage --remaining", left)
        await alternate([only], rounds=rounds)
        keys, documents = await examined(client, heard, left)
        share = 100 * keys / number
        print(f"    {only.name:<58} {keys:>11,} keys, {documents:>11,} documents examined: {share:.2f} % of the rows")
        print(f"    {only.name:<58} {1000 * only.median:.1f} ms")
        if keys > below + BESIDE or documents:
            missed.append(f"--remaining examined {keys} keys and {documents} documents for {below} rows")
    return missed


def main() -> int:
    """
    Measure, and with --check fail where a bound is missed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache-gb", type=float, default=0.25, help="what the private mongod keeps in memory")
    parser.add_argument("--check", action="store_true", help="leave with 1 where a bound is missed")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    missed = asyncio.run(measure(asked.rows, asked.rounds, asked.cache_gb))
    for each in missed:
        print(f"missed: {each}")
    return 1 if asked.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
