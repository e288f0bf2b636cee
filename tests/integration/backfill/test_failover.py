"""
A backfill while the primary hands over: it goes on with the next one, and no step is applied twice (P3).
"""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore import Kind
from docstore.commands import backfill
from docstore.embedded import EmbeddedServer
from tests.integration.backfill.conftest import Counter

ROWS = 300


@pytest.mark.usefixtures("small_batches")
async def test_an_election_does_not_stop_a_backfill(
    replica_set: EmbeddedServer, database_name: str, counter_kind: Kind[Counter]
) -> None:
    async with AsyncMongoClient[dict[str, Any]](replica_set.uri) as client:
        database = client[database_name]
        await database["counters"].insert_many(
            [{"_id": number, "schema_version": 1, "steps": 0} for number in range(ROWS)]
        )
        elections: list[asyncio.Task[int]] = []

        def hand_over(progress: Any) -> None:
            if progress.done and not elections:
                elections.append(asyncio.get_running_loop().create_task(replica_set.step_down()))

        result = await backfill(database, counter_kind, on_progress=hand_over)
        await asyncio.gather(*elections)
        steps = {row["steps"] async for row in database["counters"].find()}
        left = await database["counters"].count_documents({"schema_version": {"$ne": 3}})
        await client.drop_database(database_name)

    assert result.remaining == 0
    assert (steps, left) == ({2}, 0)
