"""
Days that have to go by without a refusal: stores of two releases on a real server, which write all the time.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from docstore import Document, Kind, Step, Store, commands
from docstore import operations as ops
from docstore.core.rollout_state import RolloutState
from docstore.fleet.node import Node
from docstore.fleet.rollout_status import RolloutStatus
from tests.integration.fleet.conftest import Nodes, silent, until

BY = "operator"
#: No machine hangs for so long, in seconds.
DEAD_AFTER = 300.0


class OldItem(Document):
    title: str
    count: int = 0


class NewItem(Document):
    name: str
    count: int = 0
    note: str = ""


STEPS = [Step(ops.RenameField("title", "name"), ops.AddField("note", ""), to=2)]
OLD: Kind[Any] = Kind("item", collection="items", model=OldItem)
NEW: Kind[Any] = Kind("item", collection="items", model=NewItem, steps=STEPS)


@dataclass
class Services:
    """
    Stores by the place that they fill, and how often each row was changed.
    """

    nodes: Nodes
    stores: dict[str, Store] = field(default_factory=dict)
    kinds: dict[str, Kind[Any]] = field(default_factory=dict)
    changed: int = 0

    async def start(self, place: str, kind: Kind[Any]) -> None:
        service, _, instance = place.partition("/")
        store = Store(
            self.nodes.database,
            [kind],
            service=service,
            instance=instance,
            heartbeat=0.1,
            dead_after=DEAD_AFTER,
            patience=15.0,
        )
        await store.open()
        self.stores[place], self.kinds[place] = store, kind

    async def replace(self, place: str, kind: Kind[Any]) -> None:
        """
        Close the store in a place, and open its successor.
        """
        await self.stores.pop(place).close()
        await self.start(place, kind)
        await self.work()

    async def work(self) -> None:
        """
        Have every store change the same row by every kind of write, and read what all have written.
        """
        for place, store in self.stores.items():
            items = store.collection(self.kinds[place])
            await items.update({"_id": 1}, {"$inc": {"count": 1}})
            await items.modify(1, raised)
            document = await items.get(1)
            document.count += 1
            await items.replace(document)
            self.changed += 3
            assert (await items.get(1)).count == self.changed
            assert await items.count({"count": self.changed}) == 1

    async def status(self) -> RolloutStatus:
        return (await commands.rollout_status(self.nodes.database, [NEW]))[0]

    async def acknowledged(self) -> bool:
        return not (await self.status()).late

    async def rewrite(self) -> None:
        """
        Have a worker do what is open.
        """
        await commands.work(self.nodes.database, [NEW], drain=True, throttled=False)

    def node(self, place: str) -> Node:
        member = self.stores[place]._member
        assert isinstance(member, Node)
        return member


def raised(document: Any) -> Any:
    document.count += 1
    return document


@pytest.fixture
async def services(nodes: Nodes) -> AsyncIterator[Services]:
    """
    No store yet, and one row of the old release.
    """
    await nodes.database.items.insert_one({"_id": 1, "schema_version": 1, "title": "Oslo", "count": 0})
    made = Services(nodes)
    yield made
    for store in made.stores.values():
        await store.close()


async def test_a_rolling_deploy_over_three_nodes_and_the_rollout_after_it_are_never_refused(services: Services) -> None:
    places = [f"api/{number}" for number in range(3)]
    for place in places:
        await services.start(place, OLD)
    await services.work()
    for place in places:
        await services.replace(place, NEW)
    await commands.rollout_canary(services.nodes.database, NEW, 50.0, by=BY)
    await services.work()
    await commands.rollout_advance(services.nodes.database, NEW, by=BY)
    await until(services.acknowledged)
    await services.work()
    await commands.backfill_start(services.nodes.database, NEW, by=BY)
    await services.rewrite()

    await services.work()
    status = await services.status()
    assert (status.state, status.lowest_row) == (RolloutState.COMPLETE, 2)


async def test_a_normal_rollback_to_the_old_binary_is_never_refused_and_nothing_is_lost(services: Services) -> None:
    places = [f"api/{number}" for number in range(3)]
    for place in places:
        await services.start(place, NEW)
    await commands.rollout_advance(services.nodes.database, NEW, by=BY)
    await until(services.acknowledged)
    await services.work()
    items = services.stores["api/0"].collection(NEW)
    await items.insert(NewItem(id=2, name="Bergen", note="only the new release knows notes"))

    await commands.rollout_rollback(services.nodes.database, NEW, by=BY)
    await services.work()
    await services.rewrite()
    status = await services.status()
    assert (status.state, status.highest_row, status.release_before_blocked_by) == (RolloutState.STABLE, 1, ())
    for place in places:
        await services.replace(place, OLD)
    await services.stores["api/0"].collection(OLD).update({"_id": 2}, {"$inc": {"count": 1}})

    for place in places:
        await services.replace(place, NEW)
    found = await services.stores["api/0"].collection(NEW).get(2)
    assert (found.name, found.note, found.count) == ("Bergen", "only the new release knows notes", 1)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_restart_of_the_whole_fleet_is_never_refused(services: Services, *, killed: bool) -> None:
    places = {"api/0": OLD, "api/1": NEW, "jobs/0": OLD}
    for place, kind in places.items():
        await services.start(place, kind)
    await services.work()
    for place in places:
        if killed:
            # Dead in a second.
            await silent(services.nodes.database, services.node(place), DEAD_AFTER - 1.0)
        else:
            await services.stores.pop(place).close()
    left = dict(services.stores)
    await asyncio.gather(*(services.start(place, kind) for place, kind in places.items()))

    await services.work()
    for store in left.values():
        await store.close()


async def test_two_services_with_releases_at_different_times_are_never_refused(services: Services) -> None:
    for place in ("api/0", "api/1", "jobs/0"):
        await services.start(place, OLD)
    for place in ("api/0", "api/1"):
        await services.replace(place, NEW)
    # A day later.
    await services.replace("jobs/0", NEW)

    await commands.rollout_advance(services.nodes.database, NEW, by=BY)
    await until(services.acknowledged)
    await services.work()

    row = await services.nodes.database.items.find_one({"_id": 1})
    assert row == {"_id": 1, "schema_version": 2, "name": "Oslo", "count": services.changed, "note": ""}
