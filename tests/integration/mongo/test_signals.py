"""
The signals of a database's load, measured on a real server.
"""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore.core.throttle import Limits, Verdict
from docstore.errors import StoreRejectedError, StoreUnavailableError
from docstore.mongo.probe import PROBE, Probe
from docstore.mongo.signals import MajorityLag, ServerLoad, open_signals

Database = Any
WIDE = Limits(slow=1e9, stop=1e9)
NARROW = Limits(slow=0, stop=None)


async def test_majority_lag_of_a_replica_set_that_keeps_up_is_normal(database: Database) -> None:
    await database.places.insert_one({"_id": 1})

    (answer,) = await MajorityLag(database).ask()

    assert answer.verdict is Verdict.NORMAL
    assert answer.reason.startswith("the majority is behind the primary: ")


async def test_majority_lag_is_measured_on_motor_too(motor_database: Database) -> None:
    (answer,) = await MajorityLag(motor_database, NARROW).ask()

    assert answer.verdict is Verdict.SLOW_DOWN


async def test_server_load_tells_the_queue_flow_control_and_after_some_reads_their_latency(database: Database) -> None:
    load = ServerLoad(database, reads=WIDE)
    first = await load.ask()
    for _ in range(3):
        await database.places.find_one({})
    second = await load.ask()

    assert [answer.signal for answer in first] == ["queue", "flow_control"]
    assert [answer.signal for answer in second] == ["queue", "read_latency", "flow_control"]
    assert {answer.verdict for answer in second} == {Verdict.NORMAL}


async def test_server_load_says_slow_where_reads_take_longer_than_the_limit(database: Database) -> None:
    load = ServerLoad(database, reads=Limits(slow=0.000_001, stop=None))
    await load.ask()
    await database.places.find_one({})

    answers = {answer.signal: answer for answer in await load.ask()}

    assert answers["read_latency"].verdict is Verdict.SLOW_DOWN


async def test_probe_times_a_read_and_a_write_and_leaves_nothing_behind(database: Database) -> None:
    probe = Probe(database, read=WIDE, write=WIDE)

    answers = await probe.ask()
    there = await database[PROBE].count_documents({})
    await probe.ask()
    await probe.close()

    assert [answer.signal for answer in answers] == ["probe_read", "probe_write"]
    assert there == 1
    assert PROBE not in await database.list_collection_names()


async def test_probe_that_never_asked_drops_nothing(database: Database) -> None:
    await database[PROBE].insert_one({"_id": 1})

    await Probe(database, read=WIDE, write=WIDE).close()

    assert await database[PROBE].count_documents({}) == 1


async def test_probes_of_several_workers_share_one_document(database: Database) -> None:
    probes = [Probe(database, read=WIDE, write=WIDE) for _ in range(4)]

    for _ in range(3):
        await asyncio.gather(*(probe.ask() for probe in probes))

    assert await database[PROBE].count_documents({}) == 1


async def test_probe_takes_what_is_slow_for_these_servers_from_the_best_time(database: Database) -> None:
    took = [(0.1, 0.1)] * 3 + [(0.1, 0.7)] * 3
    now = 0.0
    seconds = iter([now := now + step for read, write in took for step in (1.0, read, write)])
    probe = Probe(
        database, read=Limits(slow=50, stop=500), write=Limits(slow=50, stop=500), clock=lambda: next(seconds)
    )

    first = await probe.ask()
    second = await probe.ask()

    # 100 ms each are the best so far; four times as much is slow.
    assert [answer.verdict for answer in first] == [Verdict.NORMAL, Verdict.NORMAL]
    assert [answer.verdict for answer in second] == [Verdict.NORMAL, Verdict.SLOW_DOWN]


async def test_probe_takes_a_single_hiccup_for_none_of_the_server(database: Database) -> None:
    took = [(0.001, 0.001)] * 3 + [(0.001, 0.001), (9.0, 9.0), (0.001, 0.001)]
    now = 0.0
    seconds = iter([now := now + step for read, write in took for step in (1.0, read, write)])
    probe = Probe(
        database, read=Limits(slow=50, stop=500), write=Limits(slow=50, stop=500), clock=lambda: next(seconds)
    )

    await probe.ask()
    answers = await probe.ask()

    assert {answer.verdict for answer in answers} == {Verdict.NORMAL}


async def test_signals_of_a_server_that_is_away_raise_that_it_cannot_be_reached(mongod_uri: str) -> None:
    nobody = AsyncMongoClient[dict[str, Any]](mongod_uri, replicaSet="nobody", serverSelectionTimeoutMS=50)
    async with nobody as client:
        for signal in open_signals(client["nowhere"]):
            with pytest.raises(StoreUnavailableError):
                await signal.ask()
            await signal.close()


async def test_a_signal_that_the_server_refuses_raises_the_refusal(database: Database) -> None:
    probe = Probe(database, read=WIDE, write=WIDE)
    await database.create_collection(PROBE, validator={"never": 1})

    with pytest.raises(StoreRejectedError):
        await probe.ask()


def test_the_mock_has_no_signals(mock_database: Database) -> None:
    assert open_signals(mock_database) == ()
