"""
Stores of four releases on one database, their operators, and what was acknowledged of every row.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

from docstore import Store, commands
from docstore.core.control_view import ControlView
from docstore.core.fleet_facts import Fleet
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import OPEN
from docstore.core.write_version import ControlState
from docstore.errors import (
    BackfillRefusedError,
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    IllegalTransitionError,
    NewerVersionError,
    NodeRefusedError,
    NotInFleetError,
    ReaderRefusedError,
    RetiredVersionError,
    RolloutRefusedError,
    StaleNodeError,
    StoreClosedError,
    StoreUnavailableError,
    UpdateRefusedError,
    WriteVersionUnwritableError,
)
from docstore.fleet.floors import floor_change
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from tests.integration.fleet.conftest import until
from tests.integration.fleet.store_process import BEAT, DEAD_AFTER, Process
from tests.integration.fleet.store_promises import Promises
from tests.item_releases import LAST, NEWEST, Change, Known, release

#: What a write may be told without having happened.
TOLD: Final = (
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    NewerVersionError,
    NodeRefusedError,
    RetiredVersionError,
    StaleNodeError,
    StoreClosedError,
    UpdateRefusedError,
    WriteVersionUnwritableError,
)
#: How many processes there are at most.
MOST: Final = 5
#: How long to work on a backfill that may have to wait for somebody, in seconds.
WORK: Final = 1.0

How = Literal["modify", "replace", "update"]


class StoreFleet:
    """
    What processes and operators do, and what has to hold after it.
    """

    def __init__(self, database: Any) -> None:
        self.database = database
        self.processes: list[Process] = []
        self.killed: list[Process] = []
        self.known: defaultdict[int, Known] = defaultdict(Known)
        self.promises = Promises(database, self.known)
        self.done: Counter[str] = Counter()
        self.serial = 0

    # What processes do.

    async def start(
        self,
        latest: int,
        *,
        floor: int = 1,
        service: str = "api",
        instance: str = "0",
        warns: bool = False,
        borrows: bool = True,
        write_back: bool = False,
    ) -> None:
        latest = min(latest, LAST)
        if len(self.processes) >= MOST:
            return
        kind = release(latest, floor=min(floor, latest))
        store = Store(
            self.database,
            [kind],
            service=service,
            instance=instance,
            policy="warn" if warns else "enforce",
            read_newer="published" if borrows else "refuse",
            write_back=write_back,
            heartbeat=BEAT,
            dead_after=DEAD_AFTER,
            patience=0.0,
        )
        process = Process(latest, floor, kind, store, warns=warns)
        try:
            await store.open()
        except NodeRefusedError:
            self.done["not admitted"] += 1
            await store.close()
        else:
            self.processes.append(process)

    async def stop(self, process: Process) -> None:
        if process in self.processes:
            self.processes.remove(process)
            await process.let_go()
            await process.store.close()

    async def kill(self, process: Process, *, seconds: float) -> None:
        if process in self.processes:
            self.processes.remove(process)
            self.killed.append(process)
            await process.drop()
            await self.hang(process, seconds=seconds)

    async def hang(self, process: Process, *, seconds: float) -> None:
        await process.hang(self.database, seconds)

    async def write(self, process: Process, row: int, how: How, *, held: bool = False) -> None:
        """
        Write with a process, also with one that hangs: that is one that must not.
        """
        if held:
            await process.hold(partial(self._write, process, row, how))
        else:
            await self._write(process, row, how)

    async def _write(self, process: Process, row: int, how: How) -> None:
        self.serial += 1
        change, known = Change(process.latest, self.serial), self.known[row]
        node = process.node
        sent, was_stale = node._sent, node.heartbeat_age >= node._life.fence_after
        # As nobody knows whether it was stored, where the answer is not there in time.
        known.doubtful += 1
        try:
            written = await self._written(process, row, how, change)
        except StoreUnavailableError:
            assert not was_stale or node._sent != sent, ("P6: a stale node began to write", process)
            return
        except TOLD as error:
            self.done[f"told {type(error).__name__}"] += 1
            written = False
        known.doubtful -= 1
        assert not (written and was_stale) or node._sent != sent, ("P6: a stale node wrote", process)
        if written:
            self.done["written"] += 1
            known.acknowledge(change)

    async def _written(self, process: Process, row: int, how: How, change: Change) -> bool:
        items = process.store.collection(process.kind)
        if row not in self.promises.stood:
            await items.insert(change.of(process.kind.model(id=row)))
            return True
        match how:
            case "replace":
                await items.replace(change.of(await items.get(row)))
            case "update":
                return bool((await items.update({"_id": row}, change.operators())).matched)
            case "modify":
                await items.modify(row, change.of)
        return True

    # What operators do.

    async def retired(self, floor: int) -> None:
        """
        Record a floor, as a retirement does.
        """
        records = ControlRecords(self.database)
        view = await records.settled_view()
        assert await records.change(
            view, **await floor_change(self.database, view, release(LAST, floor=floor), by="retirement")
        )

    async def canary(self, percent: float, *, ignoring: bool) -> None:
        overrides = await self._overrides(ignoring=ignoring)
        await self._ask(commands.rollout_canary(self.database, NEWEST, percent, by="operator", overrides=overrides))

    async def advance(self, *, ignoring: bool) -> None:
        overrides = await self._overrides(ignoring=ignoring)
        await self._ask(commands.rollout_advance(self.database, NEWEST, by="operator", overrides=overrides))

    async def roll_back(self, *, ignoring: bool) -> None:
        overrides = await self._overrides(ignoring=ignoring)
        await self._ask(
            commands.rollout_rollback(self.database, NEWEST, by="operator", overrides=overrides, settling=0.0)
        )

    async def deploy(self) -> bool:
        """
        Replace every process that does not read the next version itself; tell whether there is one.
        """
        control = await self.control()
        if control.next > LAST:
            return False
        await commands.rollout_unfreeze(self.database, by="operator")
        await self.forget()
        for process in [each for each in self.processes if each.latest < control.next]:
            await self.stop(process)
            who = process.node.who
            await self.start(control.next, service=who.service, instance=who.instance)
        return True

    async def heard(self) -> None:
        """
        Wait until all processes that do not hang store what they are to store.
        """
        control = await self.control()
        waiting = [each.node for each in self.processes if not each.hanging]

        async def all_have() -> bool:
            return all(not node._admitted or node.control("item").epoch >= control.epoch for node in waiting)

        await until(all_have)

    async def backfill(self) -> None:
        """
        Have rows brought to where they are to be stored, by the release that the newest process is of.
        """
        control = await self.control()
        if control.state not in OPEN or not self.processes:
            return
        kind = max(self.processes, key=lambda process: process.latest).kind
        with suppress(BackfillRefusedError, RolloutRefusedError, IllegalTransitionError, NodeRefusedError):
            await commands.backfill_start(self.database, kind, to=control.write_version, by="operator")
        self.promises.worked()
        with suppress(NodeRefusedError, TimeoutError):
            async with asyncio.timeout(WORK):
                await commands.work(self.database, [kind], drain=True, throttled=False)

    async def declare(self, service: str, low: int, high: int) -> None:
        with suppress(ReaderRefusedError):
            await commands.fleet_declare(self.database, service, NEWEST, low=low, high=high, by="operator")

    async def forget(self) -> None:
        for service in {reader.service for reader in (await self._view()).readers}:
            with suppress(NotInFleetError):
                await commands.fleet_forget(self.database, service, by="operator")

    async def _ask(self, asked: Awaitable[Any]) -> None:
        try:
            await asked
        except (RolloutRefusedError, NotInFleetError):
            return
        self.done["moves"] += 1

    async def _overrides(self, *, ignoring: bool) -> Overrides:
        unclean = Fleet(await NodeRecords(self.database).all()).unclean()
        return Overrides(ignored_nodes=frozenset(node.id for node in unclean) if ignoring else frozenset())

    # What holds.

    async def check(self) -> None:
        await self.promises.check(self.processes)

    async def stands(self, row: int) -> int:
        """
        Return the version at which a row stands; 0 where it is not there.
        """
        found = await self.database.items.find_one({"_id": row})
        return 0 if found is None else int(found["schema_version"])

    async def control(self) -> ControlState:
        return (await self._view()).controls["item"]

    async def _view(self) -> ControlView:
        return await ControlRecords(self.database).settled_view()

    async def close(self) -> None:
        for process in [*self.processes, *self.killed]:
            await process.drop()
            await process.store.close()
