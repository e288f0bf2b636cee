"""
Since when no row stands below a version: the first exact zero begins the time, and rows end it, in whatever order
counts are recorded.
"""

import asyncio
import datetime
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from docstore.commands import backfill, utc_now
from docstore.core.coverage import Coverage, TagCount, coverage_of
from docstore.core.soak import lowest_standing
from docstore.errors import RecordFormatError
from docstore.mongo.coverage_history import clear_for, clear_since, committed_time, record_counts
from docstore.mongo.coverage_samples import add_sample, coverage_samples
from tests.kinds import place_kind, stored

Database = AsyncDatabase[dict[str, Any]]
TAG = "schema_version"
KIND = place_kind()


def found(*versions: int, exact: bool = True, untagged: int = 0) -> Coverage:
    tags = [TagCount("int", version, 1) for version in versions]
    if untagged:
        tags.append(TagCount("missing", None, untagged))
    return coverage_of(KIND, tags, quarantined=0, counted_at=utc_now(), exact=exact)


async def counted(database: Database, *versions: int, exact: bool = True, untagged: int = 0) -> None:
    before = await committed_time(database)
    report = found(*versions, exact=exact, untagged=untagged)
    await record_counts(database, KIND, report, before=before)
    # The next count is of a later time only if something was written meanwhile.
    await database["places"].update_one({"_id": "any"}, {"$inc": {"written": 1}}, upsert=True)


async def test_the_first_zero_begins_a_time_that_later_ones_keep(database: Database) -> None:
    before = await committed_time(database)
    assert await clear_since(database, "place", 2) is None

    await counted(database, 2, 3)
    since = await clear_since(database, "place", 2)
    await counted(database, 2, 3)

    assert since is not None
    assert before is not None
    assert since >= before.as_datetime()
    assert await clear_since(database, "place", 2) == since
    assert await clear_since(database, "place", 3) is None
    lasted = await clear_for(database, "place", 2)
    assert lasted is not None
    assert 0 <= lasted < 600
    assert await clear_for(database, "place", 3) is None


async def test_rows_end_the_time_and_the_next_zero_begins_another_one(database: Database) -> None:
    await counted(database, 3)
    first = await clear_since(database, "place", 2)

    await counted(database, 1)
    between = await clear_since(database, "place", 2)
    await counted(database, 3)
    second = await clear_since(database, "place", 2)

    assert between is None
    assert first is not None
    assert second is not None
    assert first < second


async def test_rows_without_a_tag_stand_at_the_baseline(database: Database) -> None:
    await counted(database, 3, untagged=1)

    assert await clear_since(database, "place", 2) is None
    assert lowest_standing(KIND, found(3)) == 3
    assert lowest_standing(KIND, found()) is None


async def test_a_zero_that_was_counted_before_rows_and_is_recorded_after_begins_nothing(database: Database) -> None:
    before = await committed_time(database)
    await counted(database, 3)
    await counted(database, 1)

    await record_counts(database, KIND, found(3), before=before)

    assert await clear_since(database, "place", 2) is None


async def test_rows_that_were_counted_before_the_first_zero_and_are_recorded_after_end_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await committed_time(database)
    await database["places"].insert_one(stored(3))
    await counted(database, 3)
    since = await clear_since(database, "place", 2)

    async def back_then(_: Any) -> Timestamp | None:
        return early

    with monkeypatch.context() as patched:
        patched.setattr("docstore.mongo.coverage_history.committed_time", back_then)
        await record_counts(database, KIND, found(1), before=early)

    assert since is not None
    assert await clear_since(database, "place", 2) == since


async def test_a_count_that_is_not_exact_ends_a_time_and_begins_none(database: Database) -> None:
    await counted(database, 3, exact=False)
    assert await clear_since(database, "place", 2) is None

    await counted(database, 3)
    await counted(database, 1, exact=False)
    assert await clear_since(database, "place", 2) is None


async def test_a_count_of_what_stands_below_says_nothing_of_what_stands_above(database: Database) -> None:
    before = await committed_time(database)

    await record_counts(database, KIND, found(), before=before, up_to=2)

    assert await clear_since(database, "place", 2) is not None
    assert await clear_since(database, "place", 3) is None
    assert await coverage_samples(database, "place") == []


async def test_rows_end_the_times_of_versions_that_only_another_release_knows(database: Database) -> None:
    before = await committed_time(database)
    await record_counts(database, place_kind(), found(3), before=before)
    assert await clear_since(database, "place", 3) is not None

    await record_counts(database, place_kind(latest=2), found(1), before=before)

    assert await clear_since(database, "place", 2) is None
    assert await clear_since(database, "place", 3) is None


async def test_another_collection_of_the_same_name_begins_anew(database: Database) -> None:
    await database["places"].insert_one(stored(3))
    await counted(database, 3)
    first = await clear_since(database, "place", 2)
    await database.drop_collection("places")
    await database["places"].insert_one(stored(3))

    await counted(database, 3)

    second = await clear_since(database, "place", 2)
    assert first is not None
    assert second is not None
    assert first < second


async def test_a_zero_below_a_higher_version_is_one_below_a_lower_version(database: Database) -> None:
    await record_counts(database, place_kind(floor=2), found(3), before=await committed_time(database))

    assert await clear_since(database, "place", 2) == await clear_since(database, "place", 3) is not None


async def test_counts_that_are_recorded_at_once_leave_one_time(database: Database) -> None:
    before = await committed_time(database)

    await asyncio.gather(*(record_counts(database, KIND, found(3), before=before) for _ in range(5)))

    assert await clear_since(database, "place", 3) is not None
    assert await database["docstore_coverage"].count_documents({"_id.about": "soak"}) == 1


async def test_a_record_of_a_later_format_is_left_as_it_is(database: Database) -> None:
    await counted(database, 3)
    await database["docstore_coverage"].update_one({"_id.about": "soak"}, {"$set": {"schema_version": 99}})

    with pytest.raises(RecordFormatError):
        await record_counts(database, KIND, found(1), before=None)
    with pytest.raises(RecordFormatError):
        await clear_since(database, "place", 2)


async def test_a_run_keeps_what_it_has_counted(database: Database) -> None:
    await database["places"].insert_many([stored(1, 1), stored(3, 2)])

    await backfill(database, KIND)
    first = await clear_since(database, "place", 3)
    await backfill(database, KIND)
    again = await clear_since(database, "place", 3)
    await database["places"].insert_one(stored(1, 3))
    await backfill(database, KIND)
    later = await clear_since(database, "place", 3)

    assert first is not None
    assert later is not None
    # The row was seen when the last run began, whatever became of it.
    assert first == again
    assert first < later
    assert await clear_since(database, "place", 2) == later


async def test_one_sample_of_a_minute_is_kept_and_old_ones_are_forgotten(database: Database) -> None:
    now = datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.UTC)
    for minutes, versions in ((-300 * 24 * 60, (1,)), (0, (1,)), (0, (2,)), (1, (3, 3))):
        await add_sample(database, found(*versions), at=now + datetime.timedelta(minutes=minutes))

    samples = await coverage_samples(database, "place")

    assert [sample.versions for sample in samples] == [((2, 1),), ((3, 2),)]
    assert [sample.at for sample in samples] == [now, now + datetime.timedelta(minutes=1)]
    assert samples[1].total == 2
    assert await coverage_samples(database, "another") == []


async def test_many_samples_are_thinned_out_evenly_and_the_newest_is_among_them(database: Database) -> None:
    begin = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    for hour in range(30):
        await add_sample(database, found(3), at=begin + datetime.timedelta(hours=hour))

    samples = await coverage_samples(database, "place", at_most=10)

    assert 5 <= len(samples) <= 10
    assert samples[-1].at == begin + datetime.timedelta(hours=29)
