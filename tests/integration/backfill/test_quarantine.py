"""
Rows that cannot be upgraded: left as they are, put aside by record, and no obstacle to the others (P5).
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.commands import backfill, coverage
from docstore.core.bson_values import CODEC, encode
from docstore.fleet import floors
from tests.kinds import place_kind, stored

SECRET = "hunter2"  # noqa: S105 - stands for any value of a row


class Note(Document):
    text: str
    count: int = 0


def kind_with(upgrade: Callable[[dict[str, Any]], Any]) -> Kind[Note]:
    return Kind("note", collection="notes", model=Note, steps=[Step(upgrade=upgrade, to=2)])


async def records(database: Any) -> list[dict[str, Any]]:
    return [row async for row in database["docstore_quarantine"].find(sort=[("_id", 1)])]


async def raw_rows(database: Any, collection: str) -> list[bytes]:
    rows = database.get_collection(collection, codec_options=CODEC.with_options(document_class=RawBSONDocument))
    return [bytes(row.raw) async for row in rows.find(sort=[("_id", 1)])]


def raises(row: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(row["text"])


def returns_nothing(row: dict[str, Any]) -> None:
    row.clear()


def changes_id(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "_id": 99}


def sets_the_tag(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "schema_version": 7}


def forgets_the_text(row: dict[str, Any]) -> dict[str, Any]:
    return {"_id": row["_id"]}


def cannot_be_encoded(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "text": {1, 2}}


@pytest.mark.parametrize(
    ("upgrade", "expected"),
    [
        (raises, {"error": "UpgradeFailedError", "step": 2, "path": None, "reason": "it raised ValueError"}),
        (returns_nothing, {"error": "UpgradeFailedError", "step": 2, "path": None}),
        (changes_id, {"error": "UpgradeFailedError", "step": 2, "path": "_id"}),
        (sets_the_tag, {"error": "UpgradeFailedError", "step": 2, "path": "schema_version"}),
        (forgets_the_text, {"error": "InvalidDocumentError", "step": None, "path": "text", "reason": "missing @ text"}),
        (cannot_be_encoded, {"error": "UpgradeFailedError", "step": 2}),
    ],
)
async def test_a_row_that_a_step_or_the_model_fails_on_is_put_aside(
    database: AsyncDatabase[dict[str, Any]], upgrade: Callable[[dict[str, Any]], Any], expected: dict[str, Any]
) -> None:
    def sometimes(row: dict[str, Any]) -> Any:
        return upgrade(row) if row["text"] == SECRET else row

    await database["notes"].insert_many(
        [{"_id": number, "schema_version": 1, "text": SECRET if number == 1 else "x"} for number in range(4)]
    )
    before = await raw_rows(database, "notes")

    result = await backfill(database, kind_with(sometimes))

    (record,) = await records(database)
    assert (result.client, result.quarantined, result.remaining) == (3, 1, 1)
    assert not result.complete
    assert {name: record[name] for name in expected} == expected
    assert record["_id"] == {"kind": "note", "id": 1}
    assert (record["row_id"], record["version"], record["target"], record["tries"]) == (1, 1, 2, 1)
    assert (await raw_rows(database, "notes"))[1] == before[1]
    assert SECRET not in str(record)


@pytest.mark.parametrize(("failures", "expected"), [(2, (1, 0)), (3, (0, 1))])
async def test_a_row_is_tried_three_times_before_it_is_put_aside(
    database: AsyncDatabase[dict[str, Any]], failures: int, expected: tuple[int, int]
) -> None:
    tries = 0

    def fails_at_first(row: dict[str, Any]) -> dict[str, Any]:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise ValueError(SECRET)
        return row

    await database["notes"].insert_one({"_id": 1, "schema_version": 1, "text": "x"})

    result = await backfill(database, kind_with(fails_at_first))

    assert tries == 3
    assert (result.client, result.quarantined) == expected
    assert len(await records(database)) == expected[1]


async def test_a_failed_row_that_is_mended_before_the_next_try_is_not_put_aside(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    mending: list[asyncio.Task[Any]] = []

    def needs_text(row: dict[str, Any]) -> dict[str, Any]:
        if row["text"] == "":
            mend = database["notes"].update_one({"_id": row["_id"]}, {"$set": {"text": "mended"}})
            mending.append(asyncio.ensure_future(mend))
            raise ValueError(SECRET)
        return row

    await database["notes"].insert_one({"_id": 1, "schema_version": 1, "text": ""})

    result = await backfill(database, kind_with(needs_text))

    assert mending
    assert (result.client, result.quarantined) == (1, 0)
    assert await records(database) == []


async def test_an_operation_that_refuses_names_the_field(database: AsyncDatabase[dict[str, Any]]) -> None:
    kind = Kind("note", collection="notes", model=Note, steps=[Step(ops.RenameField("body", "text"), to=2)])
    await database["notes"].insert_many(
        [{"_id": 1, "schema_version": 1, "body": SECRET, "text": SECRET}, {"_id": 2, "schema_version": 1, "body": "x"}]
    )

    result = await backfill(database, kind)

    (record,) = await records(database)
    assert (result.server, result.quarantined) == (1, 1)
    assert (record["error"], record["step"], record["path"]) == ("UpgradeFailedError", 2, "text")
    assert SECRET not in str(record)


async def test_the_text_of_an_error_is_kept_only_when_asked_for(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["notes"].insert_one({"_id": 1, "schema_version": 1, "text": SECRET})

    await backfill(database, kind_with(raises))
    (without,) = await records(database)
    await backfill(database, kind_with(raises), record_error_text=True)
    (with_text,) = await records(database)
    await backfill(database, kind_with(raises))
    (again,) = await records(database)

    assert without["text"] is None
    assert with_text["text"] == f"ValueError: {SECRET}"
    assert again["text"] is None


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("1", "string"),
        (0, "int"),
        (-3, "int"),
        (1.5, "double"),
        (Decimal128("1"), "decimal"),
        ([1], "array"),
        ([1, 2], "array"),
        ([], "array"),
        ([None], "array"),
        ({"a": 1}, "object"),
        (True, "bool"),
    ],
)
async def test_a_tag_that_nobody_can_read_is_put_aside(
    database: AsyncDatabase[dict[str, Any]], tag: Any, found: str
) -> None:
    odd = {"_id": 2, "schema_version": tag, "name": SECRET}
    await database["places"].insert_many([stored(1, 1), odd, stored(1, 3)])

    result = await backfill(database, place_kind(), to=2)

    (record,) = await records(database)
    assert (result.quarantined, result.remaining) == (1, 1)
    assert result.server + result.client == 2
    assert (record["error"], record["version"], record["path"]) == ("UnknownVersionError", None, "schema_version")
    assert found in record["reason"]
    assert (await raw_rows(database, "places"))[1] == encode(odd)


async def test_a_row_below_the_floor_is_put_aside(
    database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it had come when the process had joined already.
    monkeypatch.setattr(floors, "floor_mismatch", lambda _: ())
    await database["places"].insert_many([stored(1, 1), stored(2, 2), {"_id": 3, "title": "untagged, so at version 1"}])

    result = await backfill(database, place_kind(floor=2))

    assert (result.client, result.quarantined, result.remaining) == (1, 2, 2)
    assert [(record["error"], record["version"]) for record in await records(database)] == [
        ("RetiredVersionError", 1),
        ("RetiredVersionError", 1),
    ]


async def test_a_row_that_a_unique_index_refuses_is_put_aside(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].create_index("slug", unique=True, partialFilterExpression={"slug": {"$exists": True}})
    await database["places"].insert_many([stored(3, 1), stored(2, 2), stored(2, 3, "Rome")])

    result = await backfill(database, place_kind())

    (record,) = await records(database)
    assert (result.client, result.quarantined, result.remaining) == (1, 1, 1)
    assert (record["row_id"], record["version"], record["error"]) == (2, 2, "StoreRejectedError")
    assert "11000" in record["reason"]
    assert "oslo" not in str(record).lower()


async def test_a_row_that_a_validator_refuses_is_put_aside(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database.create_collection("notes")
    await database["notes"].insert_many(
        [{"_id": number, "schema_version": 1, "body": "x" * number} for number in (1, 5)]
    )
    await database.command("collMod", "notes", validator={"text": {"$ne": "xxxxx"}})
    kind = Kind("note", collection="notes", model=Note, steps=[Step(ops.RenameField("body", "text"), to=2)])

    result = await backfill(database, kind)

    (record,) = await records(database)
    assert (result.remaining, result.quarantined) == (1, 1)
    assert (record["row_id"], record["error"]) == (5, "StoreRejectedError")


async def test_a_row_that_would_be_too_large_is_put_aside(database: AsyncDatabase[dict[str, Any]]) -> None:
    def double(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "again": row["text"]}

    await database["notes"].insert_many(
        [{"_id": 1, "schema_version": 1, "text": "x" * 9_000_000}, {"_id": 2, "schema_version": 1, "text": "x"}]
    )

    result = await backfill(database, kind_with(double))

    (record,) = await records(database)
    assert (result.client, result.remaining) == (1, 1)
    assert (record["row_id"], record["error"]) == (1, "StoreRejectedError")


async def test_a_row_whose_bytes_are_no_bson_is_put_aside(database: AsyncDatabase[dict[str, Any]]) -> None:
    broken = encode({"_id": 1, "schema_version": 2, "name": "Oslo"}).replace(b"Oslo", b"Os\xff\xfe")
    await database["places"].insert_many([RawBSONDocument(broken), stored(2, 2)])

    result = await backfill(database, place_kind())

    (record,) = await records(database)
    assert (result.client, result.remaining) == (1, 1)
    assert (record["row_id"], record["error"]) == (1, "InvalidDocumentError")


async def test_a_record_goes_when_its_row_was_mended_or_deleted(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["notes"].insert_many([{"_id": number, "schema_version": 1} for number in range(4)])
    first = await backfill(database, kind_with(lambda row: row))
    await database["notes"].update_one({"_id": 1}, {"$set": {"text": "mended"}})
    await database["notes"].update_one({"_id": 2}, {"$set": {"text": "by hand", "schema_version": 2}})
    await database["notes"].delete_one({"_id": 3})

    second = await backfill(database, kind_with(lambda row: row))

    (record,) = await records(database)
    assert (first.quarantined, second.quarantined) == (4, 1)
    assert (record["row_id"], record["tries"]) == (0, 2)
    (covered,) = await coverage(database, [kind_with(lambda row: row)])
    assert covered.report.quarantined == 1


async def test_a_record_knows_when_the_row_first_and_last_failed(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["notes"].insert_many([{"_id": 1, "schema_version": 1}, {"_id": 2, "schema_version": 1, "text": "x"}])
    days = [datetime.datetime(2026, 1, day) for day in (1, 2)]  # noqa: DTZ001 - stored dates are naive UTC
    for day in days:
        await backfill(database, kind_with(lambda row: row), now=lambda day=day: day.replace(tzinfo=datetime.UTC))  # type: ignore[misc]

    (record,) = await records(database)
    assert [record["first_seen"], record["last_seen"]] == days
    # The first run made two passes, and met the row in each.
    assert record["tries"] == 2


async def test_records_of_kinds_do_not_mix(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["notes"].insert_one({"_id": 1, "schema_version": 1})
    await database["places"].insert_one({"_id": 1, "schema_version": "x"})
    await backfill(database, kind_with(lambda row: row))
    await backfill(database, place_kind())

    reports = [result.report for result in await coverage(database, [kind_with(lambda row: row), place_kind()])]

    assert [report.quarantined for report in reports] == [1, 1]
    assert [record["kind"] for record in await records(database)] == ["note", "place"]


async def test_many_rows_are_put_aside(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_many([{"schema_version": "x"} for _ in range(1200)])

    result = await backfill(database, place_kind())

    assert (result.quarantined, result.remaining, result.passes) == (1200, 1200, 1)
    assert await database["docstore_quarantine"].count_documents({}) == 1200
