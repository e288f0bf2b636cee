"""
Which rows a backfill rewrites, where, and to what.
"""

import datetime
from typing import Any

import bson.datetime_ms
import pytest
from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.commands import backfill, coverage
from docstore.core.bson_values import CODEC, encode
from docstore.core.direction import Direction
from docstore.errors import BackfillRefusedError, VersionRangeError
from docstore.mongo.tag_index import find_tag_index
from tests.integration.backfill.conftest import Counter
from tests.kinds import Place, place_kind, stored

#: One of every type that an `_id` can have.
IDS: list[Any] = [
    None,
    0,
    -1,
    2,
    2.5,
    -0.5,
    float("nan"),
    float("inf"),
    Int64(7),
    2**40,
    Decimal128("3.5"),
    "a",
    "B",
    "é",
    "",
    "$steps",
    ObjectId("0123456789ab0123456789ab"),
    b"bytes",
    Binary(b"x", 5),
    True,
    False,
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    Timestamp(1, 2),
    {"a": 1, "b": "x"},
    {"b": "x", "a": 1},
    {},
    MinKey(),
    MaxKey(),
]


async def rows_of(database: Any, collection: str) -> dict[bytes, dict[str, Any]]:
    rows = database.get_collection(collection, codec_options=CODEC)
    return {encode({"": row["_id"]}): row async for row in rows.find()}


async def test_operations_run_inside_the_server(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(10)])

    result = await backfill(database, place_kind(), to=2)

    assert (result.server, result.client, result.remaining) == (10, 0, 0)
    assert result.complete
    assert await database["places"].find_one({"_id": 4}) == {"_id": 4, "schema_version": 2, "name": "Oslo"}


async def test_functions_run_in_python(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_many([stored(1, 1), stored(2, 2), stored(3, 3)])

    result = await backfill(database, place_kind())

    assert (result.server, result.client, result.remaining) == (0, 2, 0)
    assert await database["places"].find().to_list() == [stored(3, number) for number in (1, 2, 3)]


@pytest.mark.usefixtures("single_rows")
async def test_ids_of_every_type_are_reached(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    rows = [{"_id": row_id, "schema_version": 1, "steps": 0} for row_id in IDS]
    await database["counters"].insert_many(rows)

    result = await backfill(database, counter_kind)

    assert result.server + result.client == len(IDS)
    assert result.passes == 1
    # As bytes: Python says that NaN is not NaN.
    found = await rows_of(database, "counters")
    assert {encode(row) for row in found.values()} == {encode({**row, "schema_version": 3, "steps": 2}) for row in rows}


@pytest.mark.usefixtures("small_batches")
async def test_rows_of_every_version_and_without_a_tag_are_reached(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    tags: list[Any] = [1, 2, 3, 1.0, Int64(2), None]
    await database["counters"].insert_many([{"steps": 0, "schema_version": tag} for tag in tags for _ in range(4)])
    await database["counters"].insert_many([{"steps": 0} for _ in range(5)])

    result = await backfill(database, counter_kind)

    assert result.remaining == 0
    found = [(row["schema_version"], row["steps"]) async for row in database["counters"].find(sort=[("_id", 1)])]
    assert [steps for _, steps in found] == [2] * 4 + [1] * 4 + [0] * 4 + [2] * 4 + [1] * 4 + [2] * 4 + [2] * 5
    assert {tag for tag, _ in found} == {3}
    assert await database["counters"].count_documents({"schema_version": {"$type": "int"}}) == len(found)


async def test_rows_at_the_target_or_above_are_left_alone_on_the_way_up(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database["places"].insert_many([stored(1, 1), stored(3, 2), stored(3, 3) | {"schema_version": 9}])
    before = await rows_of(database, "places")

    result = await backfill(database, place_kind(), to=2, direction=Direction.UP)

    after = await rows_of(database, "places")
    assert result.complete
    assert [encode(row) for row in after.values()][1:] == [encode(row) for row in before.values()][1:]
    assert after[encode({"": 1})]["schema_version"] == 2


async def test_what_has_nothing_to_do_is_done(database: AsyncDatabase[dict[str, Any]]) -> None:
    empty = await backfill(database, place_kind())
    await database["places"].insert_one(stored(3))
    finished = await backfill(database, place_kind())

    assert (empty.passes, empty.complete) == (0, True)
    assert (finished.passes, finished.complete) == (0, True)


async def test_rows_that_all_stand_above_latest_are_refused(database: AsyncDatabase[dict[str, Any]]) -> None:
    row = stored(3) | {"schema_version": 9}
    await database["places"].insert_one(row)

    with pytest.raises(BackfillRefusedError) as caught:
        await backfill(database, place_kind(), to=2)

    assert caught.value.kind == "place"
    assert await database["places"].find_one() == row


async def test_a_version_that_the_kind_does_not_have_is_refused(database: AsyncDatabase[dict[str, Any]]) -> None:
    with pytest.raises(VersionRangeError) as caught:
        await backfill(database, place_kind(), to=4)

    assert (caught.value.asked, caught.value.latest) == (4, 3)


async def test_the_index_is_built_once(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_one(stored(1, 1))
    first = await backfill(database, place_kind())
    await database["places"].insert_one(stored(1, 2))
    second = await backfill(database, place_kind())

    assert (first.index_built, second.index_built) == (True, False)
    assert await find_tag_index(database, "places", "schema_version") is not None


async def test_detect_tells_where_untagged_rows_begin(database: AsyncDatabase[dict[str, Any]]) -> None:
    def by_shape(row: dict[str, Any]) -> int:
        return 1 if "title" in row else 3

    plain = place_kind()
    kind = Kind("place", collection="places", model=Place, steps=plain.steps, detect=by_shape)
    await database["places"].insert_many([{"_id": 1, "title": "Oslo"}, {"_id": 2, "name": "Rome", "slug": "rome"}])

    result = await backfill(database, kind)

    assert (result.client, result.remaining) == (2, 0)
    assert [row async for row in database["places"].find({}, {"schema_version": 1, "slug": 1})] == [
        {"_id": 1, "schema_version": 3, "slug": "oslo"},
        {"_id": 2, "slug": "rome", "schema_version": 3},
    ]


async def test_untagged_rows_above_the_target_are_not_pulled_down(database: AsyncDatabase[dict[str, Any]]) -> None:
    plain = place_kind()
    kind = Kind("place", collection="places", model=Place, steps=plain.steps, detect=lambda _: 3)
    await database["places"].insert_one({"_id": 1, "name": "Rome", "slug": "rome"})

    result = await backfill(database, kind, to=2)

    assert (result.client, result.remaining, result.passes) == (0, 0, 1)
    assert await database["places"].find_one() == {"_id": 1, "name": "Rome", "slug": "rome"}


async def test_a_row_that_the_server_declines_is_upgraded_in_python(database: AsyncDatabase[dict[str, Any]]) -> None:
    class Tagged(Document):
        tags: list[Any]

    # The server is kept from rows whose field is text by `requires`.
    step = Step(
        ops.Compute(
            "tags", ["$tags"], lambda row: [row["tags"]], replace=True, requires={"$eq": [{"$type": "$tags"}, "int"]}
        ),
        to=2,
    )
    kind = Kind("tagged", collection="tagged", model=Tagged, steps=[step])
    await database["tagged"].insert_many([{"_id": 1, "schema_version": 1, "tags": tags} for tags in (1,)])
    await database["tagged"].insert_many([{"_id": 2, "schema_version": 1, "tags": "x"}])

    result = await backfill(database, kind)

    assert (result.server, result.client, result.remaining) == (1, 1, 0)
    assert [row["tags"] async for row in database["tagged"].find(sort=[("_id", 1)])] == [[1], ["x"]]


async def test_a_range_at_which_the_server_fails_is_taken_row_by_row(database: AsyncDatabase[dict[str, Any]]) -> None:
    class Number(Document):
        n: int

    # An expression that raises an error on the server for one of the rows, and says nothing of it in `requires`.
    step = Step(ops.Compute("n", {"$toInt": "$n"}, lambda row: int(row["n"]), replace=True), to=2)
    kind = Kind("number", collection="numbers", model=Number, steps=[step])
    await database["numbers"].insert_many(
        [{"_id": number, "schema_version": 1, "n": " 7 " if number == 3 else "7"} for number in range(6)]
    )

    result = await backfill(database, kind)

    assert result.remaining == 0
    assert [row["n"] async for row in database["numbers"].find()] == [7] * 6


async def test_only_the_fields_that_change_are_written(database: AsyncDatabase[dict[str, Any]]) -> None:
    odd = {"long": Int64(1), "decimal": Decimal128("1.0"), "far": bson.datetime_ms.DatetimeMS(10**15)}
    await database["places"].insert_one(stored(2, 1) | odd)

    await backfill(database, place_kind())

    rows = database.get_collection("places", codec_options=CODEC)
    assert encode(await rows.find_one() or {}) == encode(stored(2, 1) | odd | {"schema_version": 3, "slug": "oslo"})


@pytest.mark.parametrize("writes", [None, ["tags"]])
async def test_what_a_function_changes_in_place_is_written(
    database: AsyncDatabase[dict[str, Any]], writes: list[str] | None
) -> None:
    def append(row: dict[str, Any]) -> dict[str, Any]:
        row["tags"].append("new")
        row["tags"][0]["inner"] = 2
        return row

    kind = Kind("tagged", collection="tagged", model=Document, steps=[Step(upgrade=append, writes=writes, to=2)])
    await database["tagged"].insert_one({"_id": 1, "schema_version": 1, "tags": [{"inner": 1}]})

    await backfill(database, kind)

    assert await database["tagged"].find_one() == {"_id": 1, "schema_version": 2, "tags": [{"inner": 2}, "new"]}


async def test_names_that_no_operator_can_speak_of_are_written(database: AsyncDatabase[dict[str, Any]]) -> None:
    def odd(row: dict[str, Any]) -> dict[str, Any]:
        row["a.b"] = row.pop("$x")
        return row

    kind = Kind("odd", collection="odd", model=Document, steps=[Step(upgrade=odd, to=2)])
    await database["odd"].insert_one({"_id": 1, "schema_version": 1, "$x": 1, "kept": {"$y": 2}})

    result = await backfill(database, kind)

    assert result.client == 1
    assert await database["odd"].find_one() == {"_id": 1, "schema_version": 2, "kept": {"$y": 2}, "a.b": 1}


@pytest.mark.usefixtures("small_batches")
async def test_progress_begins_with_all_there_is_to_do_and_ends_with_all_done(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database["counters"].insert_many([{"schema_version": 1, "steps": 0} for _ in range(10)])
    seen: list[Any] = []

    await backfill(database, counter_kind, on_progress=seen.append)

    done = [progress.done for progress in seen]
    assert {progress.total for progress in seen if progress.phase == "rewrite"} == {10}
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert done[-1] == 10


async def test_a_backfill_runs_over_motor(motor_database: Any, counter_kind: Kind[Counter]) -> None:
    await motor_database["counters"].insert_many([{"schema_version": 1, "steps": 0} for _ in range(3)])

    result = await backfill(motor_database, counter_kind)

    assert result.server + result.client == 3
    assert [row["steps"] async for row in motor_database["counters"].find()] == [2, 2, 2]


async def test_a_backfill_runs_on_the_mock(mock_database: Any) -> None:
    await mock_database["places"].insert_many([stored(1, 1), stored(2, "two"), stored(None, 3), stored(3, 4)])
    await mock_database["places"].insert_one({"_id": 5, "schema_version": "x"})

    result = await backfill(mock_database, place_kind())

    assert (result.server, result.client, result.quarantined, result.remaining) == (0, 3, 1, 1)
    (covered,) = await coverage(mock_database, [place_kind()])
    assert covered.report.quarantined == 1
    assert [count.version for count in covered.report.versions] == [3]
