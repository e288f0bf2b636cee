"""
Nothing that a driver offers stores a row outside a fence, whoever calls it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from bson.int64 import Int64
from pymongo import InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, OperationFailure

from docstore.core.fence import FenceBounds
from docstore.mongo.fence import raise_fence

BOUNDS: Final = FenceBounds("city", "v", 2, 3)
#: What must not be stored as a tag. The last stands for no tag at all.
NOTHING: Final = object()
FORBIDDEN: Final[list[Any]] = [1, 4, 2.0, "2", [2], None, True, Int64(1), {"v": 2}, NOTHING]

#: Turns the row with the id 1 into one with this tag.
Change = Callable[[Any, Any], Awaitable[Any]]


def _row(tag: Any, row_id: Any) -> dict[str, Any]:
    return {"_id": row_id} if tag is NOTHING else {"_id": row_id, "v": tag}


def _operators(tag: Any) -> dict[str, Any]:
    return {"$unset": {"v": 1}} if tag is NOTHING else {"$set": {"v": tag}}


def _stages(tag: Any) -> list[dict[str, Any]]:
    return [{"$unset": "v"}] if tag is NOTHING else [{"$set": {"v": {"$literal": tag}}}]


async def _merge(rows: Any, tag: Any, stage: dict[str, Any]) -> None:
    await (await rows.aggregate([{"$match": {"_id": 1}}, *_stages(tag), stage])).to_list()


async def _merge_new(rows: Any, tag: Any) -> None:
    stages = [{"$match": {"_id": 1}}, {"$set": {"_id": 2}}, *_stages(tag), {"$merge": {"into": rows.name}}]
    await (await rows.aggregate(stages)).to_list()


INSERTS: Final[dict[str, Change]] = {
    "insert_one": lambda rows, tag: rows.insert_one(_row(tag, 2)),
    "insert_many": lambda rows, tag: rows.insert_many([_row(2, 2), _row(tag, 3)]),
    "bulk insert": lambda rows, tag: rows.bulk_write([InsertOne(_row(tag, 2))], ordered=False),
    "bulk upsert": lambda rows, tag: rows.bulk_write([ReplaceOne({"_id": 2}, _row(tag, 2), upsert=True)]),
    "replace upsert": lambda rows, tag: rows.replace_one({"_id": 2}, _row(tag, 2), upsert=True),
    "update upsert": lambda rows, tag: rows.update_one({"_id": 2}, {**_operators(tag)}, upsert=True),
    "findAndModify upsert": lambda rows, tag: rows.find_one_and_update({"_id": 2}, _operators(tag), upsert=True),
    "$merge of a new row": _merge_new,
}
CHANGES: Final[dict[str, Change]] = {
    "update_one": lambda rows, tag: rows.update_one({"_id": 1}, _operators(tag)),
    "update_many": lambda rows, tag: rows.update_many({}, _operators(tag)),
    "update by a pipeline": lambda rows, tag: rows.update_many({}, _stages(tag)),
    "replace_one": lambda rows, tag: rows.replace_one({"_id": 1}, _row(tag, 1)),
    "bulk update": lambda rows, tag: rows.bulk_write([UpdateOne({"_id": 1}, _operators(tag))]),
    "bulk update of many": lambda rows, tag: rows.bulk_write([UpdateMany({}, _stages(tag))]),
    "find_one_and_update": lambda rows, tag: rows.find_one_and_update({"_id": 1}, _operators(tag)),
    "find_one_and_replace": lambda rows, tag: rows.find_one_and_replace({"_id": 1}, _row(tag, 1)),
    "findAndModify by a pipeline": lambda rows, tag: rows.find_one_and_update({"_id": 1}, _stages(tag)),
    "$merge": lambda rows, tag: _merge(rows, tag, {"$merge": {"into": rows.name, "whenMatched": "replace"}}),
    "$merge by a pipeline": lambda rows, tag: _merge(
        rows, NOTHING, {"$merge": {"into": rows.name, "whenMatched": _stages(tag)}}
    ),
    "$out": lambda rows, tag: _merge(rows, tag, {"$out": rows.name}),
}


async def _refused(call: Awaitable[Any]) -> bool:
    try:
        await call
    except BulkWriteError as error:
        return [fault["code"] for fault in (error.details or {})["writeErrors"]] == [121]
    except OperationFailure as error:
        return error.code == 121
    return False


@pytest.mark.parametrize("name", [*INSERTS, *CHANGES])
async def test_a_row_outside_the_fence_is_refused_by_every_call(
    database: AsyncDatabase[dict[str, Any]], name: str
) -> None:
    rows = database["cities"]
    await raise_fence(database, "cities", BOUNDS)
    await rows.insert_one({"_id": 1, "v": 2, "name": "Rome"})
    call = (INSERTS | CHANGES)[name]
    let_in: list[Any] = []
    for tag in FORBIDDEN:
        if not await _refused(call(rows, tag)):
            let_in.append(tag)
        await rows.delete_many({"_id": 2, "v": {"$type": "int", "$eq": 2}})
    assert let_in == []
    assert await rows.find({}).to_list() == [{"_id": 1, "v": 2, "name": "Rome"}]


@pytest.mark.parametrize("name", [*INSERTS, *CHANGES])
@pytest.mark.parametrize("tag", [2, Int64(3)])
async def test_a_row_inside_the_fence_is_stored_by_every_call(
    database: AsyncDatabase[dict[str, Any]], name: str, tag: Any
) -> None:
    rows = database["cities"]
    await raise_fence(database, "cities", BOUNDS)
    await rows.insert_one({"_id": 1, "v": 2, "name": "Rome"})
    await (INSERTS | CHANGES)[name](rows, tag)
    assert tag in {row["v"] async for row in rows.find()}
