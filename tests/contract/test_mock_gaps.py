"""
What mongomock-motor cannot do, line by line of `docs/mock.md`: this is the one place that lists it.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from docstore import Collection, Step, Store, commands
from docstore import operations as ops
from docstore.commands import views_sync
from docstore.core.bson_values import encode
from docstore.errors import (
    DocumentExistsError,
    NewerVersionError,
    QueryRefusedError,
    StoreRejectedError,
    ViewRefusedError,
)
from docstore.operations.published_step import step_data
from docstore.store.stale_query_in_memory import StaleQueriesInMemory
from tests.kinds import Place, place_kind, stored

PAGE = Path(__file__).parents[2] / "docs" / "mock.md"

Gap = Callable[[Any, Collection[Place]], Awaitable[None]]


async def sessions(database: Any, places: Collection[Place]) -> None:
    with pytest.raises(NotImplementedError):
        await database.client.start_session()
    await places.insert(Place(id=1, name="Oslo"), session=None)


async def array_filters(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3, parts=[{"x": 1.0, "y": 1.0}]))
    with pytest.raises(NotImplementedError):
        await places.update({"_id": 1}, {"$set": {"parts.$[a].x": 2.0}}, array_filters=[{"a.x": 1}])


async def positional_operators(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3, tags=["a", "b"]))
    for update in (places.update, places.find_one_and_update):
        with pytest.raises(NotImplementedError):
            await update({"_id": 1}, {"$set": {"tags.$[]": "c"}})
    with pytest.raises(NotImplementedError):
        await places.find_one_and_update({"_id": 1, "tags": "b"}, {"$set": {"tags.$": "c"}})
    assert (await database.places.find_one({"_id": 1}))["tags"] == ["a", "b"]


async def pipelines_that_write(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3))
    with pytest.raises(QueryRefusedError, match="mongomock"):
        await (await places.aggregate([{"$out": "report"}])).to_list()


async def stages(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3))
    join = {"from": "places", "let": {"mine": "$_id"}, "pipeline": [], "as": "own"}
    with pytest.raises(NotImplementedError):
        await (await places.aggregate([{"$lookup": join}])).to_list()


async def newer_rows(database: Any, places: Collection[Place]) -> None:
    step = step_data("place", Step(ops.AddField("floor", 0), to=4))
    await database.docstore_steps.insert_one({"_id": 1, "offered": datetime.datetime.now(datetime.UTC), **step})
    await database.places.insert_one({**stored(3), "schema_version": 4, "floor": 1})
    with pytest.raises(NewerVersionError):
        await places.get(1)


async def dollar_names(database: Any, places: Collection[Place]) -> None:
    del database
    with pytest.raises(StoreRejectedError):
        await places._writer.insert([encode(stored(3) | {"$x": 1})], ordered=True, session=None)


async def unique_indexes(database: Any, places: Collection[Place]) -> None:
    await database.places.create_index("slug", unique=True, name="one_slug")
    await places.insert(Place(id=1, name="Oslo", slug="oslo"))
    with pytest.raises(DocumentExistsError) as caught:
        await places.insert(Place(id=2, name="Oslo", slug="oslo"))
    assert caught.value.index is None


async def size_limit(database: Any, places: Collection[Place]) -> None:
    await places.insert(Place(id=1, name="n" * 17_000_000))
    assert await database.places.count_documents({}) == 1


async def loose_equality(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3, flag=True))
    assert await places.count({"flag": 1}) == 1


async def some_operators(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3, visits=2))
    with pytest.raises(ValueError, match=r"\$mul"):
        await places.update({"_id": 1}, {"$mul": {"visits": 2}})


async def views(database: Any, places: Collection[Place]) -> None:
    with pytest.raises(ViewRefusedError):
        await views_sync(database, places.kind)


async def change_streams(database: Any, places: Collection[Place]) -> None:
    del database
    with pytest.raises(StoreRejectedError):
        await places.watch().open()


async def one_moment(database: Any, places: Collection[Place]) -> None:
    del database
    assert isinstance(places._queries._stale, StaleQueriesInMemory)


async def other_processes(database: Any, places: Collection[Place]) -> None:
    await database.places.insert_one(stored(3))
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    task = asyncio.create_task(other())
    place = await places.get(1)
    place.visits = 1
    await places.replace(place)
    turns.append("store")
    await task
    assert turns == ["store", "other"]


async def the_fleet(database: Any, places: Collection[Place]) -> None:
    kind = places.kind
    await places.insert(Place(id=1, name="Oslo"))
    assert (await database.places.find_one({"_id": 1}))["schema_version"] == kind.latest
    async with Store(database, kinds=[kind], service="tests") as store:
        assert await store.knob("search", default=5) == 5
    for call in (
        lambda: commands.fleet(database),
        lambda: commands.fleet_declare(database, "jobs", kind, low=1, high=3, by="me"),
        lambda: commands.rollout_status(database, [kind]),
        lambda: commands.rollout_advance(database, kind, by="me"),
        lambda: commands.rollout_knob(database, "search", value=True, by="me"),
    ):
        with pytest.raises(StoreRejectedError, match="mongomock-motor"):
            await call()


GAPS: dict[str, Gap] = {
    "sessions": sessions,
    "array filters": array_filters,
    "positional operators": positional_operators,
    "names that begin with a dollar": dollar_names,
    "names of unique indexes": unique_indexes,
    "the size limit": size_limit,
    "loose equality in filters": loose_equality,
    "some operators": some_operators,
    "views": views,
    "change streams": change_streams,
    "one moment for a query": one_moment,
    "pipelines that write": pipelines_that_write,
    "stages of an aggregation": stages,
    "the fleet": the_fleet,
    "newer rows": newer_rows,
    "other processes": other_processes,
}


@pytest.mark.parametrize("name", GAPS)
async def test_the_mock_still_lacks_what_the_page_says(mock_database: Any, name: str) -> None:
    kind = place_kind()
    await GAPS[name](mock_database, Store(mock_database, kinds=[kind], service="tests", fleet=False).collection(kind))


def test_the_page_lists_exactly_these_gaps() -> None:
    text = PAGE.read_text().split("## What it cannot do\n", 1)[1]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(GAPS)
