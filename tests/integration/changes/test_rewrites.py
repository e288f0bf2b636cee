"""
Rewrites are told from changes: none is shown, and no change of anybody else is left out.
"""

import asyncio
import random
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Collection, Document, Kind, Step, Store
from docstore import operations as ops
from docstore.commands import adopt, backfill
from docstore.store.changes import Change, Changes
from tests.integration.changes.conftest import told, until
from tests.kinds import Place, place_kind, stored
from tests.pinned import pinned

ROWS = 120


class Counter(Document):
    count: int
    mark: int = 0
    status: str = ""


def counters() -> Kind[Counter]:
    """
    A kind whose rows all take the server path.
    """
    steps = [
        Step(ops.RenameField("n", "count"), to=2),
        Step(ops.AddField("status", "new"), ops.AddField("mark", 0), to=3),
    ]
    return Kind("counter", collection="counters", model=Counter, steps=steps)


async def test_what_a_backfill_rewrites_is_left_out(places: Collection[Place], rows: Any, server_database: Any) -> None:
    await rows.insert_many([stored(number % 3 or None, number) for number in range(30)])
    async with places.watch() as changes, places.watch(include_rewrites=True) as everything:
        await backfill(server_database, place_kind())
        await rows.insert_one(stored(3, "end"))
        assert told(await until(changes, "end")) == [("insert", "end")]
        *rewrites, end = await until(everything, "end")
    assert {change.id for change in rewrites} == set(range(30))
    assert {change.rewrite for change in rewrites} == {True}
    assert not end.rewrite


async def test_tags_that_are_added_are_rewrites(places: Collection[Place], rows: Any, server_database: Any) -> None:
    await rows.insert_one(stored(None, 1))
    async with places.watch() as changes:
        await adopt(server_database, place_kind())
        await rows.insert_one(stored(3, "end"))
        assert told(await until(changes, "end")) == [("insert", "end")]
    assert await rows.find_one({"_id": 1}) == {"_id": 1, "title": "Oslo", "schema_version": 1}


async def test_what_reads_write_back_is_left_out(server_database: Any, rows: Any) -> None:
    kind = place_kind()
    await rows.insert_many([stored(1, 1), stored(2, 2)])
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        places = store.collection(kind)
        async with places.watch() as changes:
            await places.find().to_list()
            await store.close()
            await rows.insert_one(stored(3, "end"))
            assert told(await until(changes, "end")) == [("insert", "end")]


async def test_a_change_that_moves_the_version_too_is_shown(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, number) for number in range(5)])

    def visited(place: Place) -> Place:
        place.visits += 1
        return place

    def renamed(place: Place) -> Place:
        place.name, place.slug = "Bergen", "bergen"
        return place

    async with places.watch() as changes:
        await places.modify(1, visited)
        # The fields are those that the step writes, and the row before is gone from the event.
        await places.modify(2, renamed)
        await rows.update_one({"_id": 3}, {"$set": {"schema_version": 2, "name": "Bergen"}, "$unset": {"title": ""}})
        await rows.replace_one({"_id": 4}, stored(3, 4, "Bergen"))
        await rows.insert_one(stored(3, "end"))
        seen = await until(changes, "end")
    assert told(seen[:-1]) == [("update", 1), ("update", 2), ("update", 3), ("replace", 4)]
    assert [change.rewrite for change in seen] == [False] * 5


async def test_an_update_of_an_old_row_is_shown_without_the_rewrite_before_it(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1, 1))
    async with places.watch() as changes:
        await places.update({"_id": 1}, {"$inc": {"visits": 1}})
        await rows.insert_one(stored(3, "end"))
        seen = await until(changes, "end")
    assert told(seen) == [("update", 1), ("insert", "end")]
    assert seen[0].document == Place(id=1, name="Oslo", visits=1, slug="oslo")


async def test_a_rewrite_that_the_server_tells_as_a_replacement_is_left_out(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(1, 1), stored(1, 2)])
    async with places.watch() as changes:
        await rows.replace_one({"_id": 1}, stored(3, 1))
        await rows.replace_one({"_id": 2}, stored(1, 2))
        await rows.insert_one(stored(3, "end"))
        assert told(await until(changes, "end")) == [("insert", "end")]


async def test_a_change_within_the_transaction_of_a_rewrite_is_shown(
    places: Collection[Place], database: AsyncDatabase[dict[str, Any]]
) -> None:
    rows = database["places"]
    await rows.insert_one(stored(1, 1))
    async with places.watch() as changes:
        async with database.client.start_session() as session, await session.start_transaction():
            await rows.replace_one({"_id": 1}, stored(3, 1), session=session)
            await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}}, session=session)
        await rows.insert_one(stored(3, "end"))
        seen = await until(changes, "end")
    assert ("update", 1) in told(seen)
    assert seen[-2].document == Place(id=1, name="Oslo", visits=1, slug="oslo")


@pytest.mark.parametrize("images", [False, True], ids=["no images", "images kept"])
async def test_an_update_below_latest_is_one_change_and_what_a_row_keeps_is_in_it(
    database: AsyncDatabase[dict[str, Any]],
    images: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await database.create_collection("counters", changeStreamPreAndPostImages={"enabled": images})
    below = pinned(database, counters(), 2)
    async with below.watch() as changes:
        await below.update({"_id": 1}, {"$set": {"count": 1, "status": "sold"}}, upsert=True)
        for count in range(2, 5):
            await below.update({"status": "sold"}, {"$set": {"count": count, "mark": count}})
        await database["counters"].insert_one({"_id": "end", "count": 0, "status": "", "mark": 0, "schema_version": 3})
        seen = await until(changes, "end")
    assert told(seen) == [("insert", 1), *[("update", 1)] * 3, ("insert", "end")]
    assert seen[-2].document == Counter(id=1, count=4, mark=4, status="sold")
    assert (await database["counters"].find_one({"_id": 1}) or {})["schema_version"] == 2


@pytest.mark.parametrize("images", [False, True], ids=["no images", "images kept"])
@pytest.mark.parametrize("path", ["server path", "client path"])
async def test_every_change_of_other_writers_is_seen_and_no_rewrite_while_a_backfill_runs(
    path: str,
    images: bool,  # noqa: FBT001 - a parameter of the test
    server_database: Any,
) -> None:
    kind: Kind[Any] = counters() if path == "server path" else place_kind()
    name = "count" if path == "server path" else "visits"
    first: dict[int, dict[str, Any]] = {
        number: {"_id": number, "schema_version": 1, "n": 0} if path == "server path" else stored(1, number, visits=0)
        for number in range(ROWS)
    }
    rows = server_database[kind.collection]
    await server_database.create_collection(kind.collection, changeStreamPreAndPostImages={"enabled": images})
    await rows.insert_many([*first.values()])
    old_change = ("n", {"$inc": {"n": 1}}) if path == "server path" else ("title", {"$set": {"title": "Bergen"}})
    written: list[int] = []
    done = asyncio.Event()

    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        collection = store.collection(kind)

        def marked(document: Any) -> Any:
            setattr(document, name, getattr(document, name) + 1)
            return document

        async def write(seed: int) -> None:
            rng = random.Random(seed)
            while not done.is_set() or len(written) < 150:
                row_id = rng.randrange(ROWS)
                dice = rng.random()
                if dice < 0.4:
                    # What old code does: it knows nothing of versions.
                    result = await rows.update_one({"_id": row_id}, {"$inc": {"other": 1}})
                    written.extend([row_id] * result.modified_count)
                elif dice < 0.6:
                    # A change of what the step moves, by whoever knows the old shape.
                    name_then, change = old_change
                    result = await rows.update_one({"_id": row_id, name_then: {"$exists": True}}, change)
                    written.extend([row_id] * result.modified_count)
                else:
                    # The change and the way up in one write, where the row is still old.
                    await collection.modify(row_id, marked)
                    written.append(row_id)
                await asyncio.sleep(0)

        shown, everything = collection.watch(), collection.watch(include_rewrites=True)
        await shown.open()
        await everything.open()
        reading = [asyncio.create_task(until(stream, "end")) for stream in (shown, everything)]
        writers = [asyncio.create_task(write(seed)) for seed in range(4)]
        while len(written) < 20:  # noqa: ASYNC110 - it waits for a number of writes
            await asyncio.sleep(0)
        result = await backfill(server_database, kind)
        done.set()
        await asyncio.gather(*writers)
        await rows.insert_one({"_id": "end", "schema_version": 3, "name": "a", "count": 0})
        seen, all_seen = await asyncio.gather(*reading)
        await shown.close()
        await everything.close()

    assert result.remaining == 0
    assert sorted(change.id for change in seen[:-1]) == sorted(written)
    rewrites = [change for change in all_seen if change.rewrite]
    assert told([change for change in all_seen if not change.rewrite]) == told(seen)
    # Each row was brought up once: by the backfill, or together with a change.
    assert 0 < len(rewrites) <= ROWS
    assert len({change.id for change in rewrites}) == len(rewrites)


async def test_rewrites_are_left_out_although_an_index_was_built_in_between(
    places: Collection[Place], rows: Any
) -> None:
    async with places.watch() as changes:
        await rows.insert_many([stored(1, number) for number in range(20)])
        token = (await until(changes, 19))[-1].token
    await rows.replace_one({"_id": 0}, stored(3, 0))
    await rows.create_index("name")
    for number in range(1, 20):
        await rows.replace_one({"_id": number}, stored(3, number))
    await rows.insert_one(stored(3, "end"))

    async with places.watch(resume_after=token) as changes:
        assert told(await until(changes, "end")) == [("insert", "end")]


async def test_a_rewrite_of_which_the_past_is_gone_is_shown(
    places: Collection[Place], rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: Changes[Place] = places.watch()
    await changes.open()
    await rows.insert_one(stored(1, 1))
    [inserted] = await until(changes, 1)
    await changes.close()
    await rows.replace_one({"_id": 1}, stored(3, 1))
    await rows.insert_one(stored(3, "end"))

    async def seen() -> list[Change[Place]]:
        async with places.watch(resume_after=inserted.token) as again:
            return await until(again, "end")

    assert told(await seen()) == [("insert", "end")]

    # A moment that no server knows: ten minutes earlier.
    monkeypatch.setattr(
        "docstore.store.rewrites.just_before",
        lambda time: Timestamp(time.time - 600, 1),
    )
    assert told(await seen()) == [("replace", 1), ("insert", "end")]
