"""
Writers that know nothing of versions, and everything that docstore does, on the same rows at the same time.

The sum of all increments is what every one of them together added: no write was lost (P1). Rows and tags fit each
other at every moment (P2).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from docstore import Collection, Store
from docstore.core.bson_values import decode, encode
from docstore.errors import ConflictError
from docstore.mongo.server_writing import ServerRowWriter
from docstore.store.pauses import TRIES
from tests.kinds import Place, place_kind, stored

ROWS = 6
PLAIN = 60  # increments by each writer that knows nothing of versions
OURS = 25  # increments by each task of the store


def visited(place: Place) -> Place:
    place.visits += 1
    return place


async def plain_increments(rows: Any, rng: random.Random) -> int:
    for _ in range(PLAIN):
        await rows.update_one({"_id": rng.randrange(ROWS)}, {"$inc": {"visits": 1}})
    return PLAIN


async def by_modify(places: Collection[Place], rng: random.Random) -> int:
    added = 0
    for _ in range(OURS):
        try:
            await places.modify(rng.randrange(ROWS), visited)
        except ConflictError:
            continue
        added += 1
    return added


async def by_replace(places: Collection[Place], rng: random.Random) -> int:
    added = 0
    for _ in range(OURS):
        place = await places.get(rng.randrange(ROWS))
        await asyncio.sleep(0)
        try:
            await places.replace(visited(place))
        except ConflictError:
            continue
        added += 1
    return added


async def by_update(places: Collection[Place], rng: random.Random) -> int:
    added = 0
    for _ in range(OURS):
        try:
            result = await places.update({"_id": rng.randrange(ROWS)}, {"$inc": {"visits": 1}})
        except ConflictError:
            continue
        added += result.matched
    return added


async def by_update_of_all(places: Collection[Place], rng: random.Random) -> int:
    added = 0
    for _ in range(3):
        await asyncio.sleep(rng.random() / 100)
        try:
            added += (await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}}, many=True)).matched
        except ConflictError:
            continue
    return added


async def taking_rows_down(database: Any, stop: asyncio.Event) -> None:
    """
    Bring rows back to version 1 all the time, as a rollback would, so that there is always something to bring up.
    """
    kind, writer = place_kind(), ServerRowWriter(database, "places")
    while not stop.is_set():
        for row_id in range(ROWS):
            raw = await writer.current(row_id, session=None)
            assert raw is not None
            await writer.rewrite(raw, kind.downgrade(decode(raw), to=1), session=None)


@pytest.mark.parametrize("ours", [by_modify, by_replace, by_update, by_update_of_all])
async def test_no_increment_is_lost_while_rows_go_up_and_down(
    server_database: Any,
    places: Collection[Place],
    rows: Any,
    ours: Callable[[Collection[Place], random.Random], Awaitable[int]],
) -> None:
    await rows.insert_many([stored(1, number) for number in range(ROWS)])
    stop = asyncio.Event()
    downs = asyncio.create_task(taking_rows_down(server_database, stop))

    added = await asyncio.gather(
        *(plain_increments(rows, random.Random(seed)) for seed in range(3)),
        *(ours(places, random.Random(seed)) for seed in range(10, 12)),
    )
    stop.set()
    await downs

    found = [row async for row in rows.find()]
    assert sum(row["visits"] for row in found) == sum(added)
    assert sum(added[3:]) > 0
    for row in found:
        assert row.keys() - {"visits"} == stored(row["schema_version"], row["_id"]).keys()


async def test_no_increment_is_lost_while_reads_write_rows_back(server_database: Any, rows: Any) -> None:
    await rows.insert_many([stored(1, number) for number in range(ROWS)])
    kind = place_kind()
    stop = asyncio.Event()
    downs = asyncio.create_task(taking_rows_down(server_database, stop))

    async def read(places: Collection[Place]) -> None:
        while not stop.is_set():
            await places.find().to_list()

    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        reader = asyncio.create_task(read(store.collection(kind)))
        added = await asyncio.gather(*(plain_increments(rows, random.Random(seed)) for seed in range(4)))
        stop.set()
        await asyncio.gather(downs, reader)
    statistics = store.write_back_statistics()

    assert statistics is not None
    assert statistics.stored > 0
    found = [row async for row in rows.find()]
    assert sum(row["visits"] for row in found) == sum(added)
    for row in found:
        assert row.keys() - {"visits"} == stored(row["schema_version"], row["_id"]).keys()


async def test_two_upserts_of_one_key_make_one_row(places: Collection[Place], rows: Any) -> None:
    results = await asyncio.gather(
        *(
            places.update({"_id": 1}, {"$inc": {"visits": 1}, "$setOnInsert": {"name": "x"}}, upsert=True)
            for _ in range(8)
        )
    )
    assert [result.upserted_id for result in results].count(1) == 1
    assert await rows.find_one({"_id": 1}) == {"_id": 1, "schema_version": 3, "name": "x", "visits": 8}


async def test_update_of_an_old_row_meets_a_rewriter_and_a_plain_writer_between_its_two_writes(
    server_database: Any, rows: Any
) -> None:
    """
    Whatever comes between the rewrite and the operators, the operators are applied once, to the latest shape.
    """
    await rows.insert_one(stored(1, name="Oslo"))
    kind = place_kind()
    between: list[str] = []

    async def interfere(writer: ServerRowWriter) -> None:
        raw = await writer.current(1, session=None)
        assert raw is not None
        row = decode(raw)
        between.append(f"at {row['schema_version']}")
        if len(between) == 1:
            await rows.replace_one({"_id": 1}, {**kind.downgrade(row, to=1), "visits": 100})

    class Interfering(ServerRowWriter):
        async def rewrite(self, raw: bytes, after: dict[str, Any], *, session: Any) -> bytes | None:
            stored_row = await super().rewrite(raw, after, session=session)
            await interfere(self)
            return stored_row

    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        places = store.collection(kind)
        interfering = Interfering(server_database, "places")
        places._updates._writer = places._updates._rows._writer = interfering
        result = await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}})

    assert (result.matched, between) == (1, ["at 3", "at 3"])
    assert await rows.find_one({"_id": 1}) == stored(3, visits=101)
    assert encode(await rows.find_one({"_id": 1}))


async def test_deletes_that_never_come_to_an_end_say_so(server_database: Any, rows: Any) -> None:
    """
    Rows that go down between the looks, again and again: what is left is not called deleted.
    """
    kind = place_kind()
    await rows.insert_one(stored(1, 0))

    class Late(ServerRowWriter):
        async def delete_matching(self, *args: Any, **options: Any) -> int:
            deleted = await super().delete_matching(*args, **options)
            await rows.insert_one(stored(1, random.randrange(10**9)))
            return deleted

    async def at_once(tries: int) -> None:
        del tries

    async with Store(server_database, kinds=[kind], service="tests", pause=at_once) as store:
        places = store.collection(kind)
        places._deletions._writer = Late(server_database, "places")
        with pytest.raises(ConflictError) as raised:
            await places.delete_many({"name": "Oslo"})
    assert raised.value.tries == TRIES
    assert await rows.count_documents({}) == 1


@pytest.mark.parametrize("first", [1, 3], ids=["an old row", "one at latest"])
async def test_whoever_loses_the_first_row_to_another_writer_takes_the_next_of_all_versions(
    server_database: Any, rows: Any, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    place = place_kind()
    await rows.insert_many([stored(first, 1, visits=0), stored(1, 2, visits=0), stored(3, 3, visits=0)])
    original = ServerRowWriter.find_and_update
    asked: list[Any] = []

    async def find_and_update(self: Any, *given: Any, **options: Any) -> Any:
        if not asked:
            await rows.update_one({"_id": 1}, {"$set": {"taken": True}})
        asked.append(given)
        return await original(self, *given, **options)

    monkeypatch.setattr(ServerRowWriter, "find_and_update", find_and_update)
    async with Store(server_database, kinds=[place], service="tests", fleet=False) as store:
        taken = await store.collection(place).find_one_and_update(
            {"taken": {"$exists": False}}, {"$inc": {"visits": 1}}, sort=[("_id", 1)]
        )
    assert taken is not None
    assert taken.id == 2
    assert {row["_id"]: row.get("visits", 0) async for row in rows.find({"taken": {"$exists": False}})} == {2: 1, 3: 0}
