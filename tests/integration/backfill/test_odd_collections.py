"""
Collections that compare text by rules of their own, and rows near the largest size.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore.commands import backfill
from docstore.mongo.batch_writing import BatchWriter, Rewrite, Written
from tests.integration.backfill.conftest import Counter, counters
from tests.kinds import place_kind, stored

CASELESS = {"locale": "en", "strength": 2}


@pytest.mark.usefixtures("small_batches")
async def test_text_ids_of_a_collated_collection_are_reached(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database.create_collection("counters", collation=CASELESS)
    ids = ["a", "B", "c", "D", "é", "E", 1, 2, {"x": "A"}, "zz", "Za"]
    await database["counters"].insert_many([{"_id": row_id, "schema_version": 1, "steps": 0} for row_id in ids])

    result = await backfill(database, counter_kind)

    assert (result.server + result.client, result.passes, result.remaining) == (len(ids), 1, 0)
    assert {row["steps"] async for row in database["counters"].find()} == {2}


async def test_a_change_that_only_the_collation_calls_equal_is_not_lost(
    database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_collection("places", collation=CASELESS)
    await database["places"].insert_one(stored(2, "row", "Oslo"))
    write = BatchWriter.write

    async def hooked(self: BatchWriter, batch: Sequence[Rewrite]) -> Written:
        await database["places"].update_one({"_id": "row"}, {"$set": {"name": "OSLO ".strip()}})
        return await write(self, batch)

    monkeypatch.setattr(BatchWriter, "write", hooked)
    result = await backfill(database, place_kind())

    assert result.conflicts == 1
    assert await database["places"].find_one() == stored(3, "row", "OSLO")


async def test_the_rows_of_a_collated_collection_are_found_by_the_index(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database.create_collection("counters", collation=CASELESS)
    await database["counters"].insert_many(
        [{"_id": f"row {number}", "schema_version": 1, "steps": 0} for number in range(100)]
    )
    await database.command("profile", 2)

    await backfill(database, counters(on_server=False))

    await database.command("profile", 0)
    updates = await database["system.profile"].find({"op": "update", "ns": f"{database.name}.counters"}).to_list()
    await database.drop_collection("system.profile")
    assert len(updates) == 100
    assert {update["planSummary"] for update in updates} == {"IXSCAN { schema_version: 1, _id: 1 }"}


class Blob(Document):
    data: bytes
    size: int = 0


def measure(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "size": len(row["data"])}


def invert(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "data": bytes(len(row["data"]))}


async def test_large_rows_are_rewritten(database: AsyncDatabase[dict[str, Any]]) -> None:
    kind = Kind("blob", collection="blobs", model=Blob, steps=[Step(upgrade=measure, to=2), Step(upgrade=invert, to=3)])
    for number, size in enumerate((15_000_000, 10, 9_000_000, 5_000_000, 10)):
        await database["blobs"].insert_one({"_id": number, "schema_version": 1, "data": b"x" * size})

    measured = await backfill(database, kind, to=2)
    inverted = await backfill(database, kind)

    assert (measured.client, measured.remaining) == (5, 0)
    # The guard and what is written make more than one command can hold.
    assert (inverted.client, inverted.remaining) == (5, 0)
    assert [len(row["data"].strip(b"\0")) async for row in database["blobs"].find()] == [0] * 5


async def test_a_large_row_that_changes_before_it_is_written_is_read_again(
    database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Kind("blob", collection="blobs", model=Blob, steps=[Step(upgrade=invert, to=2)])
    await database["blobs"].insert_one({"_id": 1, "schema_version": 1, "data": b"x" * 9_000_000})
    write = BatchWriter.write

    async def hooked(self: BatchWriter, batch: Sequence[Rewrite]) -> Written:
        await database["blobs"].update_one({"_id": 1, "size": {"$ne": 3}}, {"$set": {"size": 3}})
        return await write(self, batch)

    monkeypatch.setattr(BatchWriter, "write", hooked)
    result = await backfill(database, kind)

    row = await database["blobs"].find_one({}, {"data": 0})
    assert (result.conflicts, result.remaining) == (1, 0)
    assert row == {"_id": 1, "schema_version": 2, "size": 3}
