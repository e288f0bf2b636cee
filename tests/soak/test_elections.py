"""
Primaries that hand over and primaries that die, while workers are killed and others write: nothing that was
acknowledged is lost.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from docstore.core.bson_values import RawDocument
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.soak.cities import Cities
from tests.soak.soaking import LAST_KILL, WORKERS, Soak
from tests.soak.told import told
from tests.soak.workers import Workers

TITLE = "Primaries that hand over or die"


@dataclass
class Elections:
    """
    Makes the primary of a replica set hand over, or kills it, each time that a share of the work is done.
    """

    server: EmbeddedServer
    step_downs: int
    deaths: int
    seed: int
    made: Counter[str] = field(default_factory=Counter)

    async def go_on(self, share_done: Callable[[], float]) -> None:
        """
        Bring about every election; the set is whole again afterwards.
        """
        rng = random.Random(self.seed)
        events = ["step down"] * self.step_downs + ["death"] * self.deaths
        rng.shuffle(events)
        for number, event in enumerate(events):
            due = (number + rng.random()) / len(events) * LAST_KILL
            while share_done() < due:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.05)
            await (self._step_down() if event == "step down" else self._die())
            self.made[event] += 1

    async def _step_down(self) -> None:
        while True:
            try:
                await self.server.step_down()
            except OperationFailure:
                # No other member has caught up so far.
                await asyncio.sleep(0.5)
            else:
                return

    async def _die(self) -> None:
        dead = await self.server.primary()
        await self.server.kill_member(dead)
        await self.server.primary()
        await self.server.restart_member(dead)


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """
    A replica set of three members; a million rows have one of their own, which takes them with it.
    """
    if not request.getfixturevalue("thorough"):
        yield request.getfixturevalue("replica_set")
        return
    server = EmbeddedServer(members=3, cache_gb=1.0, oplog_mb=2048, election_timeout_ms=3000)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.mark.timeout(7200)
async def test_nothing_acknowledged_is_lost_when_primaries_hand_over_and_die(
    whole: EmbeddedServer,
    database_name: str,
    places: Sequence[RawDocument],
    start_workers: Callable[..., Workers],
    record_property: Callable[[str, object], None],
    *,
    thorough: bool,
) -> None:
    rows, kills, step_downs, deaths = (1_000_000, 20, 10, 3) if thorough else (8_000, 1, 2, 1)
    elections = Elections(whole, step_downs=step_downs, deaths=deaths, seed=3)
    async with AsyncMongoClient[dict[str, Any]](whole.uri, w="majority") as client:
        workers = start_workers(client[database_name], whole.uri)
        soak = Soak(client[database_name], workers, Cities(places, target=6), rows=rows, kills=kills, seed=7)

        outcome = await soak.run(lambda: elections.go_on(lambda: soak.share_done))

        await client.drop_database(database_name)
    record_property(TITLE, f"{dict(elections.made)}; {told('client', rows, outcome)}")
    assert outcome.faults == []
    assert outcome.complaints == []
    assert outcome.quarantined == 0
    assert (outcome.status.state, outcome.status.remaining) == (RunState.SUCCEEDED, 0)
    assert elections.made == {"step down": step_downs, "death": deaths}
    assert outcome.kills == (kills,) * WORKERS
    assert outcome.book.writes["increment"] > 0
