"""
Signals of a replica set whose majority falls behind: its secondaries are made to stand still.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient, WriteConcern

from docstore.backfill.throttling import Throttling
from docstore.core.throttle import Answer, Verdict
from docstore.embedded import EmbeddedServer
from docstore.mongo.signals import MAJORITY_LAG, MajorityLag, ServerLoad, open_signals

Database = Any


@pytest.fixture(scope="module")
def patient() -> Iterator[EmbeddedServer]:
    """
    Three members of which the primary stays one for a minute, however silent the others are.
    """
    server = EmbeddedServer(members=3)
    asyncio.run(server.start())
    with MongoClient[dict[str, Any]](server.uri) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        config["version"] += 1
        config["settings"]["electionTimeoutMillis"] = 60_000
        client.admin.command("replSetReconfig", config)
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def lagging(patient: EmbeddedServer, database_name: str) -> AsyncIterator[Database]:
    """
    A database of that set.
    """
    async with AsyncMongoClient[dict[str, Any]](patient.uri) as client:
        database = client[database_name]
        await database.places.insert_one({"_id": 1, "visits": 0})
        yield database


@contextmanager
def standing_still(server: EmbeddedServer, primary: tuple[str, int]) -> Iterator[None]:
    """
    Stop both secondaries until the block ends.
    """
    secondaries = [member.pid for member in server.members if member.port != primary[1] and member.pid is not None]
    assert len(secondaries) == 2
    for pid in secondaries:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in secondaries:
            os.kill(pid, signal.SIGCONT)


async def primary_of(database: Database) -> tuple[str, int]:
    address: tuple[str, int] = await database.client.primary
    return address


async def written(database: Database) -> None:
    """
    Write without waiting for anybody.
    """
    alone = database.get_collection("places", write_concern=WriteConcern(1))
    await alone.update_one({"_id": 1}, {"$inc": {"visits": 1}})


async def once(lag: MajorityLag, database: Database, verdict: Verdict) -> Answer:
    """
    Go on writing until the signal says so.
    """
    async with asyncio.timeout(120):
        while True:
            await written(database)
            (answer,) = await lag.ask()
            if answer.verdict is verdict:
                return answer
            await asyncio.sleep(0.1)


async def test_a_majority_that_stands_still_is_slow_then_stop_and_normal_when_it_has_caught_up(
    patient: EmbeddedServer, lagging: Database
) -> None:
    lag = MajorityLag(lagging)
    before = await once(lag, lagging, Verdict.NORMAL)

    with standing_still(patient, await primary_of(lagging)):
        slow = await once(lag, lagging, Verdict.SLOW_DOWN)
        stop = await once(lag, lagging, Verdict.STOP)
    after = await once(lag, lagging, Verdict.NORMAL)

    assert (before.value or 0) < MAJORITY_LAG.slow <= (slow.value or 0) < (MAJORITY_LAG.stop or 0) <= (stop.value or 0)
    assert stop.reason.startswith("the majority is behind the primary: ")
    assert (after.value or 0) < MAJORITY_LAG.slow


async def test_flow_control_that_slows_down_writers_means_stop(patient: EmbeddedServer, lagging: Database) -> None:
    load = ServerLoad(lagging)
    alone = lagging.get_collection("others", write_concern=WriteConcern(1))

    async def flow_control() -> Answer:
        return next(answer for answer in await load.ask() if answer.signal == "flow_control")

    before = await flow_control()
    host, port = await primary_of(lagging)
    async with AsyncMongoClient[dict[str, Any]](host, port, directConnection=True) as primary:
        await primary.admin.command("setParameter", 1, flowControlTargetLagSeconds=1)
        try:
            with standing_still(patient, (host, port)):
                async with asyncio.timeout(50):
                    # It looks at the lag once a second, and needs a thousand writes to know what they cost.
                    while (during := await flow_control()).verdict is not Verdict.STOP:
                        await alone.insert_many([{} for _ in range(200)])
                        await asyncio.sleep(0.1)
        finally:
            await primary.admin.command("setParameter", 1, flowControlTargetLagSeconds=10)

    assert before.verdict is Verdict.NORMAL
    assert during.reason == "flow control slows down every writer"


async def test_a_backfill_is_held_as_long_as_the_majority_stands_still(
    patient: EmbeddedServer, lagging: Database
) -> None:
    throttling = Throttling(open_signals(lagging), interval=0.1)
    await throttling.look()
    lag = MajorityLag(lagging)
    goes_on = asyncio.Event()
    with standing_still(patient, await primary_of(lagging)):
        await once(lag, lagging, Verdict.STOP)
        # The probe waits for the majority in vain, which makes it unknown; the lag is what counts.
        await asyncio.sleep(0.2)
        await throttling.look()
        waiting = asyncio.create_task(throttling.before_batch(goes_on.is_set))
        held = throttling.hold
        done, _ = await asyncio.wait({waiting}, timeout=0.5)

    async with asyncio.timeout(120):
        await waiting
    await throttling.close()

    assert held is not None
    assert (held.signal, held.stopped, done) == ("majority_lag", True, set())
    assert throttling.waited["majority_lag"] > 0
