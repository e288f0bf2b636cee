"""
Runs over some rows of a collection that takes texts for equal which are only similar.
"""

from typing import Any

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from docstore import commands
from docstore.backfill.looking import counted
from docstore.mongo.selections import Selection
from docstore.mongo.unreadable_rows import unreadable_rows
from tests.kinds import place_kind, stored

CASELESS = {"locale": "en", "strength": 2}

Database = AsyncDatabase[dict[str, Any]]


async def selection_of(database: Database, *ids: Any) -> Selection:
    selection = Selection(database, ObjectId())
    await selection.add(ids)
    return selection


async def test_rows_whose_ids_are_only_similar_are_not_counted(database: Database) -> None:
    await database.create_collection("places", collation=CASELESS)
    await database["places"].insert_many([stored(1, "b"), stored(2, "A"), stored(2, 5)])

    coverage = await counted(
        database, place_kind(), commands.utc_now, selection=await selection_of(database, "a", "b", 5)
    )

    assert coverage.total == 2


async def test_rows_whose_ids_are_only_similar_are_not_put_aside(database: Database) -> None:
    await database.create_collection("places", collation=CASELESS)
    await database["places"].insert_many([stored("odd", "A"), stored("odd", "b")])  # type: ignore[arg-type]
    selection = await selection_of(database, "a", "b")

    found = [row_id async for row_id, _ in unreadable_rows(database, "places", "schema_version", selection=selection)]

    assert found == ["b"]


async def test_the_rows_of_a_selection_are_found_by_their_ids(database: Database) -> None:
    await database.create_collection("places", collation=CASELESS)
    await database["places"].insert_many([stored(1, f"row {number}") for number in range(300)])
    selection = await selection_of(database, *(f"row {number}" for number in range(10)))
    await database.command("profile", 2)

    coverage = await counted(database, place_kind(), commands.utc_now, selection=selection)

    await database.command("profile", 0)
    looks = await database["system.profile"].find({"ns": f"{database.name}.places"}).to_list()
    await database.drop_collection("system.profile")
    assert coverage.total == 10
    assert looks
    assert sum(look["docsExamined"] for look in looks) <= 10
