"""
Counting tags on a real server gives what counting them in Python gives, whatever stands in the tag.
"""

import asyncio
import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from bson.code import Code
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore.commands import coverage, utc_now
from docstore.core.bson_values import encode
from docstore.core.coverage import Coverage, coverage_of
from docstore.core.direction import Direction
from docstore.core.run_scope import RunScope
from docstore.core.version import tag_version
from docstore.mongo import counting_by_value
from docstore.mongo.counting import Way, count_rows
from docstore.mongo.counting_by_value import MANY_ODD, MANY_VALUES
from docstore.mongo.tag_filters import short_of
from docstore.mongo.tag_index import build_tag_index, find_tag_index
from tests.kinds import place_kind, stored
from tests.strategies import values

MISSING = object()
AT = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
TAG = "schema_version"

versions = st.sampled_from([1, 2, 3, 4, Int64(1), 1.0, 2.0, 3.0, Int64(4), 2**31, float(2**53), 1e300])
tags = st.one_of(
    versions,
    values,
    st.lists(versions, max_size=3),
    st.sampled_from([MISSING, None, MinKey(), MaxKey(), Code("x"), Code("x", {"a": 1}), DBRef("a", 1), float("inf")]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(found=st.lists(tags, max_size=12), indexed=st.booleans())
async def test_counts_are_those_of_python_for_tags_of_every_type(
    database: AsyncDatabase[dict[str, Any]], *, found: list[Any], indexed: bool
) -> None:
    name = f"rows_{uuid.uuid4().hex}"
    if indexed:
        await build_tag_index(database, name, TAG)
    rows = [{"_id": place} if tag is MISSING else {"_id": place, TAG: tag} for place, tag in enumerate(found)]
    if rows:
        await database[name].insert_many([RawBSONDocument(encode(row)) for row in rows])
    kind = place_kind()

    counted = await count_rows(database, kind="place", collection=name, field=TAG)
    report = coverage_of(kind, counted.tags, quarantined=0, counted_at=utc_now(), exact=counted.one_moment)
    await database.drop_collection(name)

    readable = [tag_version(tag) for tag in found if tag is not MISSING and tag is not None]
    assert counted.one_moment
    assert report.total == len(found)
    assert report.untagged == len(found) - len(readable)
    assert report.unreadable == readable.count(None)
    assert {count.version: count.rows for count in report.versions} == {
        version: readable.count(version) for version in readable if version is not None
    }


alike = st.sampled_from(
    [
        *(number for value in (0, 1, 2, 3) for number in (value, Int64(value), float(value), Decimal128(str(value)))),
        *(-1, 1.5, -0.0, 2**31, Int64(2**62), float(2**62), 1e300, float("nan"), float("inf"), float("-inf")),
        *map(Decimal128, ("3.0", "1E+2", "100", "2.5", "NaN", "Infinity", "-0", "1E+6000")),
        *(100, "3", True, None, MISSING, MinKey(), {"a": 1}, b"3"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(found=st.lists(alike, max_size=20), below=st.sampled_from([None, 2, 3]))
async def test_counts_by_value_are_those_of_a_pass_over_all_keys(
    database: AsyncDatabase[dict[str, Any]], *, found: list[Any], below: int | None
) -> None:
    # None of these tags is an array, so that the indexes can serve one example after the other.
    await build_tag_index(database, "both_indexes", TAG)
    await database["one_index"].create_index([(TAG, 1), ("_id", 1)])
    rows = [{"_id": place} if tag is MISSING else {"_id": place, TAG: tag} for place, tag in enumerate(found)]
    for name in ("both_indexes", "one_index"):
        await database[name].delete_many({})
        if rows:
            await database[name].insert_many(rows)

    async def counted(name: str, below: int | None = None) -> tuple[Way, Coverage]:
        counts = await count_rows(database, kind="place", collection=name, field=TAG, below=below)
        return counts.way, coverage_of(place_kind(), counts.tags, quarantined=0, counted_at=AT, exact=True)

    way, by_value = await counted("both_indexes", below)
    reference_way, reference = await counted("one_index")

    assert (way, reference_way) == (Way.VALUES, Way.KEYS)
    assert by_value.untagged == reference.untagged
    assert by_value.unreadable == reference.unreadable
    assert by_value.versions == tuple(count for count in reference.versions if below is None or count.version < below)


IDS: list[Callable[[int], Any]] = [
    lambda number: number,
    lambda number: ObjectId(f"{number * 1000:024x}"),
    # Between two integers there may be other numbers, and after them other types.
    lambda number: number if number % 3 else number + 0.5,
    lambda number: number if number % 4 else f"{number}",
    lambda number: f"{number:05}",
    lambda number: ObjectId(f"{number:024x}") if number % 2 else number,
]


@pytest.mark.parametrize("made", IDS)
async def test_rows_that_are_counted_in_parts_are_counted_once(
    database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, made: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(counting_by_value, "LARGE", 1)
    await build_tag_index(database, "places", TAG)
    rows = [{"_id": made(number), TAG: (1, 3.0, 3, 3, 3)[number % 5]} for number in range(1, 400)]
    await database["places"].insert_many(rows)

    counts = await count_rows(database, kind="place", collection="places", field=TAG)

    assert counts.way is Way.VALUES
    assert sorted((count.type, count.value, count.rows) for count in counts.tags) == [
        ("double", 3.0, 80),
        ("int", 1, 79),
        ("int", 3, 240),
    ]


@pytest.mark.parametrize("tags", [range(MANY_VALUES + 1), [1.0] * (MANY_ODD + 1), [[3]], [[]]])
async def test_where_there_are_too_many_values_or_an_array_every_key_is_looked_at(
    database: AsyncDatabase[dict[str, Any]], tags: Any
) -> None:
    await build_tag_index(database, "places", TAG)
    await database["places"].insert_many([{"_id": place, TAG: tag} for place, tag in enumerate(tags)])

    counts = await count_rows(database, kind="place", collection="places", field=TAG)

    assert counts.way is Way.KEYS
    assert sum(count.rows for count in counts.tags) == len(tags)


async def test_an_array_that_is_gone_still_has_every_key_looked_at(database: AsyncDatabase[dict[str, Any]]) -> None:
    await build_tag_index(database, "places", TAG)
    await database["places"].insert_many([{"_id": 1, TAG: [3, 2]}, {"_id": 2, TAG: 3}])
    await database["places"].delete_one({"_id": 1})

    counts = await count_rows(database, kind="place", collection="places", field=TAG)

    assert counts.way is Way.KEYS
    assert [(count.value, count.rows) for count in counts.tags] == [(3, 1)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    found=st.lists(tags, max_size=12),
    direction=st.sampled_from([Direction.UP, Direction.DOWN, Direction.ADOPT]),
    target=st.integers(1, 3),
)
async def test_a_count_of_what_is_left_misses_no_row_that_a_run_is_about(
    database: AsyncDatabase[dict[str, Any]], *, found: list[Any], direction: Direction, target: int
) -> None:
    name = f"rows_{uuid.uuid4().hex}"
    await build_tag_index(database, name, TAG)
    rows = [{"_id": place} if tag is MISSING else {"_id": place, TAG: tag} for place, tag in enumerate(found)]
    if rows:
        await database[name].insert_many([RawBSONDocument(encode(row)) for row in rows])
    scope = RunScope(place_kind(), target, direction)

    async def counted(only: Any) -> Coverage:
        counts = await count_rows(database, kind="place", collection=name, field=TAG, only=only)
        return coverage_of(scope.kind, counts.tags, quarantined=0, counted_at=utc_now(), exact=counts.one_moment)

    everything, left = await counted(None), await counted(short_of(direction, target))
    await database.drop_collection(name)

    sources = scope.sources(everything)
    assert scope.sources(left) == sources
    assert [each for each in left.versions if each.version in sources] == [
        each for each in everything.versions if each.version in sources
    ]
    assert left.untagged == everything.untagged
    if direction is not Direction.ADOPT:
        odd = [tag for tag in found if tag is not MISSING and tag_version(tag) is None and is_no_number(tag)]
        assert left.unreadable >= len(odd)


def is_no_number(tag: Any) -> bool:
    # Numbers stand in the index among the versions, so those beyond the target are left out whatever they are.
    return tag is not None and (isinstance(tag, bool) or not isinstance(tag, int | float | Decimal128))


async def test_what_is_done_is_not_looked_at_again_when_it_is_counted_what_is_left(
    database: AsyncDatabase[dict[str, Any]], client: AsyncMongoClient[dict[str, Any]]
) -> None:
    await build_tag_index(database, "places", TAG)
    await database["places"].insert_many([stored(3, number) for number in range(1000)])
    await database["places"].insert_many([stored(1, -1 - number) for number in range(5)])

    async def keys() -> int:
        status = await client.admin.command("serverStatus")
        return int(status["metrics"]["queryExecutor"]["scanned"])

    async def cost(only: Any) -> tuple[int, int]:
        before = await keys()
        counts = await count_rows(database, kind="place", collection="places", field=TAG, only=only)
        return await keys() - before, sum(count.rows for count in counts.tags)

    assert await cost(short_of(Direction.UP, 3)) < (50, 6)
    await database["places"].insert_one({"_id": "odd", TAG: [3]})
    # An array says in the index that it is 3.
    assert await cost(short_of(Direction.UP, 3)) > (1000, 1005)


async def test_an_undefined_tag_counts_as_untagged(database: AsyncDatabase[dict[str, Any]]) -> None:
    # No driver writes this deprecated type any more: the element is put together by hand.
    body = b"\x10_id\x00\x01\x00\x00\x00" + b"\x06schema_version\x00" + b"\x00"
    await database["places"].insert_one(RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body))

    (result,) = await coverage(database, [place_kind()])

    assert (result.report.untagged, result.report.unreadable) == (1, 0)


async def test_counts_add_up_while_rows_move_between_versions(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(300)])
    await build_tag_index(database, "places", TAG)
    done = asyncio.Event()

    async def move() -> None:
        version = 1
        while not done.is_set():
            version = version % 3 + 1
            await database["places"].update_many({}, {"$set": {TAG: version}})

    moving = asyncio.create_task(move())
    for _ in range(20):
        (result,) = await coverage(database, [place_kind()])
        assert result.report.total == 300
        assert result.report.exact
    done.set()
    await moving


async def test_an_index_is_built_only_when_asked_for(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].insert_one(stored(1))
    asked: list[str] = []

    (before,) = await coverage(database, [place_kind()])
    (built,) = await coverage(database, [place_kind()], create_index=True, on_index_build=asked.append)
    (after,) = await coverage(database, [place_kind()], create_index=True, on_index_build=asked.append)

    assert [before.index, built.index, after.index] == ["missing", "built", "ready"]
    assert before.report.versions == built.report.versions == after.report.versions
    assert asked == ["place"]


async def test_an_index_that_cannot_count_every_row_is_not_taken(database: AsyncDatabase[dict[str, Any]]) -> None:
    keys = [(TAG, 1), ("_id", 1)]
    await database["places"].create_index(keys, name="some", partialFilterExpression={TAG: {"$lt": 3}})
    await database["places"].create_index([*keys, ("name", 1)], name="longer")

    assert await find_tag_index(database, "places", TAG) is None


async def test_an_index_that_somebody_else_built_is_taken(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["places"].create_index([(TAG, 1), ("_id", 1)], name="theirs")

    assert await find_tag_index(database, "places", TAG) == "theirs"


async def test_coverage_counts_on_the_mock_too(mock_database: Any) -> None:
    await mock_database["places"].insert_many([stored(1, 1), stored(3, 2), stored(None, 3), stored(1, 4) | {TAG: "x"}])

    (result,) = await coverage(mock_database, [place_kind()])

    assert (result.report.total, result.report.untagged, result.report.unreadable) == (4, 1, 1)
    assert not result.report.exact
