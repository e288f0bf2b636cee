"""
What a consumer sees of the changes of rows: documents at the latest shape, in order, once, after any interruption.
"""

import asyncio
import json
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from structlog.testing import capture_logs

from docstore import Collection, Store
from docstore.embedded import EmbeddedServer
from docstore.errors import NewerVersionError, StoreRejectedError, StoreUnavailableError
from tests.integration.changes.conftest import told, until
from tests.kinds import Place, place_kind, stored


async def test_changes_of_rows_of_any_version_come_as_documents_at_the_latest_shape(
    places: Collection[Place], rows: Any
) -> None:
    async with places.watch() as changes:
        await rows.insert_one(stored(1, 1, visits=1))
        await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
        await rows.replace_one({"_id": 1}, stored(2, name="Bergen"))
        await places.insert(Place(id=2, name="Oslo"))
        await rows.delete_one({"_id": 1})
        await rows.insert_one(stored(None, 9))
        seen = await until(changes, 9)

    assert told(seen) == [("insert", 1), ("update", 1), ("replace", 1), ("insert", 2), ("delete", 1), ("insert", 9)]
    assert [change.rewrite for change in seen] == [False] * 6
    assert seen[0].document == Place(id=1, name="Oslo", visits=1, slug="oslo")
    assert seen[2].document == Place(id=1, name="Bergen", slug="bergen")
    assert seen[3].document == Place(id=2, name="Oslo")
    assert seen[4].document is None
    assert seen[5].document == Place(id=9, name="Oslo", slug="oslo")


async def test_a_document_of_a_change_can_be_replaced(places: Collection[Place], rows: Any) -> None:
    async with places.watch() as changes:
        await rows.insert_one(stored(1))
        [change] = await until(changes, 1)
    assert change.document is not None
    change.document.visits = 7
    await places.replace(change.document)
    assert await rows.find_one({}) == stored(3, visits=7)


async def test_a_stream_goes_on_where_a_token_was_stored(places: Collection[Place], rows: Any) -> None:
    async with places.watch() as changes:
        await rows.insert_many([stored(1, number) for number in range(20)])
        first = await until(changes, 7)
    token = json.loads(json.dumps(first[-1].token))
    assert json.loads(json.dumps(changes.resume_token)) == token

    async with places.watch(resume_after=token) as changes:
        assert told(await until(changes, 19)) == [("insert", number) for number in range(8, 20)]
    async with places.watch(start_after=first[0].token) as changes:
        assert told(await until(changes, 19)) == [("insert", number) for number in range(1, 20)]


async def test_the_token_moves_on_while_nothing_happens_to_the_rows(
    places: Collection[Place], rows: Any, server_database: Any
) -> None:
    async with places.watch(wait=0.05) as changes:
        before = changes.resume_token
        await server_database["others"].insert_many([{} for _ in range(10)])
        for _ in range(100):
            assert await changes.try_next() is None
            if changes.resume_token != before:
                break
        token = changes.resume_token
        assert token != before
    await rows.insert_one(stored(3, 1))
    async with places.watch(resume_after=token) as changes:
        assert told(await until(changes, 1)) == [("insert", 1)]


async def test_nothing_is_lost_by_a_call_that_is_cancelled(places: Collection[Place], rows: Any) -> None:
    async with places.watch(wait=0.2) as changes:

        async def insert() -> None:
            for number in range(200):
                await rows.insert_one(stored(1, number))

        writing = asyncio.create_task(insert())
        seen: list[Any] = []
        while not seen or seen[-1] != 199:
            call = asyncio.create_task(anext(changes))
            await asyncio.sleep(0.001 * (len(seen) % 4))
            call.cancel()
            try:
                seen.append((await call).id)
            except asyncio.CancelledError:
                # The next one is left to wait for its change.
                seen.append((await anext(changes)).id)
        await writing
    assert seen == list(range(200))


async def test_nothing_is_lost_when_the_server_gives_the_cursor_up(places: Collection[Place], rows: Any) -> None:
    async with places.watch(wait=0.2) as changes:
        await rows.insert_one(stored(1, 1))
        await until(changes, 1)
        await changes._break_off()
        await rows.insert_many([stored(1, 2), stored(1, 3)])
        assert told(await until(changes, 3)) == [("insert", 2), ("insert", 3)]


async def test_nothing_is_lost_when_the_past_cannot_be_asked_for(
    places: Collection[Place], rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(time: Any, ids: Any) -> None:
        raise StoreUnavailableError(reason=f"{len(ids)} rows at {time}")

    await rows.insert_one(stored(1, 1))
    async with places.watch() as changes:
        await rows.replace_one({"_id": 1}, stored(1, 1, "Bergen"))
        await rows.insert_one(stored(1, 2))
        with monkeypatch.context() as patch:
            patch.setattr(changes._rewrites._past, "at", away)
            with pytest.raises(StoreUnavailableError):
                await anext(changes)
        assert told(await until(changes, 2)) == [("replace", 1), ("insert", 2)]


async def test_nothing_is_lost_or_seen_twice_when_the_primary_hands_over(
    replica_set: EmbeddedServer, database_name: str
) -> None:
    kind = place_kind()
    async with AsyncMongoClient[dict[str, Any]](replica_set.uri) as client:
        database = client[database_name]
        rows = database["places"]
        store = Store(database, kinds=[kind], service="tests", fleet=False)
        async with store, store.collection(kind).watch(wait=0.2) as changes:
            for number in range(30):
                if number % 10 == 5:
                    await replica_set.step_down()
                await rows.insert_one(stored(1, number))
            seen = await until(changes, 29)
        await client.drop_database(database_name)
    assert told(seen) == [("insert", number) for number in range(30)]


async def test_a_row_that_cannot_be_read_is_raised_and_the_stream_goes_on_behind_it(
    places: Collection[Place], rows: Any
) -> None:
    async with places.watch() as changes, places.watch(on_error="skip") as skipping:
        await rows.insert_many([stored(1, 1), stored(4, 2), stored(1, 3)])
        await rows.delete_one({"_id": 2})
        assert (await anext(changes)).id == 1
        with pytest.raises(NewerVersionError):
            await anext(changes)
        assert told(await until(changes, 2)) == [("insert", 3), ("delete", 2)]
        with capture_logs() as logs:
            assert told(await until(skipping, 2)) == [("insert", 1), ("insert", 3), ("delete", 2)]
        assert [(log["event"], log["id"], log["error"]) for log in logs] == [("change_skipped", 2, "NewerVersionError")]


async def test_a_stream_ends_with_the_collection_and_another_starts_after_it(
    places: Collection[Place], rows: Any
) -> None:
    async with places.watch() as changes:
        await rows.insert_one(stored(1, 1))
        await rows.drop()
        seen = [change async for change in changes]
    assert told(seen) == [("insert", 1), ("drop", None), ("invalidate", None)]

    await rows.insert_one(stored(1, 2))
    async with places.watch(start_after=seen[-1].token) as changes:
        assert told(await until(changes, 2)) == [("insert", 2)]


async def test_an_update_of_a_row_that_is_gone_by_now_has_no_document(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, 1))
    async with places.watch() as changes:
        await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
        await rows.delete_one({"_id": 1})
        seen = [await anext(changes), await anext(changes)]
    assert told(seen) == [("update", 1), ("delete", 1)]
    assert seen[0].document is None


async def test_documents_are_exactly_of_their_moment_where_the_collection_keeps_images(
    places: Collection[Place], rows: Any, server_database: Any
) -> None:
    await server_database.create_collection("places", changeStreamPreAndPostImages={"enabled": True})
    await rows.insert_one(stored(1, 1))
    async with places.watch() as changes:
        for _ in range(3):
            await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
        await rows.delete_one({"_id": 1})
        seen = [await anext(changes) for _ in range(4)]
    assert [change.document and change.document.visits for change in seen] == [1, 2, 3, None]


async def test_two_tokens_at_once_are_refused(places: Collection[Place]) -> None:
    with pytest.raises(ValueError, match="not both"):
        places.watch(resume_after={"_data": "a"}, start_after={"_data": "a"})


async def test_a_token_that_is_none_is_refused_by_the_server(places: Collection[Place]) -> None:
    with pytest.raises(StoreRejectedError):
        await places.watch(resume_after={"_data": "nonsense"}).open()


async def test_the_mock_has_no_change_streams(mock_database: Any) -> None:
    kind = place_kind()
    async with Store(mock_database, kinds=[kind], service="tests", fleet=False) as store:
        with pytest.raises(StoreRejectedError, match="mongomock"):
            await store.collection(kind).watch().open()


async def test_a_stream_that_was_closed_yields_nothing_more(places: Collection[Place], rows: Any) -> None:
    changes = places.watch()
    await changes.open()
    await rows.insert_one(stored(1, 1))
    await changes.close()
    await changes.close()
    assert [change async for change in changes] == []


async def test_a_collection_that_nobody_watches_yet_may_be_watched(
    database: AsyncDatabase[dict[str, Any]], places: Collection[Place]
) -> None:
    changes = places.watch()
    waiting = asyncio.create_task(anext(changes))
    while changes.resume_token is None:  # noqa: ASYNC110 - it has no event to tell that it was opened
        await asyncio.sleep(0.01)
    await database["places"].insert_one(stored(1, 1))
    assert (await waiting).id == 1
    await changes.close()
