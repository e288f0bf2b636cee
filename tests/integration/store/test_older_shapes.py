"""
Clients that live long get documents in the shape that they know, and what they send back is lifted.
"""

import asyncio
from typing import Any

import pytest
from bson.int64 import Int64
from pydantic import BaseModel

from docstore import Collection, Document, Kind, Step, Store, version_token
from docstore import operations as ops
from docstore.core.older_document import OlderDocument
from docstore.errors import (
    ConflictError,
    DocumentNotFoundError,
    InvalidDocumentError,
    NewerVersionError,
    NotInvertibleError,
    UnguardedReplaceError,
    UnstorableValueError,
    UpdateRefusedError,
    UpgradeFailedError,
    VersionRangeError,
)
from tests.kinds import Place, place_kind, stored


class PlaceV1(Document):
    title: str
    visits: int = 0


class TitleOnly(BaseModel):
    title: str


def kept(row: Any) -> dict[str, Any]:
    return dict(row)


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_a_document_comes_in_every_shape_whatever_is_stored(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version, extra=Int64(1)))
    for asked in (1, 2, 3):
        older = await places.get(1, as_version=asked)
        assert kept(older) == stored(asked, extra=1)
        assert type(older["extra"]) is Int64
        assert older.version == asked


async def test_found_documents_come_in_the_older_shape_while_the_filter_speaks_of_latest(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(n % 3 + 1, n, "Oslo" if n % 2 else "Bergen") for n in range(12)])

    found = await places.find({"name": "Oslo"}, sort=[("_id", -1)], skip=1, limit=3, as_version=1).to_list()
    assert [kept(one) for one in found] == [stored(1, n) for n in (9, 7, 5)]
    first = await places.find_one({"name": "Bergen"}, sort=[("_id", 1)], as_version=2)
    assert first == stored(2, 0, "Bergen")
    assert await places.find_one({"_id": 77}, as_version=2) is None


async def test_a_document_of_one_shape_is_not_taken_for_one_of_another(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    older = await places.get(1, as_version=1)
    del older["schema_version"]
    older["title"] = "Bergen"
    with pytest.raises(UpdateRefusedError, match="version 1"):
        await places.replace(older, as_version=2)
    assert await rows.find_one({}) == stored(3)
    await places.replace(older, as_version=1)
    assert (await places.get(1)).name == "Bergen"


async def test_a_model_of_the_older_shape_may_be_given(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(3, 1, visits=2), stored(1, 2)])

    assert await places.get(1, as_version=1, model=PlaceV1) == PlaceV1(id=1, title="Oslo", visits=2)
    assert await places.find(as_version=1, model=TitleOnly).to_list() == [TitleOnly(title="Oslo")] * 2
    with pytest.raises(InvalidDocumentError):
        await places.get(1, as_version=2, model=PlaceV1)
    with pytest.raises(ValueError, match="as_version"):
        await places.get(1, model=PlaceV1)  # type: ignore[call-overload]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_what_an_old_client_changed_is_stored_at_latest(
    places: Collection[Place], rows: Any, version: int
) -> None:
    await rows.insert_one(stored(version, visits=Int64(1), extra="kept"))
    older = await places.get(1, as_version=1)
    older["visits"] = 2
    await places.replace(older, as_version=1)
    assert await rows.find_one() == stored(3, visits=2, extra="kept")

    older["title"] = "Bergen"
    await places.replace(older, as_version=1)
    assert await rows.find_one() == stored(3, name="Bergen", visits=2, extra="kept")


async def test_what_the_older_shape_does_not_have_is_kept(server_database: Any) -> None:
    class Item(Document):
        name: str
        status: str = ""

    kind = Kind("item", collection="items", model=Item, steps=[Step(ops.AddField("status", "new"), to=2)])
    row = {"_id": 1, "schema_version": 2, "name": "a", "status": "sold", "unknown": [1]}
    await server_database["items"].insert_one(row)
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        items = store.collection(kind)
        older = await items.get(1, as_version=1)
        assert kept(older) == {"_id": 1, "schema_version": 1, "name": "a", "unknown": [1]}
        await items.replace({**older, "name": "b"}, as_version=1, if_token=version_token(older))
    assert await server_database["items"].find_one() == {**row, "name": "b"}


async def test_nothing_is_written_where_nothing_was_changed(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, visits=1.0, slug="its own"))
    before = await rows.find_one()
    await places.replace(await places.get(1, as_version=1), as_version=1)
    assert await rows.find_one() == before
    assert type((await rows.find_one())["visits"]) is float


async def test_a_row_that_changed_since_it_was_read_is_a_conflict_and_one_that_was_rewritten_is_none(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_many([stored(1, 1), stored(1, 2)])
    first, second = await places.get(1, as_version=1), await places.get(2, as_version=1)
    await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
    await rows.replace_one({"_id": 2}, stored(3, 2))
    first["title"] = second["title"] = "Bergen"

    with pytest.raises(ConflictError):
        await places.replace(first, as_version=1)
    await places.replace(second, as_version=1)

    assert await rows.find_one({"_id": 1}) == stored(1, 1, visits=1)
    assert await rows.find_one({"_id": 2}) == stored(3, 2, "Bergen")


async def test_what_comes_over_the_wire_needs_a_token_or_says_that_it_has_none(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(2, visits=3))
    older = await places.get(1, as_version=1)
    token, sent = version_token(older), {"_id": 1, "title": "Bergen"}

    with pytest.raises(UnguardedReplaceError):
        await places.replace(sent, as_version=1)
    with pytest.raises(ConflictError):
        await places.replace(sent, as_version=1, if_token="1.other")  # noqa: S106 - no password
    with pytest.raises(ValueError, match="not both"):
        await places.replace(sent, as_version=1, if_token=token, unguarded=True)
    with pytest.raises(DocumentNotFoundError):
        await places.replace({**sent, "_id": 9}, as_version=1, unguarded=True)
    with pytest.raises(UpdateRefusedError):
        await places.replace({"title": "Bergen"}, as_version=1, unguarded=True)
    await places.replace(sent, as_version=1, if_token=token)
    # What was left out is removed.
    assert await rows.find_one() == stored(3, name="Bergen")
    await places.replace({**sent, "visits": 5}, as_version=1, unguarded=True)
    assert await rows.find_one() == stored(3, name="Bergen", visits=5)


async def test_an_object_of_a_model_is_taken_back_with_what_the_model_does_not_know(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3, visits=1, tags=["a"], extra=True))
    older = await places.get(1, as_version=1, model=PlaceV1)
    older.title = "Bergen"
    await places.replace(older, as_version=1)
    assert await rows.find_one() == stored(3, name="Bergen", visits=1, tags=["a"], extra=True)


async def test_modify_gives_and_takes_the_older_shape(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(2))

    def renamed(older: OlderDocument) -> dict[str, Any]:
        return {**older, "title": "Bergen"}

    async def visited(older: PlaceV1) -> PlaceV1:
        older.visits += 1
        return older

    assert await places.modify(1, renamed, as_version=1) == stored(1, name="Bergen")
    assert (await places.modify(1, visited, as_version=1, model=PlaceV1)).visits == 1
    assert await rows.find_one() == stored(3, name="Bergen", visits=1)
    with pytest.raises(TypeError, match="PlaceV1"):
        await places.modify(1, renamed, as_version=1, model=PlaceV1)  # type: ignore[arg-type]
    with pytest.raises(DocumentNotFoundError):
        await places.modify(9, renamed, as_version=1)


async def test_no_change_is_lost_when_clients_of_all_versions_and_foreign_writers_meet(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1, visits=0, other=0))

    def visited(older: OlderDocument) -> OlderDocument:
        older["visits"] += 1
        return older

    def latest_visited(place: Place) -> Place:
        place.visits += 1
        return place

    async def client(version: int) -> None:
        for _ in range(15):
            await places.modify(1, visited, as_version=version)

    async def foreign() -> None:
        for _ in range(30):
            await rows.update_one({"_id": 1}, {"$inc": {"other": 1}})

    async def newest() -> None:
        for _ in range(15):
            await places.modify(1, latest_visited)

    await asyncio.gather(client(1), client(2), client(3), newest(), foreign())
    assert await rows.find_one() == stored(3, visits=60, other=30)


async def test_what_would_not_be_readable_is_not_written(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    older = await places.get(1, as_version=2)
    for changed, error in (
        ({**older, "visits": "many"}, InvalidDocumentError),
        ({**older, "visits": 2**70}, UnstorableValueError),
        ({**older, "extra": object()}, UnstorableValueError),
        ({**older, "name": 5}, UpgradeFailedError),
        ({**older, "_id": 2}, ConflictError),
        ({**older, "schema_version": 1}, UpdateRefusedError),
    ):
        with pytest.raises(error):
            await places.replace(changed, as_version=2, if_token=version_token(older))
    assert await rows.find_one() == stored(3)


async def test_a_step_that_makes_what_cannot_be_stored_refuses_the_change(server_database: Any) -> None:
    def odd(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "name": object() if row["name"] == "odd" else row["name"]}

    kind = Kind("place", collection="places", model=Place, steps=[Step(upgrade=odd, downgrade=dict, to=2)])
    await server_database["places"].insert_one({"_id": 1, "schema_version": 1, "name": "a"})
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        older = await store.collection(kind).get(1, as_version=1)
        older["name"] = "odd"
        with pytest.raises(UpdateRefusedError, match="cannot be stored"):
            await store.collection(kind).replace(older, as_version=1)


async def test_versions_that_the_kind_does_not_have_are_refused(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(3), stored(4, 2)])
    for version in (0, 4):
        with pytest.raises(VersionRangeError):
            await places.get(1, as_version=version)
        with pytest.raises(VersionRangeError):
            places.find(as_version=version)
        with pytest.raises(VersionRangeError):
            await places.replace(stored(3), as_version=version, unguarded=True)
    with pytest.raises(NewerVersionError):
        await places.get(2, as_version=1)
    with pytest.raises(ValueError, match="not both"):
        places.find(as_version=1, projection=TitleOnly)  # type: ignore[call-overload]


async def test_a_step_without_a_way_back_is_named(server_database: Any) -> None:
    kind = Kind("place", collection="places", model=Place, steps=[Step(upgrade=kept, to=2)])
    await server_database["places"].insert_one({"_id": 1, "schema_version": 2, "name": "a"})
    async with Store(server_database, kinds=[kind], service="tests", fleet=False) as store:
        with pytest.raises(NotInvertibleError, match="step 2"):
            await store.collection(kind).get(1, as_version=1)


async def test_the_mock_gives_and_takes_older_shapes(mock_database: Any) -> None:
    kind = place_kind()
    async with Store(mock_database, kinds=[kind], service="tests", fleet=False) as store:
        places = store.collection(kind)
        await places.insert(Place(id=1, name="Oslo"))
        older = await places.get(1, as_version=1)
        older["title"] = "Bergen"
        await places.replace(older, as_version=1)
        assert (await places.get(1)).name == "Bergen"
