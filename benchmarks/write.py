"""
What the fleet costs: writes of a store that is a node, against the same of a store that is none.

Real cities on a private mongod. Both write the same rows, call by call in turn; there are several such pairs of stores,
in each of which another one was opened first. A ratio is the middle of the ratios of all pairs of calls, and stands
beside what it lies between in 95 of 100 such measurements.

- `modify`, `update`, `replace`, `insert_many` at the latest version, by a node: at most 1.05 of the same without fleet;
- reading by a node, which has nothing to do with the fleet: says how still the machine is;
- the same pinned to the version before latest, for comparison: each row is brought down before it is stored;
- update operators while rows are stored below latest: where no step touches the field, where the field has another name
  in the rows (the update is translated), and where no update says the same of the older shape (a transaction).

    python benchmarks/write.py [--rows 200] [--calls 1500] [--stores 3] [--check]
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final, TypeAlias

from pymongo import AsyncMongoClient

from benchmarks.pairs import Call, Pairs, paired
from benchmarks.read import cities
from docstore import Collection, Document, Kind, Step, Store
from docstore import operations as ops
from docstore.embedded import EmbeddedServer
from upgraders.city import City, city

Row = dict[str, Any]
#: One call on rows of a kind; takes the call's number.
Work: TypeAlias = Callable[[Collection[Any], int], Awaitable[object]]

BOUND: Final = 1.05
#: How many documents one call inserts.
BATCH: Final = 40
#: Longer than any machine stands still, in seconds.
DEAD_AFTER: Final = 300.0
#: How long to watch nodes that do nothing, in seconds.
REST: Final = 3.0


class Town(Document):
    """
    A city by the next release, which calls its population otherwise and knows notes.
    """

    id: int
    name: str
    names: list[str]
    inhabitants: int
    timezone: str
    note: str


town = Kind(
    "town",
    collection="towns",
    model=Town,
    steps=[Step(ops.RenameField("population", "inhabitants"), ops.AddField("note", ""), to=2)],
)


@dataclass(frozen=True, slots=True)
class Sort:
    """
    One sort of calls.
    """

    title: str
    work: Work
    #: How many rows a call is about; there are as many calls fewer.
    rows: int = 1
    #: Whether it has to be within the bound.
    bound: bool = True


@dataclass(frozen=True, slots=True)
class Ways:
    """
    The rows of a kind, written in each way.
    """

    alone: Collection[Any]
    node: Collection[Any]
    #: Other rows, which stand one version below latest, as the node stores them.
    pinned: Collection[Any]


def sorts_of_cities(ids: list[int], documents: list[City]) -> list[Sort]:
    """
    Return what is done with cities.
    """
    new = [place.model_copy(update={"id": -place.id}) for place in documents[:BATCH]]

    def grow(place: City) -> City:
        place.population += 1
        return place

    async def modify(rows: Collection[City], number: int) -> None:
        await rows.modify(ids[number % len(ids)], grow)

    async def update(rows: Collection[City], number: int) -> None:
        await rows.update({"_id": ids[number % len(ids)]}, {"$inc": {"population": 1}})

    async def replace(rows: Collection[City], number: int) -> None:
        place = await rows.get(ids[number % len(ids)])
        place.population += 1
        await rows.replace(place)

    async def insert_many(rows: Collection[City], _: int) -> None:
        await rows.delete_many({"_id": {"$lt": 0}})
        await rows.insert_many(new)

    async def read(rows: Collection[City], _: int) -> None:
        await rows.find({"_id": {"$gt": 0}}).to_list()

    return [
        Sort("modify", modify),
        Sort("update, $inc of an untouched field", update),
        Sort("get and replace", replace),
        Sort(f"delete_many and insert_many of {BATCH}", insert_many, rows=BATCH // 10),
        Sort("find().to_list()", read, rows=len(ids) // 10, bound=False),
    ]


def sorts_of_towns(ids: list[int]) -> list[Sort]:
    """
    Return what is done with towns: updates that a step is about.
    """

    async def renamed(rows: Collection[Town], number: int) -> None:
        await rows.update({"_id": ids[number % len(ids)]}, {"$inc": {"inhabitants": 1}})

    # What is there already is not written: it would cost less in the way that comes second.
    notes = map(str, count())

    async def added(rows: Collection[Town], number: int) -> None:
        await rows.update({"_id": ids[number % len(ids)]}, {"$set": {"note": next(notes)}})

    return [
        Sort("update, $inc of a renamed field (translated)", renamed),
        Sort("update, $set of an added field (a transaction)", added, rows=5),
    ]


async def opened(
    stack: AsyncExitStack,
    client: AsyncMongoClient[Row],
    kind: Kind[Any],
    latest: list[Row],
    *,
    turn: int,
) -> Ways:
    """
    Fill two databases, and open three stores. What rows stand at is what a node goes on storing.
    """
    above, below = client[f"bench_{kind.name}_{turn}"], client[f"bench_{kind.name}_{turn}_below"]
    await above[kind.collection].insert_many(latest)
    await below[kind.collection].insert_many([kind.lower(row, to=kind.latest - 1) for row in latest])
    stores = {"alone": (above, False), "node": (above, True), "pinned": (below, True)}
    rows = {}
    for name in sorted(stores, reverse=turn % 2 == 1):
        database, fleet = stores[name]
        store = Store(database, [kind], service="benchmark", fleet=fleet, dead_after=DEAD_AFTER)
        await stack.enter_async_context(store)
        rows[name] = store.collection(kind)
        # The first write of a kind builds what it needs.
        await rows[name].update({"_id": latest[0]["_id"]}, {"$set": {"name": latest[0]["name"]}})
    return Ways(**rows)


async def main(rows: int, calls: int, stores: int) -> bool:
    """
    Print the ratios, and tell whether they are within the bound.
    """
    latest = [city.upgrade(row) for row in cities(rows)]
    ids, documents = [row["_id"] for row in latest], [City.model_validate(row) for row in latest]
    kept = ["_id", "name", "names", "timezone"]
    towns = [
        {**{name: row[name] for name in kept}, "inhabitants": row["population"], "note": "", "schema_version": 2}
        for row in latest
    ]
    within = True
    async with (
        EmbeddedServer(cache_gb=0.5) as server,
        AsyncMongoClient[Row](server.uri) as client,
        AsyncExitStack() as stack,
    ):
        await client.admin.command("ping")
        before = await at_rest()
        of_cities = [await opened(stack, client, city, latest, turn=turn) for turn in range(stores)]
        of_towns = [await opened(stack, client, town, towns, turn=turn) for turn in range(stores)]
        each = (await at_rest() - before) / (4 * stores)
        for sort in sorts_of_cities(ids, documents):
            within &= await measured(sort, of_cities, calls)
        for sort in sorts_of_towns(ids):
            within &= await measured(sort, of_towns, calls)
        print(f"a node at rest: {1e3 * each:.1f} ms of CPU in each second")
    return within


async def at_rest() -> float:
    """
    Return how much of a second this process computes while nobody asks for anything.
    """
    begin = time.process_time()
    await asyncio.sleep(REST)
    return (time.process_time() - begin) / REST


async def measured(sort: Sort, stores: Sequence[Ways], calls: int) -> bool:
    """
    Print what one sort of calls costs in each way; tell whether that of a node is within the bound.
    """
    chance = Random(0)

    def call(rows: Sequence[Collection[Any]]) -> Call:
        return lambda number: sort.work(rows[number % len(rows)], number // len(rows))

    async def against_alone(rows: Sequence[Collection[Any]], calls: int) -> Pairs:
        return await paired(call(rows), call([each.alone for each in stores]), calls=calls, chance=chance)

    calls = max(calls // sort.rows, 50)
    node = await against_alone([each.node for each in stores], calls)
    pinned = await against_alone([each.pinned for each in stores], max(calls // 3, 50))
    bound = f"at most {BOUND:.2f}" if sort.bound else "no bound"
    print(f"{sort.title}: {node.ratio}, {bound}; pinned one version below {pinned.ratio}")
    (at_latest, alone), (below, _) = node.medians, pinned.medians
    print(f"    without fleet {1e6 * alone:.0f} µs, node {1e6 * at_latest:.0f} µs, pinned {1e6 * below:.0f} µs a call")
    return not sort.bound or node.ratio.ratio <= BOUND


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--stores", type=int, default=3, help="how many pairs of stores")
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is above its bound")
    given = parser.parse_args()
    kept = asyncio.run(main(given.rows, given.calls, given.stores))
    sys.exit(1 if given.check and not kept else 0)
