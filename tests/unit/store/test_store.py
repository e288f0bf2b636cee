from typing import Any

import pytest
from mongomock_motor import AsyncMongoMockClient

import docstore
from docstore import Document, Kind, Store
from docstore.errors import CollectionSharedError, DefinitionError, UnknownKindError


class Thing(Document):
    name: str


def kind(name: str, collection: str) -> Kind[Thing]:
    return Kind(name, collection=collection, model=Thing)


@pytest.fixture
def database() -> Any:
    return AsyncMongoMockClient()["db"]


def test_two_kinds_on_one_collection_are_refused(database: Any) -> None:
    with pytest.raises(CollectionSharedError) as caught:
        Store(database, kinds=[kind("a", "things"), kind("b", "things")], service="tests")
    assert (caught.value.first, caught.value.second, caught.value.collection) == ("a", "b", "things")


def test_two_kinds_of_one_name_are_refused(database: Any) -> None:
    with pytest.raises(DefinitionError):
        Store(database, kinds=[kind("a", "things"), kind("a", "others")], service="tests")


def test_a_kind_that_the_store_does_not_know_is_refused(database: Any) -> None:
    store = Store(database, kinds=[kind("a", "things")], service="tests")
    for other in (kind("b", "things"), kind("a", "things")):
        with pytest.raises(UnknownKindError) as caught:
            store.collection(other)
        assert caught.value.known == ("a",)


def test_a_collection_is_the_same_object_every_time(database: Any) -> None:
    thing = kind("a", "things")
    store = Store(database, kinds=[thing], service="tests")
    assert store.collection(thing) is store.collection(thing)
    assert store.kinds == (thing,)


def test_something_that_is_no_asynchronous_database_is_refused() -> None:
    with pytest.raises(TypeError):
        Store(object(), kinds=[], service="tests")


@pytest.mark.parametrize(("heartbeat", "dead_after"), [(0.0, 10.0), (6.0, 10.0), (2.0, 3.0), (float("nan"), 10.0)])
def test_a_node_that_would_stop_writing_between_two_heartbeats_is_not_made(
    mock_database: Any, heartbeat: float, dead_after: float
) -> None:
    with pytest.raises(ValueError, match="60 % of dead_after"):
        Store(mock_database, kinds=[], service="tests", heartbeat=heartbeat, dead_after=dead_after)


async def test_a_store_may_be_closed_twice_and_goes_on_reading(database: Any) -> None:
    thing = kind("a", "things")
    async with Store(database, kinds=[thing], service="tests", write_back=True) as store:
        pass
    await store.close()
    things = store.collection(thing)
    await things.insert(Thing(id=1, name="x"))
    assert (await things.get(1)).name == "x"


async def test_a_field_that_is_stored_where_it_is_not_read_is_found_when_the_store_opens(database: Any) -> None:
    from pydantic import Field  # noqa: PLC0415

    class Odd(Document):
        size: int = Field(0, validation_alias="a", serialization_alias="b")

    with pytest.raises(DefinitionError):
        Store(database, kinds=[Kind("odd", collection="odd", model=Odd)], service="tests")


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert docstore.__all__ == sorted(docstore.__all__)
    for name in docstore.__all__:
        assert getattr(docstore, name) is not None
        assert name in dir(docstore)
    with pytest.raises(AttributeError):
        docstore.Nothing  # noqa: B018
