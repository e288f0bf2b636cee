"""
Counting tags on a real server gives what counting them in Python gives, whatever stands in the tag.
"""

import asyncio
import uuid
from typing import Any

from bson.code import Code
from bson.dbref import DBRef
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from docstore.commands import coverage, utc_now
from docstore.core.bson_values import encode
from docstore.core.coverage import coverage_of
from docstore.core.version import tag_version
from docstore.mongo.counting import count_rows
from docstore.mongo.tag_index import build_tag_index, find_tag_index
from tests.kinds import place_kind, stored
from tests.strategies import values

MISSING = object()
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
