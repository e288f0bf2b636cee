import traceback
from typing import Any

import pytest
from bson.int64 import Int64
from bson.objectid import ObjectId
from pydantic import Field

from docstore import Collection, Document, Kind, Step, Store, UpdateResult, version_token
from docstore.errors import (
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    InvalidDocumentError,
    NewerVersionError,
    QueryRefusedError,
    RetiredVersionError,
    UnguardedReplaceError,
    UnknownVersionError,
    UnstorableValueError,
    UpdateRefusedError,
    UpgradeFailedError,
)
from tests.kinds import Place, Point, place_kind, stored


def visited(place: Place) -> Place:
    place.visits += 1
    return place


# --- insert -------------------------------------------------------------------------------------------------------


async def test_insert_stores_the_document_with_the_latest_tag(places: Collection[Place], rows: Any) -> None:
    place = Place(id=1, name="Oslo", at=Point(x=1, y=2))
    assert await places.insert(place) == 1
    assert await rows.find_one({"_id": 1}) == {
        "_id": 1,
        "schema_version": 3,
        "name": "Oslo",
        "visits": 0,
        "tags": [],
        "at": {"x": 1.0, "y": 2.0},
        "parts": [],
        "slug": "",
    }
    assert place == Place(id=1, name="Oslo", at=Point(x=1, y=2))
    assert await places.get(1) == place


async def test_insert_without_an_id_makes_one(places: Collection[Place]) -> None:
    place = Place(name="Oslo")
    assert isinstance(await places.insert(place), ObjectId)
    assert (await places.get(place.id)).name == "Oslo"


async def test_insert_of_an_id_that_exists_raises_and_changes_nothing(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    with pytest.raises(DocumentExistsError) as caught:
        await places.insert(Place(id=1, name="secret"))
    assert caught.value.id == 1
    assert "secret" not in f"{caught.value}{caught.value.__notes__ if hasattr(caught.value, '__notes__') else ''}"
    assert await rows.find_one({"_id": 1}) == stored(1)


async def test_insert_of_a_value_that_the_model_refuses_writes_nothing(places: Collection[Place], rows: Any) -> None:
    place = Place(id=1, name="Oslo")
    place.visits = "many"  # type: ignore[assignment]
    with pytest.raises(InvalidDocumentError) as caught:
        await places.insert(place)
    assert caught.value.problems == ("int_parsing @ visits",)
    assert await rows.count_documents({}) == 0


async def test_insert_of_a_value_that_the_model_converts_stores_the_converted_one(
    places: Collection[Place], rows: Any
) -> None:
    place = Place(id=1, name="Oslo")
    place.visits = "7"  # type: ignore[assignment]
    await places.insert(place)
    assert (await rows.find_one({"_id": 1}))["visits"] == 7


async def test_insert_of_a_value_that_bson_cannot_hold_names_its_path(places: Collection[Place], rows: Any) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        await places.insert(Place(id=1, name="Oslo", visits=2**63))
    assert (caught.value.path, caught.value.found) == ("visits", "int")
    assert await rows.count_documents({}) == 0


async def test_insert_many_stops_at_the_first_that_exists(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, 2))
    documents = [Place(id=number, name="x") for number in range(1, 5)]
    with pytest.raises(DocumentExistsError) as caught:
        await places.insert_many(documents)
    assert caught.value.id == 2
    assert sorted([row["_id"] async for row in rows.find()]) == [1, 2]


async def test_insert_many_unordered_stores_all_others(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, 2))
    documents = [Place(id=number, name="x") for number in range(1, 5)]
    with pytest.raises(DocumentExistsError):
        await places.insert_many(documents, ordered=False)
    assert sorted([row["_id"] async for row in rows.find()]) == [1, 2, 3, 4]
    documents[3].visits = 5
    await places.replace(documents[3])
    with pytest.raises(UnguardedReplaceError):
        await places.replace(documents[1])


async def test_insert_many_returns_the_ids_in_order(places: Collection[Place]) -> None:
    assert await places.insert_many([Place(id=number, name="x") for number in (3, 1, 2)]) == [3, 1, 2]
    assert await places.insert_many([]) == []


# --- replace ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_replace_of_a_row_at_any_version_stores_the_latest(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version))
    place = await places.get(1)
    place.visits = 5
    await places.replace(place)
    row = await rows.find_one({"_id": 1})
    assert row == {"_id": 1, "schema_version": 3, "name": "Oslo", "slug": "oslo", "visits": 5}


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_replace_of_what_a_query_on_a_changed_path_found_works(
    places: Collection[Place], rows: Any, version: int
) -> None:
    await rows.insert_many([stored(version, 1), stored(1, 2, "Bergen")])
    for place in await places.find({"name": "Oslo"}, sort=[("name", 1)]).to_list():
        place.visits = 5
        await places.replace(place)
    assert await rows.find_one({"_id": 1}) == stored(3, visits=5)


async def test_replace_twice_with_the_same_object_works(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    place = await places.get(1)
    for visits in (1, 2, 3):
        place.visits = visits
        await places.replace(place)
    assert (await rows.find_one({"_id": 1}))["visits"] == 3


async def test_replace_of_an_inserted_document_needs_no_reading(places: Collection[Place], rows: Any) -> None:
    place = Place(id=1, name="Oslo", tags=["a"])
    await places.insert(place)
    place.tags.append("b")
    await places.replace(place)
    assert (await rows.find_one({"_id": 1}))["tags"] == ["a", "b"]


async def test_replace_after_another_writer_raises_and_writes_nothing(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(2))
    place = await places.get(1)
    await rows.update_one({"_id": 1}, {"$set": {"foreign": 1}})
    place.visits = 5
    with pytest.raises(ConflictError) as caught:
        await places.replace(place)
    assert caught.value.id == 1
    assert await rows.find_one({"_id": 1}) == stored(2, foreign=1)


async def test_replace_after_a_mere_rewrite_to_the_latest_version_is_no_conflict(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1, unknown=1))
    place, other = await places.get(1), await places.get(1)
    await places.modify(1, lambda same: same)
    place.visits = 5
    await places.replace(place)
    assert await rows.find_one({"_id": 1}) == stored(3, unknown=1, visits=5)
    with pytest.raises(ConflictError):
        await places.replace(visited(other))


async def test_replace_after_another_writer_that_put_an_equal_value_of_another_type_raises(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(1, more="a"))
    place = await places.get(1)
    await rows.replace_one({"_id": 1}, stored(3, more=["a"]))
    with pytest.raises(ConflictError):
        await places.replace(visited(place))


async def test_replace_of_a_row_that_went_raises_and_does_not_bring_it_back(
    places: Collection[Place], rows: Any
) -> None:
    await rows.insert_one(stored(3))
    place = await places.get(1)
    await places.delete(1)
    place.visits = 1
    with pytest.raises(ConflictError):
        await places.replace(place)
    assert await rows.count_documents({}) == 0


async def test_replace_of_an_object_that_was_never_read_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    with pytest.raises(UnguardedReplaceError):
        await places.replace(Place(id=1, name="Bergen"))
    assert await rows.find_one({"_id": 1}) == stored(3)


async def test_replace_unguarded_stores_the_whole_document(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, unknown=1))
    place = Place(id=1, name="Bergen")
    await places.replace(place, unguarded=True)
    row = await rows.find_one({"_id": 1})
    assert (row["name"], row["schema_version"], "unknown" in row, "title" in row) == ("Bergen", 3, False, False)
    place.visits = 1
    await places.replace(place)
    assert (await rows.find_one({"_id": 1}))["visits"] == 1


async def test_replace_unguarded_without_such_a_row_raises(places: Collection[Place], rows: Any) -> None:
    with pytest.raises(DocumentNotFoundError):
        await places.replace(Place(id=1, name="Bergen"), unguarded=True)
    assert await rows.count_documents({}) == 0


@pytest.mark.parametrize(
    ("tag", "error"), [(4, NewerVersionError), ("3", UnknownVersionError), ([1], UnknownVersionError)]
)
async def test_replace_unguarded_never_touches_a_row_that_cannot_be_read(
    places: Collection[Place], rows: Any, tag: Any, error: type[Exception]
) -> None:
    row = stored(3, schema_version=tag)
    await rows.insert_one(row)
    with pytest.raises(error):
        await places.replace(Place(id=1, name="Bergen"), unguarded=True)
    assert await rows.find_one({"_id": 1}) == row


async def test_replace_with_another_id_is_refused(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    place = await places.get(1)
    place.id = 2
    with pytest.raises(UpdateRefusedError):
        await places.replace(place)
    assert await rows.count_documents({}) == 1


async def test_replace_keeps_what_the_model_does_not_know_at_every_depth(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(
        stored(1, at={"x": 1.0, "y": 2.0, "z": 3}, parts=[{"x": 1.0, "y": 1.0, "u": {"v": [1]}}], more={"n": Int64(1)})
    )
    place = await places.get(1)
    assert place.at is not None
    place.at.x = 9
    place.parts[0].y = 8
    place.parts.append(Point(x=0, y=0))
    place.parts.pop()
    await places.replace(place)
    row = await rows.find_one({"_id": 1})
    assert row["at"] == {"x": 9.0, "y": 2.0, "z": 3}
    assert row["parts"] == [{"x": 1.0, "y": 8.0, "u": {"v": [1]}}]
    assert type(row["more"]["n"]) is Int64


async def test_replace_leaves_the_types_of_untouched_fields_alone(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(2, visits=Int64(7), at={"x": 1, "y": Int64(2)}))
    place = await places.get(1)
    assert place.at is not None
    place.at.x = 5
    await places.replace(place)
    row = await rows.find_one({"_id": 1})
    assert type(row["visits"]) is Int64
    assert (type(row["at"]["x"]), type(row["at"]["y"])) == (float, Int64)


async def test_replace_is_not_fooled_by_nested_values_changed_in_place(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3, tags=["a"], parts=[{"x": 1.0, "y": 1.0}]))
    place = await places.get(1)
    place.tags.append("b")
    place.parts[0].x = 2
    await places.replace(place)
    row = await rows.find_one({"_id": 1})
    assert (row["tags"], row["parts"]) == (["a", "b"], [{"x": 2.0, "y": 1.0}])


# --- tokens -------------------------------------------------------------------------------------------------------


async def test_replace_with_the_token_of_the_stored_row_stores_the_change(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, unknown=1))
    token = version_token(await places.get(1))
    await places.replace(Place(id=1, name="Bergen", slug="oslo"), if_token=token)
    row = await rows.find_one({"_id": 1})
    assert row == {"_id": 1, "unknown": 1, "schema_version": 3, "name": "Bergen", "slug": "oslo"}


async def test_replace_with_a_token_of_an_earlier_row_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    token = version_token(await places.get(1))
    await rows.update_one({"_id": 1}, {"$inc": {"visits": 1}})
    for wrong in (token, "", "nonsense", "ø"):
        with pytest.raises(ConflictError):
            await places.replace(Place(id=1, name="Bergen"), if_token=wrong)
    assert (await rows.find_one({"_id": 1}))["name"] == "Oslo"


async def test_token_of_a_replaced_document_is_the_one_that_a_reader_gets(places: Collection[Place]) -> None:
    place = Place(id=1, name="Oslo")
    await places.insert(place)
    assert version_token(place) == version_token(await places.get(1))
    place.visits = 1
    before = version_token(place)
    await places.replace(place)
    assert before != version_token(place) == version_token(await places.get(1))


# --- modify -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_modify_of_a_row_at_any_version_stores_the_latest(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version, visits=Int64(4)))
    place = await places.modify(1, visited)
    assert place.visits == 5
    row = await rows.find_one({"_id": 1})
    assert row == {"_id": 1, "schema_version": 3, "name": "Oslo", "slug": "oslo", "visits": 5}
    place.visits = 6
    await places.replace(place)


async def test_modify_takes_a_coroutine_function(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))

    async def change(place: Place) -> Place:
        return place.model_copy(update={"name": "Bergen"})

    await places.modify(1, change)
    assert (await rows.find_one({"_id": 1}))["name"] == "Bergen"


async def test_modify_after_another_writer_begins_again(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    calls: list[int] = []

    async def change(place: Place) -> Place:
        calls.append(place.visits)
        if len(calls) == 1:
            await rows.update_one({"_id": 1}, {"$inc": {"visits": 10}})
        return visited(place)

    await places.modify(1, change)
    assert calls == [0, 10]
    assert (await rows.find_one({"_id": 1}))["visits"] == 11


async def test_modify_that_never_gets_through_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))

    async def change(place: Place) -> Place:
        await rows.update_one({"_id": 1}, {"$inc": {"foreign": 1}})
        return visited(place)

    with pytest.raises(ConflictError) as caught:
        await places.modify(1, change)
    assert (await rows.find_one({"_id": 1})) == stored(3, foreign=caught.value.tries)


async def test_modify_without_such_a_row_raises(places: Collection[Place]) -> None:
    with pytest.raises(DocumentNotFoundError):
        await places.modify(1, visited)


async def test_modify_whose_change_returns_nothing_says_so(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))

    def change(place: Place) -> None:
        place.visits = 1

    with pytest.raises(TypeError, match="must return"):
        await places.modify(1, change)  # type: ignore[arg-type]
    assert await rows.find_one({"_id": 1}) == stored(3)


async def test_modify_that_changes_nothing_still_brings_an_old_row_up(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    await places.modify(1, lambda place: place)
    assert await rows.find_one({"_id": 1}) == stored(3)


# --- update -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, 1, 2, 3])
async def test_update_of_a_row_at_any_version_meets_the_latest_shape(
    places: Collection[Place], rows: Any, version: int | None
) -> None:
    await rows.insert_one(stored(version, visits=Int64(4)))
    result = await places.update({"_id": 1}, {"$inc": {"visits": 1}, "$set": {"name": "Bergen"}})
    assert result == UpdateResult(matched=1, modified=1)
    row = await rows.find_one({"_id": 1})
    assert row == {"_id": 1, "schema_version": 3, "name": "Bergen", "slug": "oslo", "visits": 5}


async def test_update_finds_old_rows_by_what_they_are_at_the_latest_shape(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1, "Oslo"), stored(1, 2, "Bergen")])
    assert (await places.update({"name": "Bergen"}, {"$inc": {"visits": 1}})).matched == 1
    assert await rows.find_one({"_id": 1}) == stored(1, 1, "Oslo")
    assert await rows.find_one({"_id": 2}) == stored(3, 2, "Bergen", visits=1)


async def test_update_of_one_changes_one(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(3, 2), stored(2, 3)])
    assert (await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}})).matched == 1
    assert sum([row.get("visits", 0) async for row in rows.find()]) == 1


async def test_update_of_many_changes_every_row_that_matches(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(3, 2), stored(2, 3), stored(1, 4, "Bergen")])
    result = await places.update({"name": "Oslo"}, {"$inc": {"visits": 1}}, many=True)
    assert (result.matched, result.modified) == (3, 3)
    assert [row.get("visits") async for row in rows.find({}, sort=[("_id", 1)])] == [1, 1, 1, None]


async def test_update_that_matches_nothing_says_so(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    assert await places.update({"name": "Bergen"}, {"$inc": {"visits": 1}}) == UpdateResult(0, 0)
    assert await rows.find_one({"_id": 1}) == stored(1)


@pytest.mark.parametrize("many", [False, True])
async def test_update_with_upsert_inserts_a_tagged_row(places: Collection[Place], rows: Any, many: bool) -> None:  # noqa: FBT001
    result = await places.update({"_id": 7, "name": "Oslo"}, {"$inc": {"visits": 1}}, upsert=True, many=many)
    assert result == UpdateResult(matched=0, modified=0, upserted_id=7)
    assert await rows.find_one({"_id": 7}) == {"_id": 7, "schema_version": 3, "name": "Oslo", "visits": 1}


async def test_update_with_upsert_finds_the_old_row(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    result = await places.update({"_id": 1}, {"$inc": {"visits": 1}}, upsert=True)
    assert result == UpdateResult(matched=1, modified=1)
    assert await rows.find_one({"_id": 1}) == stored(3, visits=1)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("tag", [{}, {"schema_version": None}])
@pytest.mark.parametrize("detect", [None, lambda _: 1])
async def test_update_of_an_untagged_row_that_has_the_latest_shape_already_tags_and_updates_it(
    any_database: Any,
    rows: Any,
    many: bool,  # noqa: FBT001
    tag: dict[str, Any],
    detect: Any,
) -> None:
    kind = Kind("place", collection="places", model=Place, detect=detect)
    places = Store(any_database, kinds=[kind], service="tests", fleet=False).collection(kind)
    await rows.insert_one({"_id": 1, "name": "Oslo", "visits": 1, **tag})
    by_name = {"name": "Oslo"}
    assert (await places.update(by_name, {"$inc": {"visits": 1}}, many=many)).matched == 1
    assert (await places.update(by_name, {"$inc": {"visits": 1}}, many=many, upsert=True)).upserted_id is None
    found = [row async for row in rows.find({})]
    assert found == [{"_id": 1, "name": "Oslo", "visits": 3, "schema_version": 1}]


async def test_update_with_upsert_of_a_key_that_another_row_has_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    with pytest.raises(DocumentExistsError):
        await places.update({"_id": 1, "name": "Bergen"}, {"$inc": {"visits": 1}}, upsert=True)
    assert await rows.find_one({"_id": 1}) == stored(3)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("tag", "error"),
    [(4, NewerVersionError), ("3", UnknownVersionError), ([3], UnknownVersionError), (0, UnknownVersionError)],
)
async def test_update_never_touches_a_row_that_cannot_be_read(
    places: Collection[Place],
    rows: Any,
    tag: Any,
    error: type[Exception],
    many: bool,  # noqa: FBT001
) -> None:
    await rows.insert_many([stored(3, 1, schema_version=tag), stored(1, 2)])
    with pytest.raises(error):
        await places.update({"_id": 1}, {"$inc": {"visits": 1}}, many=many, upsert=True)
    if many:
        with pytest.raises(error):
            await places.update({}, {"$inc": {"visits": 1}}, many=True)
    assert await rows.find_one({"_id": 1}) == stored(3, 1, schema_version=tag)
    assert await rows.find_one({"_id": 2}) == stored(1, 2)


@pytest.mark.parametrize("version", [None, 1])
async def test_update_never_touches_a_row_below_the_floor(any_database: Any, rows: Any, version: int | None) -> None:
    await rows.insert_many([stored(version, 1), stored(2, 2)])
    kind = place_kind(floor=2)
    places = Store(any_database, kinds=[kind], service="tests", fleet=False).collection(kind)
    for many in (False, True):
        with pytest.raises(RetiredVersionError):
            await places.update({"_id": 1}, {"$inc": {"visits": 1}}, many=many, upsert=True)
    with pytest.raises(RetiredVersionError):
        await places.modify(1, visited)
    assert (await places.update({"_id": 2}, {"$inc": {"visits": 1}})).matched == 1
    assert await rows.find_one({"_id": 1}) == stored(version, 1)


async def test_update_of_a_row_that_cannot_be_upgraded_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one({"_id": 1, "schema_version": 2, "name": None})
    with pytest.raises(UpgradeFailedError):
        await places.update({"_id": 1}, {"$inc": {"visits": 1}})
    assert await rows.find_one({"_id": 1}) == {"_id": 1, "schema_version": 2, "name": None}


async def test_update_of_an_old_row_that_the_model_would_refuse_raises(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, visits="many"))
    with pytest.raises(InvalidDocumentError):
        await places.update({"_id": 1}, {"$set": {"tags": ["x"]}})
    assert await rows.find_one({"_id": 1}) == stored(1, visits="many")


@pytest.mark.parametrize(
    "operators",
    [
        {},
        [{"$set": {"a": 1}}],
        {"name": "x"},
        {"$set": {"schema_version": 2}},
        {"$unset": {"schema_version": ""}},
        {"$rename": {"name": "schema_version"}},
        {"$set": {"schema_version.x": 2}},
        {"$set": {"_id": 2}},
        {"$set": 1},
    ],
    ids=repr,
)
async def test_update_that_could_break_a_promise_is_refused(
    places: Collection[Place], rows: Any, operators: Any
) -> None:
    await rows.insert_one(stored(1))
    with pytest.raises(UpdateRefusedError):
        await places.update({"_id": 1}, operators)
    assert await rows.find_one({"_id": 1}) == stored(1)


async def test_update_by_the_tag_is_refused(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    with pytest.raises(UpdateRefusedError):
        await places.update({"schema_version": 1}, {"$inc": {"visits": 1}})


async def test_names_that_only_the_model_has_are_refused(any_database: Any) -> None:
    class Aliased(Document):
        label: str = Field("", alias="l")
        l2: str = ""

    kind = Kind("thing", collection="places", model=Aliased)
    things = Store(any_database, kinds=[kind], service="tests", fleet=False).collection(kind)
    await things.insert(Aliased(id=1, l="a"))
    for name in ("id", "label"):
        queries: list[Any] = [
            lambda name=name: things.find({name: 1}).to_list(),
            lambda name=name: things.find(sort=[(name, 1)]).to_list(),
            lambda name=name: things.find_one({"$or": [{"l2": 1}, {name: 1}]}),
            lambda name=name: things.count({"$expr": {"$eq": [f"${name}", 1]}}),
        ]
        for query in queries:
            with pytest.raises(QueryRefusedError, match=f"'{name}', which rows hold as"):
                await query()
        for where, operators in [({name: 1}, {"$set": {"l2": "b"}}), ({"_id": 1}, {"$set": {name: "b"}})]:
            with pytest.raises(UpdateRefusedError, match=f"'{name}', which rows hold as"):
                await things.update(where, operators, upsert=True)
    assert await things.find({"_id": 1, "l": "a"}, sort=[("l2", 1)]).to_list() == [Aliased(id=1, l="a")]


async def test_update_stores_models_as_documents(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    await places.update({"_id": 1}, {"$set": {"at": Point(x=1, y=2)}, "$push": {"parts": Point(x=3, y=4)}})
    assert await rows.find_one({"_id": 1}) == stored(3, at={"x": 1.0, "y": 2.0}, parts=[{"x": 3.0, "y": 4.0}])


# --- what has no place in BSON ------------------------------------------------------------------------------------

UNSTORABLE = [2**70, "\ud800hunter2", {"a\0b": 1}, object()]


@pytest.mark.parametrize("value", UNSTORABLE)
async def test_a_question_that_has_no_place_in_bson_is_named_by_path_and_not_by_value(
    places: Collection[Place], value: Any
) -> None:
    attempts: list[Any] = [
        lambda: places.get(value),
        lambda: places.delete(value),
        lambda: places.modify(value, visited),
        lambda: places.count({"name": value}),
        lambda: places.find({"name": {"$in": [value]}}).to_list(),
        lambda: places.find_one({"$or": [{"name": value}]}),
        lambda: places.update({"name": value}, {"$inc": {"visits": 1}}),
        lambda: places.update({"_id": 1}, {"$set": {"name": value}}),
        lambda: places.update({"_id": 1}, {"$set": {"tags.$[t]": "a"}}, array_filters=[{"t": value}]),
    ]
    for attempt in attempts:
        with pytest.raises(UnstorableValueError) as caught:
            await attempt()
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_an_upgrader_whose_result_has_no_place_in_bson_fails_its_row(any_database: Any, rows: Any) -> None:
    def upgrade(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "slug": row["name"], "seen": {row["name"]}}

    kind = Kind("place", collection="places", model=Place, steps=[Step(upgrade=upgrade, writes=["seen", "slug"], to=2)])
    places = Store(any_database, kinds=[kind], service="tests", fleet=False).collection(kind)
    before = {"_id": 1, "name": "hunter2", "schema_version": 1}
    await rows.insert_one(before)
    place = await places.get(1)
    place.visits = 1
    attempts = [
        places.modify(1, visited),
        places.replace(place),
        places.update({"_id": 1}, {"$inc": {"visits": 1}}),
    ]
    for attempt in attempts:
        with pytest.raises(UpgradeFailedError) as caught:
            await attempt
        assert (caught.value.id, caught.value.version, caught.value.step) == (1, 1, 2)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert await rows.find_one({"_id": 1}) == before


# --- delete -------------------------------------------------------------------------------------------------------


async def test_delete_removes_the_row_whatever_its_version(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(4, 2)])
    await places.delete(1)
    await places.delete(2)
    assert await rows.count_documents({}) == 0


async def test_delete_without_such_a_row_raises(places: Collection[Place]) -> None:
    with pytest.raises(DocumentNotFoundError):
        await places.delete({"$gt": 0})
