"""
A fence and the rollouts behind it: raised before anybody stores the next version, lowered when a rollback is over.
"""

import asyncio
from typing import Any

import pytest

from docstore import Kind, Store, commands
from docstore.core.fence_state import FenceState
from docstore.core.rollout_state import RolloutState
from docstore.errors import DocumentExistsError, FencedError, FenceRefusedError, RolloutRefusedError
from docstore.fleet.fencing import Fencing
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.fence import read_fence
from docstore.store.collection import Collection
from tests.integration.fleet.conftest import Nodes, until
from tests.kinds import Place, place_kind, stored

KIND = place_kind()
BY = "operator"


async def highest(database: Any) -> int:
    """
    Return the maximum of the fence, which stands as it was recorded.
    """
    report = await commands.fence_show(database, KIND)
    assert report.state is FenceState.STANDS
    assert report.found is not None
    return report.found.high


async def begun(database: Any) -> tuple[Store, Collection[Place]]:
    """
    Open a store that reads version 3 over rows at version 2, behind a fence.
    """
    await database["places"].insert_many([stored(2, number) for number in range(4)])
    store = await Store(database, kinds=[KIND], service="api").__aenter__()
    await commands.fence_apply(database, KIND, by=BY)
    assert await highest(database) == 2
    return store, store.collection(KIND)


async def knows(store: Store, version: int) -> None:
    async def heard() -> bool:
        control = store._member.control("place")
        return control is not None and control.version_for(1) == version

    await until(heard)


async def test_rows_below_latest_are_updated_behind_a_fence_that_does_not_let_latest_in(database: Any) -> None:
    store, places = await begun(database)
    try:
        await places.update({"_id": 1}, {"$set": {"slug": "x", "name": "Bergen"}})
        await places.update({"name": "Rome"}, {"$set": {"slug": "rome"}}, upsert=True)
        assert (await places.update({}, {"$inc": {"visits": 1}, "$set": {"slug": "y"}}, many=True)).matched == 5
        with pytest.raises(DocumentExistsError):
            await places.update({"_id": 1, "name": "Cairo"}, {"$set": {"slug": "cairo"}}, upsert=True)
        stored_now = await database["places"].find().to_list()
        assert {row["schema_version"] for row in stored_now} == {2}
        assert {row["visits"] for row in stored_now} == {1}
        assert {place.slug for place in await places.find().to_list()} == {"y"}
        assert await database["docstore_scratch"].count_documents({}) == 0
    finally:
        await store.close()


async def test_in_a_transaction_of_the_users_own_a_fence_is_met_once(database: Any) -> None:
    store, places = await begun(database)
    change = {"$set": {"slug": "x"}, "$inc": {"visits": 1}}
    try:
        # No transaction can build the index that the first row with a residue needs.
        await places.insert(Place(id=50, name="Rome", slug="kept"))
        async with database.client.start_session() as session:
            with pytest.raises(FencedError):
                async with await session.start_transaction():
                    await places.update({"_id": 1}, change, session=session)
            async with await session.start_transaction():
                assert (await places.update({"_id": 1}, change, session=session)).modified == 1
        assert (await places.get(1)).visits == 1
    finally:
        await store.close()


@pytest.mark.parametrize("verb", [commands.rollout_advance, commands.rollout_canary])
async def test_the_fence_is_raised_before_the_next_version_is_stored_and_lowered_after_the_rollback(
    database: Any, verb: Any
) -> None:
    store, places = await begun(database)
    try:
        await verb(database, KIND, *([100] if verb is commands.rollout_canary else []), by=BY)
        assert await highest(database) == 3
        await knows(store, 3)
        await places.update({"_id": 1}, {"$set": {"name": "Bergen"}})
        await places.insert(Place(id=10, name="Rome"))
        await commands.rollout_rollback(database, KIND, by=BY)
        await commands.work(database, [KIND], drain=True, throttled=False)
        assert (await commands.rollout_status(database, [KIND]))[0].state is RolloutState.STABLE
        assert await highest(database) == 2
        await places.insert(Place(id=11, name="Oslo"))
    finally:
        await store.close()


@pytest.mark.long
async def test_nothing_is_refused_while_a_rollback_brings_rows_back(database: Any) -> None:
    store, places = await begun(database)
    over = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        number = 100
        while not over.is_set():
            number += 1
            await places.insert(Place(id=number, name="Oslo"))
            await places.update({"_id": number}, {"$set": {"name": "Rome"}})
            await places.modify(1, lambda place: place.model_copy(update={"visits": place.visits + 1}))
            written += 1

    writing = asyncio.create_task(write())
    try:
        for _ in range(2):
            await commands.rollout_advance(database, KIND, by=BY)
            await knows(store, 3)
            seen = written

            async def more(seen: int = seen) -> bool:
                return written > seen + 2 or writing.done()

            await until(more)
            await commands.rollout_rollback(database, KIND, by=BY, settling=0.0)
            await commands.work(database, [KIND], drain=True, throttled=False)
            assert await highest(database) == 2
    finally:
        over.set()
        await writing
        await store.close()
    assert {row["schema_version"] async for row in database["places"].find()} == {2}


async def test_a_rollout_that_is_refused_leaves_the_fence_alone(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(2)
    await commands.fence_apply(nodes.database, KIND, by=BY)
    with pytest.raises(RolloutRefusedError):
        await commands.rollout_advance(nodes.database, KIND, by=BY)
    assert await highest(nodes.database) == 2


async def test_a_rollout_does_not_begin_where_the_fence_cannot_be_raised(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    await commands.fence_apply(nodes.database, KIND, by=BY)

    async def refused(*_: Any, **__: Any) -> None:
        raise FenceRefusedError(kind="place", reason="a test says so")

    with monkeypatch.context() as patched:
        patched.setattr("docstore.fleet.fencing.raise_fence", refused)
        with pytest.raises(FenceRefusedError):
            await commands.rollout_advance(nodes.database, KIND, by=BY)
    assert (await nodes.control()).write_version == 2
    assert (await read_fence(nodes.database, "places")).bounds is not None


async def test_a_fence_that_was_raised_for_a_rollout_that_never_came_is_lowered_by_the_next_worker(
    nodes: Nodes,
) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    await commands.fence_apply(nodes.database, KIND, by=BY)
    view = await ControlRecords(nodes.database).settled_view()
    assert await Fencing(nodes.database, KIND, by=BY).make_room(view, 3)
    # The record says so, and the process died before the collection did.
    assert (await commands.fence_show(nodes.database, KIND)).state is FenceState.DIFFERENT
    await commands.work(nodes.database, [KIND], drain=True, throttled=False)
    assert await highest(nodes.database) == 2


async def test_a_lowering_that_comes_late_does_not_shut_out_the_next_rollout(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    await commands.fence_apply(nodes.database, KIND, by=BY)
    fencing = Fencing(nodes.database, KIND, by=BY)
    settle = fencing.settle
    assert await fencing.make_room(await ControlRecords(nodes.database).settled_view(), 3)
    await settle()

    async def after_an_advance(**options: Any) -> None:
        # Between its record and its command, an operator advances.
        await commands.rollout_advance(nodes.database, KIND, by=BY)
        await settle(**options)

    fencing.settle = after_an_advance  # type: ignore[method-assign]
    assert await fencing.lower()
    assert await highest(nodes.database) == 3


async def test_rows_that_stay_above_after_a_rollback_can_still_be_changed(nodes: Nodes) -> None:
    database = nodes.database
    await nodes.rows(2)
    await nodes.open(3)
    await commands.fence_apply(database, KIND, by=BY)
    await commands.rollout_advance(database, KIND, by=BY)
    # No step takes it down.
    await database["places"].insert_one({"_id": 7, "schema_version": 3, "name": 5, "slug": 5})
    lower = Fencing(database, KIND, by=BY).lower
    assert not await lower()
    assert await highest(database) == 3
    await database["places"].update_one({"_id": 7}, {"$set": {"visits": 1}})


async def test_a_fence_before_any_node_lets_latest_in(database: Any) -> None:
    await commands.fence_apply(database, KIND, by=BY)
    assert await highest(database) == 3
    kind: Kind[Place] = KIND
    async with Store(database, kinds=[kind], service="api") as store:
        await store.collection(kind).insert(Place(id=1, name="Oslo"))
    with pytest.raises(Exception, match="Document failed validation"):
        await database["places"].insert_one({"_id": 2, "schema_version": 4})


async def test_a_release_that_comes_first_to_an_empty_collection_stores_what_the_fence_lets_in(database: Any) -> None:
    await commands.fence_apply(database, place_kind(latest=2), by=BY)
    async with Store(database, kinds=[KIND], service="api") as store:
        await store.collection(KIND).insert(Place(id=1, name="Oslo"))
        await commands.rollout_advance(database, KIND, by=BY)
    assert (await database["places"].find_one())["schema_version"] == 2
    assert await highest(database) == 3
