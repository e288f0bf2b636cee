from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pydantic import BaseModel

from docstore import Collection, Document
from docstore.errors import (
    DocumentNotFoundError,
    InvalidDocumentError,
    NewerVersionError,
    UnknownVersionError,
    UpgradeFailedError,
)
from tests.kinds import Place, stored


@pytest.mark.parametrize("version", [None, 1, 2, 3, 3.0, Int64(2)])
async def test_get_of_a_row_at_any_version_gives_the_latest_model(
    places: Collection[Place], rows: Any, version: Any
) -> None:
    await rows.insert_one(stored(version) if version != 3.0 else stored(3, schema_version=3.0))
    assert await places.get(1) == Place(id=1, name="Oslo", slug="oslo")


async def test_get_of_a_row_whose_tag_is_null_reads_it_as_untagged(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one({**stored(None), "schema_version": None})
    assert (await places.get(1)).name == "Oslo"


async def test_get_without_such_a_row_raises(places: Collection[Place]) -> None:
    with pytest.raises(DocumentNotFoundError) as caught:
        await places.get(1)
    assert (caught.value.kind, caught.value.id) == ("place", 1)


async def test_get_takes_an_id_as_a_value_and_not_as_an_operator(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    with pytest.raises(DocumentNotFoundError):
        await places.get({"$gt": 0})


async def test_get_of_a_newer_row_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, schema_version=4))
    with pytest.raises(NewerVersionError) as caught:
        await places.get(1)
    assert (caught.value.found, caught.value.latest) == (4, 3)


@pytest.mark.parametrize("tag", ["3", True, 0, -1, 2.5, [3], Decimal128("3"), {"v": 3}], ids=repr)
async def test_get_of_a_row_whose_tag_is_no_version_raises(places: Collection[Place], rows: Any, tag: Any) -> None:
    await rows.insert_one(stored(3, schema_version=tag))
    with pytest.raises(UnknownVersionError):
        await places.get(1)


async def test_get_of_a_row_that_a_step_cannot_upgrade_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one({"_id": 1, "schema_version": 2})
    with pytest.raises(UpgradeFailedError) as caught:
        await places.get(1)
    assert (caught.value.version, caught.value.step) == (2, 3)


async def test_get_of_a_row_that_the_model_refuses_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, visits="many"))
    with pytest.raises(InvalidDocumentError) as caught:
        await places.get(1)
    assert caught.value.problems == ("int_parsing @ visits",)


async def test_find_gives_rows_of_all_versions_at_the_latest_shape(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(None, 0, "a"), stored(1, 1, "b"), stored(2, 2, "c"), stored(3, 3, "d")])
    found = await places.find({"_id": {"$gte": 1}}, sort=[("_id", -1)], limit=2).to_list()
    assert [place.name for place in found] == ["d", "c"]
    assert [place.slug async for place in places.find(sort=[("_id", 1)])] == ["a", "b", "c", "d"]


async def test_find_on_a_field_that_a_step_renames_sees_old_rows(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1, "Oslo"), stored(3, 3, "Oslo"), stored(1, 2, "Bergen")])
    found = await places.find({"name": "Oslo"}, sort=[("_id", 1)]).to_list()
    assert [place.id for place in found] == [1, 3]


async def test_find_one_gives_the_first_or_none(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(3, 1, "a"), stored(3, 2, "b")])
    found = await places.find_one(sort=[("_id", -1)])
    assert found is not None
    assert found.id == 2
    assert await places.find_one({"_id": 9}) is None


async def test_find_stops_at_a_row_that_cannot_be_read_or_skips_it(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(3, 1), stored(4, 2), stored(3, 3)])
    with pytest.raises(NewerVersionError):
        await places.find(sort=[("_id", 1)]).to_list()
    cursor = places.find(sort=[("_id", 1)], on_error="skip")
    assert [place.id async for place in cursor] == [1, 3]
    assert [(row.id, row.error) for row in cursor.skipped] == [(2, "NewerVersionError")]


async def test_count_counts_rows_of_all_versions(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1, "a"), stored(2, 2, "a"), stored(3, 3, "b")])
    assert await places.count() == 3
    assert await places.count({"_id": {"$lt": 3}}) == 2
    assert await places.count({"name": "a"}) == 2


async def test_find_with_a_projection_reads_into_that_model(places: Collection[Place], rows: Any) -> None:
    class Named(Document):
        name: str

    await rows.insert_many([stored(1, 1, "a"), stored(3, 2, "b")])
    found = await places.find(sort=[("_id", 1)], projection=Named).to_list()
    assert [(type(place), place.name) for place in found] == [(Named, "a"), (Named, "b")]


async def test_a_projection_that_names_the_tag_sees_the_latest_one_whatever_is_asked(
    places: Collection[Place], rows: Any
) -> None:
    class Tagged(BaseModel):
        schema_version: int
        visits: int

    await rows.insert_many([stored(version, number, visits=1) for number, version in enumerate((None, 1, 3))])
    for asked in ({"visits": 1}, {"name": "Oslo"}):
        assert await places.find(asked, projection=Tagged).to_list() == [Tagged(schema_version=3, visits=1)] * 3
