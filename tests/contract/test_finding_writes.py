"""
Writes that find their rows by a filter: find and update, delete, upsert. The same on all three drivers.
"""

import re
from typing import Any

import pytest
from pydantic import BaseModel

from docstore import Collection, Delete, Update, UpdateResult
from docstore.errors import (
    BulkFailedError,
    DocumentExistsError,
    InvalidDocumentError,
    NewerVersionError,
    StaleQueryError,
    UpdateRefusedError,
    UpgradeFailedError,
)
from tests.kinds import Place, stored


class Named(BaseModel):
    name: str


async def _found(rows: Any) -> list[dict[str, Any]]:
    return [row async for row in rows.find({}, sort=[("_id", 1)])]


# --- find one and update ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_find_one_and_update_returns_the_latest_shape_before_or_after(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version, visits=4))
    before = await places.find_one_and_update({"name": "Oslo"}, {"$inc": {"visits": 1}})
    assert before == Place(id=1, name="Oslo", slug="oslo", visits=4)
    after = await places.find_one_and_update({"name": "Oslo"}, {"$inc": {"visits": 1}}, return_document="after")
    assert after == Place(id=1, name="Oslo", slug="oslo", visits=6)
    after.visits = 9
    await places.replace(after)
    assert await _found(rows) == [stored(3, visits=9)]


async def test_find_one_and_update_with_an_order_takes_the_first_of_all_versions(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(3, 1, "Oslo"), stored(1, 2, "Bergen"), stored(None, 3, "Molde"), stored(2, 4, "Å")])
    taken = [
        await places.find_one_and_update({"visits": {"$exists": False}}, {"$inc": {"visits": 1}}, sort=[("name", 1)])
        for _ in range(5)
    ]
    assert [place and place.name for place in taken] == ["Bergen", "Molde", "Oslo", "Å", None]


async def test_find_one_and_update_reads_into_a_smaller_model(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    changed = await places.find_one_and_update(
        {"_id": 1}, {"$set": {"name": "Molde"}}, return_document="after", projection=Named
    )
    assert changed == Named(name="Molde")


async def test_find_one_and_update_that_finds_nothing_returns_none_and_writes_nothing(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1))
    assert await places.find_one_and_update({"name": "x"}, {"$inc": {"visits": 1}}, sort=[("name", 1)]) is None
    assert await _found(rows) == [stored(1)]


async def test_find_one_and_update_with_upsert_inserts_one_tagged_row(places: Collection[Place], rows: Any) -> None:
    setting: dict[str, Any] = {"$inc": {"visits": 1}, "$setOnInsert": {"slug": "s"}}
    assert await places.find_one_and_update({"_id": 1, "name": "a"}, setting, upsert=True) is None
    after = await places.find_one_and_update({"_id": 2, "name": "b"}, setting, upsert=True, return_document="after")
    assert after == Place(id=2, name="b", visits=1, slug="s")
    expected = {"schema_version": 3, "visits": 1, "slug": "s"}
    assert await _found(rows) == [{"_id": 1, "name": "a", **expected}, {"_id": 2, "name": "b", **expected}]


async def test_find_one_and_update_to_what_the_model_refuses_says_so_after_the_write(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3))
    with pytest.raises(InvalidDocumentError):
        await places.find_one_and_update({"_id": 1}, {"$set": {"name": 5}}, return_document="after")
    assert await _found(rows) == [stored(3) | {"name": 5}]


async def test_find_one_and_update_never_touches_a_newer_row(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(4))
    with pytest.raises(NewerVersionError):
        await places.find_one_and_update({"_id": 1}, {"$inc": {"visits": 1}})
    assert await _found(rows) == [stored(4)]


async def test_find_one_and_update_passes_over_no_newer_row_that_comes_first(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(3, 1, "Oslo"), stored(3, 2, "Bergen", schema_version=4), stored(3, 3, "Alta")])
    fresh = {"visits": {"$exists": False}}
    taken = await places.find_one_and_update(fresh, {"$inc": {"visits": 1}}, sort=[("name", 1)])
    assert taken is not None
    assert taken.name == "Alta"
    for old in ([], [stored(1, 4, "Molde")]):
        await rows.insert_many(old) if old else None
        with pytest.raises(NewerVersionError):
            await places.find_one_and_update(fresh, {"$inc": {"visits": 1}}, sort=[("name", 1)])
    taken = await places.find_one_and_update(fresh, {"$inc": {"visits": 1}}, sort=[("name", -1)])
    assert taken is not None
    assert taken.name == "Oslo"
    assert [row["_id"] for row in await _found(rows) if "visits" in row] == [1, 3]


async def test_find_one_and_update_takes_no_other_word_for_before_and_after(places: Collection[Place]) -> None:
    with pytest.raises(ValueError, match="'before' or 'after'"):
        await places.find_one_and_update({}, {"$inc": {"visits": 1}}, return_document="new")  # type: ignore[call-overload]


# --- upsert and update_many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_upsert_changes_the_row_that_matches_at_any_version(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version))
    assert await places.upsert({"name": "Oslo"}, {"$inc": {"visits": 1}}) == UpdateResult(1, 1)
    assert await _found(rows) == [stored(3, visits=1)]


async def test_upsert_of_what_is_not_there_inserts_it_with_a_new_id(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    result = await places.upsert({"name": "Molde"}, {"$inc": {"visits": 1}})
    assert (result.matched, result.modified) == (0, 0)
    assert await rows.find_one({"_id": result.upserted_id}, {"_id": 0}) == {
        "schema_version": 3,
        "name": "Molde",
        "visits": 1,
    }
    assert await rows.count_documents({}) == 2


async def test_upsert_by_a_pattern_for_the_id_finds_the_old_row(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, "abc"))
    assert (await places.upsert({"_id": re.compile("^a")}, {"$inc": {"visits": 1}})).matched == 1
    assert await _found(rows) == [stored(3, "abc", visits=1)]


async def test_update_many_brings_up_more_rows_than_go_into_one_command(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored([None, 1, 2, 3][number % 4], number) for number in range(150)])
    result = await places.update_many({"name": "Oslo"}, {"$set": {"visits": 1}})
    assert (result.matched, result.modified) == (150, 150)
    assert await _found(rows) == [stored(3, number, visits=1) for number in range(150)]


async def test_update_many_of_a_row_that_a_unique_index_keeps_old_raises(places: Collection[Place], rows: Any) -> None:
    await rows.create_index("slug", unique=True, sparse=True)
    await rows.insert_many([stored(3, 1), stored(2, 2), stored(2, 3, "Molde")])
    with pytest.raises(DocumentExistsError):
        await places.update_many({"visits": {"$exists": False}}, {"$inc": {"visits": 1}})
    assert await rows.count_documents({"visits": 1}) == 0
    assert await rows.find_one({"_id": 2}) == stored(2, 2)


# --- delete -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
@pytest.mark.parametrize("filter", [{"name": "Oslo"}, {"_id": 1}, {"visits": 0, "name": "Oslo"}])
async def test_delete_one_finds_the_latest_shape_in_rows_of_any_version(
    places: Collection[Place], rows: Any, version: int | None, filter: dict[str, Any]
) -> None:
    others = [stored(1, 2, "Molde"), stored(3, 3, "Bergen")]
    await rows.insert_many([stored(version, 1, visits=0), *others])
    assert await places.delete_one(filter)
    assert not await places.delete_one(filter)
    assert await _found(rows) == others


async def test_delete_one_of_several_deletes_one(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(2, 2), stored(3, 3)])
    assert await places.delete_one({"name": "Oslo"})
    assert await rows.count_documents({}) == 2


@pytest.mark.parametrize("filter", [{"name": "Oslo"}, {"visits": 0}])
async def test_delete_many_deletes_every_row_that_matches_and_no_other(
    places: Collection[Place], rows: Any, filter: dict[str, Any]
) -> None:
    versions = [None, 1, 2, 3]
    await rows.insert_many([stored(versions[number % 4], number, visits=0) for number in range(150)])
    others = [stored(version, 200 + place, "Molde") for place, version in enumerate(versions)]
    await rows.insert_many(others)
    assert await places.delete_many(filter) == 150
    assert await places.delete_many(filter) == 0
    assert await _found(rows) == others


async def test_delete_many_of_everything_asks_nothing_of_the_shape(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), {"_id": 2, "schema_version": 2, "name": None}, stored(3, 3)])
    assert await places.delete_many({}) == 3


async def test_delete_by_what_functions_make_is_refused_while_such_rows_are_old(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(1, 1), stored(3, 2, "Molde")])
    for attempt in (places.delete_many({"slug": "oslo"}), places.delete_one({"slug": "oslo"})):
        with pytest.raises(StaleQueryError):
            await attempt
    assert await places.delete_one({"slug": "molde"})
    assert await _found(rows) == [stored(1, 1)]


async def test_delete_never_touches_a_row_that_cannot_be_read(places: Collection[Place], rows: Any) -> None:
    newer = stored(3, 1, schema_version=4)
    await rows.insert_many([newer, stored(1, 2)])
    for attempt in (places.delete_many({"name": "Oslo"}), places.delete_many({})):
        with pytest.raises(NewerVersionError):
            await attempt
    assert await rows.count_documents({}) == 2
    assert await places.delete_one({"_id": 2, "name": "Oslo"})
    with pytest.raises(NewerVersionError):
        await places.delete_one({"name": "Oslo"})
    assert await _found(rows) == [newer]


async def test_delete_never_touches_an_old_row_that_cannot_be_upgraded(places: Collection[Place], rows: Any) -> None:
    stuck = stored(1, 1, "Oslo") | {"name": "Bergen"}
    await rows.insert_many([stuck, stored(1, 2, "Molde")])
    for name in ("Oslo", "Bergen"):
        with pytest.raises(UpgradeFailedError):
            await places.delete_one({"name": name})
        with pytest.raises(UpgradeFailedError):
            await places.delete_many({"name": name})
    assert await places.delete_many({"name": "Molde", "_id": 2}) == 1
    assert await _found(rows) == [stuck]
    await places.delete(1)
    assert await _found(rows) == []


@pytest.mark.parametrize("drawn", [{"$sampleRate": 0.1}, {"$expr": {"$lt": [{"$rand": {}}, 0.1]}}])
async def test_a_write_on_rows_that_are_drawn_by_chance_is_refused(
    places: Collection[Place], rows: Any, drawn: dict[str, Any]
) -> None:
    """
    It looks several times, so it would change or delete more rows than were drawn, or fewer.
    """
    await rows.insert_many([stored(number % 3 + 1, number) for number in range(6)])
    before = await _found(rows)
    for asked in (drawn, {"name": "Oslo", "$and": [drawn]}):
        for attempt in (
            places.delete_one(asked),
            places.delete_many(asked),
            places.update(asked, {"$inc": {"visits": 1}}),
            places.update_many(asked, {"$inc": {"visits": 1}}),
            places.upsert(asked, {"$inc": {"visits": 1}}),
            places.find_one_and_update(asked, {"$inc": {"visits": 1}}),
        ):
            with pytest.raises(UpdateRefusedError, match="by chance"):
                await attempt
    assert await _found(rows) == before


@pytest.mark.parametrize("filter", [{"schema_version": 1}, {"id": 1}])
async def test_delete_by_the_tag_or_by_a_name_of_the_model_is_refused(
    places: Collection[Place], rows: Any, filter: dict[str, Any]
) -> None:
    await rows.insert_one(stored(1))
    for attempt in (places.delete_one(filter), places.delete_many(filter)):
        with pytest.raises(UpdateRefusedError):
            await attempt
    assert await _found(rows) == [stored(1)]


# --- by what functions make, where the client may filter ----------------------------------------------------------


def _some() -> list[dict[str, Any]]:
    """
    Rows of all versions, two of each name.
    """
    return [stored(version, number, ["Oslo", "Molde"][number % 2]) for number, version in enumerate([1, 1, 2, 2, 3, 3])]


async def test_updates_by_what_functions_make_change_every_version_where_the_client_may_filter(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many(_some())
    asked, operators = {"slug": "oslo"}, {"$inc": {"visits": 1}}
    with pytest.raises(StaleQueryError) as refused:
        await places.update_many(asked, operators)
    assert any("allow_client_filter" in way_out for way_out in refused.value.ways_out)
    with pytest.raises(StaleQueryError):
        await places.update({**asked, "_id": 0}, operators)
    assert await places.update_many(asked, operators, allow_client_filter=True) == UpdateResult(3, 3)
    left = [row for row in _some() if row["_id"] % 2]
    expected = [stored(3, number, visits=1) for number in (0, 2, 4)]
    assert await _found(rows) == sorted([*left, *expected], key=lambda row: row["_id"])
    assert await places.update({"slug": "molde", "_id": 3}, operators, allow_client_filter=True) == UpdateResult(1, 1)
    assert await rows.find_one({"_id": 3}) == stored(3, 3, "Molde", visits=1)
    assert await places.update({"slug": "bergen"}, operators, allow_client_filter=True) == UpdateResult(0, 0)
    assert await rows.find_one({"_id": 1}) == stored(1, 1, "Molde")


async def test_an_upsert_by_what_functions_make_finds_the_old_row_where_the_client_may_filter(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1))
    operators = {"$inc": {"visits": 1}}
    with pytest.raises(StaleQueryError):
        await places.upsert({"slug": "oslo"}, operators)
    assert await places.upsert({"slug": "oslo"}, operators, allow_client_filter=True) == UpdateResult(1, 1)
    assert await _found(rows) == [stored(3, visits=1)]
    await rows.insert_one(stored(2, 2, "Molde"))
    result = await places.upsert({"slug": "x"}, {"$set": {"name": "X"}}, allow_client_filter=True)
    assert (result.matched, await rows.count_documents({"slug": "x"}), await rows.count_documents({})) == (0, 1, 3)


async def test_find_one_and_update_by_what_functions_make_takes_the_first_where_the_client_may_filter(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many(_some())
    asked, operators = {"slug": {"$in": ["oslo", "molde"]}}, {"$inc": {"visits": 1}}
    with pytest.raises(StaleQueryError):
        await places.find_one_and_update(asked, operators, sort=[("_id", -1)])
    taken = [
        await places.find_one_and_update(
            {**asked, "visits": {"$ne": 1}}, operators, sort=[("slug", 1), ("_id", -1)], allow_client_filter=True
        )
        for _ in range(4)
    ]
    assert [place and place.id for place in taken] == [5, 3, 1, 4]
    assert await rows.find_one({"_id": 2}) == stored(2, 2)


async def test_deletes_by_what_functions_make_find_every_version_where_the_client_may_filter(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many(_some())
    assert await places.delete_many({"slug": "oslo"}, allow_client_filter=True) == 3
    assert await places.delete_one({"slug": "molde", "_id": 1}, allow_client_filter=True)
    assert not await places.delete_one({"slug": "oslo"}, allow_client_filter=True)
    assert await _found(rows) == [stored(2, 3, "Molde"), stored(3, 5, "Molde")]


async def test_a_list_of_writes_lets_the_client_filter_for_those_that_say_so(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many(_some())
    asked, operators = {"slug": "oslo"}, {"$inc": {"visits": 1}}
    with pytest.raises(BulkFailedError) as failed:
        await places.bulk(
            [
                Update(asked, operators, many=True),
                Update(asked, operators, many=True, allow_client_filter=True),
                Delete({"slug": "molde"}, many=True),
                Delete({"slug": "molde"}, many=True, allow_client_filter=True),
            ],
            ordered=False,
            session=None,
        )
    assert {place: type(error) for place, error in failed.value.errors.items()}.keys() <= {0, 2}
    assert (failed.value.result.deleted, failed.value.result.matched) in {(3, 3), (3, 6)}
    assert [row["_id"] for row in await _found(rows)] == [0, 2, 4]
