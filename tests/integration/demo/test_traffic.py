"""
The demo's proof: it must be able to fail.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore.demo.traffic import COUNTER, Traffic, increments, prove
from docstore.embedded import EmbeddedServer

IDS = list(range(20))


def uri_of(database: AsyncDatabase[dict[str, Any]], mongod_uri: str) -> str:
    return mongod_uri.replace("/?", f"/{database.name}?")


async def counted(database: AsyncDatabase[dict[str, Any]]) -> int:
    return sum([row.get(COUNTER, 0) async for row in database.cities.find()])


async def test_every_acknowledged_increment_is_known_by_row(
    database: AsyncDatabase[dict[str, Any]], mongod_uri: str
) -> None:
    await database.cities.insert_many([{"_id": row} for row in IDS])

    async with increments(uri_of(database, mongod_uri), "cities", IDS, writers=2) as traffic:
        begun_with = traffic.total
        await asyncio.sleep(0.5)
    at_the_end = await counted(database)
    await asyncio.sleep(0.2)

    assert begun_with > 0
    assert traffic.by_row.total() == traffic.total == at_the_end
    # Nobody writes any more.
    assert await counted(database) == at_the_end
    assert (await prove(database.cities, traffic)).holds


@pytest.mark.parametrize(
    ("stored", "differing"),
    [
        pytest.param({1: 2, 2: 1}, 0, id="all"),
        pytest.param({1: 1, 2: 1}, 1, id="one lost"),
        pytest.param({1: 3, 2: 1}, 1, id="one made twice"),
        pytest.param({1: 3, 2: 0}, 2, id="one in another row"),
        pytest.param({1: 2}, 1, id="a row's counter gone"),
        pytest.param({1: 2, 2: 1, 3: 1}, 1, id="one that nobody made"),
    ],
)
async def test_proof_counts_the_rows_that_differ(
    database: AsyncDatabase[dict[str, Any]], stored: dict[int, int], differing: int
) -> None:
    await database.cities.insert_many([{"_id": row, COUNTER: count} for row, count in stored.items()])

    proof = await prove(database.cities, Traffic(total=3, by_row=Counter({1: 2, 2: 1})))

    assert proof.differing == differing
    assert proof.holds is (differing == 0)


async def test_proof_without_any_increment_proves_nothing(database: AsyncDatabase[dict[str, Any]]) -> None:
    assert not (await prove(database.cities, Traffic())).holds


async def test_traffic_that_breaks_off_is_an_error_and_no_smaller_number() -> None:
    server = await EmbeddedServer().start()
    uri = server.uri.replace("/?", "/demo?")
    try:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            await client.demo.cities.insert_many([{"_id": row} for row in IDS])
        with pytest.raises(RuntimeError, match="increments has failed"):
            async with increments(uri, "cities", IDS, writers=1):
                await server.kill_member(0)
    finally:
        await server.stop()
