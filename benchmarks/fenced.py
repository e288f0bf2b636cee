"""
What docstore costs when nothing old can be left: every row at latest, the floor recorded, and a fence that proves it.

Real cities, asked and changed through a store that is a node, against the bare driver and the model, call by call in
turn. Queries are on paths that steps have changed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase

from benchmarks.pairs import Pairs, paired
from benchmarks.read import cities
from docstore import Kind, Store
from docstore.commands import retire
from docstore.store.collection import Collection
from upgraders.city import City, city

Row = dict[str, Any]

#: The name of the collection.
FENCED: Final = "fenced"
#: How long a node may take to hear of its fence, in seconds.
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """
    The same work through docstore and without, given the number of the call.
    """

    name: str
    ours: Callable[[int], Awaitable[Any]]
    plain: Callable[[int], Awaitable[Any]]


def works(collection: Collection[City], rows: Any, ids: list[int], slugs: list[str]) -> list[Work]:
    """
    Return what is measured.
    """
    small: Row = {"country.code": "AD"}
    largest: Any = [("population", -1)]

    def id_of(number: int) -> Row:
        return {"_id": ids[number % len(ids)]}

    def slug_of(number: int) -> Row:
        return {"slug": slugs[number % len(slugs)]}

    async def plain_find(number: int) -> list[City]:
        del number
        return [City.model_validate(row) for row in await rows.find(small).to_list()]

    async def plain_largest(number: int) -> list[City]:
        del number
        return [City.model_validate(row) for row in await rows.find(small, sort=largest, limit=5).to_list()]

    async def plain_one(number: int) -> City:
        return City.model_validate(await rows.find_one(slug_of(number)))

    return [
        Work("find, 20 match", lambda _: collection.find(small).to_list(), plain_find),
        Work(
            "find, sorted and limited",
            lambda _: collection.find(small, sort=largest, limit=5).to_list(),
            plain_largest,
        ),
        Work("find_one", lambda number: collection.find_one(slug_of(number)), plain_one),
        Work("count", lambda _: collection.count(small), lambda _: rows.count_documents(small)),
        Work(
            "update, $set by a changed path",
            lambda number: collection.update(slug_of(number), {"$set": {"timezone": f"zone {number % 7}"}}),
            lambda number: rows.update_one(slug_of(number), {"$set": {"timezone": f"zone {number % 7}"}}),
        ),
        Work(
            "update, $inc by the id",
            lambda number: collection.update(id_of(number), {"$inc": {"population": 1}}),
            lambda number: rows.update_one(id_of(number), {"$inc": {"population": 1}}),
        ),
    ]


async def behind_a_fence(database: AsyncDatabase[Row], rows: int, calls: int) -> list[tuple[str, Pairs]]:
    """
    Return how long each work took, through docstore and without.
    """
    kind: Kind[City] = Kind(FENCED, collection=FENCED, model=City, steps=city.steps)
    stored = [kind.upgrade(row) for row in cities(rows)]
    await database[FENCED].insert_many(stored)
    for path in ("country.code", "slug", "population"):
        await database[FENCED].create_index(path)
    await database[FENCED].create_index([(kind.version_field, 1), ("_id", 1)])
    async with Store(database, kinds=[kind], service="benchmark", dead_after=300.0) as store:
        result = await retire(database, kind, kind.latest, by="benchmark", soak=0.0)
        assert not result.blockers, result.blockers
        collection = store.collection(kind)
        async with asyncio.timeout(PATIENCE):
            while "fenced since" not in str((await collection.explain({"slug": "x"})).absence):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        some = Random(0).sample(stored, min(len(stored), 500))
        ids, slugs = [row["_id"] for row in some], [row["slug"] for row in some]
        return [
            (work.name, await paired(work.ours, work.plain, calls=calls, chance=Random(0)))
            for work in works(collection, database[FENCED], ids, slugs)
        ]
