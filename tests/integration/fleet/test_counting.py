"""
What a store counts of a canary, as it reads and writes.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, Step, Store, commands
from docstore import operations as ops
from docstore.core.rollout_state import RolloutState
from docstore.errors import ConflictError, DocumentExistsError, InvalidDocumentError, StoreRejectedError
from docstore.fleet.canary_watch import canary_figures
from tests.integration.fleet.conftest import Nodes, until
from tests.kinds import Place, place_kind, stored

KIND = place_kind(latest=3)
#: The same by operations, so that updates of other fields go straight to the server.
BY_OPERATIONS = Kind(
    "place",
    collection="places",
    model=Place,
    steps=[Step(ops.RenameField("title", "name"), to=2), Step(ops.AddField("slug", ""), to=3)],
)


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    """
    A store at version 3, while nothing but a canary of all rows is open.
    """
    await nodes.database.places.insert_one(stored(2, 0))
    async with Store(nodes.database, [KIND], service="api", heartbeat=0.1, dead_after=30.0) as store:
        await nodes.rollouts().canary(KIND, 100.0)
        await until(lambda: knows_canary(store))
        yield store


async def knows_canary(store: Store) -> bool:
    member: Any = store._member
    return member.control("place").canary is not None


def figures(store: Store) -> tuple[int, int]:
    member: Any = store._member
    counted = member._counting.figures(member.control("place"))
    return counted.operations, counted.failures


async def test_writes_of_rows_at_the_version_of_the_canary_are_counted(store: Store) -> None:
    places = store.collection(KIND)
    await places.insert(Place(id=1, name="Oslo"))
    await places.insert_many([Place(id=2, name="Bergen"), Place(id=3, name="Moss")])
    assert figures(store) == (3, 0)
    found = await places.get(1)
    found.visits = 5
    await places.replace(found)
    await places.modify(0, lambda place: place.model_copy(update={"visits": 7}))
    assert figures(store) == (5, 0)

    # Another version would change nothing about these.
    stale = await places.get(1)
    await places.modify(1, lambda place: place.model_copy(update={"visits": 8}))
    stale.visits = 9
    with pytest.raises(ConflictError):
        await places.replace(stale)
    with pytest.raises(DocumentExistsError):
        await places.insert(Place(id=1, name="Oslo"))
    assert figures(store)[1] == 0


async def test_rows_that_do_not_fit_and_writes_that_the_server_refuses_are_errors(
    store: Store, database: AsyncDatabase[dict[str, Any]]
) -> None:
    places = store.collection(KIND)
    await database.places.insert_many([{**stored(3, 1), "visits": "many"}, {**stored(2, 2), "visits": "many"}])
    with pytest.raises(InvalidDocumentError):
        await places.get(1)
    assert figures(store) == (1, 1)
    # At the version before: nothing that the canary is about.
    with pytest.raises(InvalidDocumentError):
        await places.get(2)
    assert figures(store) == (1, 1)

    await database.command("collMod", "places", validator={"slug": {"$ne": "moss"}})
    with pytest.raises(StoreRejectedError):
        await places.insert(Place(id=3, name="Moss", slug="moss"))

    assert figures(store) == (2, 2)


@pytest.mark.parametrize("kind", [KIND, BY_OPERATIONS], ids=["by functions", "by operations"])
async def test_updates_by_operators_of_rows_at_the_version_of_the_canary_are_counted(
    nodes: Nodes, kind: Kind[Place]
) -> None:
    rows = [stored(3, number) for number in (1, 2)]
    await nodes.database.places.insert_many([stored(2, 0), *rows])
    async with Store(nodes.database, [kind], service="api", heartbeat=0.1, dead_after=30.0) as store:
        await nodes.database.docstore_control.update_one({"kind": "place"}, {"$set": {"write_version": 2}})
        await store.close()
    async with Store(nodes.database, [kind], service="api", heartbeat=0.1, dead_after=30.0) as store:
        places = store.collection(kind)
        await nodes.rollouts().canary(kind, 100.0)
        await until(lambda: knows_canary(store))
        # Where no step is made of functions, this row stays at 2, and is nothing that the canary is about.
        straight = kind is BY_OPERATIONS
        await places.update({"_id": 0}, {"$inc": {"visits": 1}})
        before = 0 if straight else 1
        assert figures(store) == (before, 0)

        await places.update({"_id": 1}, {"$inc": {"visits": 1}})
        await places.find_one_and_update({"_id": 2}, {"$inc": {"visits": 1}})
        await places.update({"_id": 2}, {"$set": {"slug": "bergen"}})
        assert figures(store) == (before + 3, 0)

        await nodes.database.command("collMod", "places", validator={"visits": {"$lt": 9}, "slug": {"$ne": "moss"}})
        for operators in ({"$inc": {"visits": 9}}, {"$set": {"slug": "moss"}}):
            with pytest.raises(StoreRejectedError):
                await places.update({"_id": 1}, operators)
            with pytest.raises(StoreRejectedError):
                await places.find_one_and_update({"_id": 1}, operators)

        assert figures(store) == (before + 7, 4)


async def test_a_store_rolls_the_canary_back_on_its_own_figures(nodes: Nodes) -> None:
    await nodes.database.places.insert_one(stored(2, 0))
    await nodes.database.command("collMod", "places", validator={"slug": {"$ne": "moss"}})
    async with Store(nodes.database, [KIND], service="api", heartbeat=0.1, dead_after=30.0) as store:
        await commands.rollout_canary(nodes.database, KIND, 100.0, abort_on="errors>10% of 20", by="operator")
        await until(lambda: knows_canary(store))
        for number in range(1, 31):
            name = "Moss" if number % 5 == 0 else "Oslo"
            try:
                await store.collection(KIND).insert(Place(id=number, name=name, slug=name.lower()))
            except StoreRejectedError:
                continue

        await until(lambda: rolled_back(nodes))

    history = await commands.rollout_history(nodes.database, "place")
    assert "operations failed on rows at version 3 (rule: errors>10% of 20)" in history[-1].why
    assert history[-1].by.startswith("api/")
    assert canary_figures((await nodes.fleet()).nodes, await nodes.control()) is None


async def rolled_back(nodes: Nodes) -> bool:
    return (await nodes.control()).state is RolloutState.ROLLING_BACK
