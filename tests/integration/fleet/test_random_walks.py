"""
Nodes of four releases on a real server that come, go, hang, come back and write, while operators change their minds.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from docstore import Kind, Step
from docstore import operations as ops
from docstore.core.fleet_facts import Lifetime
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import StoredRows
from docstore.errors import DocstoreError, NodeRefusedError, RolloutRefusedError, StaleNodeError
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.row_ends import row_ends
from tests.conftest import SEED
from tests.integration.fleet.conftest import Nodes, vanish
from tests.kinds import Place

LIFE = Lifetime(beat=0.1, dead_after=1.5)
IDS = range(12)


def release(latest: int) -> Kind[Place]:
    """
    The kind as a release knows it that ends at *latest*.
    """
    steps = [Step(ops.AddField(f"f{to}", to), to=to) for to in range(2, latest + 1)]
    return Kind("place", collection="places", model=Place, steps=steps)


class Walk:
    """
    One walk: what the nodes and the operators do, one or several at a time.
    """

    def __init__(self, nodes: Nodes, chance: random.Random) -> None:
        self.nodes = nodes
        self.chance = chance
        self.done: Counter[str] = Counter()
        self.running: list[Node] = []
        self.hanging: list[Node] = []

    async def start(self) -> None:
        if len(self.running) + len(self.hanging) > 5:
            return
        written = (await self.nodes.control()).written.high
        # Most often a release that is near what is stored, as in a deployment.
        await self._start(self.chance.choice([1, 4, written, written, written + 1, written + 1]))

    async def _start(self, latest: int) -> None:
        node = Node(
            self.nodes.database,
            [release(min(latest, 4))],
            service=self.chance.choice(["api", "jobs"]),
            instance=str(self.chance.random()),
            life=LIFE,
            patience=0.3,
            streams=False,
        )
        with suppress(NodeRefusedError):
            await node.open()
            self.running.append(node)
            self.nodes.opened.append(node)

    async def stop(self) -> None:
        if len(self.running) > 1:
            await self.running.pop(self.chance.randrange(len(self.running))).close()

    async def hang(self) -> None:
        if len(self.running) > 1:
            node = self.running.pop(self.chance.randrange(len(self.running)))
            vanish(node)
            self.hanging.append(node)

    async def come_back(self) -> None:
        if self.hanging:
            node = self.hanging.pop(self.chance.randrange(len(self.hanging)))
            node._tasks.append(asyncio.create_task(node._live()))
            self.running.append(node)

    async def write(self) -> None:
        # Also those that hang: they are the ones that must not.
        for node in [*self.running, *self.hanging]:
            await self._write(node, self.chance.choice(IDS))

    async def _write(self, node: Node, row: int) -> None:
        latest = node._kinds[0].latest
        with suppress(StaleNodeError), node.writing("place") as control:
            stored = await self.nodes.database.places.find_one({"_id": row})
            standing = None if stored is None else stored["schema_version"]
            version = control.version_for(row, standing=standing)
            if max(version, standing or 0) > latest:
                return
            await asyncio.sleep(self.chance.random() * 0.02)
            # Much time may have passed.
            node.may_write()
            if standing is None:
                with suppress(DuplicateKeyError):
                    await self.nodes.database.places.insert_one({"_id": row, "schema_version": version})
                return
            # The guard: only over the row that was read.
            only = {"_id": row, "schema_version": standing}
            await self.nodes.database.places.update_one(only, {"$set": {"schema_version": version}})

    async def wait(self) -> None:
        await asyncio.sleep(self.chance.choice([0.05, 0.2, LIFE.dead_after + 0.1]))

    async def canary(self) -> None:
        await self._ask(
            self.nodes.rollouts().canary(release(4), self.chance.choice([0, 50, 100]), overrides=await self._all())
        )

    async def advance(self) -> None:
        await self._ask(self.nodes.rollouts().advance(release(4), overrides=await self._all()))

    async def deploy_and_advance(self) -> None:
        """
        Replace every node that does not read the next version, then have it stored.
        """
        target = (await self.nodes.control()).next
        for node in [node for node in self.running if node._kinds[0].latest < target <= 4]:
            self.running.remove(node)
            await node.close()
            await self._start(target)
        if target <= 4:
            await self.advance()

    async def roll_back(self) -> None:
        await self._ask(self.nodes.rollouts().rollback("place", overrides=await self._all()))

    async def complete(self) -> None:
        control = await self.nodes.control()
        highest = (await self._rows()).highest or 0
        worker = next((node for node in self.running if node._kinds[0].latest >= highest), None)
        if control.state in {RolloutState.OPEN, RolloutState.ROLLING_BACK} and worker is not None:
            # A worker is a node too.
            with suppress(StaleNodeError), worker.writing("place") as held:
                if held == control:
                    tag = {"$set": {"schema_version": control.write_version}}
                    await self.nodes.database.places.update_many({}, tag)
        await self._ask(self.nodes.rollouts().complete("place", await self._rows()))

    async def _rows(self) -> StoredRows:
        return await row_ends(self.nodes.database, collection="places", field="schema_version", baseline=1)

    async def _all(self) -> Overrides:
        gone = frozenset(node.id for node in (await self.nodes.fleet()).unclean())
        return Overrides(ignored_nodes=gone, no_fleet=self.chance.random() < 0.2)

    async def _ask(self, asked: Any) -> None:
        try:
            await asked
        except RolloutRefusedError:
            return
        self.done["moves"] += 1

    async def check(self) -> None:
        """
        P6 and P7, for every node that is believed to be alive and takes itself for admitted.
        """
        fleet = await self.nodes.fleet()
        own = {node.who.id for node in self.running if node._admitted}
        live = [node for node in fleet.live("place") if node.id in own]
        latest = {node.kinds["place"].latest for node in live}
        assert not latest or max(latest) - min(latest) <= 1, latest
        versions = set(await self.nodes.database.places.distinct("schema_version"))
        for node in live:
            reads = node.kinds["place"].reads
            assert all(reads.holds(version) for version in versions), (node.name, reads, versions)


@pytest.mark.timeout(900)
async def test_no_walk_breaks_a_promise(
    nodes: Nodes, *, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(os.environ[SEED])
    await nodes.database.places.insert_many([{"_id": row, "schema_version": 2} for row in range(4)])
    walk = Walk(nodes, chance)
    await walk._start(2)
    actions = [walk.start] * 4 + [walk.stop, walk.hang, walk.come_back, walk.wait] + [walk.write] * 4
    actions += [walk.canary, walk.advance, walk.deploy_and_advance, walk.deploy_and_advance]
    actions += [walk.roll_back, walk.roll_back, walk.complete, walk.complete]
    wanted = 5000 if thorough else 250

    while walk.done.total() - walk.done["moves"] < wanted:
        # One after the other, or several at once.
        together = chance.choices(actions, k=chance.choice([1, 1, 2, 3]))
        walk.done.update(action.__name__ for action in together)
        await asyncio.gather(*(action() for action in together))
        await walk.check()

    record_property("fleet walk", f"{wanted} actions, {walk.done['moves']} moves of the write version")
    assert walk.done["moves"] >= wanted // 50
    with pytest.raises(DocstoreError):
        await nodes.rollouts().rollback("nothing")
    assert (await ControlRecords(nodes.database).settled_view()).pending is None
