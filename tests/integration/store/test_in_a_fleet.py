"""
A store as a node: what it stores, when it may write, and what others see of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore import Delete, Insert, Kind, Step, Store, commands
from docstore.core.fleet_facts import Lifetime, Policy
from docstore.core.residue import RESIDUE
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import RolloutState
from docstore.errors import (
    BulkFailedError,
    FleetSkewError,
    NodeRefusedError,
    StaleNodeError,
    StoreClosedError,
    StoreUnavailableError,
    WriteVersionUnwritableError,
)
from docstore.fleet.controls import FleetControls
from docstore.fleet.membership import Alone
from docstore.fleet.node import Node
from docstore.fleet.operating import Rollouts
from docstore.fleet.status import fleet_status
from docstore.mongo.driver import settled
from docstore.store.gate import WriteGate
from tests.kinds import Place, add_slug, place_kind, stored


def opened(database: Any, *, latest: int = 3, service: str = "api", **options: Any) -> Store:
    """
    A store whose code ends at *latest*; a busy machine does not make its node seem dead.
    """
    settings = {"heartbeat": 0.1, "dead_after": 30.0, "patience": 0.0, **options}
    return Store(database, kinds=[place_kind(latest=latest)], service=service, **settings)


def of(store: Store) -> Any:
    return store.collection(store.kinds[0])


async def services(database: Any) -> list[str]:
    return [node.service for node in (await fleet_status(database)).nodes]


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    end = time.monotonic() + 60
    while not (found := await holds()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


async def test_a_store_is_a_node_from_its_opening_to_its_closing(server_database: Any) -> None:
    async with opened(server_database, instance="one", policy="warn"):
        [node] = (await fleet_status(server_database)).nodes
        assert (node.service, node.instance, node.policy) == ("api", "one", Policy.WARN)
        assert [(kind.kind, kind.reads, kind.writes) for kind in node.kinds] == [("place", (1, 3), 3)]
    assert await services(server_database) == []


async def test_a_store_that_was_not_opened_joins_before_its_first_write(database: Any) -> None:
    store = opened(database)
    assert await of(store).count() == 0
    assert await services(database) == []
    await of(store).insert(Place(id=1, name="x"))
    assert await services(database) == ["api"]
    await store.close()
    assert await services(database) == []


async def test_many_first_writes_join_once(database: Any) -> None:
    store = opened(database)
    await asyncio.gather(*(of(store).insert(Place(id=number, name="x")) for number in range(20)))
    assert await services(database) == ["api"]
    await store.close()


async def test_a_closed_store_reads_and_does_not_write_until_it_is_opened_again(database: Any) -> None:
    store = opened(database)
    async with store:
        await of(store).insert(Place(id=1, name="x"))
    await store.close()
    with pytest.raises(StoreClosedError) as caught:
        await of(store).insert(Place(id=2, name="x"))
    assert caught.value.service == "api"
    assert (await of(store).get(1)).name == "x"
    async with store:
        await of(store).insert(Place(id=2, name="x"))


async def test_closing_waits_for_writes_that_are_under_way_and_then_breaks_them_off() -> None:
    kind = place_kind()
    left: list[str] = []

    class Member(Alone):
        async def close(self) -> None:
            left.append("the fleet")

    gate = WriteGate(Member([kind]), "api")
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with gate.writing("place"):
            entered.set()
            await go_on.wait()
            left.append("a write")

    quick = asyncio.create_task(write())
    await entered.wait()
    closing = asyncio.create_task(gate.close(timeout=60))
    await asyncio.sleep(0)
    assert left == []
    go_on.set()
    await asyncio.gather(quick, closing)
    assert left == ["a write", "the fleet"]

    await gate.open()
    entered.clear()
    go_on.clear()
    slow = asyncio.create_task(write())
    await entered.wait()
    await gate.close(timeout=0.01)
    with pytest.raises(StoreUnavailableError):
        await slow
    assert left == ["a write", "the fleet", "the fleet"]


async def test_a_write_is_broken_off_when_others_may_take_the_node_for_dead() -> None:
    class Silent(Alone):
        left = 0.2

        @property
        def seconds_to_write(self) -> float:
            self.left -= 0.1
            return self.left

    gate = WriteGate(Silent([place_kind()]), "api")
    with pytest.raises(StoreUnavailableError):
        async with gate.writing("place"):
            await asyncio.Event().wait()


class Living(Alone):
    """
    Lives for so many seconds, counted from whenever it is asked.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__([place_kind()])
        self.left = seconds
        self.asked = 0

    @property
    def seconds_to_write(self) -> float:
        self.asked += 1
        return self.left


async def test_writes_one_after_the_other_are_watched_together_and_the_last_is_broken_off() -> None:
    member = Living(3600)
    gate = WriteGate(member, "api")
    for _ in range(100):
        async with gate.writing("place"):
            await asyncio.sleep(0)
    assert member.asked == 1

    async def write() -> None:
        async with gate.writing("place"):
            member.left = 0
            gate._writes.look()
            await asyncio.Event().wait()

    with pytest.raises(StoreUnavailableError):
        await write()


async def test_all_writes_that_are_under_way_are_broken_off_and_those_that_come_later_are_watched_anew() -> None:
    member = Living(3600)
    gate = WriteGate(member, "api")

    async def write() -> None:
        async with gate.writing("place"):
            member.left = 0
            asyncio.get_running_loop().call_soon(gate._writes.look)
            await asyncio.Event().wait()

    for _ in range(2):
        member.left = 3600
        ended = await asyncio.gather(*(write() for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in ended] == [StoreUnavailableError] * 3


async def test_a_write_that_is_slow_to_end_may_be_broken_off_twice() -> None:
    member = Living(3600)
    gate = WriteGate(member, "api")
    await gate.open()
    entered, ended = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with gate.writing("place"):
            member.left = 0
            gate._writes.look()
            try:
                await asyncio.Event().wait()
            finally:
                entered.set()
                await ended.wait()

    slow = asyncio.create_task(write())
    await entered.wait()
    await gate.close(timeout=0.01)
    ended.set()
    with pytest.raises(StoreUnavailableError):
        await slow


async def test_a_write_that_lasts_goes_on_as_long_as_heartbeats_do() -> None:
    class Beating(Alone):
        @property
        def seconds_to_write(self) -> float:
            return 0.01

    gate = WriteGate(Beating([place_kind()]), "api")
    async with gate.writing("place") as control:
        await asyncio.sleep(0.1)
    assert control.write_version == 3


async def test_a_stale_node_stops_every_write_while_reads_go_on(database: Any) -> None:
    async with opened(database) as store:
        places = of(store)
        await places.insert(Place(id=1, name="x"))
        place = await places.get(1)
        place.name = "y"
        node = store._member
        assert isinstance(node, Node)
        for task in node._tasks:
            task.cancel()
        node._sent -= Lifetime(0.1, 30.0).fence_after
        writes: list[Callable[[], Awaitable[Any]]] = [
            lambda: places.insert(Place(id=2, name="x")),
            lambda: places.replace(place),
            lambda: places.replace(place, unguarded=True),
            lambda: places.modify(1, lambda found: found.model_copy(update={"name": "z"})),
            lambda: places.modify(1, lambda found: {**found, "title": "z"}, as_version=1),
            lambda: places.update({"name": "x"}, {"$inc": {"visits": 1}}),
            lambda: places.update_many({}, {"$inc": {"visits": 1}}),
            lambda: places.upsert({"_id": 3}, {"$set": {"name": "x"}}),
            lambda: places.find_one_and_update({}, {"$inc": {"visits": 1}}),
            lambda: places.delete(1),
            lambda: places.delete_one({"name": "x"}),
            lambda: places.delete_many({"name": "x"}),
        ]
        for write in writes:
            with pytest.raises(StaleNodeError):
                await write()
        for operation in (Insert(Place(id=2, name="x")), Delete({"name": "x"})):
            with pytest.raises(BulkFailedError) as caught:
                await places.bulk([operation])
            assert isinstance(caught.value.errors[0], StaleNodeError)
        assert (await places.get(1)).name == "x"
        assert [found.id for found in await places.find().to_list()] == [1]
    assert [row["name"] async for row in database.places.find()] == ["x"]


async def test_a_node_that_the_fleet_does_not_admit_is_not_opened(database: Any) -> None:
    async with opened(database, latest=3):
        with pytest.raises(FleetSkewError):
            await opened(database, latest=1, service="old").open()
        with pytest.raises(FleetSkewError):
            await of(opened(database, latest=1, service="old")).delete(1)
        with pytest.raises(NodeRefusedError):
            async with opened(database, latest=2, service="old"):
                pass
        assert await services(database) == ["api"]
        async with opened(database, latest=2, service="old", policy="warn"):
            assert sorted(await services(database)) == ["api", "old"]


async def test_a_step_without_a_way_back_makes_the_kind_read_only_until_the_flip(database: Any) -> None:
    before = [stored(2, 1), stored(2, 2)]
    await database.places.insert_many(before)
    one_way = Step(upgrade=add_slug, writes=["slug"], to=3)
    kind = Kind("place", collection="places", model=Place, steps=[place_kind().steps[0], one_way])
    store = Store(database, kinds=[kind], service="api", heartbeat=0.1, dead_after=30.0, patience=0.0)
    with capture_logs() as logs:
        await store.open()
    told = [entry for entry in logs if entry["event"] == "kind_is_read_only"]
    assert [(entry["log_level"], entry["kind"], entry["step"]) for entry in told] == [("warning", "place", 3)]
    async with store:
        places = of(store)
        place = await places.get(1)
        place.name = "new"
        writes: list[Callable[[], Awaitable[Any]]] = [
            lambda: places.insert(Place(id=9, name="x")),
            lambda: places.replace(place),
            lambda: places.replace(place, unguarded=True),
            lambda: places.modify(1, lambda found: found.model_copy(update={"name": "z"})),
            lambda: places.update({"_id": 1}, {"$inc": {"visits": 1}}),
            lambda: places.update_many({}, {"$inc": {"visits": 1}}),
            lambda: places.upsert({"_id": 9}, {"$set": {"name": "x"}}),
            lambda: places.upsert({"name": "nobody"}, {"$set": {"visits": 1}}),
            lambda: places.find_one_and_update({"_id": 1}, {"$inc": {"visits": 1}}),
        ]
        for write in writes:
            with pytest.raises(WriteVersionUnwritableError) as caught:
                await write()
            assert (caught.value.kind, caught.value.write_version, caught.value.latest) == ("place", 2, 3)
        assert [row async for row in database.places.find(sort=[("_id", 1)])] == before
        await places.delete(2)
        assert await places.count() == 1


async def test_two_stores_see_the_flip_and_store_at_the_next_version_from_then_on(database: Any) -> None:
    await database.places.insert_one(stored(2, 1))
    kind = place_kind(latest=3)
    async with opened(database) as one, opened(database, service="jobs") as other:
        await of(one).insert(Place(id=2, name="x", slug="by hand"))
        assert (await database.places.find_one({"_id": 2}))["schema_version"] == 2
        await Rollouts(database, by="operator").advance(kind, overrides=Overrides())

        async def both_write_it() -> bool:
            for number, store in enumerate((one, other)):
                await of(store).upsert({"_id": 10 + number}, {"$inc": {"visits": 1}, "$set": {"name": "x"}})
            return {row["schema_version"] async for row in database.places.find({"_id": {"$gte": 10}})} == {3}

        await until(both_write_it)
        assert (await of(other).get(2)).slug == "by hand"
        await of(other).update({"_id": 2}, {"$inc": {"visits": 1}})
        row = await database.places.find_one({"_id": 2})
        assert (row["schema_version"], row["slug"], row["visits"], RESIDUE in row) == (3, "by hand", 1, False)
        await of(one).update({"_id": 1}, {"$inc": {"visits": 1}})
        assert (await database.places.find_one({"_id": 1}))["schema_version"] == 3


async def test_rows_are_written_back_at_the_write_version_and_not_above(database: Any) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2)])
    async with opened(database, latest=3, write_back=True) as store:
        places = of(store)
        assert len(await places.find().to_list()) == 2

        async def stands() -> bool:
            return bool((await database.places.find_one({"_id": 1}))["schema_version"] == 2)

        await until(stands)
        await places.find().to_list()
    rows = [row async for row in database.places.find(sort=[("_id", 1)])]
    assert rows == [stored(2, 1), stored(2, 2)]


async def test_a_knob_is_its_default_until_somebody_turns_it(database: Any) -> None:
    store = opened(database)
    assert await store.knob("new_search", default=False) is False
    await FleetControls(database, by="operator").turn("new_search", True)

    async def turned() -> bool:
        return bool(await store.knob("new_search", default=False))

    assert await until(turned) is True
    await FleetControls(database, by="operator").turn("new_search", "b", percent=0)

    async def back() -> bool:
        return bool(await store.knob("new_search", default="a", key=7) == "a")

    assert await until(back)
    await store.close()


async def test_on_the_mock_and_without_a_fleet_nobody_joins(database: Any, mock_database: Any) -> None:
    await database.places.insert_one(stored(1, 1))
    async with opened(database, fleet=False) as store:
        await of(store).insert(Place(id=2, name="x"))
        assert (await database.places.find_one({"_id": 2}))["schema_version"] == 3
        assert await store.knob("new_search", default=1) == 1
    async with opened(mock_database) as store:
        await of(store).insert(Place(id=2, name="x"))
    assert await database.list_collection_names() == ["places"]


async def test_coverage_reports_the_write_version(database: Any) -> None:
    kind = place_kind(latest=3)
    [before] = await commands.coverage(database, [kind])
    assert before.report.write_version is None
    await database.places.insert_one(stored(2, 1))
    async with opened(database):
        [after] = await commands.coverage(database, [kind])
    assert after.report.write_version == 2


async def test_after_a_rollback_rows_are_stored_at_the_version_before_with_all_that_they_held(database: Any) -> None:
    await database.places.insert_one(stored(2, 1))
    kind = place_kind(latest=3)
    rollouts = Rollouts(database, by="operator")

    async def version(row_id: int) -> int:
        return int((await database.places.find_one({"_id": row_id}))["schema_version"])

    async with opened(database) as store:
        places = of(store)
        await rollouts.advance(kind, overrides=Overrides())

        async def flipped() -> bool:
            await places.upsert({"_id": 5}, {"$set": {"name": "x", "slug": "by hand"}})
            return await version(5) == 3

        await until(flipped)
        await places.insert(Place(id=6, name="y", slug="by hand too"))
        await rollouts.rollback("place", overrides=Overrides())

        # A row that is inserted before the store has heard of it stands at 3, and stays there until a backfill.
        await until(lambda: _stores(store, 2))
        await places.upsert({"_id": 7}, {"$set": {"name": "x"}})
        assert await version(7) == 2
        await places.update({"_id": 5}, {"$inc": {"visits": 1}})
        # Nodes that have not heard of it look for the rows where they stood.
        assert (await version(5), await version(6)) == (3, 3)
        await commands.backfill(database, kind, to=2)
        assert (await version(5), await version(6)) == (2, 2)
        assert [(await places.get(each)).slug for each in (5, 6)] == ["by hand", "by hand too"]


async def test_a_transaction_that_is_open_holds_back_the_acknowledgement(server_database: Any) -> None:
    rows = server_database["places"]
    await rows.insert_one(stored(2, 1))
    kind = place_kind()
    written, go_on = asyncio.Event(), asyncio.Event()

    async with opened(server_database) as store, await settled(server_database.client.start_session()) as session:
        await commands.rollout_advance(server_database, kind, by="operator")
        await until(lambda: _stores(store, 3))

        async def body(within: Any) -> None:
            await of(store).insert(Place(id=2, name="Bergen"), session=within)
            written.set()
            await go_on.wait()

        transaction = asyncio.create_task(session.with_transaction(body))
        await written.wait()
        # Nobody sees the row yet, and it comes to stand above the version before.
        back = await commands.rollout_rollback(server_database, kind, by="operator", settling=0.5)
        await until(lambda: _stores(store, 2))
        [late] = back.late
        assert late.startswith("api/")
        assert back.state is RolloutState.ROLLING_BACK
        go_on.set()
        await transaction

        async def acknowledged() -> bool:
            [status] = await commands.rollout_status(server_database, [kind])
            return not status.late

        await until(acknowledged)
        assert (await rows.find_one({"_id": 2}))["schema_version"] == 3


async def _stores(store: Store, version: int) -> bool:
    return bool(store._member.control("place").write_version == version)
