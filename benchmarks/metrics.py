"""
What it costs to be counted: the same calls of a store with metrics, and of one without.

Ratios, on real cities, in alternating rounds:

- rows that are in memory, decoded and validated, in processor time: at most 1.10;

and on a private mongod:

- `find().to_list()`: at most 1.10;
- `get`, one after another: at most 1.05;
- `modify`, one after another: at most 1.05.

And that a store without metrics has none of it on its way: its reader, writer and methods are the plain ones.

    python benchmarks/metrics.py [--rows 20000] [--calls 500] [--rounds 9] [--check]
"""

import argparse
import asyncio
import statistics
import sys
import time
from typing import Any

import bson
from prometheus_client import CollectorRegistry
from pymongo import AsyncMongoClient

from benchmarks.read import cities
from benchmarks.rounds import Side, alternate, median_ratio, show
from docstore import Store, StoreMetrics
from docstore.embedded import EmbeddedServer
from docstore.store.observed_reading import ObservedRowReader
from docstore.store.rows import RowReader
from upgraders.city import City, city


def sides_of(store: Store, name: str, ids: list[int]) -> dict[str, Side]:
    """
    Return the three kinds of work, done through one store.
    """
    places = store.collection(city)

    async def find() -> int:
        return len(await places.find().to_list())

    async def get() -> int:
        for row_id in ids:
            await places.get(row_id)
        return len(ids)

    async def modify() -> int:
        for row_id in ids:
            await places.modify(row_id, _one_more)
        return len(ids)

    return {work.__name__: Side(f"{work.__name__} {name}", work) for work in (find, get, modify)}


def ratio_in_memory(rows: list[dict[str, Any]], *, rounds: int) -> float:
    """
    Return what reading rows takes with an observer, in relation to reading them without one; in processor time.

    Short rounds, so that what slows the machine down falls on both.
    """
    batch = b"".join(bson.encode(city.upgrade(row)) for row in rows)
    watched = ObservedRowReader(city, StoreMetrics(CollectorRegistry()).of("bench", city))
    seconds: dict[RowReader[City], float] = {}
    ratios = []
    readers = [watched, RowReader(city)]
    for _ in range(rounds):
        # Who comes second finds the caches filled.
        readers.reverse()
        for reader in readers:
            begin = time.process_time()
            assert len(list(reader.rows(batch))) == len(rows)
            seconds[reader] = time.process_time() - begin
        plain = next(reader for reader in readers if reader is not watched)
        ratios.append(seconds[watched] / seconds[plain])
    return statistics.median(ratios)


def _one_more(found: City) -> City:
    return found.model_copy(update={"population": found.population + 1})


async def main(rows: int, calls: int, rounds: int) -> bool:
    """
    Print the ratios, and tell whether they are within the bounds.
    """
    ratio = ratio_in_memory(cities(300), rounds=40 * rounds)
    print(f"rows in memory: {ratio:.3f} (at most 1.10)")
    within = ratio <= 1.10
    async with EmbeddedServer(cache_gb=0.5) as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
        database = client["bench"]
        stored = [city.upgrade(row) for row in cities(rows)]
        await database[city.collection].insert_many(stored)
        ids = [row["_id"] for row in stored[:calls]]
        plain = Store(database, [city], service="bench", fleet=False)
        counted = Store(database, [city], service="bench", fleet=False, metrics=StoreMetrics(CollectorRegistry()))
        assert not {"find", "get", "modify"} & vars(plain.collection(city)).keys()
        without, with_them = sides_of(plain, "without metrics", ids), sides_of(counted, "with metrics", ids)
        for work, bound in (("find", 1.10), ("get", 1.05), ("modify", 1.05)):
            sides = [with_them[work], without[work]]
            await alternate(sides, rounds=rounds)
            ratio = median_ratio(*sides)
            print(f"{work}: {ratio:.3f} (at most {bound:.2f}), {sides[0].rows} rows")
            show(sides)
            within &= ratio <= bound
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a ratio is above its bound")
    arguments = parser.parse_args()
    is_within = asyncio.run(main(arguments.rows, arguments.calls, arguments.rounds))
    sys.exit(1 if arguments.check and not is_within else 0)
