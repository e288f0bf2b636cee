"""
Update operators that the mock cannot do, unique indexes, and what a server that is not there looks like.
"""

import asyncio
import gc
import traceback
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.read_preferences import Secondary
from pymongo.write_concern import WriteConcern

from docstore import Collection, Store
from docstore.errors import (
    DocumentExistsError,
    DocumentNotFoundError,
    StoreRejectedError,
    StoreUnavailableError,
    UnguardedReplaceError,
)
from docstore.mongo.driver import settled
from docstore.mongo.row_writer import Rewritten
from docstore.mongo.server_writing import ServerRowWriter, _Collation
from tests.kinds import Place, place_kind, stored


async def test_array_filters_pick_elements(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, parts=[{"x": 1.0, "y": 1.0}, {"x": 2.0, "y": 2.0}]))
    await places.update({"_id": 1}, {"$set": {"parts.$[big].y": 9.0}}, array_filters=[{"big.x": {"$gt": 1}}])
    assert (await rows.find_one({"_id": 1}))["parts"] == [{"x": 1.0, "y": 1.0}, {"x": 2.0, "y": 9.0}]


async def test_the_positional_operator_works_with_a_filter_on_an_array(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1, tags=["a", "b"]))
    await places.update({"_id": 1, "tags": "b"}, {"$set": {"tags.$": "c"}})
    assert (await rows.find_one({"_id": 1}))["tags"] == ["a", "c"]


async def test_a_unique_index_is_named_and_no_value_is_shown(places: Collection[Place], rows: Any) -> None:
    await rows.create_index("slug", unique=True, name="one_slug")
    await rows.insert_many([stored(3, 1, "Oslo"), stored(3, 2, "Bergen")])
    place = await places.get(2)
    place.slug = "oslo"
    attempts = [
        places.insert(Place(id=3, name="x", slug="oslo")),
        places.insert_many([Place(id=4, name="x", slug="a"), Place(id=5, name="x", slug="oslo")]),
        places.replace(place),
        places.replace(place, unguarded=True),
        places.update({"_id": 2}, {"$set": {"slug": "oslo"}}),
        places.update({"_id": 9}, {"$set": {"slug": "oslo"}}, upsert=True),
    ]
    for attempt in attempts:
        with pytest.raises(DocumentExistsError) as caught:
            await attempt
        assert caught.value.index == "one_slug"
        assert "oslo" not in "".join(traceback.format_exception(caught.value))
    assert await rows.count_documents({"slug": "oslo"}) == 1


async def test_an_operator_that_the_server_refuses_is_told_without_values(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(3))
    with pytest.raises(StoreRejectedError) as caught:
        await places.update({"_id": 1}, {"$inc": {"name": 1}})
    assert caught.value.code == 14
    assert "Oslo" not in str(caught.value)


@pytest.mark.parametrize("ordered", [True, False])
async def test_of_rows_that_the_server_refuses_no_value_is_shown_and_the_stored_ones_are_remembered(
    places: Collection[Place],
    rows: Any,
    server_database: Any,
    ordered: bool,  # noqa: FBT001
) -> None:
    await server_database.create_collection("places", validator={"visits": {"$lt": 100}})
    many = [
        Place(id=1, name="Oslo"),
        Place(id=2, name="hunter2", visits=1234567),
        Place(id=1, name="hunter2"),
        Place(id=3, name="Bergen"),
    ]
    with pytest.raises(StoreRejectedError) as caught:
        await places.insert_many(many, ordered=ordered)
    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.code == 121
    assert "hunter2" not in shown
    assert "1234567" not in shown
    expected = {1} if ordered else {1, 3}
    assert {row["_id"] async for row in rows.find({})} == expected
    assert f"{len(expected)} of 4 documents were stored" in shown
    for place in (many[0], many[3]):
        if place.id in expected:
            place.visits += 1
            await places.replace(place)
    with pytest.raises(UnguardedReplaceError):
        await places.replace(many[1])


async def test_a_write_concern_that_cannot_be_met_leaves_open_what_became_of_the_write(
    server_database: Any, rows: Any
) -> None:
    kind = place_kind()
    impatient = server_database.with_options(write_concern=WriteConcern(w=5))
    places = Store(impatient, kinds=[kind], service="tests", fleet=False).collection(kind)
    await rows.insert_one(stored(3, 1))
    attempts = [
        places.insert(Place(id=2, name="x")),
        places.insert_many([Place(id=3, name="x"), Place(id=4, name="x")]),
        places.modify(1, lambda place: place.model_copy(update={"visits": 1})),
        places.update({"_id": 1}, {"$inc": {"visits": 1}}),
        places.delete(1),
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailableError):
            await attempt


async def test_a_row_that_would_be_too_large_is_refused(places: Collection[Place]) -> None:
    with pytest.raises(StoreRejectedError):
        await places.insert(Place(id=1, name="n" * 17_000_000))
    with pytest.raises(DocumentNotFoundError):
        await places.get(1)


async def test_names_that_no_operator_can_speak_of_survive_and_can_be_stored(
    places: Collection[Place], rows: Any
) -> None:
    awkward = {"a.b": {"$c": 1}}
    await rows.insert_one({**stored(1), **awkward})
    place = await places.get(1)
    place.visits = 5
    await places.replace(place)
    assert (await rows.find_one({"_id": 1})) == {**stored(3, visits=5), **awkward}


async def test_where_the_options_may_not_be_asked_for_strings_are_compared_byte_by_byte(
    server_database: Any, rows: Any
) -> None:
    await server_database.create_collection("places", collation={"locale": "en", "strength": 2})
    await rows.insert_one(stored(3, "a", "oslo"))
    writer = ServerRowWriter(server_database, "places")
    writer._collation = _Collation.UNKNOWN
    raw = await writer.current("a", session=None)
    assert raw is not None
    await rows.update_one({"_id": "a"}, {"$set": {"name": "OSLO"}})
    assert await writer.rewrite(raw, stored(3, "a", "oslo", visits=1), session=None) is None
    assert await writer.rewrite_many([(raw, stored(3, "a", "oslo", visits=1))]) == Rewritten(0)
    assert (await rows.find_one({"_id": "a"}))["name"] == "OSLO"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client_type", [AsyncMongoClient, AsyncIOMotorClient])
async def test_a_server_that_is_not_there_is_one_error_from_every_method(client_type: Any) -> None:
    client = client_type("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=20&connectTimeoutMS=20")
    kind = place_kind()
    places = Store(client["nowhere"], kinds=[kind], service="tests", fleet=False).collection(kind)
    attempts = [
        places.get(1),
        places.find_one({}),
        places.find({}).to_list(),
        places.count({}),
        places.insert(Place(id=1, name="x")),
        places.insert_many([Place(id=1, name="x"), Place(id=2, name="x")]),
        places.replace(Place(id=1, name="x"), unguarded=True),
        places.replace(Place(id=1, name="x"), if_token="1.x"),  # noqa: S106 - no password
        places.modify(1, lambda place: place),
        places.update({}, {"$inc": {"visits": 1}}),
        places.update({}, {"$inc": {"visits": 1}}, many=True),
        places.delete(1),
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * len(attempts)
    await settled(client.close())
    # The driver leaves the sockets that were refused to the garbage collector, which complains in whatever test.
    gc.collect()


async def test_old_rows_are_looked_for_on_the_primary_wherever_the_client_reads(
    server_database: Any, rows: Any
) -> None:
    # There is no secondary: a read that asked for one would find none.
    elsewhere = server_database.with_options(read_preference=Secondary())
    kind = place_kind()
    places = Store(elsewhere, kinds=[kind], service="tests", fleet=False).collection(kind)
    await rows.insert_many([stored(1, 1), stored(2, 2), stored(1, 3, "Molde")])
    assert (await places.update_many({"name": "Oslo"}, {"$inc": {"visits": 1}})).matched == 2
    assert (await places.upsert({"name": "Molde"}, {"$inc": {"visits": 1}})).matched == 1
    assert await places.delete_one({"name": "Molde"})
    assert [row async for row in rows.find({}, sort=[("_id", 1)])] == [stored(3, 1, visits=1), stored(3, 2, visits=1)]
