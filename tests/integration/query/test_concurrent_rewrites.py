"""
A query on a changing path, while every row is rewritten up and down and others come and go.
"""

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

from pydantic import ConfigDict

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.store.query import Queries
from docstore.store.rows import RowReader

STABLE = 120


class Parcel(Document):
    model_config = ConfigDict(extra="allow")

    address: dict[str, Any]
    weight: int


parcel = Kind(
    "parcel",
    collection="parcels",
    model=Parcel,
    steps=[
        Step(ops.NestFields({"zip": "postcode", "town": "town"}, into="address"), to=2),
        Step(ops.RenameField("kilos", "weight"), to=3),
    ],
)


def _old(number: int, postcode: str) -> dict[str, Any]:
    return {"_id": number, "zip": postcode, "town": "Wien", "kilos": number}


async def _rewrite_up_and_down(collection: Any, done: Counter[str]) -> None:
    """
    Bring the stable rows from version to version, in random order, for ever.
    """
    rng = random.Random(1)
    for to in itertools.cycle([2, 3, 1]):
        for number in rng.sample(range(STABLE), STABLE):
            row = await collection.find_one({"_id": number})
            moved = parcel.upgrade(row, to=to) if to > 1 else parcel.downgrade(row, to=to)
            await collection.replace_one({"_id": number}, moved)
            done["rewritten"] += 1


async def _come_and_go(collection: Any, done: Counter[str]) -> None:
    """
    Insert rows of every version and delete them again, for ever.
    """
    for number in itertools.count(STABLE):
        await collection.insert_one(parcel.upgrade(_old(number, "1010"), to=number % 3 + 1))
        await collection.delete_one({"_id": number})
        done["came and went"] += 1


async def test_every_stable_row_is_found_exactly_once_while_rows_move_between_versions(server_database: Any) -> None:
    collection = server_database["parcels"]
    await collection.insert_many([_old(number, "1010") for number in range(STABLE)])
    queries = Queries(server_database, parcel, RowReader(parcel))
    asked = {"address.postcode": "1010"}
    done: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(work(collection, done)) for work in (_rewrite_up_and_down, _come_and_go)]
        while done["asked"] < 40 or done["rewritten"] < 2 * STABLE or done["came and went"] < 20:
            sort = [("weight", -1)] if done["asked"] % 2 else None
            found = [document.id for document in await queries.find(asked, sort=sort).to_list()]
            times = Counter(found)
            assert set(times.values()) == {1}
            assert set(range(STABLE)) <= set(times)
            if sort:
                assert found == sorted(found, reverse=True)
            assert STABLE <= await queries.count(asked) <= STABLE + 1
            done["asked"] += 1
        for other in others:
            other.cancel()
