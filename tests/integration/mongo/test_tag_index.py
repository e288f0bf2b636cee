"""
The index on the tag: which one counts.
"""

import asyncio
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from docstore.mongo.tag_index import build_tag_index, find_tag_index


async def test_there_is_none_where_nothing_is_stored(database: AsyncDatabase[dict[str, Any]]) -> None:
    assert await find_tag_index(database, "rows", "v") is None


async def test_an_index_that_is_still_being_built_does_not_count(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database["rows"].insert_many([{"v": 1, "n": number} for number in range(20_000)])
    building = asyncio.create_task(build_tag_index(database, "rows", "v"))
    while not building.done():
        name = await find_tag_index(database, "rows", "v")
        if name is not None:
            # It can be used at once: the server refuses the hint of an index that it cannot use.
            assert await database["rows"].find_one({"v": 1}, hint=name) is not None
    assert await building == await find_tag_index(database, "rows", "v") == "docstore_v"
