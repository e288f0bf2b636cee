"""
The types that users see: checked by mypy and pyright, never run.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, assert_type

from bson.objectid import ObjectId
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.asynchronous.database import AsyncDatabase

from docstore import (
    BsonLong,
    BsonObjectId,
    BulkResult,
    Change,
    Changes,
    Collection,
    Cursor,
    Delete,
    Document,
    Insert,
    Kind,
    OlderDocument,
    Replace,
    SkippedRow,
    Step,
    Store,
    Update,
    UpdateResult,
    WriteBackStatistics,
    version_token,
)
from docstore import operations as ops


class City(Document):
    name: str
    population: BsonLong = 0
    owner: BsonObjectId | None = None


class CityName(Document):
    name: str


city = Kind("city", collection="cities", model=City, steps=[Step(ops.RenameField("title", "name"), to=2)])

assert_type(city, Kind[City])
assert_type(city.latest, int)
assert_type(city.upgrade({"_id": 1}), dict[str, Any])


def grown(one: City) -> City:
    one.population += 1
    return one


async def grown_later(one: City) -> City:
    return one


async def with_pymongo(database: AsyncDatabase[dict[str, Any]]) -> None:
    async with Store(database, kinds=[city], service="geo-api") as store:
        assert_type(store, Store)
        assert_type(store.collection(city), Collection[City])


async def with_motor(database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
    store = Store(database, kinds=[city], service="geo-api", write_back=True)
    assert_type(store.write_back_statistics(), WriteBackStatistics | None)
    await store.close()


async def reads(cities: Collection[City]) -> None:
    assert_type(await cities.get(1), City)
    assert_type(await cities.find_one({"name": "Oslo"}), City | None)
    assert_type(await cities.find_one({"name": "Oslo"}, projection=CityName), CityName | None)
    cursor = cities.find({"name": "Oslo"}, sort=[("population", -1)], skip=0, limit=10, on_error="skip")
    assert_type(cursor, Cursor[City])
    assert_type(cursor.skipped, tuple[SkippedRow, ...])
    async for one in cursor:
        assert_type(one, City)
        assert_type(one.population, int)
        assert_type(one.owner, ObjectId | None)
    assert_type(await cities.find().to_list(), list[City])
    assert_type(cities.find(projection=CityName), Cursor[CityName])
    assert_type(await cities.count({}), int)
    assert_type(await cities.aggregate([{"$count": "rows"}]), Cursor[dict[str, Any]])
    assert_type(await cities.aggregate([{"$count": "rows"}], allow_client_filter=True), Cursor[dict[str, Any]])


async def writes(cities: Collection[City], one: City) -> None:
    assert_type(await cities.insert_many([one]), list[Any])
    assert_type(await cities.modify(1, grown), City)
    assert_type(await cities.modify(1, grown_later), City)
    assert_type(await cities.modify(1, lambda each: each.model_copy(update={"name": "x"})), City)
    assert_type(await cities.update({}, {"$inc": {"population": 1}}, many=True), UpdateResult)
    assert_type(await cities.update_many({}, {"$inc": {"population": 1}}, allow_client_filter=True), UpdateResult)
    assert_type(await cities.upsert({"_id": 1}, {"$inc": {"population": 1}}), UpdateResult)
    assert_type(await cities.find_one_and_update({}, {"$inc": {"population": 1}}), City | None)
    assert_type(
        await cities.find_one_and_update(
            {}, {"$inc": {"population": 1}}, return_document="after", sort=[("name", 1)], projection=CityName
        ),
        CityName | None,
    )
    assert_type(await cities.delete_one({}), bool)
    assert_type(await cities.delete_many({}, allow_client_filter=True), int)
    result = await cities.bulk([Insert(one), Replace(one), Update({}, {"$inc": {"population": 1}}), Delete({})])
    assert_type(result, BulkResult)
    await cities.replace(one)
    await cities.replace(one, if_token=version_token(one))
    await cities.replace(one, unguarded=True)
    await cities.delete(1)


async def older_shapes(cities: Collection[City], one: CityName) -> None:
    assert_type(await cities.get(1, as_version=1), OlderDocument)
    assert_type(await cities.get(1, as_version=1, model=CityName), CityName)
    assert_type(await cities.find_one({}, as_version=1), OlderDocument | None)
    assert_type(cities.find({}, sort=[("name", 1)], limit=3, as_version=1), Cursor[OlderDocument])
    assert_type(await cities.find(as_version=1, model=CityName).to_list(), list[CityName])
    await cities.replace({"_id": 1, "title": "Oslo"}, as_version=1, if_token="1.x")  # noqa: S106 - no password
    await cities.replace(one, as_version=1)
    assert_type(await cities.modify(1, lambda older: {**older, "title": "x"}, as_version=1), Mapping[str, Any])
    assert_type(version_token(await cities.get(1, as_version=1)), str)


async def changes(cities: Collection[City]) -> None:
    async with cities.watch() as stream:
        assert_type(stream, Changes[City])
        async for change in stream:
            assert_type(change, Change[City])
            assert_type(change.document, City | None)
    assert_type(
        await cities.watch(resume_after=stream.resume_token, include_rewrites=True).try_next(), Change[City] | None
    )


async def mistakes(cities: Collection[City]) -> None:
    await cities.insert(CityName(name="Oslo"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await cities.find({}, on_error="ignore").to_list()  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def returns_nothing(one: City) -> None:
    one.name = "x"


async def more_mistakes(cities: Collection[City]) -> Awaitable[None] | None:
    await cities.modify(1, returns_nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return None
