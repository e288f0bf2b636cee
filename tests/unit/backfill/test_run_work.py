"""
What a worker takes from the record of its run.
"""

import asyncio
import datetime
from typing import Any

from bson import encode
from pymongo import AsyncMongoClient

from docstore.backfill.progress import Meter
from docstore.backfill.run_work import RunWork
from docstore.backfill.who import Who
from docstore.core.direction import Direction
from docstore.core.run_record import RunOptions, RunRecord, new_run
from tests.kinds import place_kind


def a_run(*deadly: Any) -> RunRecord:
    run = new_run(
        id="place-1",
        kind="place",
        collection="places",
        target=2,
        direction=Direction.UP,
        options=RunOptions(),
        fingerprints={},
        selection=None,
        by="a test",
    )
    now = datetime.datetime.now(datetime.UTC)
    times = {"created": now, "now": now}
    return RunRecord.of({**run, **times, "state": "running", "state_reason": "", "deadly": list(deadly)})


async def test_a_row_that_killed_workers_is_not_taken_again_because_an_older_record_does_not_name_it() -> None:
    async with AsyncMongoClient[dict[str, Any]](connect=False) as client:
        work = RunWork(
            client["nowhere"],
            place_kind(latest=2),
            who=Who("w", "here", 1),
            meter=Meter(),
            stop=asyncio.Event(),
            now=lambda: datetime.datetime.now(datetime.UTC),
            lease=1.0,
        )
        # The lanes have this very list.
        avoided = work._deadly
        avoided.append({"a": 1})
        work._look(a_run())
        work._look(a_run(2, {"a": 1}))
        work._look(a_run(2))

    assert encode({"ids": avoided}) == encode({"ids": [{"a": 1}, 2]})
