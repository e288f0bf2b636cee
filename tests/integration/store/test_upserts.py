"""
An upsert on other fields than the id, while the row that it is meant for goes up and down.
"""

import asyncio
import random
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from docstore import Collection, Store
from docstore.core.bson_values import decode
from docstore.errors import ConflictError, UpdateRefusedError
from docstore.mongo.failures import translated
from docstore.mongo.server_writing import ServerRowWriter
from tests.kinds import Place, place_kind, stored


class Moving(ServerRowWriter):
    """
    Takes the row down just before the first calls of the store, and up again just after them.
    """

    moves = 3

    async def update(self, *arguments: Any, **options: Any) -> Any:
        if not self.moves:
            return await super().update(*arguments, **options)
        self.moves -= 1
        kind = place_kind()
        rows = self.database["places"]
        await rows.replace_one({"_id": 1}, stored(1))
        result = await super().update(*arguments, **options)
        await rows.replace_one({"_id": 1}, kind.upgrade(stored(1)))
        return result


@pytest.mark.parametrize("upsert", [True, False])
async def test_a_row_that_is_missed_because_it_moves_is_found_in_the_next_round(
    server_database: Any,
    rows: Any,
    upsert: bool,  # noqa: FBT001
) -> None:
    await rows.insert_one(stored(3))
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        places = store.collection(kind)
        places._updates._writer = Moving(server_database, "places")
        result = await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}}, upsert=upsert)
    assert (result.matched, result.upserted_id) == (1, None)
    assert [row async for row in rows.find()] == [stored(3, visits=1)]


async def test_no_second_row_is_inserted_while_rows_go_up_and_down(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    names = [f"n{number}" for number in range(4)]
    await rows.insert_many([stored(1, place, name) for place, name in enumerate(names)])
    kind, writer, stop = place_kind(), ServerRowWriter(server_database, "places"), asyncio.Event()

    async def move(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.is_set():
            raw = await writer.current(rng.randrange(len(names)), session=None)
            assert raw is not None
            row = decode(raw)
            moved = kind.upgrade(row) if row["schema_version"] < 3 else kind.downgrade(row, to=rng.choice([1, 2]))
            await writer.rewrite(raw, moved, session=None)

    async def upsert(seed: int) -> int:
        rng, done = random.Random(seed), 0
        for _ in range(30):
            try:
                result = await places.upsert({"name": rng.choice(names)}, {"$inc": {"visits": 1}})
            except ConflictError:
                continue
            assert result.upserted_id is None
            done += 1
        return done

    movers = [asyncio.create_task(move(seed)) for seed in range(2)]
    done = await asyncio.gather(*(upsert(seed) for seed in range(10, 12)))
    stop.set()
    await asyncio.gather(*movers)
    found = [row async for row in rows.find()]
    assert [row["_id"] for row in sorted(found, key=lambda row: row["_id"])] == [0, 1, 2, 3]
    assert sum(row.get("visits", 0) for row in found) == sum(done) > 0


async def test_an_upsert_is_part_of_the_transaction_that_it_is_given(
    database: Any, rows: Any, places: Collection[Place]
) -> None:
    await rows.insert_one(stored(1))
    kind = place_kind()
    ours = Store(database, kinds=[kind], service="tests", fleet=False).collection(kind)
    async with database.client.start_session() as session:
        await session.start_transaction()
        first = await ours.upsert({"name": "Molde"}, {"$inc": {"visits": 1}}, session=session)
        await session.abort_transaction()
        second = await ours.upsert({"name": "Molde"}, {"$inc": {"visits": 1}}, session=session)
    assert first.upserted_id != second.upserted_id is not None
    assert await places.count({"name": "Molde"}) == 1


async def test_on_a_standalone_an_upsert_by_other_fields_is_refused_and_one_by_id_is_not(
    server_database: Any, rows: Any
) -> None:
    class Standalone(ServerRowWriter):
        async def in_transaction(self, work: Any, *, session: Any) -> Any:
            del work, session
            with translated():
                raise OperationFailure("Transaction numbers are only allowed on a replica set member or mongos", 20)

    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        places = store.collection(kind)
        places._updates._writer = Standalone(server_database, "places")
        with pytest.raises(UpdateRefusedError, match="standalone"):
            await places.upsert({"name": "Oslo"}, {"$inc": {"visits": 1}})
        assert (await places.upsert({"_id": 5, "name": "Oslo"}, {"$inc": {"visits": 1}})).upserted_id == 5
    assert await rows.count_documents({}) == 1
