"""
Queries on paths that a step changes, over rows that are awkward in one way each; the same on all three drivers.
"""

from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from pydantic import BaseModel, ConfigDict

from docstore import Document, Kind, Step, Store
from docstore import operations as ops
from docstore.core.bson_values import encode
from docstore.core.document import get_origin_row
from docstore.errors import (
    DocumentError,
    NewerVersionError,
    QueryRefusedError,
    RetiredVersionError,
    StaleQueryError,
    UnknownVersionError,
    UpgradeFailedError,
)
from docstore.store.query import Queries
from docstore.store.rows import RowReader


class Letter(Document):
    model_config = ConfigDict(extra="allow")


def _shout(row: dict[str, Any]) -> dict[str, Any]:
    row["loud"] = str(row.get("text", "")).upper()
    return row


STEPS = [
    Step(ops.NestFields({"zip": "code", "town": "town"}, into="address"), to=2),
    Step(ops.ConcatLists("names", "name", "aliases", unique=True), to=3),
    Step(upgrade=_shout, writes=["loud"], to=4),
]

letter = Kind("letter", collection="letters", model=Letter, steps=STEPS)

RENAME = ops.RenameField("name", "title")


async def _queries(database: Any, rows: list[dict[str, Any]], kind: Kind[Any] = letter) -> Queries[Any]:
    if rows:
        await database[kind.collection].insert_many(rows)
    return Queries(database, kind, RowReader(kind))


async def _ids(queries: Queries[Any], filter: dict[str, Any], **options: Any) -> list[Any]:
    return [found.id for found in await queries.find(filter, **options).to_list()]


def _row(number: Any, version: Any = None, **fields: Any) -> dict[str, Any]:
    tag = {} if version is None else {"schema_version": version}
    return {"_id": number, "zip": "1010", "town": "Wien", "name": "a", "aliases": ["b"], **tag, **fields}


def _latest(number: Any, **fields: Any) -> dict[str, Any]:
    address = {"code": "1010", "town": "Wien"}
    return {"_id": number, "address": address, "names": ["a", "b"], "loud": "", **fields, "schema_version": 4}


def _bytes_of(value: Any) -> bytes:
    return encode({"": value})


async def test_rows_of_every_version_and_kind_of_tag_are_found_at_the_latest_shape(any_database: Any) -> None:
    untagged, null, double, long = _row(1), _row(2) | {"schema_version": None}, _row(3, 1.0), _row(4, Int64(1))
    second = {"_id": 5, "address": {"code": "1010", "town": "Wien"}, "name": "a", "schema_version": 2}
    queries = await _queries(any_database, [untagged, null, double, long, second, _latest(6), _row(7, 1, zip="9")])
    assert sorted(await _ids(queries, {"address.code": "1010"})) == [1, 2, 3, 4, 5, 6]
    assert sorted(await _ids(queries, {"names": "b"})) == [1, 2, 3, 4, 6, 7]
    assert await queries.count({"address.code": {"$ne": "1010"}}) == 1
    assert sorted([row_id async for row_id in queries.old_ids({"address.code": "1010"})]) == [1, 2, 3, 4, 5]


async def test_what_is_found_is_upgraded_and_remembers_its_stored_bytes(database: Any) -> None:
    row = _row(1, extra=Decimal128("1.10"), blob=Binary(b"x", 6), oid=ObjectId(b"a" * 12))
    queries = await _queries(database, [row, _latest(2)])
    stored = [batch async for batch in database["letters"].find_raw_batches({"_id": 1})]
    (found,) = await queries.find({"address.code": "1010", "_id": 1}).to_list()
    assert found.address == {"code": "1010", "town": "Wien"}
    assert [get_origin_row(found)] == stored


async def test_the_shape_that_is_no_more_matches_nothing(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1), _row(2, 1), _latest(3)])
    assert await _ids(queries, {"zip": "1010"}) == []
    assert await queries.count({"zip": {"$exists": True}}) == 0
    assert sorted(await _ids(queries, {"zip": {"$exists": False}})) == [1, 2, 3]


async def test_order_skip_and_limit_go_across_versions(any_database: Any) -> None:
    rows = [_row(number, [None, 1][number % 2], zip=f"{number:02}") for number in range(10)]
    rows += [_latest(number, address={"code": f"{number:02}"}) for number in range(10, 20)]
    queries = await _queries(any_database, rows)
    backwards = [("address.code", -1)]
    assert await _ids(queries, {}, sort=backwards) == list(range(19, -1, -1))
    assert await _ids(queries, {}, sort=backwards, skip=8, limit=4) == [11, 10, 9, 8]
    assert len(await _ids(queries, {"address.code": {"$gte": "00"}}, skip=15, limit=10)) == 5
    first = await queries.find_one({"address.code": {"$gt": "05"}}, sort=[("address.code", 1)])
    assert first is not None
    assert first.id == 6
    assert await queries.find_one({"address.code": "none"}) is None


async def test_a_filter_on_untouched_paths_needs_no_upgrade_to_be_asked(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1, weight=5), _latest(2, weight=7)])
    assert await _ids(queries, {"weight": {"$gt": 1}}, sort=[("weight", -1)]) == [2, 1]
    assert await queries.count({"weight": 5}) == 1
    assert [row_id async for row_id in queries.old_ids({"weight": {"$gt": 1}})] == [1]


async def test_rows_of_which_a_function_makes_the_path_are_refused_by_name(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1), _row(2, 3), _latest(3, loud="A")])
    with pytest.raises(StaleQueryError) as raised:
        await queries.find({"$or": [{"loud": "A"}, {"address.code": "x"}]}).to_list()
    assert raised.value.paths == ("address.code", "loud")
    assert raised.value.versions == (1, 3)
    assert raised.value.rows == 2
    assert "step 4: it is made of Python functions" in raised.value.reason
    with pytest.raises(StaleQueryError):
        await queries.count({"loud": "A"})
    with pytest.raises(StaleQueryError):
        [row_id async for row_id in queries.old_ids({"loud": "A"})]
    await any_database["letters"].delete_many({"_id": {"$in": [1, 2]}})
    assert await _ids(queries, {"loud": "A"}) == [3]


async def test_a_refusal_concerns_only_the_rows_that_the_rest_of_the_filter_leaves(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1), _latest(3, loud="A")])
    assert await _ids(queries, {"_id": 3, "loud": "A"}) == [3]
    with pytest.raises(StaleQueryError) as raised:
        await queries.count({"_id": {"$lte": 1}, "loud": "A"})
    assert raised.value.rows == 1


async def test_a_row_that_no_step_can_upgrade_is_raised_or_reported(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1), _row(2, address="taken"), _latest(3)])
    with pytest.raises(UpgradeFailedError) as raised:
        await queries.find({"address.code": "1010"}).to_list()
    assert (raised.value.id, raised.value.step) == (2, 2)
    with pytest.raises(UpgradeFailedError):
        await queries.count({"address.code": "1010"})
    cursor = queries.find({"address.code": "1010"}, on_error="skip")
    assert sorted(found.id for found in await cursor.to_list()) == [1, 3]
    assert [(row.id, row.error) for row in cursor.skipped] == [(2, "UpgradeFailedError")]


async def test_a_row_that_no_step_can_upgrade_is_nobodys_concern_where_it_cannot_match(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1, box=1), _row(2, box=2, address="taken"), _latest(3, box=1)])
    assert sorted(await _ids(queries, {"address.code": "1010", "box": 1})) == [1, 3]
    assert await queries.count({"$and": [{"address.code": "1010"}, {"_id": 3}]}) == 1


async def test_a_row_that_no_step_can_upgrade_is_told_of_where_older_ones_are_upgraded_for_the_query(
    any_database: Any,
) -> None:
    steps = [Step(ops.JoinText(["first", "last"], into="name", separator=" "), to=2), Step(RENAME, to=3)]
    kind = Kind("letter", collection="letters", model=Letter, steps=steps)
    rows = [
        {"_id": 1, "first": "Ada", "last": "King", "schema_version": 1},
        {"_id": 2, "name": "Ada", "title": "Ada", "schema_version": 2},
    ]
    queries = await _queries(any_database, rows, kind)
    with pytest.raises(UpgradeFailedError):
        await queries.count({"title": "Ada"})
    with pytest.raises(UpgradeFailedError):
        _ = [batch async for batch in queries.rows({"title": "Ada"}, judged=True)]
    await any_database["letters"].delete_one({"_id": 1})
    with pytest.raises(UpgradeFailedError):
        _ = [batch async for batch in queries.rows({"title": "Ada"}, judged=True)]


async def test_a_row_is_judged_by_the_operations_that_the_query_needs(server_database: Any) -> None:
    queries = await _queries(server_database, [_row(1), _row(2, address="taken"), _latest(3)])
    assert sorted([row_id async for row_id in queries.old_ids({"names": "b"})]) == [1, 2]
    assert await queries.count({"names": "b"}) == 3
    with pytest.raises(UpgradeFailedError):
        await queries.find({"names": "b"}).to_list()


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (_latest(1) | {"schema_version": 9}, NewerVersionError),
        (_latest(1) | {"schema_version": "4"}, UnknownVersionError),
        (_latest(1) | {"schema_version": [1]}, UnknownVersionError),
        (_latest(1) | {"schema_version": Decimal128("1")}, UnknownVersionError),
        (_latest(1) | {"schema_version": 1.5}, UnknownVersionError),
        (_latest(1) | {"schema_version": False}, UnknownVersionError),
        (_latest(1) | {"schema_version": -3}, UnknownVersionError),
        (_latest(1) | {"schema_version": float("nan")}, UnknownVersionError),
    ],
)
async def test_rows_that_nobody_can_read_are_met_as_they_are_stored_and_never_left_out(
    any_database: Any, row: dict[str, Any], error: type[DocumentError]
) -> None:
    queries = await _queries(any_database, [row, _row(2), _row(3, 1)])
    with pytest.raises(error):
        await queries.find({"address.code": "1010"}).to_list()
    cursor = queries.find({"address.code": "1010"}, on_error="skip")
    assert sorted(found.id for found in await cursor.to_list()) == [2, 3]
    assert [(skipped.id, skipped.error) for skipped in cursor.skipped] == [(1, error.__name__)]
    assert await queries.count({"address.code": "1010"}) == 3
    assert sorted([row_id async for row_id in queries.old_ids({"address.code": "1010"})]) == [2, 3]


async def test_rows_below_the_floor_are_met_as_they_are_stored(any_database: Any) -> None:
    kind = Kind("letter", collection="letters", model=Letter, steps=STEPS[1:], floor=2)
    rows = [_row(1, 1, names=["b"]), _row(2, names=["b"]), _row(3, 2), _latest(4)]
    queries = await _queries(any_database, rows, kind)
    cursor = queries.find({"names": "b"}, on_error="skip")
    assert sorted(found.id for found in await cursor.to_list()) == [3, 4]
    assert sorted(skipped.id for skipped in cursor.skipped) == [1, 2]
    with pytest.raises(RetiredVersionError):
        await queries.find_one({"names": "b", "_id": 1})


async def test_untagged_rows_stand_where_detect_says(any_database: Any) -> None:
    def detect(row: dict[str, Any]) -> int:
        return 1 if "zip" in row else 2 if "aliases" in row else 4

    kind = Kind("letter", collection="letters", model=Letter, steps=STEPS, detect=detect)
    latest = {key: value for key, value in _latest(3).items() if key != "schema_version"}
    second = {"_id": 2, "address": {"code": "1010"}, "aliases": ["b"]}
    queries = await _queries(any_database, [_row(1), second, latest, _latest(4)], kind)
    assert sorted(await _ids(queries, {"address.code": "1010"})) == [1, 2, 3, 4]
    assert sorted(await _ids(queries, {"names": "b"})) == [1, 2, 3, 4]
    assert await queries.count({"zip": {"$exists": True}}) == 0


async def test_text_that_begins_with_a_dollar_is_data(any_database: Any) -> None:
    rows = [_row(1, zip="$town", name="$aliases"), _row(2, 1, zip="$$ROOT")]
    queries = await _queries(any_database, rows)
    assert await _ids(queries, {"address.code": "$town"}) == [1]
    assert await _ids(queries, {"names": "$aliases"}) == [1]
    assert await _ids(queries, {"address.code": "$$ROOT"}) == [2]


async def test_ids_of_any_type_come_back_once(any_database: Any) -> None:
    numbers: list[Any] = [1, "1", 1.5, ObjectId(b"b" * 12), Binary(b"1", 5), {"a": 1, "b": [2]}, None]
    queries = await _queries(any_database, [_row(number) for number in numbers])
    found = await _ids(queries, {"address.code": "1010"})
    assert sorted(map(_bytes_of, found)) == sorted(map(_bytes_of, numbers))


async def test_a_query_of_the_tag_is_refused_whatever_is_stored(any_database: Any) -> None:
    queries = await _queries(any_database, [])
    with pytest.raises(QueryRefusedError):
        queries.find({"$or": [{"schema_version": 1}, {"a": 1}]})
    with pytest.raises(QueryRefusedError):
        queries.find({}, sort=[("schema_version", 1)])
    with pytest.raises(QueryRefusedError):
        await queries.count({"schema_version": {"$lt": 4}})


@pytest.mark.parametrize(
    "filter",
    [
        {"$where": "this.address"},
        {"address.code": {"$near": [0, 0]}},
        {"$expr": {"$eq": ["$$ROOT", {"$literal": {}}]}},
        {"$jsonSchema": {"required": ["address"]}},
    ],
)
async def test_what_cannot_follow_an_upgrade_is_refused_while_old_rows_are_stored(
    any_database: Any, filter: dict[str, Any]
) -> None:
    queries = await _queries(any_database, [_row(1), _latest(2)])
    with pytest.raises(StaleQueryError) as raised:
        await queries.find(filter).to_list()
    assert raised.value.rows == 1


class AddressOnly(BaseModel):
    address: dict[str, str]


class WeightOnly(Document):
    weight: int


async def test_a_projection_reads_old_rows_at_the_latest_shape(any_database: Any) -> None:
    queries = await _queries(any_database, [_row(1, weight=5), _latest(2, weight=7)])
    expected = AddressOnly(address={"code": "1010", "town": "Wien"})
    assert await queries.find(projection=AddressOnly).to_list() == [expected, expected]
    assert await queries.find({"address.code": "1010"}, projection=AddressOnly).to_list() == [expected, expected]
    by_weight = [("weight", 1)]
    found = await queries.find(sort=by_weight, projection=WeightOnly).to_list()
    assert found == [WeightOnly(id=1, weight=5), WeightOnly(id=2, weight=7)]
    assert await queries.find_one({"address.code": "1010", "_id": 2}, projection=WeightOnly) == found[1]
    assert get_origin_row(found[0]) is None


async def test_a_kind_without_steps_is_asked_as_it_is(any_database: Any) -> None:
    kind = Kind("letter", collection="letters", model=Letter)
    queries = await _queries(any_database, [{"_id": 1, "a": 1}, {"_id": 2, "a": 1, "schema_version": 1}], kind)
    assert sorted(await _ids(queries, {"a": 1})) == [1, 2]
    # Of the latest shape, and without the tag that an update looks for.
    assert [row_id async for row_id in queries.old_ids({"a": 1})] == [1]


@pytest.mark.parametrize("drawn", [{"$sampleRate": 0.5}, {"$expr": {"$lt": [{"$rand": {}}, 0.5]}}])
async def test_rows_that_are_drawn_by_chance_are_drawn_once(database: Any, drawn: dict[str, Any]) -> None:
    """
    Of 1,000 rows, 500 give or take 16; of rows that are drawn twice, 250.
    """
    rows = [letter.upgrade(_row(number, 1), to=number % 4 + 1) for number in range(1000)]
    await database["letters"].insert_many(rows)
    letters = Store(database, kinds=[letter], service="tests").collection(letter)
    for steady in ({"address.town": "Wien"}, {"names": {"$in": ["a", "z"]}}, {"loud": ""}):
        asked = steady | drawn
        found = await letters.find(asked, allow_client_filter=True).to_list()
        assert 400 < len(found) < 600
        first = await letters.find(asked, sort=[("loud", 1)], limit=900, allow_client_filter=True).to_list()
        assert 400 < len(first) < 600
        assert 400 < await letters.count(asked, allow_client_filter=True) < 600
        cursor = await letters.aggregate([{"$match": asked}], allow_client_filter=True)
        assert 400 < len(await cursor.to_list()) < 600
