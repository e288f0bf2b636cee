"""
docstore's own writers against a fence: the error says what was to be stored, and what the fence lets in.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from docstore import Kind, Store, commands
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.run_state import RunState
from docstore.errors import BulkFailedError, FencedError, StoreRejectedError
from docstore.mongo.fence import raise_fence
from docstore.store.bulk import Insert, Replace
from docstore.store.collection import Collection
from tests.kinds import Place, place_kind, stored

#: The code of these tests stores version 3.
SHUT: Final = FenceBounds("place", "schema_version", 1, 2)


async def shut(database: Any, bounds: FenceBounds = SHUT) -> None:
    # Strict also where rows are outside: moderate ones may be changed as they are.
    await raise_fence(database, "places", bounds, level=FenceLevel.STRICT)


@pytest.fixture
async def places(database: Any) -> AsyncIterator[Collection[Place]]:
    kind = place_kind()
    async with Store(database, kinds=[kind], service="tests", fleet=False) as store:
        yield store.collection(kind)


async def _modify(places: Collection[Place]) -> None:
    def renamed(place: Place) -> Place:
        place.name = "Bergen"
        return place

    await places.modify(1, renamed)


async def _replace(places: Collection[Place]) -> None:
    place = await places.get(1)
    place.name = "Bergen"
    await places.replace(place)


WRITES: Final[dict[str, Callable[[Collection[Place]], Awaitable[Any]]]] = {
    "insert": lambda places: places.insert(Place(id=2, name="Bergen")),
    "replace": _replace,
    "replace unguarded": lambda places: places.replace(Place(id=1, name="Bergen"), unguarded=True),
    "modify": _modify,
    "update": lambda places: places.update({"_id": 1}, {"$set": {"name": "Bergen"}}),
    "upsert": lambda places: places.update({"_id": 2}, {"$set": {"name": "Bergen"}}, upsert=True),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_single_write_outside_the_fence_says_both_versions(
    database: Any, places: Collection[Place], name: str
) -> None:
    await database["places"].insert_one(stored(2, 1))
    await shut(database)
    with pytest.raises(FencedError, match="version 3: its fence lets versions 1 to 2 in") as refused:
        await WRITES[name](places)
    error = refused.value
    assert (error.kind, error.version, error.low, error.high, error.code) == ("place", 3, 1, 2, 121)
    assert await database["places"].find().to_list() == [stored(2, 1)]


async def test_each_row_of_a_list_that_is_fenced_has_its_own_error(database: Any, places: Collection[Place]) -> None:
    await database["places"].insert_one(stored(2, 1))
    old = await places.get(1)
    old.name = "Bergen"
    await shut(database)
    with pytest.raises(BulkFailedError) as bulk:
        await places.bulk([Insert(Place(id=2, name="a")), Replace(old), Insert(Place(id=3, name="b"))], ordered=False)
    assert {place: type(error) for place, error in bulk.value.errors.items()} == dict.fromkeys(range(3), FencedError)
    with pytest.raises(FencedError):
        await places.insert_many([Place(id=4, name="a"), Place(id=5, name="b")])
    assert await database["places"].count_documents({}) == 1


async def test_a_row_that_the_collections_own_rules_refuse_is_not_called_fenced(
    database: Any, places: Collection[Place]
) -> None:
    await database.create_collection("places", validator={"name": {"$ne": "Bergen"}})
    await shut(database, FenceBounds("place", "schema_version", 1, 3))
    with pytest.raises(StoreRejectedError) as refused:
        await places.insert(Place(id=2, name="Bergen"))
    assert (type(refused.value), refused.value.code) == (StoreRejectedError, 121)


async def test_rows_that_a_read_upgraded_are_not_stored_behind_a_fence_and_the_reason_is_logged(
    database: Any,
) -> None:
    kind = place_kind()
    await database["places"].insert_many([stored(2, 1), stored(2, 2)])
    await shut(database)
    with capture_logs() as logs:
        async with Store(database, kinds=[kind], service="tests", fleet=False, write_back=True) as store:
            assert len(await store.collection(kind).find().to_list()) == 2
        found = store.write_back_statistics()
    assert found is not None
    assert (found.stored, found.failed) == (0, 2)
    assert {log["error"] for log in logs if log["event"].startswith("write_back_")} == {"FencedError"}


@pytest.mark.parametrize("to", [2, 3])
async def test_a_backfill_behind_a_fence_fails_with_the_reason_and_puts_no_row_aside(database: Any, to: int) -> None:
    kind = place_kind()
    await database["places"].insert_many([stored(1, number) for number in range(5)])
    # The step to 2 runs on the server, the one to 3 in Python.
    await shut(database, FenceBounds("place", "schema_version", 1, to - 1))
    with pytest.raises(FencedError):
        await commands.backfill(database, kind, to=to, throttled=False)
    run = (await commands.backfill_status(database, "place"))[0]
    assert run.state is RunState.FAILED
    assert f"at version {to}: its fence lets versions 1 to {to - 1} in" in run.reason
    assert await commands.quarantine_list(database, kind) == []
    assert await database["places"].count_documents({"schema_version": 1}) == 5


async def test_adopting_rows_below_the_fence_fails_with_the_reason(database: Any) -> None:
    kind = place_kind()
    await database["places"].insert_many([stored(None, number) for number in range(3)])
    await shut(database, FenceBounds("place", "schema_version", 2, 3))
    with pytest.raises(FencedError, match="version 1: its fence lets versions 2 to 3 in"):
        await commands.adopt(database, kind)
    assert (await commands.backfill_status(database, "place"))[0].state is RunState.FAILED
    assert await database["places"].count_documents({"schema_version": {"$exists": False}}) == 3


async def test_a_worker_outlives_a_run_that_a_fence_shuts_out(database: Any) -> None:
    kind = place_kind()
    await database["places"].insert_one(stored(1, 1))
    await shut(database)
    await commands.backfill_start(database, kind, by="operator")
    await commands.work(database, [kind], drain=True, throttled=False)
    assert (await commands.backfill_status(database, "place"))[0].state is RunState.FAILED
    await raise_fence(database, "places", FenceBounds("place", "schema_version", 1, 3))
    await commands.backfill_start(database, kind, by="operator")
    await commands.work(database, [kind], drain=True, throttled=False)
    assert await database["places"].find_one() == stored(3, 1)


async def test_adopting_puts_those_rows_aside_that_detect_places_below_the_fence(database: Any) -> None:
    def detect(row: dict[str, Any]) -> int:
        return 1 if "title" in row else 2

    kind = Kind("place", collection="places", model=Place, steps=place_kind().steps, detect=detect)
    second = stored(2, 2)
    del second["schema_version"]
    await database["places"].insert_many([stored(None, 1), second])
    await shut(database, FenceBounds("place", "schema_version", 2, 3))
    result = await commands.adopt(database, kind)
    assert (result.tagged, result.quarantined) == (1, 1)
    row = (await commands.quarantine_list(database, kind))[0]
    assert (row.id, row.error) == (1, "FencedError")
    assert "version 1: its fence lets versions 2 to 3 in" in row.reason


async def test_a_row_in_quarantine_that_is_tried_behind_a_fence_stays_there_and_says_why(database: Any) -> None:
    kind = place_kind()
    await database["places"].insert_one({"_id": 1, "schema_version": 2, "name": 5})
    await commands.backfill(database, kind, throttled=False)
    await database["places"].update_one({"_id": 1}, {"$set": {"name": "Oslo"}})
    await shut(database)
    assert (await commands.quarantine_retry(database, kind)).failed == 1
    row = await commands.quarantine_show(database, kind, 1)
    assert row.error == "FencedError"
    await raise_fence(database, "places", FenceBounds("place", "schema_version", 1, 3))
    assert (await commands.quarantine_retry(database, kind)).succeeded == 1
