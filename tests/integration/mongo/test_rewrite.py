"""
A guarded rewrite on a real server: it makes exactly the row that was asked for, or it does nothing.
"""

from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, example, given, settings
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from docstore.core.bson_values import decode, encode, identical
from docstore.mongo.row_writer import Rewritten
from docstore.mongo.server_writing import ServerRowWriter
from tests.changed_rows import NAMES, changed_rows

Database = AsyncDatabase[dict[str, Any]]

on_one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


async def _stored(database: Database, row: dict[str, Any]) -> bytes:
    raw = encode(row)
    await database.rows.replace_one({"_id": row["_id"]}, RawBSONDocument(raw), upsert=True)
    return raw


@pytest.mark.timeout(600)
@on_one_database
@given(rows=changed_rows(NAMES))
@example(rows=({"_id": 1, "a": {"b": 1}}, {"_id": 1, "a": {"10": 1, "9": 2, "b": 1}}))
@example(rows=({"_id": 1, "a": {"m": 1}}, {"_id": 1, "a": {"m": 1, "z": 2, "c": 3}}))
@example(rows=({"_id": 1, "a": {"m": 1}}, {"_id": 1, "a": {"c": 3, "m": 1}}))
@example(rows=({"_id": 1, "a": {"m": 1, "c": 3}}, {"_id": 1, "a": {"c": 4, "m": 1}}))
@example(rows=({"_id": 1, "a": {}}, {"_id": 1, "a": {"B": 1, "a": 2, "é": 3}}))
async def test_rewrite_makes_exactly_the_row_that_was_asked_for(
    database: Database, rows: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    before, after = rows
    await database.rows.delete_many({})
    raw = encode(before)
    await database.rows.insert_one(RawBSONDocument(raw))
    writer = ServerRowWriter(database, "rows")

    stored = await writer.rewrite(raw, after, session=None)

    assert stored is not None
    assert stored == await writer.current(1, session=None)
    row = decode(stored)
    assert row.keys() == after.keys()
    assert all(identical(row[name], after[name]) for name in after)


async def test_rewrite_without_a_difference_writes_nothing(database: Database) -> None:
    raw = await _stored(database, {"_id": 1, "a": 1})
    await database.rows.update_one({"_id": 1}, {"$set": {"a": 2}})
    assert await ServerRowWriter(database, "rows").rewrite(raw, {"_id": 1, "a": 1}, session=None) == raw
    assert await database.rows.find_one({"_id": 1}) == {"_id": 1, "a": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"a": 2}},
        {"$set": {"new": None}},
        {"$unset": {"a": ""}},
        {"$set": {"flag": 1}},
        {"$set": {"d": {"y": 1, "x": 1}}},
        {"$set": {"l": [[1]]}},
        {"$set": {"missing": None}},
        {"$set": {"name": "x"}},
        {"$set": {"price": Decimal128("1.51")}},
    ],
    ids=str,
)
async def test_rewrite_after_any_change_by_another_writer_does_nothing(
    database: Database, change: dict[str, Any]
) -> None:
    row = {"_id": 1, "a": 1, "flag": True, "d": {"x": 1, "y": 1}, "l": [1], "name": "X", "price": Decimal128("1.5")}
    raw = await _stored(database, row)
    await database.rows.update_one({"_id": 1}, change)
    changed = await database.rows.find_one({"_id": 1})

    assert await ServerRowWriter(database, "rows").rewrite(raw, {**row, "b": 1}, session=None) is None

    assert await database.rows.find_one({"_id": 1}) == changed


async def test_rewrite_of_a_row_that_was_deleted_does_not_bring_it_back(database: Database) -> None:
    raw = await _stored(database, {"_id": 1, "a": 1})
    await database.rows.delete_one({"_id": 1})
    assert await ServerRowWriter(database, "rows").rewrite(raw, {"_id": 1, "a": 2}, session=None) is None
    assert await database.rows.count_documents({}) == 0


async def test_rewrite_of_one_field_leaves_a_concurrent_change_of_type_elsewhere_alone(database: Database) -> None:
    # The server calls 1 and 1.0 equal, so the guard passes; what is not named is not undone.
    raw = await _stored(database, {"_id": 1, "a": 1, "b": 1})
    await database.rows.update_one({"_id": 1}, {"$set": {"b": 1.0}})
    stored = await ServerRowWriter(database, "rows").rewrite(raw, {"_id": 1, "a": 2, "b": 1}, session=None)
    assert stored is not None
    assert identical(decode(stored), {"_id": 1, "a": 2, "b": 1.0})


@pytest.mark.parametrize("row_id", ["abc", 7, {"part": "abc"}], ids=["string", "number", "document"])
async def test_rewrite_in_a_collection_that_ignores_case_compares_byte_by_byte(database: Database, row_id: Any) -> None:
    await database.create_collection("rows", collation={"locale": "en", "strength": 2})
    row = {"_id": row_id, "name": "abc", "n": 1}
    raw = encode(row)
    await database.rows.insert_one(RawBSONDocument(raw))
    writer = ServerRowWriter(database, "rows")
    await database.rows.update_one({"_id": row_id}, {"$set": {"name": "ABC"}})

    assert await writer.rewrite(raw, {**row, "n": 2}, session=None) is None

    now = await writer.current(row_id, session=None)
    assert now is not None
    stored = await writer.rewrite(now, {**decode(now), "n": 3}, session=None)
    assert stored is not None
    assert decode(stored) == {"_id": row_id, "name": "ABC", "n": 3}


async def test_rewrite_too_large_for_one_command_with_its_guard_is_still_exact(database: Database) -> None:
    row = {"_id": 1, "old": b"o" * 9_000_000, "n": 1}
    raw = await _stored(database, row)
    writer = ServerRowWriter(database, "rows")
    after = {"_id": 1, "new": b"n" * 9_000_000, "n": 1}

    await database.rows.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert await writer.rewrite(raw, after, session=None) is None

    now = await writer.current(1, session=None)
    assert now is not None
    stored = await writer.rewrite(now, {**after, "n": 2}, session=None)
    assert stored is not None
    assert identical(decode(stored), {"_id": 1, "n": 2, "new": after["new"]})


async def test_rewrite_many_tells_how_many_rows_were_still_what_they_were(database: Database) -> None:
    raws = [await _stored(database, {"_id": number, "a": 1}) for number in range(10)]
    await database.rows.update_many({"_id": {"$lt": 4}}, {"$set": {"a": 5}})
    pairs = [(raw, {"_id": number, "a": 2}) for number, raw in enumerate(raws)]

    assert await ServerRowWriter(database, "rows").rewrite_many(pairs) == Rewritten(6)

    rows = await database.rows.find({}, sort=[("_id", 1)]).to_list()
    assert [row["a"] for row in rows] == [5, 5, 5, 5, 2, 2, 2, 2, 2, 2]


async def test_rewrite_is_acknowledged_also_where_the_database_asks_for_none(database: Database) -> None:
    raw = await _stored(database, {"_id": 1, "a": 1})
    writer = ServerRowWriter(database.with_options(write_concern=WriteConcern(w=0)), "rows")
    assert await writer.rewrite(raw, {"_id": 1, "a": 2}, session=None) == encode({"_id": 1, "a": 2})
    assert await writer.rewrite(raw, {"_id": 1, "a": 3}, session=None) is None
