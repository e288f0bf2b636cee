"""
Stores of four releases on a real server that come, go, hang, come back and write, while operators change their minds.
"""

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from docstore import Collection, Document, Kind, Step, Store, commands
from docstore import operations as ops
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import OPEN
from docstore.errors import (
    BackfillRefusedError,
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    IllegalTransitionError,
    NewerVersionError,
    NodeRefusedError,
    RolloutRefusedError,
    StaleNodeError,
    StoreClosedError,
    StoreUnavailableError,
    WriteVersionUnwritableError,
)
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from tests.conftest import SEED
from tests.integration.fleet.conftest import Nodes, vanish

BEAT, DEAD_AFTER = 0.1, 1.5
IDS = range(10)
LAST = 4


class Item1(Document):
    count: int = 0


class Item2(Item1):
    two: int = 0


class Item3(Item2):
    three: int = 0


class Item4(Item3):
    four: int = 0


MODELS: list[type[Item1]] = [Item1, Item2, Item3, Item4]
#: The field that each version adds.
ADDED = {2: "two", 3: "three", 4: "four"}


def release(latest: int) -> Kind[Any]:
    """
    The kind as a release knows it that ends at *latest*.
    """
    steps = [Step(ops.AddField(ADDED[to], 0), to=to) for to in range(2, latest + 1)]
    return Kind("item", collection="items", model=MODELS[latest - 1], steps=steps)


RELEASES = {latest: release(latest) for latest in range(1, LAST + 1)}


#: What a write may be told without having happened. Those that hang meet rows that they cannot read, and leave them.
TOLD = (
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    NewerVersionError,
    NodeRefusedError,
    StaleNodeError,
    StoreClosedError,
    WriteVersionUnwritableError,
)


@dataclass
class Known:
    """
    What was acknowledged of one row.
    """

    #: How often its count was raised, and how often nobody knows whether it was.
    raised: int = 0
    doubtful: int = 0
    #: The highest number that was written into each field.
    highest: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False)
class Process:
    """
    A store, and the release that it is of.
    """

    latest: int
    store: Store

    @property
    def node(self) -> Node:
        member = self.store._member
        assert isinstance(member, Node)
        return member


class Walk:
    """
    One walk: what the stores and the operators do, one or several at a time.
    """

    def __init__(self, nodes: Nodes, chance: random.Random) -> None:
        self.nodes = nodes
        self.database = nodes.database
        self.chance = chance
        self.done: Counter[str] = Counter()
        self.running: list[Process] = []
        self.hanging: list[Process] = []
        self.known: defaultdict[int, Known] = defaultdict(Known)
        self.serial = 0

    # What processes do.

    async def start(self) -> None:
        if len(self.running) + len(self.hanging) > 4:
            return
        written = (await self._control()).written.high
        # Most often a release that is near what is stored, as in a deployment.
        await self.open(self.chance.choice([1, LAST, written, written, written + 1, written + 1]))

    async def open(self, latest: int) -> None:
        latest = min(latest, LAST)
        store = Store(
            self.database,
            [RELEASES[latest]],
            service=self.chance.choice(["api", "jobs"]),
            instance=str(self.chance.random()),
            write_back=self.chance.random() < 0.3,
            heartbeat=BEAT,
            dead_after=DEAD_AFTER,
            patience=0.3,
        )
        try:
            await store.open()
        except NodeRefusedError:
            await store.close()
        else:
            self.running.append(Process(latest, store))

    async def stop(self) -> None:
        if len(self.running) > 1:
            await self._taken(self.running).store.close()

    async def hang(self) -> None:
        if len(self.running) > 1:
            process = self._taken(self.running)
            vanish(process.node)
            self.hanging.append(process)

    async def come_back(self) -> None:
        if self.hanging:
            process = self._taken(self.hanging)
            process.node._tasks.append(asyncio.create_task(process.node._live()))
            self.running.append(process)

    async def write(self) -> None:
        # Also those that hang: they are the ones that must not.
        for process in [*self.running, *self.hanging]:
            await self._write(process, self.chance.choice(IDS))

    async def _write(self, process: Process, row: int) -> None:
        items = process.store.collection(RELEASES[process.latest])
        self.serial += 1
        number, known = self.serial, self.known[row]
        names = [name for version, name in ADDED.items() if version <= process.latest]
        name = self.chance.choice(names) if names else None

        def change(item: Any) -> Any:
            item.count += 1
            if name is not None:
                setattr(item, name, max(getattr(item, name), number))
            return item

        # As nobody knows whether it was stored, where the answer is not there in time.
        known.doubtful += 1
        with suppress(StoreUnavailableError):
            try:
                written = await self._written(items, row, name, number, change)
            except TOLD as error:
                self.done[f"told {type(error).__name__}"] += 1
                written = False
            known.doubtful -= 1
            if written:
                known.raised += 1
                self.done["written"] += 1
                if name is not None:
                    known.highest[name] = max(known.highest[name], number)

    async def _written(
        self, items: Collection[Any], row: int, name: str | None, number: int, change: Callable[[Any], Any]
    ) -> bool:
        match self.chance.choice(["modify", "modify", "insert", "update", "replace"]):
            case "insert":
                await items.insert(change(items.kind.model(id=row)))
            case "replace":
                await items.replace(change(await items.get(row)))
            case "update":
                operators: dict[str, Any] = {"$inc": {"count": 1}}
                if name is not None:
                    operators["$max"] = {name: number}
                return bool((await items.update({"_id": row}, operators)).matched)
            case _:
                await items.modify(row, change)
        return True

    async def wait(self) -> None:
        await asyncio.sleep(self.chance.choice([0.05, 0.2, DEAD_AFTER + 0.1]))

    # What operators do.

    async def canary(self) -> None:
        percent = self.chance.choice([0, 50, 100])
        overrides = await self._overrides()
        await self._ask(
            commands.rollout_canary(self.database, RELEASES[LAST], percent, by="operator", overrides=overrides)
        )

    async def advance(self) -> None:
        overrides = await self._overrides()
        await self._ask(commands.rollout_advance(self.database, RELEASES[LAST], by="operator", overrides=overrides))

    async def deploy_and_advance(self) -> None:
        """
        Replace every process that does not read the next version, then have it stored.
        """
        target = (await self._control()).next
        if target > LAST:
            return
        for process in [process for process in self.running if process.latest < target]:
            if process in self.running:
                self.running.remove(process)
                await process.store.close()
                await self.open(target)
        await self.advance()

    async def roll_back(self) -> None:
        overrides = await self._overrides()
        await self._ask(
            commands.rollout_rollback(self.database, RELEASES[LAST], by="operator", overrides=overrides, settling=0.3)
        )

    async def freeze(self) -> None:
        await commands.rollout_freeze(self.database, why="incident", by="operator")

    async def unfreeze(self) -> None:
        await commands.rollout_unfreeze(self.database, by="operator")

    async def backfill(self) -> None:
        """
        Have rows brought to where they are to be stored, by the release that the newest process is of.
        """
        control = await self._control()
        if control.state not in OPEN or not self.running:
            return
        kind = RELEASES[max(process.latest for process in self.running)]
        with suppress(BackfillRefusedError, RolloutRefusedError, IllegalTransitionError, NodeRefusedError):
            await commands.backfill_start(self.database, kind, to=control.write_version, by="operator")
        with suppress(NodeRefusedError, TimeoutError):
            async with asyncio.timeout(3.0):
                await commands.work(self.database, [kind], drain=True, throttled=False)

    async def _ask(self, asked: Awaitable[Any]) -> None:
        try:
            await asked
        except RolloutRefusedError:
            return
        self.done["moves"] += 1

    async def _overrides(self) -> Overrides:
        gone = frozenset(node.id for node in (await self.nodes.fleet()).unclean())
        return Overrides(ignored_nodes=gone, no_fleet=self.chance.random() < 0.2)

    # What holds.

    async def check(self) -> None:
        """
        P6 and P7 for every store that is believed to be alive and takes itself for admitted; P4 and P11 for every row.
        """
        fleet = await self.nodes.fleet()
        own = {process.node.who.id for process in self.running if process.node._admitted}
        live = [node for node in fleet.live("item") if node.id in own]
        latest = {node.kinds["item"].latest for node in live}
        assert not latest or max(latest) - min(latest) <= 1, latest
        rows = [row async for row in self.database.items.find()]
        for node in live:
            reads = node.kinds["item"].reads
            assert all(reads.holds(row["schema_version"]) for row in rows), (node.name, reads, rows)
        for row in rows:
            self._check_row(row)

    def _check_row(self, row: dict[str, Any]) -> None:
        newest = RELEASES[LAST].upgrade(row)
        known = self.known[row["_id"]]
        assert known.raised <= newest["count"] <= known.raised + known.doubtful, (row, known)
        for name, number in known.highest.items():
            assert newest[name] >= number, (row, known)

    async def _control(self) -> Any:
        return (await ControlRecords(self.database).settled_view()).controls["item"]

    def _taken(self, processes: list[Process]) -> Process:
        return processes.pop(self.chance.randrange(len(processes)))

    async def close(self) -> None:
        for process in [*self.running, *self.hanging]:
            await process.store.close()


@pytest.mark.timeout(1800)
async def test_no_walk_breaks_a_promise(
    nodes: Nodes, *, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    walk = Walk(nodes, random.Random(os.environ[SEED]))
    await nodes.database.items.insert_many(
        [{"_id": row, "schema_version": 2, "count": 0, "two": 0} for row in range(4)]
    )
    await walk.open(2)
    actions = [walk.start] * 4 + [walk.stop, walk.hang, walk.come_back, walk.wait] + [walk.write] * 6
    actions += [walk.canary, walk.advance, walk.deploy_and_advance, walk.deploy_and_advance]
    actions += [walk.roll_back, walk.roll_back, walk.backfill, walk.backfill, walk.freeze, *[walk.unfreeze] * 3]
    names = {action.__name__ for action in actions}
    wanted = 2000 if thorough else 200
    try:
        while sum(walk.done[name] for name in names) < wanted:
            # One after the other, or several at once.
            together = chosen(walk.chance, actions)
            walk.done.update(action.__name__ for action in together)
            await asyncio.gather(*(action() for action in together))
            await walk.check()
    finally:
        await walk.close()

    told = ", ".join(f"{name.removeprefix('told ')} {walk.done[name]}" for name in sorted(walk.done) if "told" in name)
    done = f"{wanted} actions, {walk.done['moves']} moves of the write version, {walk.done['written']} writes"
    record_property("store walk", f"{done} (others were told: {told})")
    assert walk.done["moves"] >= wanted // 100
    assert walk.done["written"] >= wanted // 5


def chosen(chance: random.Random, actions: Sequence[Callable[[], Awaitable[None]]]) -> list[Any]:
    return chance.choices(actions, k=chance.choice([1, 1, 2, 3]))
