"""
Which older versions are asked for is counted by day, with few writes, and shown in coverage.
"""

import asyncio
import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore import Collection, Store
from docstore.commands import coverage
from docstore.errors import StoreUnavailableError
from docstore.mongo.client_versions import AskedFor, ClientVersions
from docstore.store.client_versions import AskedVersions
from tests.kinds import Place, place_kind, stored


class Clock:
    """
    A clock that is set by hand.
    """

    def __init__(self) -> None:
        self.time = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.time

    def forward(self, **time: float) -> None:
        self.time += datetime.timedelta(**time)


class Counted:
    """
    Records of which every write is counted, and which may be away.
    """

    def __init__(self, records: ClientVersions) -> None:
        self.records = records
        self.writes = self.tries = 0
        self.away = False

    async def add(self, kind: str, asked: AskedFor) -> None:
        self.tries += 1
        if self.away:
            raise StoreUnavailableError(reason="away")
        self.writes += 1
        await self.records.add(kind, asked)


async def asks(database: Any, since: str = "2026-01-01") -> list[tuple[int, str, int]]:
    found = await ClientVersions(database).since("place", since)
    return [(asked.version, asked.day, asked.asks) for asked in found]


async def test_every_question_of_a_store_is_counted_and_shown_in_coverage(server_database: Any, rows: Any) -> None:
    await rows.insert_many([stored(3, number) for number in range(5)])
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests") as store:
        places: Collection[Place] = store.collection(kind)
        older = await places.get(1, as_version=1)
        await places.find({"name": "Oslo"}, as_version=1).to_list()
        await places.find_one({"name": "Oslo"}, as_version=1)
        await places.replace(older, as_version=1)
        await places.modify(1, lambda older: older, as_version=2)
        # Nobody has to care for those.
        await places.get(1, as_version=3)
        await places.get(1)

    [result] = await coverage(server_database, [kind])
    counted = {client.version: client.asks for client in result.report.client_versions}
    assert counted == {1: 4, 2: 1}
    assert result.report.retirable_below is None
    assert any("clients asked for version 2 of place" in blocker for blocker in result.report.blockers)


async def test_many_questions_are_one_write_a_minute(server_database: Any) -> None:
    clock, records = Clock(), Counted(ClientVersions(server_database))
    asked = AskedVersions(records, now=clock)  # type: ignore[arg-type]
    for _ in range(1000):
        asked.count("place", 2)
    await drained(asked)
    # The first question is written at once, with what had come by then.
    assert (records.writes, await asks(server_database)) == (1, [(2, "2026-03-04", 1000)])
    for _ in range(59):
        clock.forward(seconds=1)
        for _ in range(10):
            asked.count("place", 2)
        await drained(asked)
    assert records.writes == 1
    clock.forward(seconds=1)
    asked.count("place", 2)
    await drained(asked)
    assert (records.writes, await asks(server_database)) == (2, [(2, "2026-03-04", 1591)])
    asked.count("place", 2)
    await asked.close(timeout=60)
    await asked.close(timeout=60)
    assert (records.writes, await asks(server_database)) == (3, [(2, "2026-03-04", 1592)])


async def test_days_and_versions_are_counted_apart_and_the_first_of_each_is_written_at_once(
    server_database: Any,
) -> None:
    clock = Clock()
    asked = AskedVersions(ClientVersions(server_database), now=clock)
    asked.count("place", 1)
    await asyncio.sleep(0)
    # The first write is under way.
    asked.count("place", 2)
    await drained(asked)
    assert await asks(server_database) == [(1, "2026-03-04", 1), (2, "2026-03-04", 1)]
    clock.forward(days=1)
    asked.count("place", 2)
    await drained(asked)
    assert await asks(server_database) == [(1, "2026-03-04", 1), (2, "2026-03-04", 1), (2, "2026-03-05", 1)]
    assert await asks(server_database, since="2026-03-05") == [(2, "2026-03-05", 1)]
    await asked.close(timeout=60)


async def test_processes_add_to_the_same_record(server_database: Any) -> None:
    clock = Clock()
    several = [AskedVersions(ClientVersions(server_database), now=clock) for _ in range(5)]
    for asked in several:
        asked.count("place", 2)
    await asyncio.gather(*(asked.close(timeout=60) for asked in several))
    assert await asks(server_database) == [(2, "2026-03-04", 5)]


async def test_what_cannot_be_written_is_kept_and_no_question_fails(server_database: Any) -> None:
    clock, records = Clock(), Counted(ClientVersions(server_database))
    asked = AskedVersions(records, now=clock)  # type: ignore[arg-type]
    records.away = True
    with capture_logs() as logs:
        for _ in range(10):
            asked.count("place", 2)
            await drained(asked)
    assert [log["event"] for log in logs] == ["client_versions_not_counted"]
    # A refusal is not asked for again with every question.
    assert (records.tries, await asks(server_database)) == (1, [])
    records.away = False
    clock.forward(seconds=61)
    asked.count("place", 2)
    await drained(asked)
    assert await asks(server_database) == [(2, "2026-03-04", 11)]
    await asked.close(timeout=60)


async def test_who_closes_while_others_ask_loses_no_question_and_fails_nothing(server_database: Any) -> None:
    clock, under_way = Clock(), asyncio.Event()

    class Slow(Counted):
        async def add(self, kind: str, asked: AskedFor) -> None:
            if not self.away and not under_way.is_set():
                under_way.set()
                # Long enough for others to ask, and to begin a write of their own.
                await asyncio.sleep(0.05)
            await super().add(kind, asked)

    records = Slow(ClientVersions(server_database))
    asked = AskedVersions(records, now=clock)  # type: ignore[arg-type]
    records.away = True
    for version in (1, 2):
        asked.count("place", version)
        await drained(asked)
    records.away = False
    closing = asyncio.create_task(asked.close(timeout=60))
    await under_way.wait()
    clock.forward(seconds=61)
    asked.count("place", 1)
    await closing
    await asked.close(timeout=60)
    assert await asks(server_database) == [(1, "2026-03-04", 2), (2, "2026-03-04", 1)]


@pytest.mark.parametrize(("days", "seen"), [(29, True), (32, False)])
async def test_a_version_that_nobody_asks_for_any_more_stands_in_nobodys_way(
    server_database: Any, days: int, *, seen: bool
) -> None:
    clock = Clock()
    asked = AskedVersions(ClientVersions(server_database), now=clock)
    asked.count("place", 2)
    await asked.close(timeout=60)
    async with Store(server_database, kinds=[place_kind()], service="tests"):
        pass
    clock.forward(days=days)
    [result] = await coverage(server_database, [place_kind()], now=clock)
    assert bool(result.report.client_versions) is seen
    assert result.report.retirable_below == (2 if seen else 3)


async def test_the_mock_counts_too(mock_database: Any) -> None:
    kind = place_kind()
    async with Store(mock_database, kinds=[kind], service="tests", fleet=False) as store:
        places = store.collection(kind)
        await places.insert(Place(id=1, name="Oslo"))
        await places.get(1, as_version=2)
        await places.get(1, as_version=2)
    [result] = await coverage(mock_database, [kind])
    assert [(client.version, client.asks) for client in result.report.client_versions] == [(2, 2)]


async def drained(asked: AskedVersions) -> None:
    if asked._writing is not None:
        await asked._writing
