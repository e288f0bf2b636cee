"""
What the fleet costs: writes of a store that is a node, against the same of a store that is none.

Alternating rounds on real cities of a private mongod; a ratio is the middle of the ratios of each round:

- `modify`, `update`, `replace`, `insert_many` at the latest version, by a node: at most 1.05 of the same without fleet;
- reading by a node: at most 1.05 of the same without fleet (it does nothing else, so this is how still the machine is);
- the same pinned to the version before latest, for comparison: each row is brought down before it is stored.

    python benchmarks/write.py [--rows 400] [--rounds 9] [--check]
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from pymongo import AsyncMongoClient

from benchmarks.read import cities
from benchmarks.rounds import Side, alternate, median_ratio, show
from docstore import Collection, Kind, Store
from docstore.embedded import EmbeddedServer
from upgraders.city import City, city

Row = dict[str, Any]
#: Does a part of the work on a collection; returns how many rows it handled.
Work = Callable[[Collection[City]], Awaitable[int]]

BOUND: Final = 1.05
ALONE, NODE, PINNED = "without fleet", "node, at latest", "node, pinned one version below"


def writes(ids: list[int], documents: list[City]) -> dict[str, Work]:
    """
    Return the sorts of writes.
    """

    async def modify(rows: Collection[City]) -> int:
        def grow(place: City) -> City:
            place.population += 1
            return place

        for row_id in ids:
            await rows.modify(row_id, grow)
        return len(ids)

    async def update(rows: Collection[City]) -> int:
        for row_id in ids:
            await rows.update({"_id": row_id}, {"$inc": {"population": 1}})
        return len(ids)

    async def replace(rows: Collection[City]) -> int:
        for row_id in ids:
            place = await rows.get(row_id)
            place.population += 1
            await rows.replace(place)
        return len(ids)

    async def insert_many(rows: Collection[City]) -> int:
        await rows.delete_many({"_id": {"$lt": 0}})
        await rows.insert_many([place.model_copy(update={"id": -place.id}) for place in documents])
        return len(documents)

    return {"modify": modify, "update with $inc": update, "get and replace": replace, "insert_many": insert_many}


async def read(rows: Collection[City]) -> int:
    """
    Read all of them, ten times.
    """
    return sum([len(await rows.find({"_id": {"$gt": 0}}).to_list()) for _ in range(10)])


async def opened(
    stack: AsyncExitStack, client: AsyncMongoClient[Row], stored: dict[str, list[Row]]
) -> dict[str, Collection[City]]:
    """
    Fill a database for each way of writing, and open a store on it. What rows stand at is what a node goes on storing.
    """
    collections = {}
    for name, rows in stored.items():
        database = client["bench_" + "".join(filter(str.isalnum, name))]
        await database[city.collection].insert_many(rows)
        kind = Kind(city.name, collection=city.collection, model=City, steps=city.steps)
        store = await stack.enter_async_context(Store(database, [kind], service="benchmark", fleet=name is not ALONE))
        collections[name] = store.collection(kind)
        # The first write of a kind builds what it needs.
        await collections[name].update({"_id": rows[0]["_id"]}, {"$inc": {"population": 1}})
    return collections


async def main(rows: int, rounds: int) -> bool:
    """
    Print the ratios, and tell whether they are within the bound.
    """
    latest = [city.upgrade(row) for row in cities(rows)]
    before = [city.lower(row, to=city.latest - 1) for row in latest]
    documents = [City.model_validate(row) for row in latest]
    within = True
    async with (
        EmbeddedServer(cache_gb=0.5) as server,
        AsyncMongoClient[Row](server.uri) as client,
        AsyncExitStack() as stack,
    ):
        collections = await opened(stack, client, {ALONE: latest, NODE: latest, PINNED: before})
        ids = [row["_id"] for row in latest]
        for title, work in {**writes(ids, documents), "find().to_list()": read}.items():
            within &= await measured(title, work, collections, rounds)
    return within


async def measured(title: str, work: Work, collections: dict[str, Collection[City]], rounds: int) -> bool:
    """
    Print what one sort of work costs in each way; tell whether that of a node is within the bound.
    """
    alone, node, pinned = sides = [Side(name, partial(work, rows)) for name, rows in collections.items()]
    await alternate(sides, rounds=rounds)
    ratio, best = median_ratio(node, alone), node.best / alone.best
    pinned_ratio = median_ratio(pinned, alone)
    print(f"{title}: {ratio:.3f} (at most {BOUND:.2f}; best rounds {best:.3f}); pinned {pinned_ratio:.2f}")
    show(sides)
    return ratio <= BOUND


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is above its bound")
    given = parser.parse_args()
    kept = asyncio.run(main(given.rows, given.rounds))
    sys.exit(1 if given.check and not kept else 0)
