"""
Rows without a tag that get one.
"""

import asyncio
from typing import Any

import pytest

from docstore import Kind, commands
from tests.kinds import Place, place_kind, stored

Database = Any


def detecting() -> Kind[Place]:
    def detect(row: dict[str, Any]) -> int:
        if row.get("title") == "odd":
            raise ValueError("secret")
        if "future" in row:
            return 9
        return 1 if "title" in row else 2

    return Kind("place", collection="places", model=Place, steps=place_kind().steps, detect=detect)


def untagged(version: int, row_id: Any, **fields: Any) -> dict[str, Any]:
    row = stored(version, row_id, **fields)
    del row["schema_version"]
    return row


async def test_rows_get_the_baseline_and_nothing_else_changes(database: Database) -> None:
    await database.places.insert_many([untagged(1, 1), untagged(1, "x", visits=3), stored(3, 3)])

    result = await commands.adopt(database, place_kind())

    assert (result.tagged, result.remaining) == (2, 0)
    assert await database.places.find_one({"_id": "x"}) == {**untagged(1, "x", visits=3), "schema_version": 1}
    assert await database.places.find_one({"_id": 3}) == stored(3, 3)


async def test_rows_of_more_than_one_range_are_all_tagged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docstore.backfill.adopting._RANGE", 10)
    await database.places.insert_many([untagged(1, place) for place in range(35)])

    result = await commands.adopt(database, place_kind())

    assert (result.tagged, result.remaining) == (35, 0)


async def test_detect_says_the_version_of_every_row(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docstore.backfill.adopting._PAGE", 7)
    await database.places.insert_many(
        [*(untagged(1, place) for place in range(20)), *(untagged(2, f"b{place}") for place in range(20))]
    )

    result = await commands.adopt(database, detecting())

    assert (result.tagged, result.remaining) == (40, 0)
    assert await database.places.count_documents({"schema_version": 1, "title": {"$exists": True}}) == 20
    assert await database.places.count_documents({"schema_version": 2, "name": {"$exists": True}}) == 20


async def test_a_row_whose_version_cannot_be_told_goes_to_quarantine(database: Database) -> None:
    await database.places.insert_many([untagged(1, 1), untagged(1, 2, name="odd")])

    result = await commands.adopt(database, detecting())

    (aside,) = await commands.quarantine_list(database, detecting())
    assert (result.tagged, result.quarantined, result.remaining) == (1, 1, 1)
    assert (aside.id, aside.error) == (2, "UnknownVersionError")


async def test_detect_leaves_everything_but_the_tag_as_it_was(database: Database) -> None:
    await database.places.insert_many(
        [untagged(1, 1, visits=3, at={"x": 1.0, "y": 2}), {**untagged(1, 2), "schema_version": None}]
    )

    await commands.adopt(database, detecting())

    rows = await database.places.find().sort("_id").to_list()
    assert rows == [
        {**untagged(1, 1, visits=3, at={"x": 1.0, "y": 2}), "schema_version": 1},
        {**untagged(1, 2), "schema_version": 1},
    ]


async def test_a_row_that_is_above_latest_is_left_alone(database: Database) -> None:
    row = untagged(1, 1, future=True)
    await database.places.insert_one(row)

    result = await commands.adopt(database, detecting())

    assert (result.tagged, result.remaining) == (0, 1)
    assert await database.places.find_one({"_id": 1}) == row


async def test_adopting_again_finds_nothing_to_do(database: Database) -> None:
    await database.places.insert_one(untagged(1, 1))
    await commands.adopt(database, place_kind())

    assert (await commands.adopt(database, place_kind())).tagged == 0


async def test_a_call_that_is_to_stop_tags_nothing_more(database: Database) -> None:
    stop = asyncio.Event()
    stop.set()
    await database.places.insert_one(untagged(1, 1))

    result = await commands.adopt(database, place_kind(), stop=stop)

    assert (result.tagged, result.remaining) == (0, 1)


async def test_it_works_on_the_mock(mock_database: Database) -> None:
    await mock_database.places.insert_many([untagged(1, 1), untagged(1, 2)])

    assert (await commands.adopt(mock_database, place_kind())).tagged == 2
