"""
What counting reads: as many index keys as there are rows to count, and no row; told by the server's profiler.
"""

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from docstore import Document, Kind, Step, Store
from docstore import operations as ops
from docstore.commands import coverage, coverage_counting, remaining
from docstore.core.coverage import OldestRow
from docstore.errors import StoreRejectedError
from docstore.mongo import counting_by_value
from docstore.mongo.counting import Way
from docstore.mongo.tag_index import build_tag_index
from tests.kinds import place_kind

Database = AsyncDatabase[dict[str, Any]]
TAG = "schema_version"
ROWS = 20_000


@pytest.fixture
async def many(database: Database) -> Database:
    """
    1 % of the rows below latest, half of those without a tag.
    """
    rows: list[dict[str, Any]] = [{"_id": number, TAG: 3} for number in range(ROWS)]
    for number in range(0, ROWS, 200):
        rows[number][TAG] = 1
        del rows[number + 1][TAG]
    await build_tag_index(database, "places", TAG)
    await database["places"].insert_many(rows)
    return database


async def examined(database: Database, act: Callable[[], Awaitable[object]]) -> tuple[int, int]:
    """
    Return how many keys and documents of the rows' collection were examined meanwhile.
    """
    await database.command({"profile": 2})
    try:
        await act()
    finally:
        await database.command({"profile": 0})
    told = [each async for each in database["system.profile"].find({"ns": f"{database.name}.places"})]
    await database.drop_collection("system.profile")
    assert told
    assert all(each.get("planSummary") != "COLLSCAN" for each in told)
    return sum(each.get("keysExamined", 0) for each in told), sum(each.get("docsExamined", 0) for each in told)


async def test_a_report_examines_keys_only(many: Database) -> None:
    keys, documents = await examined(many, lambda: coverage(many, [place_kind()]))

    # One for each row, and a few to find where each value ends.
    assert ROWS <= keys < ROWS + 50
    # The first row without a tag, whose key does not say whether it is one.
    assert documents <= 1


async def test_a_report_that_is_counted_in_parts_examines_no_more(
    many: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_by_value, "LARGE", 1)

    keys, documents = await examined(many, lambda: coverage(many, [place_kind()]))

    assert ROWS <= keys < ROWS + 70
    assert documents <= 1


async def test_what_remains_costs_as_much_as_there_is_left(many: Database) -> None:
    keys, documents = await examined(many, lambda: remaining(many, [place_kind()]))

    assert ROWS // 100 <= keys < ROWS // 100 + 50
    assert documents <= 1


async def test_both_tell_the_same_of_what_remains(many: Database) -> None:
    await many["places"].insert_many([{TAG: "3"}, {TAG: Decimal128("3")}, {TAG: 3.0}, {TAG: 2.0}, {TAG: 4}])

    (everything,) = await coverage(many, [place_kind()], require=3)
    (left,) = await remaining(many, [place_kind()], require=3)

    assert everything.way is left.way is Way.VALUES
    assert left.report.remaining == everything.report.remaining == 203
    assert left.below_required == everything.below_required == 203
    assert left.report.unreadable == everything.report.unreadable == 2
    assert everything.report.doubles == 2


async def test_the_age_of_the_oldest_row_below_latest_is_in_its_id(database: Database) -> None:
    ids = [ObjectId.from_datetime(datetime.datetime(2026, 1, day, tzinfo=datetime.UTC)) for day in range(1, 5)]
    await build_tag_index(database, "places", TAG)
    await database["places"].insert_many([{"_id": ids[0], TAG: 3}, {"_id": ids[2], TAG: 1}, {"_id": "x", TAG: 1}])

    (tagged,) = await remaining(database, [place_kind()])
    await database["places"].insert_one({"_id": ids[1]})
    (untagged,) = await coverage(database, [place_kind()])
    await database["places"].delete_many({"_id": {"$in": ids[1:]}})
    (none,) = await coverage(database, [place_kind()])

    assert tagged.report.oldest_below is not None
    assert (tagged.report.oldest_below.version, tagged.report.oldest_below.created) == (1, ids[2].generation_time)
    assert untagged.report.oldest_below is not None
    assert untagged.report.oldest_below.created == ids[1].generation_time
    assert none.report.oldest_below is None


class Letter(Document):
    """
    A row that says when it was made.
    """

    text: str = ""
    created_at: datetime.datetime | None = None


@pytest.mark.parametrize("way", [1, -1])
async def test_the_age_of_the_oldest_row_below_latest_is_in_a_field_that_an_index_begins_with(
    database: Database, way: int
) -> None:
    letter = Kind("letter", collection="letters", model=Letter, steps=[Step(ops.RenameField("body", "text"), to=2)])
    first, second = (datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in (1, 2))
    rows: list[dict[str, Any]] = [
        {"_id": 1, "schema_version": 2, "created_at": first},
        {"_id": 2, "schema_version": 1, "created_at": second + datetime.timedelta(days=1)},
        {"_id": 3, "created_at": second},
        {"_id": 4, "schema_version": 1, "created_at": "2025"},
        {"_id": 5, "schema_version": 1},
    ]
    await database["letters"].insert_many(rows)
    (unknown,) = await coverage(database, [letter], create_index=True)
    await database["letters"].create_index([("created_at", way), ("text", 1)])

    (known,) = await coverage(database, [letter])

    assert unknown.report.oldest_below is None
    assert known.report.oldest_below == OldestRow(version=1, created=second, by="created_at")


async def test_a_missing_index_is_told_with_what_it_costs(database: Database) -> None:
    await database["places"].insert_many([{"_id": number, TAG: 3} for number in range(500)])
    (missing,) = await coverage(database, [place_kind()])
    await database["places"].create_index([(TAG, 1), ("_id", 1)])
    (incomplete,) = await coverage(database, [place_kind()])
    (built,) = await coverage(database, [place_kind()], create_index=True)

    assert (missing.index, incomplete.index, built.index) == ("missing", "incomplete", "built")
    assert (missing.way, incomplete.way, built.way) == (Way.ROWS, Way.KEYS, Way.VALUES)
    assert missing.cost is not None
    assert missing.cost.rows == 500
    assert missing.cost.bytes_read > 500 * 20
    assert missing.cost.index_bytes > 0
    assert incomplete.cost is built.cost is None


async def test_a_count_with_majority_waits_for_what_was_written_with_less(database: Database) -> None:
    hasty = database["places"].with_options(write_concern=WriteConcern(1))
    for number in range(5):
        await hasty.insert_one({"_id": number, TAG: 1})
        (result,) = await remaining(database, [place_kind()], majority=True)
        assert result.report.remaining == number + 1


async def test_who_may_not_write_has_a_report_all_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise StoreRejectedError(reason="Unauthorized", code=13)

    monkeypatch.setattr(coverage_counting, "committed_time", refused)
    monkeypatch.setattr(coverage_counting, "record_counts", refused)
    await database["places"].insert_one({TAG: 3})

    (result,) = await coverage(database, [place_kind()])

    assert (result.report.total, result.recorded) == (1, False)


async def test_whoever_works_with_the_rows_is_in_the_way_of_a_retirement(database: Database) -> None:
    await database["places"].insert_one({TAG: 3})
    (nobody,) = await coverage(database, [place_kind()])
    async with Store(database, kinds=[place_kind()], service="geo"):
        (first,) = await coverage(database, [place_kind()])
    async with Store(database, kinds=[place_kind(latest=2)], service="old", policy="warn"):
        (blind,) = await coverage(database, [place_kind()])

    assert nobody.report.retirable_below is None
    assert "no node has ever worked with place, so nobody knows what is stored" in nobody.report.blockers
    # The soak passes by itself.
    assert first.report.retirable_below == 3
    assert all("48 h" in blocker for blocker in first.report.blockers)
    assert any(blocker.startswith("old/") for blocker in blind.report.blockers)
    assert blind.report.retirable_below == 2
