"""
Rows in quarantine: listed, shown and tried again, on a real server.
"""

import datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from docstore import Kind, Step, Store, commands
from docstore.errors import NotQuarantinedError, VersionRangeError
from tests.kinds import Place, add_slug, place_kind, stored

Database = Any


def strict_slug(row: dict[str, Any]) -> dict[str, Any]:
    if row["name"] == "odd":
        raise ValueError(f"secret {row['name']}")
    return add_slug(row)


def broken_kind() -> Kind[Place]:
    """
    The kind whose last step fails on rows that are called odd.
    """
    steps = [*place_kind().steps[:1], Step(upgrade=strict_slug, writes=["slug"], to=3)]
    return Kind("place", collection="places", model=Place, steps=steps)


async def put_aside(database: Database, *rows: dict[str, Any]) -> None:
    await database.places.insert_many(rows)
    await commands.backfill(database, broken_kind())


async def records(database: Database) -> int:
    number: int = await database.docstore_quarantine.count_documents({})
    return number


async def test_list_names_step_and_error_of_a_row_and_none_of_its_values(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"), stored(2, 8))

    (row,) = await commands.quarantine_list(database, broken_kind())

    assert (row.id, row.version, row.target, row.step, row.tries) == (7, 2, 3, 3, 1)
    assert row.error == "UpgradeFailedError"
    assert row.first_seen <= row.last_seen
    assert "odd" not in row.model_dump_json()


async def test_times_of_a_row_in_quarantine_say_their_zone(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    (row,) = await commands.quarantine_list(database, broken_kind())

    assert row.first_seen.utcoffset() == row.last_seen.utcoffset() == datetime.timedelta(0)


async def test_show_gives_the_document_only_when_it_is_asked_for(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    bare = await commands.quarantine_show(database, broken_kind(), 7)
    full = await commands.quarantine_show(database, broken_kind(), 7, document=True)

    assert bare.document is None
    assert full.document == stored(2, 7, "odd")


async def test_show_of_a_row_that_is_not_in_quarantine_is_refused(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"), stored(2, 8))

    with pytest.raises(NotQuarantinedError) as caught:
        await commands.quarantine_show(database, broken_kind(), 8)

    assert caught.value.id == 8


async def test_retry_with_a_mended_step_brings_the_row_up_and_removes_its_record(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    result = await commands.quarantine_retry(database, place_kind(), [7])

    assert (result.tried, result.succeeded, result.failed) == (1, 1, 0)
    assert await database.places.find_one({"_id": 7}) == stored(3, 7, "odd")
    assert await records(database) == 0


async def test_retry_with_the_same_step_counts_a_try_and_leaves_the_row(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    result = await commands.quarantine_retry(database, broken_kind())

    (row,) = await commands.quarantine_list(database, broken_kind())
    assert (result.succeeded, result.failed, row.tries, row.version) == (0, 1, 2, 2)
    assert await database.places.find_one({"_id": 7}) == stored(2, 7, "odd")


async def test_retry_of_chosen_ids_leaves_the_others(database: Database) -> None:
    odd = ObjectId()
    await put_aside(database, stored(2, 7, "odd"), stored(2, odd, "odd"), stored(1, "x", "odd"))

    result = await commands.quarantine_retry(database, place_kind(), [odd, "x"])

    assert result.succeeded == 2
    assert [row.id for row in await commands.quarantine_list(database, place_kind())] == [7]


async def test_retry_of_a_row_without_a_tag_brings_it_up(database: Database) -> None:
    await put_aside(database, stored(None, 7, "odd"))

    result = await commands.quarantine_retry(database, place_kind(), [7])

    assert result.succeeded == 1
    assert (await database.places.find_one({"_id": 7}))["schema_version"] == 3
    assert await records(database) == 0


async def test_retry_of_an_id_without_a_record_tries_nothing(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    with pytest.raises(NotQuarantinedError):
        await commands.quarantine_retry(database, place_kind(), [7, 99])

    assert await database.places.find_one({"_id": 7}) == stored(2, 7, "odd")


async def test_retry_by_code_without_the_target_is_refused(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    with pytest.raises(VersionRangeError):
        await commands.quarantine_retry(database, place_kind(latest=2))


async def test_a_row_that_was_brought_up_by_hand_is_listed_and_counted_no_more(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"), stored(2, 8, "odd"))
    await database.places.replace_one({"_id": 7}, stored(3, 7, "even"))
    await database.places.delete_one({"_id": 8})

    async with Store(database, [broken_kind()], service="tests"):
        pass

    listed = await commands.quarantine_list(database, broken_kind())
    (covered,) = await commands.coverage(database, [broken_kind()])

    assert list(listed) == []
    assert covered.report.quarantined == 0
    assert covered.report.retirable_below == 3


async def test_a_row_that_was_mended_by_hand_leaves_quarantine_with_the_next_backfill(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))
    await database.places.update_one({"_id": 7}, {"$set": {"name": "even"}})

    result = await commands.backfill(database, broken_kind())

    assert result.complete
    assert await records(database) == 0


async def test_a_row_that_was_mended_by_hand_where_it_stands_is_listed_no_more(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"), stored(2, 8, "odd"), stored(2, 9, "odd"))
    await database.places.update_one({"_id": 7}, {"$set": {"name": "even"}})
    # Changed, and no better for it.
    await database.places.update_one({"_id": 8}, {"$set": {"visits": 3}})

    listed = await commands.quarantine_list(database, broken_kind())
    with pytest.raises(NotQuarantinedError):
        await commands.quarantine_show(database, broken_kind(), 7)

    assert [row.id for row in listed] == [8, 9]
    assert await records(database) == 3
    assert (await commands.quarantine_retry(database, broken_kind(), [7])).succeeded == 1
    assert await records(database) == 2


async def test_a_row_that_was_changed_into_what_the_model_refuses_stays_listed(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))
    await database.places.update_one({"_id": 7}, {"$set": {"name": "even", "tags": "no list"}})

    assert [row.id for row in await commands.quarantine_list(database, broken_kind())] == [7]


async def test_a_row_that_is_as_it_was_stays_listed_though_its_step_was_mended(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))

    assert [row.id for row in await commands.quarantine_list(database, place_kind())] == [7]


async def test_a_record_tells_that_a_row_was_changed_and_nothing_of_what_is_in_it(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"), stored(2, 8, "odd", visits=1))

    kept = [record["digest"] async for record in database.docstore_quarantine.find()]

    assert len(set(kept)) == 2
    assert {len(digest) for digest in kept} == {8}


async def test_a_row_that_killed_its_workers_is_not_tried_to_see_whether_it_was_mended(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))
    await database.docstore_quarantine.update_one({}, {"$set": {"error": "WorkerDiedError"}})
    await database.places.update_one({"_id": 7}, {"$set": {"name": "even"}})

    assert [row.id for row in await commands.quarantine_list(database, broken_kind())] == [7]


async def test_error_text_is_listed_only_when_it_was_recorded(database: Database) -> None:
    await put_aside(database, stored(2, 7, "odd"))
    (without,) = await commands.quarantine_list(database, broken_kind())

    await commands.quarantine_retry(database, broken_kind(), record_error_text=True)
    (kept,) = await commands.quarantine_list(database, broken_kind())

    assert without.text is None
    assert kept.text == "ValueError: secret odd"


async def test_retry_does_not_lose_what_others_write_meanwhile(database: Database, mongod_uri: str) -> None:
    await put_aside(database, stored(2, 7, "odd"))
    tries: list[int] = []
    with MongoClient[dict[str, Any]](mongod_uri) as other:

        def upgrade(row: dict[str, Any]) -> dict[str, Any]:
            # Between reading and writing, twice.
            tries.append(row["visits"])
            if len(tries) <= 2:
                other[database.name].places.update_one({"_id": 7}, {"$inc": {"visits": 1}})
            return add_slug(row)

        await database.places.update_one({"_id": 7}, {"$set": {"visits": 0}})
        kind = Kind(
            "place", collection="places", model=Place, steps=[*place_kind().steps[:1], Step(upgrade=upgrade, to=3)]
        )
        result = await commands.quarantine_retry(database, kind)

    row = await database.places.find_one({"_id": 7})
    assert tries == [0, 1, 2]
    assert (result.succeeded, row["visits"], row["schema_version"]) == (1, 2, 3)


async def test_list_and_retry_work_on_motor(motor_database: Database) -> None:
    await put_aside(motor_database, stored(2, 7, "odd"))

    listed = await commands.quarantine_list(motor_database, place_kind())
    result = await commands.quarantine_retry(motor_database, place_kind())

    assert [row.id for row in listed] == [7]
    assert result.succeeded == 1


async def test_list_and_retry_work_on_the_mock(mock_database: Database) -> None:
    await put_aside(mock_database, stored(2, 7, "odd"))

    listed = await commands.quarantine_list(mock_database, place_kind())
    result = await commands.quarantine_retry(mock_database, place_kind())

    assert [row.id for row in listed] == [7]
    assert result.succeeded == 1
