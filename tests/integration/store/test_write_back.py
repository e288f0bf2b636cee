"""
Rows that a read has upgraded, stored in the background.
"""

import asyncio
from typing import Any

import pytest

from docstore import Kind, Step, Store
from docstore.core.bson_values import RawDocument, encode
from docstore.errors import InvalidDocumentError, NewerVersionError, StoreUnavailableError, UpgradeFailedError
from docstore.fleet.membership import Alone
from docstore.mongo.row_writer import Rewritten
from docstore.mongo.server_writing import ServerRowWriter
from docstore.store.gate import WriteGate
from docstore.store.write_back import BATCH_ROWS, WriteBack, WriteBackStatistics
from tests.kinds import Place, place_kind, stored


def gate() -> WriteGate:
    """
    A gate that lets everything through, at version 3.
    """
    return WriteGate(Alone([place_kind()]), "tests")


async def everything(rows: Any) -> list[dict[str, Any]]:
    return [row async for row in rows.find({}, sort=[("_id", 1)])]


async def written_back(store: Store, number: int) -> None:
    """
    Wait until so many rows have had their turn: one that is read again before would be offered, and counted, again.
    """
    while (found := store.write_back_statistics()) is None or found.waiting or found.stored < number:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)


async def test_rows_that_were_read_are_stored_at_the_latest_version(server_database: Any, rows: Any) -> None:
    await rows.insert_many([stored(None, 1), stored(1, 2, extra=1), stored(2, 3), stored(3, 4)])
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        places = store.collection(kind)
        await places.get(1)
        await written_back(store, 1)
        await places.find_one({"_id": 2})
        await written_back(store, 2)
        assert len(await places.find().to_list()) == 4
        await written_back(store, 3)
    assert await everything(rows) == [stored(3, 1), stored(3, 2, extra=1), stored(3, 3), stored(3, 4)]
    assert store.write_back_statistics() == WriteBackStatistics(stored=3, conflicts=0, dropped=0, failed=0, waiting=0)


async def test_a_document_whose_row_was_written_back_can_still_be_replaced(server_database: Any, rows: Any) -> None:
    await rows.insert_one(stored(1))
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        place = await store.collection(kind).get(1)
    assert await everything(rows) == [stored(3)]
    place.visits = 5
    await store.collection(kind).replace(place)
    assert await everything(rows) == [stored(3, visits=5)]


async def test_rows_that_cannot_be_read_stay_as_they_are(server_database: Any, rows: Any) -> None:
    before = [stored(4, 1), {"_id": 2, "schema_version": 2}, stored(1, 3, visits="many")]
    await rows.insert_many(before)
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        places = store.collection(kind)
        for row_id, error in ((1, NewerVersionError), (2, UpgradeFailedError), (3, InvalidDocumentError)):
            with pytest.raises(error):
                await places.get(row_id)
    assert await everything(rows) == before


async def test_without_write_back_reads_write_nothing(server_database: Any, rows: Any) -> None:
    await rows.insert_one(stored(1))
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        await store.collection(kind).get(1)
    assert store.write_back_statistics() is None
    assert await everything(rows) == [stored(1)]


async def test_a_row_that_changed_meanwhile_is_left_to_whoever_changed_it(server_database: Any, rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(1, 2)])
    kind, writer, queue = place_kind(), ServerRowWriter(server_database, "places"), WriteBack(gate())
    await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
    queue.offer(kind, writer, encode(stored(1, 1)))
    queue.offer(kind, writer, encode(stored(1, 2)))
    await queue.drain()
    assert await everything(rows) == [stored(1, 1, visits=1), stored(3, 2)]
    assert queue.statistics() == WriteBackStatistics(stored=1, conflicts=1, dropped=0, failed=0, waiting=0)
    await queue.close(timeout=60)


async def test_under_pressure_rows_are_dropped_and_no_read_waits(server_database: Any, rows: Any) -> None:
    await rows.insert_many([stored(1, number) for number in range(300)])
    kind, writer, queue = place_kind(), ServerRowWriter(server_database, "places"), WriteBack(gate(), capacity=100)
    for number in range(300):
        queue.offer(kind, writer, encode(stored(1, number)))
    assert queue.statistics() == WriteBackStatistics(stored=0, conflicts=0, dropped=200, failed=0, waiting=100)
    await queue.close(timeout=60)
    assert queue.statistics() == WriteBackStatistics(stored=100, conflicts=0, dropped=200, failed=0, waiting=0)
    assert await rows.count_documents({"schema_version": 3}) == 100


async def test_a_row_that_waits_already_is_not_queued_twice(server_database: Any, rows: Any) -> None:
    await rows.insert_one(stored(1))
    kind, writer, queue = place_kind(), ServerRowWriter(server_database, "places"), WriteBack(gate())
    for _ in range(3):
        queue.offer(kind, writer, encode(stored(1)))
    await queue.close(timeout=60)
    assert queue.statistics() == WriteBackStatistics(stored=1, conflicts=0, dropped=0, failed=0, waiting=0)


async def test_rows_of_any_size_are_written(server_database: Any, rows: Any) -> None:
    before = [stored(1, number, blob=b"x" * size) for number, size in enumerate([2_000_000, 2_000_000, 9_000_000, 10])]
    await rows.insert_many(before)
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        await store.collection(kind).find().to_list()
    assert [row["schema_version"] for row in await everything(rows)] == [3, 3, 3, 3]


async def test_rows_that_the_database_refuses_are_failed_and_no_conflicts(server_database: Any, rows: Any) -> None:
    await rows.create_index("slug", unique=True, partialFilterExpression={"slug": {"$exists": True}})
    await rows.insert_many([stored(1, 1, "Oslo"), stored(1, 2, "oslo"), stored(1, 3, "Bergen")])
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        assert len(await store.collection(kind).find().to_list()) == 3
    assert store.write_back_statistics() == WriteBackStatistics(stored=2, conflicts=0, dropped=0, failed=1, waiting=0)
    assert [row["schema_version"] for row in await everything(rows)] == [3, 1, 3]


async def test_a_row_that_cannot_be_stored_holds_up_no_other(server_database: Any, rows: Any) -> None:
    def upgrade(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "seen": {1} if row["_id"] == 2 else [1]}

    kind = Kind("place", collection="places", model=Place, steps=[Step(upgrade=upgrade, to=2)])
    await rows.insert_many([{"_id": number, "name": "Oslo"} for number in range(5)])
    async with Store(server_database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
        assert len(await store.collection(kind).find().to_list()) == 5
    assert store.write_back_statistics() == WriteBackStatistics(stored=4, conflicts=0, dropped=0, failed=1, waiting=0)
    assert [row.get("schema_version") for row in await everything(rows)] == [2, 2, None, 2, 2]


class Unreachable(ServerRowWriter):
    async def rewrite(self, raw: bytes, after: RawDocument, *, session: Any) -> bytes | None:
        del raw, after, session
        raise StoreUnavailableError(reason="gone")

    async def rewrite_many(self, pairs: Any) -> Rewritten:
        del pairs
        raise StoreUnavailableError(reason="gone")


async def test_a_database_that_went_away_fails_no_read_and_ends_nothing(server_database: Any, rows: Any) -> None:
    await rows.insert_one(stored(1, 500))
    kind, queue = place_kind(), WriteBack(gate())
    for number in range(BATCH_ROWS + 1):
        queue.offer(kind, Unreachable(server_database, "places"), encode(stored(1, number)))
    await queue.drain()
    queue.offer(kind, ServerRowWriter(server_database, "places"), encode(stored(1, 500)))
    await queue.close(timeout=60)
    statistics = queue.statistics()
    assert (statistics.failed, statistics.stored) == (BATCH_ROWS + 1, 1)


class Stuck(ServerRowWriter):
    async def rewrite(self, raw: bytes, after: RawDocument, *, session: Any) -> bytes | None:
        del raw, after, session
        await asyncio.Event().wait()
        return None


async def test_closing_gives_up_on_what_takes_too_long(server_database: Any) -> None:
    kind, queue = place_kind(), WriteBack(gate())
    queue.offer(kind, Stuck(server_database, "places"), encode(stored(1, 1)))
    queue.offer(kind, Stuck(server_database, "places"), encode(stored(1, 2)))
    await queue.close(timeout=0.05)
    await queue.close(timeout=0.05)
    queue.offer(kind, Stuck(server_database, "places"), encode(stored(1, 3)))
    assert queue.statistics() == WriteBackStatistics(stored=0, conflicts=0, dropped=3, failed=0, waiting=0)
