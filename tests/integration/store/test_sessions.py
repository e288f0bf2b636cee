"""
Sessions and transactions, opened with the driver and given to every method.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from docstore import Collection, Store
from docstore.errors import ConflictError, DocumentExistsError, DocumentNotFoundError
from docstore.mongo.driver import settled
from tests.kinds import Place, place_kind, stored


def visited(place: Place) -> Place:
    place.visits += 1
    return place


async def in_transaction(database: Any, body: Callable[[Any], Awaitable[Any]]) -> Any:
    async with await settled(database.client.start_session()) as session:
        return await session.with_transaction(body)


class _Undo(Exception):  # noqa: N818 - no error: it asks the driver to roll back
    pass


async def test_a_transaction_that_is_rolled_back_leaves_nothing(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    before = [stored(1, 1), stored(2, 2), stored(3, 3)]
    await rows.insert_many(before)

    async def body(session: Any) -> None:
        await places.insert(Place(id=4, name="Bergen"), session=session)
        await places.modify(1, visited, session=session)
        await places.update({"_id": 2}, {"$inc": {"visits": 1}}, session=session)
        place = await places.get(3, session=session)
        await places.replace(visited(place), session=session)
        assert (await places.get(1, session=session)).visits == 1
        assert await places.count({"visits": 1}, session=session) == 3
        assert len(await places.find({"visits": 1}, session=session).to_list()) == 3
        assert (await places.find_one({"_id": 4}, session=session)) is not None
        await places.delete(4, session=session)
        raise _Undo

    with pytest.raises(_Undo):
        await in_transaction(server_database, body)

    assert [row async for row in rows.find({}, sort=[("_id", 1)])] == before


async def test_a_transaction_that_is_committed_shows_all_at_once(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(1, 1), stored(1, 2)])

    async def body(session: Any) -> None:
        await places.modify(1, visited, session=session)
        await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}}, many=True, session=session)
        assert (await places.get(1)).visits == 0

    await in_transaction(server_database, body)
    assert [row["visits"] async for row in rows.find({}, sort=[("_id", 1)])] == [2, 1]


async def test_a_transaction_that_another_writer_beats_is_run_again_by_the_driver(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1))
    runs: list[int] = []

    async def body(session: Any) -> None:
        place = await places.get(1, session=session)
        runs.append(place.visits)
        if len(runs) == 1:
            await rows.update_one({"_id": 1}, {"$inc": {"visits": 10}})
        await places.replace(visited(place), session=session)

    await in_transaction(server_database, body)

    assert runs == [0, 10]
    assert (await rows.find_one({"_id": 1}))["visits"] == 11


async def test_modify_in_a_transaction_that_another_writer_beats_is_run_again_by_the_driver(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3))
    seen: list[int] = []

    async def body(session: Any) -> None:
        await places.get(1, session=session)

        async def change(place: Place) -> Place:
            seen.append(place.visits)
            if len(seen) == 1:
                await rows.update_one({"_id": 1}, {"$inc": {"visits": 10}})
            return visited(place)

        await places.modify(1, change, session=session)

    await in_transaction(server_database, body)

    assert seen == [0, 10]
    assert (await rows.find_one({"_id": 1}))["visits"] == 11


async def test_an_insert_of_an_id_that_exists_ends_the_transaction(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3))

    async def body(session: Any) -> None:
        await places.insert(Place(id=2, name="Bergen"), session=session)
        await places.insert(Place(id=1, name="Bergen"), session=session)

    with pytest.raises(DocumentExistsError):
        await in_transaction(server_database, body)
    assert await rows.count_documents({}) == 1


async def test_a_session_without_a_transaction_sees_its_own_writes(
    server_database: Any, places: Collection[Place]
) -> None:
    async with await settled(server_database.client.start_session()) as session:
        place = Place(id=1, name="Oslo")
        await places.insert(place, session=session)
        await places.replace(visited(place), session=session)
        await places.update({"_id": 1}, {"$inc": {"visits": 1}}, session=session)
        assert (await places.get(1, session=session)).visits == 2
        with pytest.raises(ConflictError):
            await places.replace(visited(place), session=session)
        await places.delete(1, session=session)
        with pytest.raises(DocumentNotFoundError):
            await places.modify(1, visited, session=session)


async def test_reads_in_a_session_are_not_written_back(server_database: Any, rows: Any) -> None:
    await rows.insert_one(stored(1))
    kind = place_kind()

    async def body(session: Any) -> None:
        place = await places.get(1, session=session)
        await places.find({}, session=session).to_list()
        await places.replace(visited(place), session=session)

    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        places = store.collection(kind)
        await in_transaction(server_database, body)
    statistics = store.write_back_statistics()
    assert statistics is not None
    assert (statistics.stored, statistics.conflicts, statistics.dropped) == (0, 0, 0)


async def test_a_huge_row_is_rewritten_within_the_transaction_at_hand(
    server_database: Any, places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3, slug="s" * 9_000_000))

    async def body(session: Any) -> None:
        place = await places.get(1, session=session)
        place.name, place.slug = "n" * 9_000_000, ""
        await places.replace(place, session=session)
        raise _Undo

    with pytest.raises(_Undo):
        await in_transaction(server_database, body)
    assert await rows.count_documents({"_id": 1, "slug": {"$ne": ""}}) == 1
