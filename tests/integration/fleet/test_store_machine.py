"""
Stores of four releases on a real server that come, go, hang, come back and write, and operators who change their minds.
"""

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pymongo import AsyncMongoClient

from docstore import commands
from tests.conftest import SEED
from tests.integration.fleet.store_fleet import How, StoreFleet
from tests.integration.fleet.store_process import DEAD_AFTER, Process, with_doors
from tests.item_releases import first_row

#: What is told of an action: everything that is done at once with the writes that come with it.
Acts: TypeAlias = Sequence[Awaitable[Any]]
#: Which process writes, which row, how, and whether the write is held up on its way to the server.
Write: TypeAlias = tuple[int, int, How, bool]

WHICH = st.integers(0, 30)
HOW: st.SearchStrategy[How] = st.sampled_from(["modify", "replace", "update"])
WRITES = st.lists(st.tuples(WHICH, st.integers(0, 9), HOW, st.sampled_from([False, False, True])), max_size=4)
#: A node that was silent for so long writes, or does not write any more, or was taken for dead.
SECONDS = st.sampled_from([0.0, 0.7 * DEAD_AFTER, 1.1 * DEAD_AFTER, 1.1 * DEAD_AFTER])
#: From here on rows are those that are written first when a rollback is over.
NEW_ROWS = 10
PLACES = st.sampled_from(["0", "1", "2", "3", "4", "5"])
SERVICES = st.sampled_from(["api", "jobs"])


@dataclass
class Server:
    """
    Where all machines run, one after the other, and what they have done.
    """

    runner: asyncio.Runner
    client: AsyncMongoClient[dict[str, Any]]
    done: Counter[str] = field(default_factory=Counter)


def action(**draws: st.SearchStrategy[Any]) -> Callable[[Callable[..., Acts]], Any]:
    """
    Make a rule of a method: what it gives is done at once with some writes.
    """

    def ruled(act: Callable[..., Acts]) -> Any:
        def acted(self: "StoreMachine", *, writes: list[Write], **drawn: Any) -> None:
            self.done_at_once([*act(self, **drawn), *self.written(writes)])

        acted.__name__ = acted.__qualname__ = act.__name__
        drawn: dict[str, Any] = {"writes": WRITES, **draws}
        as_rule: Any = rule(**drawn)
        return as_rule(acted)

    return ruled


class StoreMachine(RuleBasedStateMachine):
    """
    Versions 1 to 4; rows begin at 2, so the stores are of N-1, N, N+1 and N+2.

    No rule draws anything that depends on what the server said.
    """

    server: ClassVar[Server]

    @initialize(rows=st.booleans(), second=st.integers(1, 3))
    def begin(self, *, rows: bool, second: int) -> None:
        self.fleet = StoreFleet(self.server.client[f"test_{uuid.uuid4().hex}"])
        self.server.runner.run(self._begin(second, rows=rows))

    async def _begin(self, second: int, *, rows: bool) -> None:
        if rows:
            await self.fleet.database.items.insert_many([first_row(row, 2) for row in range(4)])
            await self.fleet.retired(2)
        await self.fleet.start(2, instance="0")
        await self.fleet.start(second, instance="1")

    def done_at_once(self, acts: Acts) -> None:
        async def together() -> None:
            await asyncio.gather(*acts)

        self.server.done["actions"] += len(acts)
        self.server.runner.run(together())

    def written(self, writes: list[Write]) -> Acts:
        return [
            self.fleet.write(process, row, how, held=held)
            for which, row, how, held in writes
            for process in self._one(which)
        ]

    def _one(self, which: int) -> list[Process]:
        processes = self.fleet.processes
        return [processes[which % len(processes)]] if processes else []

    @action(latest=st.integers(1, 4), service=SERVICES, place=PLACES, borrows=st.booleans(), write_back=st.booleans())
    def start(self, *, latest: int, service: str, place: str, borrows: bool, write_back: bool) -> Acts:
        return [self.fleet.start(latest, service=service, instance=place, borrows=borrows, write_back=write_back)]

    @action(beyond=st.integers(-1, 1), floor=st.integers(1, 3), warns=st.sampled_from([False] * 5 + [True]))
    def start_near_what_is_stored(self, *, beyond: int, floor: int, warns: bool) -> Acts:
        async def started() -> None:
            latest = max(1, (await self.fleet.control()).write_version + beyond)
            await self.fleet.start(latest, floor=floor, instance=f"near {floor}", warns=warns)

        return [started()]

    @action(latest=st.integers(1, 4), other=st.integers(1, 4))
    def start_while_another_starts_and_an_operator_advances(self, *, latest: int, other: int) -> Acts:
        starting = [self.fleet.start(each, instance=f"at once {each}") for each in (latest, other)]
        return [self.fleet.advance(ignoring=True), *starting]

    @action(which=WHICH)
    def stop(self, which: int) -> Acts:
        return [self.fleet.stop(process) for process in self._one(which)]

    @action(which=WHICH, seconds=SECONDS)
    def kill(self, which: int, seconds: float) -> Acts:
        return [self.fleet.kill(process, seconds=seconds) for process in self._one(which)]

    @action(which=WHICH, seconds=SECONDS)
    def hang(self, which: int, seconds: float) -> Acts:
        return [self.fleet.hang(process, seconds=seconds) for process in self._one(which)]

    @action()
    def come_back(self) -> Acts:
        return [process.come_back() for process in self.fleet.processes if process.hanging]

    @action()
    def let_go(self) -> Acts:
        return [process.let_go() for process in self.fleet.processes]

    @action(percent=st.sampled_from([0.0, 40.0, 100.0]), ignoring=st.booleans())
    def canary(self, *, percent: float, ignoring: bool) -> Acts:
        return [self.fleet.canary(percent, ignoring=ignoring)]

    @action(canaried=st.booleans(), heard=st.booleans())
    def deploy_and_advance(self, *, canaried: bool, heard: bool) -> Acts:
        return [self._deployed(canaried=canaried, heard=heard)]

    async def _deployed(self, *, canaried: bool, heard: bool) -> None:
        if await self.fleet.deploy():
            await (self.fleet.canary(50.0, ignoring=True) if canaried else self.fleet.advance(ignoring=True))
        if heard:
            await self.fleet.heard()

    @action(ignoring=st.booleans())
    def roll_back(self, *, ignoring: bool) -> Acts:
        return [self.fleet.roll_back(ignoring=ignoring)]

    @action(which=WHICH, row=st.integers(0, 9), advancing=st.booleans(), held=st.booleans())
    def release_the_old_binary_after_a_rollback(self, *, which: int, row: int, advancing: bool, held: bool) -> Acts:
        return [self._released(which, row, advancing=advancing, held=held)]

    async def _released(self, which: int, row: int, *, advancing: bool, held: bool) -> None:
        """
        With *held*, a write is under way that was decided before the rollback, so that the old binary has to wait.
        """
        if advancing:
            await self._deployed(canaried=False, heard=True)
        for process in self._one(which) if held else []:
            await self.fleet.write(process, row, "modify", held=True)
        await self.fleet.roll_back(ignoring=True)
        await self.fleet.heard()
        await self.fleet.backfill()
        await self.fleet.start((await self.fleet.control()).write_version, instance="released", borrows=False)
        # A row that is new stands where a process takes rows to be stored by now.
        for number, process in enumerate(list(self.fleet.processes)):
            await self.fleet.write(process, NEW_ROWS + row + number, "modify")
        await asyncio.gather(*(process.let_go() for process in self.fleet.processes))

    @action(which=WHICH, row=st.integers(0, 9), how=HOW)
    def change_a_row_again_after_a_rollback(self, *, which: int, row: int, how: How) -> Acts:
        return [self._changed_again(which, row, how)]

    async def _changed_again(self, which: int, row: int, how: How) -> None:
        """
        A node that has not heard looks for the row where it stood: only the run of the rollback lowers it (P4).
        """
        await self._deployed(canaried=False, heard=True)
        for process in self._one(which):
            await self.fleet.write(process, row, how)
        stood = await self.fleet.stands(row)
        await self.fleet.roll_back(ignoring=True)
        await self.fleet.heard()
        for process in self._one(which):
            await self.fleet.write(process, row, how)
        assert await self.fleet.stands(row) >= stood, ("P4", row)

    @action()
    def backfill(self) -> Acts:
        return [self.fleet.backfill()]

    @action(on=st.sampled_from([False, False, True]))
    def freeze(self, *, on: bool) -> Acts:
        database = self.fleet.database
        if on:
            return [commands.rollout_freeze(database, why="incident", by="operator")]
        return [commands.rollout_unfreeze(database, by="operator")]

    @action(service=st.sampled_from(["nightly", "java"]), low=st.integers(1, 3), span=st.integers(0, 2))
    def declare(self, service: str, low: int, span: int) -> Acts:
        return [self.fleet.declare(service, low, low + span)]

    @action()
    def forget(self) -> Acts:
        return [self.fleet.forget()]

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "fleet"):
            self.server.runner.run(self.fleet.check())

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            self.server.done += self.fleet.done
            self.server.runner.run(self._end())

    async def _end(self) -> None:
        await self.fleet.close()
        for name in await self.fleet.database.list_collection_names():
            await self.fleet.database.drop_collection(name)


@pytest.mark.timeout(3600)
def test_no_order_of_events_breaks_a_promise(
    mongod_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    thorough: bool,
    record_property: Callable[[str, object], None],
) -> None:
    wanted = 5000 if thorough else 350
    with_doors(monkeypatch)
    settings = hypothesis.settings(
        max_examples=wanted // 25,
        stateful_step_count=20,
        deadline=None,
        database=None,
        # The server answers when it does, so that nothing can be made smaller or found again.
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with asyncio.Runner() as runner:

        async def opened() -> AsyncMongoClient[dict[str, Any]]:
            return AsyncMongoClient(mongod_uri)

        StoreMachine.server = server = Server(runner, runner.run(opened()))
        try:
            run_state_machine_as_test(hypothesis.seed(os.environ[SEED])(StoreMachine), settings=settings)
        finally:
            runner.run(server.client.close())

    done = server.done
    told = ", ".join(f"{name.removeprefix('told ')} {done[name]}" for name in sorted(done) if "told" in name)
    acts = f"{done['actions']} actions, {done['moves']} moves of the write version, {done['written']} writes"
    record_property("store machine", f"{acts} (others were told: {told})")
    assert done["actions"] >= wanted
    assert done["moves"] >= wanted // 100
    assert done["written"] >= wanted // 5
